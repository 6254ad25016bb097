"""Files that are only ever added to, a JSON object a line, and who added."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from ruam.files import sync_folder


def append_line(path: Path, entry: Mapping[str, object]) -> None:
    """Add one durable line; one that a killed process left half written is ended first, so that it spoils no other."""
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, f"{chr(10) if torn else ''}{json.dumps(entry, ensure_ascii=False)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_folder(path.parent)


def account() -> str:
    """The account that runs this process; behind sudo, who called it."""
    caller = os.environ.get("SUDO_USER")
    if os.getuid() == 0 and caller:
        return caller
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
