"""The audit log of the vault: a line for each opening, chained by hashes, so that a line that was changed is found.

Each line holds the hash of the one before. The vault itself keeps the newest line it saw (`Head`), so that lines cut
off at the end, or a whole log written anew, are found too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ruam.home import DataHome
from ruam.journal import account, append_line

BEGINNING = "0" * 64


@dataclass(frozen=True)
class Head:
    """Number and hash of a line."""

    seq: int
    hash: str


def log_of(home: DataHome) -> Path:
    return home.logs / "identity-audit.jsonl"


def append(path: Path, known: Head, command: str, purpose: str, told: Mapping[str, object]) -> Head:
    """Add a line after the last one, or after `known` where that is newer. The caller holds the vault."""
    last = max([known, *(Head(entry["seq"], entry["hash"]) for _, entry in _entries(path))], key=lambda head: head.seq)
    entry: dict[str, object] = {
        "seq": last.seq + 1,
        "at": datetime.now(UTC).isoformat(),
        "by": account(),
        "command": command,
        "purpose": purpose,
        **told,
        "previous": last.hash,
    }
    entry["hash"] = _hash(entry)
    append_line(path, entry)
    return Head(last.seq + 1, str(entry["hash"]))


def problems(path: Path, known: Head | None = None) -> list[str]:
    """What is wrong with the log, in words; with `known` also whether it reaches as far as the vault saw it."""
    found = []
    last = Head(0, BEGINNING)
    seen = {0: BEGINNING}
    for line, entry in _entries(path):
        if entry["hash"] != _hash(entry):
            found.append(f"line {line} was changed: its hash is another")
        if (entry["seq"], entry["previous"]) != (last.seq + 1, last.hash):
            found.append(f"line {line} does not follow the line before it: one was changed, taken out or put in")
        last = Head(entry["seq"], entry["hash"])
        seen[last.seq] = last.hash
    if known is not None and seen.get(known.seq) != known.hash:
        found.append(f"entry {known.seq}, which the vault saw, is gone or another: the log was cut off or replaced")
    return found


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines by number. One that cannot be read was torn by a power cut, or tampered with: then the chain breaks."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict) and isinstance(entry.get("seq"), int) and {"hash", "previous"} <= entry.keys():
                yield number, entry


def _hash(entry: Mapping[str, object]) -> str:
    text = json.dumps({name: value for name, value in entry.items() if name != "hash"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
