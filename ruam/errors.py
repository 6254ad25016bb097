"""Errors that a user can act on, each with the exit code that scripts see."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any, ClassVar

_ROOT = Path(__file__).parent.parent
_OWN = {"dashboards", "identity", "ingestion", "quality", "ruam"}


class RuamError(Exception):
    """Something the user can put right; the message says what happened, where, and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(RuamError):
    """A path or an argument is wrong."""

    exit_code = 2


class NothingAcceptedError(RuamError):
    """Deliveries came, and none could be taken in."""

    exit_code = 3


class SetupError(RuamError):
    """The data home, its keys or its reference tables are not as they must be."""

    exit_code = 4


class BuildError(RuamError):
    """The warehouse build or one of its tests failed; `failed` holds dbt's node and message of each that did."""

    exit_code = 5

    def __init__(self, message: str, failed: Sequence[tuple[dict[str, Any], str]] = ()) -> None:
        super().__init__(message)
        self.failed = failed


class PublishError(RuamError):
    """Nothing was published; the last good version stays."""

    exit_code = 6


class NotFetchedError(RuamError):
    """Deliveries, or whole places, could not be read; the others were taken in."""

    exit_code = 7


class DeliveryFailedError(RuamError):
    """Ruam itself failed on some deliveries; the others were taken in."""

    exit_code = 8


class LinkageError(RuamError):
    """A linkage model is below its targets, or would make people who cannot be; the last links stay."""

    exit_code = 9


class CheckError(RuamError):
    """A check of the landing or the warehouse failed, or could not be evaluated."""

    exit_code = 10


class NotSentError(RuamError):
    """Alerts could not be handed over; they are the next time."""

    exit_code = 11


class ProcessKilledError(RuamError):
    """The system killed, twice, the process that landed some deliveries; the others were taken in."""

    exit_code = 12


class StorageError(RuamError):
    """The disk is full, fails, or may not be written (EX_IOERR)."""

    exit_code = 74


class BusyError(RuamError):
    """Another process holds the lock (EX_TEMPFAIL)."""

    exit_code = 75


def failed_at(error: BaseException) -> str:
    """Class of an error and the line of our own code that it came through last: `KeyError at ingestion/checks.py:120`.

    Of an unexpected error that is all that may be shown or logged: its words may hold a record's values.
    """
    passed = [(Path(frame.f_code.co_filename), line) for frame, line in walk_tb(error.__traceback__)]
    inside = [(path.relative_to(_ROOT), line) for path, line in passed if path.is_relative_to(_ROOT)]
    own = [f"{path}:{line}" for path, line in inside if path.parts[0] in _OWN]
    return f"{type(error).__name__} at {own[-1] if own else 'an unknown place'}"
