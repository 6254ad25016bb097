"""Which content was fetched from where, so that what did not change is not fetched again."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from ingestion.places import Found
from ruam.errors import StorageError

log = logging.getLogger("ruam.ingest")

UNSETTLED_SECONDS = 2.0
"""A file changed this lately may change again without a new time: SFTP tells whole seconds."""


class Fetched:
    """Which content was fetched from where, so that what did not change is not fetched again. A context manager.

    It only saves time: it can be deleted, and one that cannot be read is made anew.
    """

    def __init__(self, inbox: Path) -> None:
        self._inbox = inbox
        self._path = inbox / "fetched.sqlite"

    def __enter__(self) -> Fetched:
        self._rows = self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def delivery_id(self, found: Found) -> str | None:
        """The content of a file that has not changed since it was fetched; it may have left the inbox since."""
        row = self._execute(
            "select delivery_id from fetched where (address, size, version) = (?, ?, ?)",
            (found.address, found.size, found.version),
        )
        return row[0] if row else None

    def add(self, ones: Iterable[tuple[Found, str]]) -> None:
        """Files, and the content that each had."""
        settled = time.time() - UNSETTLED_SECONDS
        self._execute("begin")
        for found, delivery_id in ones:
            if found.modified is None or found.modified < settled:
                row = (found.address, found.size, found.version, delivery_id)
                self._execute("insert or replace into fetched values (?, ?, ?, ?)", row)
        self._execute("commit")

    def _open(self) -> sqlite3.Connection:
        """Raises `StorageError` when no file can be made here."""
        try:
            return _connect(self._path)
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self._path} cannot be used: {error}. Make room or put the rights right.") from error
        except sqlite3.DatabaseError:
            for path in self._inbox.glob(f"{self._path.name}*"):
                path.unlink()
            return _connect(self._path)

    def _execute(self, sql: str, row: tuple[str | int, ...] = ()) -> tuple[str, ...] | None:
        try:
            first: tuple[str, ...] | None = self._rows.execute(sql, row).fetchone()
        except sqlite3.DatabaseError as error:  # To fetch once more costs less than to stop.
            log.warning("the index of what was fetched failed", extra={"error": str(error)})
            if not isinstance(error, sqlite3.OperationalError):
                self._rows.close()
                self._path.unlink()
                self._rows = self._open()
            return None
        return first


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        rows.execute("pragma journal_mode = wal")
        rows.execute("pragma synchronous = normal")
        rows.execute(
            "create table if not exists fetched "
            "(address text primary key, size integer, version text, delivery_id text) without rowid"
        )
    except sqlite3.DatabaseError:
        rows.close()
        raise
    return rows
