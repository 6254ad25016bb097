"""The inbox store: every delivery exactly as sent, addressed by its content; and what was fetched from where."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ingestion.places import Found
from ruam.errors import StorageError
from ruam.files import is_alive, sync_file, sync_folder

log = logging.getLogger("ruam.ingestion.inbox")

_INCOMING = ".incoming"

UNSETTLED_SECONDS = 2.0
"""A file changed this lately may change again without a new time: SFTP tells whole seconds."""


def store(inbox: Path, pieces: Iterable[bytes]) -> tuple[str, Path]:
    """Write a delivery into the inbox; return its SHA-256 (hex) and where it lies.

    It is written while hashing, so that what is landed is what was hashed even if the sender is still writing. Nothing
    is left when `pieces` raises. Raises `StorageError` when the disk takes no more.
    """
    staging = inbox / f".{os.getpid()}{_INCOMING}"
    digest = hashlib.sha256()
    try:
        inbox.mkdir(parents=True, exist_ok=True)
        with staging.open("wb") as writer:
            for piece in pieces:
                digest.update(piece)
                writer.write(piece)
        delivery_id = digest.hexdigest()
        final = place_in(inbox, delivery_id)
        if not final.exists():
            final.parent.mkdir(mode=0o700, exist_ok=True)
            sync_file(staging)
            staging.replace(final)
            sync_folder(final.parent)
        return delivery_id, final
    except OSError as error:
        raise StorageError(
            f"{staging} cannot be written: {error.strerror or error}. Nothing half is left. Make room, or put "
            "the rights right, then run the same command again."
        ) from error
    finally:
        with suppress(OSError):
            staging.unlink(missing_ok=True)


def place_in(inbox: Path, delivery_id: str) -> Path:
    return inbox / delivery_id[:2] / f"{delivery_id}.zip"


def sweep(inbox: Path) -> None:
    """Remove what killed processes left half written."""
    for staging in inbox.glob(f".*{_INCOMING}"):
        if not is_alive(int(staging.name.removeprefix(".").removesuffix(_INCOMING))):
            staging.unlink(missing_ok=True)


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
        """The content of a file that has not changed since it was fetched, if that still lies in the inbox."""
        row = self._execute(
            "select delivery_id from fetched where (address, size, version) = (?, ?, ?)",
            (found.address, found.size, found.version),
        )
        return row[0] if row and place_in(self._inbox, row[0]).exists() else None

    def add(self, found: Found, delivery_id: str) -> None:
        if found.modified is None or found.modified < time.time() - UNSETTLED_SECONDS:
            row = (found.address, found.size, found.version, delivery_id)
            self._execute("insert or replace into fetched values (?, ?, ?, ?)", row)

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

    def _execute(self, sql: str, row: tuple[str | int, ...]) -> tuple[str, ...] | None:
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
