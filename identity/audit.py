"""The audit log of the vault: a line for each opening, chained by hashes (`ruam.chain`).

The vault itself keeps the newest line it saw, so that lines cut off at the end, or a whole log written anew, are found
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ruam import chain
from ruam.chain import BEGINNING, Head, problems
from ruam.home import DataHome
from ruam.journal import account

__all__ = ["BEGINNING", "Head", "append", "log_of", "problems"]


def log_of(home: DataHome) -> Path:
    return home.logs / "identity-audit.jsonl"


def append(path: Path, known: Head, command: str, purpose: str, told: Mapping[str, object]) -> Head:
    """Add a line after the last one, or after `known` where that is newer. The caller holds the vault."""
    opening = {"at": datetime.now(UTC).isoformat(), "by": account(), "command": command, "purpose": purpose}
    return chain.append(path, known, {**opening, **told})
