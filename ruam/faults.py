"""Named points at which a test may make a step of the disk fail; without `RUAM_FAULT_FOR_TESTS` they do nothing.

The variable holds `<point>:<action>[:<pass>]`, several joined by commas: `batch.synced:kill` ends the process at that
point, `replace.written:ENOSPC:2` finds the disk full at the second pass through it. Passes count per process.
Workers inherit the variable. Whoever arms it is told so, on stderr and in the log, at every fault.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import Counter
from errno import errorcode
from typing import Final

VARIABLE: Final = "RUAM_FAULT_FOR_TESTS"

POINTS: Final = (
    # A file that takes its place whole (`ruam.files.replacing`): a reference table, a published file.
    "replace.written",
    "replace.synced",
    "replace.renamed",
    # A run of ingestion, and each delivery on its way into the inbox.
    "inbox.copied",
    "inbox.renamed",
    "inbox.synced",
    "ingest.received",
    "region.locked",
    "region.swept",
    "ingest.landed",
    # What a batch has for the vault, complete before the batch is committed.
    "intake.written",
    "intake.synced",
    "intake.renamed",
    # A batch (`ingestion.landing.BatchWriter`): of deliveries, of receipts alone, of columns, or of older batches.
    "batch.begun",
    "batch.rows_written",
    "batch.record_written",
    "batch.closed",
    "batch.synced",
    "batch.renamed",
    "batch.committed",
    # The vault: a batch that it takes in, a person whom it forgets, and the file without that person's pages.
    "vault.filled",
    "vault.taken",
    "vault.removed",
    "vault.forgotten",
    "vault.copied",
    # A zip that leaves the inbox for good.
    "purge.recorded",
    "purge.removed",
    # The folders that a compacted one has replaced.
    "compact.hidden",
    "compact.removed",
    # A change of a key (`ingestion.rotation`): written beside the landing, then swapped batch by batch.
    "rotate.begun",
    "rotate.written",
    "rotate.clearing",
    "rotate.cleared",
    "rotate.filling",
    "rotate.filled",
    "rotate.promoted",
    "rotate.forgotten",
    "rotate.finished",
)
"""Every point there is, in the order of a run."""

SIGNALS: Final = ("kill", "orphan", "stop")
"""End this process by SIGKILL; end its parent and stop, as an orphan; stop, until somebody sends SIGCONT."""

ERRORS: Final = ("ENOSPC", "EIO", "EACCES")

_passes: Counter[str] = Counter()


def point(name: str) -> None:
    """Do what the variable says of this point; nothing when it says nothing.

    Raises `OSError` for the actions of `ERRORS`, `ValueError` for a point or an action that does not exist.
    """
    armed = os.environ.get(VARIABLE)
    if armed is None:
        return
    _passes[name] += 1
    for fault in armed.split(","):
        where, action, *nth = fault.split(":")
        if where not in POINTS or action not in (*SIGNALS, *ERRORS):
            raise ValueError(f"{VARIABLE}: {fault!r} names no point or no action")
        if where == name and _passes[name] == int(nth[0] if nth else 1):
            _act(name, action)


def forget() -> None:
    """Count passes from the beginning again."""
    _passes.clear()


def _act(name: str, action: str) -> None:
    logging.getLogger("ruam.faults").critical("fault injected", extra={"point": name, "action": action})
    print(f"ruam: {VARIABLE} is set: {action} at {name}", file=sys.stderr, flush=True)  # noqa: T201
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "orphan":
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGSTOP)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case _:
            number = next(number for number, code in errorcode.items() if code == action)
            raise OSError(number, os.strerror(number), name)
