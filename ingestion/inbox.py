"""The inbox store: every delivery exactly as sent, addressed by its content."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from ruam.files import replacing


def place(inbox: Path, delivery_id: str) -> Path:
    """Where the delivery with this id lies."""
    return inbox / delivery_id[:2] / f"{delivery_id}.zip"


def store(inbox: Path, source: Path) -> tuple[str, Path]:
    """Copy a delivery into the inbox; return its SHA-256 (hex) and where it lies.

    The copy is made while hashing, so that what is landed is what was hashed even if the sender is still writing.
    """
    inbox.mkdir(parents=True, exist_ok=True)
    staging = inbox / f".{os.getpid()}.incoming"
    digest = hashlib.sha256()
    try:
        with source.open("rb") as reader, staging.open("wb") as writer:
            while piece := reader.read(1 << 20):
                digest.update(piece)
                writer.write(piece)
        delivery_id = digest.hexdigest()
        final = place(inbox, delivery_id)
        if not final.exists():
            final.parent.mkdir(mode=0o700, exist_ok=True)
            with replacing(final) as temporary:
                shutil.move(staging, temporary)
        return delivery_id, final
    finally:
        staging.unlink(missing_ok=True)
