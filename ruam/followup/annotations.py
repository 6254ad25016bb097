"""What analysts say about a published figure of an area and period, for all who see that figure.

Only ever added to: what is withdrawn is no longer shown, and stays. It outlives publications, for it stands by the
measure, the area and the period, never by a row of a file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from secrets import token_hex

from sqlalchemy import insert, select, tuple_

from ruam.access import Refused, Role
from ruam.audit import Event
from ruam.followup.actions import By, words_of
from ruam.followup.recorded import Recorded
from ruam.followup.tables import annotation_events

WRITERS = frozenset({Role.ANALYST})
MOST_CHARACTERS = 500


class Change(StrEnum):
    WRITTEN = "written"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class About:
    """The figure that is spoken of: a measure in an area and a period, as the published tables name them."""

    measure_id: str
    area_level: str
    area_code: str
    period_type: str
    period_start: date


@dataclass(frozen=True)
class Annotation:
    """One that stands; `at` is UTC without a zone."""

    annotation_key: str
    about: About
    at: datetime
    by_role: str
    note: str


class Annotations(Recorded):
    """What was said about figures. Who may see which area is asked before."""

    def write(self, about: About, by: By, note: str) -> str:
        """The key of the new one. Raises `Refused` for who may not write, `UsageError` for no words or too many."""
        key = token_hex(16)
        self._add(key, about, by, Change.WRITTEN, words_of(note, "The annotation", MOST_CHARACTERS))
        return key

    def withdraw(self, annotation: Annotation, by: By) -> None:
        """Raises `Refused` as `write` does. One that is withdrawn already stays so."""
        self._add(annotation.annotation_key, annotation.about, by, Change.WITHDRAWN, None)

    def standing(self, measure_id: str, area_level: str, area_code: str) -> list[Annotation]:
        """Those of a measure in an area that nobody withdrew, newest first."""
        return [one for one in self.standing_in([(area_level, area_code)]) if one.about.measure_id == measure_id]

    def standing_in(self, places: Collection[tuple[str, str]]) -> list[Annotation]:
        """Those of all measures in these areas (level and code) that nobody withdrew, newest first."""
        table = annotation_events.c
        wanted = (
            select(annotation_events)
            .where(tuple_(table.area_level, table.area_code).in_(list(places)))
            .order_by(table.id.desc())
        )
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).mappings().all()
        withdrawn = {row["annotation_key"] for row in rows if row["change"] == Change.WITHDRAWN}
        return [
            Annotation(
                row["annotation_key"],
                About(**{field.name: row[field.name] for field in fields(About)}),
                row["at"],
                row["by_role"],
                row["note"],
            )
            for row in rows
            if row["change"] == Change.WRITTEN and row["annotation_key"] not in withdrawn
        ]

    def _add(self, key: str, about: About, by: By, change: Change, note: str | None) -> None:
        role = next((str(role) for role in Role if role in WRITERS and role in by.roles), None)
        if role is None:
            raise Refused("not_for_role")
        row = {
            "annotation_key": key,
            "measure_id": about.measure_id,
            "area_level": about.area_level,
            "area_code": about.area_code,
            "period_type": about.period_type,
            "period_start": about.period_start,
            "at": datetime.now(UTC).replace(tzinfo=None),
            "by_subject": by.subject,
            "by_role": role,
            "change": str(change),
            "note": note,
        }
        told = {name: str(row[name]) for name in ("measure_id", "area_level", "area_code", "period_type")}
        # Within the transaction: what cannot be recorded is not done.
        with self._engine.begin() as connection:
            connection.execute(insert(annotation_events).values(row))
            self._audit.write(
                Event.ANNOTATION,
                by.subject,
                by.roles,
                annotation=key,
                change=str(change),
                period_start=about.period_start.isoformat(),
                **told,
            )
