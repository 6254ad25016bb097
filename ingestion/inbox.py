"""The inbox store: every delivery exactly as sent, addressed by its content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ruam.faults import point
from ruam.files import alone, shared, sync_file, sync_folder

_LOCK = ".receiving"


def store(inbox: Path, source: Path) -> tuple[str, Path]:
    """Copy a delivery into the inbox; return its SHA-256 (hex) and where it lies.

    The copy is made while hashing, so that what is landed is what was hashed even if the sender is still writing.
    """
    inbox.mkdir(parents=True, exist_ok=True)
    staging = inbox / f".incoming-{os.getpid()}"
    digest = hashlib.sha256()
    with shared(inbox / _LOCK):
        try:
            with source.open("rb") as reader, staging.open("wb") as writer:
                while piece := reader.read(1 << 20):
                    digest.update(piece)
                    writer.write(piece)
            delivery_id = digest.hexdigest()
            final = inbox / delivery_id[:2] / f"{delivery_id}.zip"
            if not final.exists():
                final.parent.mkdir(mode=0o700, exist_ok=True)
                point("inbox.copied")
                sync_file(staging)
                point("inbox.synced")
                staging.replace(final)
                point("inbox.renamed")
                sync_folder(final.parent)
            return delivery_id, final
        finally:
            staging.unlink(missing_ok=True)


def sweep(inbox: Path) -> None:
    """Remove what killed processes left half copied, unless somebody is copying now."""
    inbox.mkdir(parents=True, exist_ok=True)
    with alone(inbox / _LOCK) as free:
        if free:
            for left in inbox.glob(".incoming-*"):
                left.unlink()
