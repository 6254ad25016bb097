"""Errors that a user can act on, each with the exit code that scripts see."""

from __future__ import annotations

from typing import ClassVar


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
    """The warehouse build or one of its tests failed."""

    exit_code = 5


class PublishError(RuamError):
    """Nothing was published; the last good version stays."""

    exit_code = 6


class NotFetchedError(RuamError):
    """Deliveries, or whole places, could not be read; the others were taken in."""

    exit_code = 7


class StorageError(RuamError):
    """The disk is full, fails, or may not be written (EX_IOERR)."""

    exit_code = 74


class BusyError(RuamError):
    """Another process holds the lock (EX_TEMPFAIL)."""

    exit_code = 75
