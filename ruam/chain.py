"""Logs whose lines are chained by hashes, so that a line that was changed, taken out or put in is found.

Each line holds the hash of the one before. Whoever keeps the newest line it saw (`Head`) elsewhere also finds lines cut
off at the end, and a whole log written anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruam.journal import append_line

BEGINNING = "0" * 64
TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Head:
    """Number and hash of a line."""

    seq: int
    hash: str


NOTHING = Head(0, BEGINNING)


def append(path: Path, known: Head, told: Mapping[str, object]) -> Head:
    """Add a line after the last one, or after `known` where that is newer. The caller holds the log alone."""
    last = max(known, last_of(path), key=lambda head: head.seq)
    entry: dict[str, object] = {"seq": last.seq + 1, **told, "previous": last.hash}
    entry["hash"] = _hash(entry)
    append_line(path, entry)
    return Head(last.seq + 1, str(entry["hash"]))


def last_of(path: Path) -> Head:
    """The last line that can be read; `NOTHING` when there is none."""
    newest = next(newest_first(path), None)
    return Head(newest["seq"], newest["hash"]) if newest else NOTHING


def newest_first(path: Path) -> Iterator[dict[str, Any]]:
    """Entries from the last to the first, read from the end of the file; lines that cannot be read are left out."""
    if not path.exists():
        return
    with path.open("rb") as log:
        position, rest = log.seek(0, 2), b""
        while position:
            size = min(TAIL_BYTES, position)
            position -= size
            log.seek(position)
            first, *lines = (log.read(size) + rest).split(b"\n")
            for line in reversed(lines):
                if entry := _entry(line):
                    yield entry
            rest = first
        if entry := _entry(rest):
            yield entry


def problems(path: Path, known: Head | None = None, witness: str = "the vault") -> list[str]:
    """What is wrong with the log, in words; with `known` also whether it reaches as far as the `witness` saw it."""
    found = []
    last = NOTHING
    seen = {0: BEGINNING}
    for line, entry in _entries(path):
        if entry["hash"] != _hash(entry):
            found.append(f"line {line} was changed: its hash is another")
        if (entry["seq"], entry["previous"]) != (last.seq + 1, last.hash):
            found.append(f"line {line} does not follow the line before it: one was changed, taken out or put in")
        last = Head(entry["seq"], entry["hash"])
        seen[last.seq] = last.hash
    if known is not None and seen.get(known.seq) != known.hash:
        found.append(f"entry {known.seq}, which {witness} saw, is gone or another: the log was cut off or replaced")
    return found


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines by number. One that cannot be read was torn by a power cut, or tampered with: then the chain breaks."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if entry := _entry(line):
                yield number, entry


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line.decode(errors="replace"))
    except json.JSONDecodeError:
        return None
    whole = isinstance(entry, dict) and isinstance(entry.get("seq"), int) and {"hash", "previous"} <= entry.keys()
    return entry if whole else None


def _hash(entry: Mapping[str, object]) -> str:
    text = json.dumps({name: value for name, value in entry.items() if name != "hash"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
