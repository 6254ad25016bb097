"""What people did or said, kept in the database of follow-up, with the audit log that is told of each."""

from __future__ import annotations

from typing import Self

from sqlalchemy import Engine

from ruam.audit import AuditLog
from ruam.followup.tables import open_database
from ruam.settings import Settings


class Recorded:
    """The database, and the audit log beside it."""

    def __init__(self, engine: Engine, audit: AuditLog) -> None:
        self._engine = engine
        self._audit = audit

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises `SetupError` as `open_database` does."""
        return cls(open_database(settings), AuditLog(settings.data_home))

    @property
    def engine(self) -> Engine:
        return self._engine
