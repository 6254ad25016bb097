"""Every rule that sent data can break, from the places where rules stand.

What reading a delivery can find stands in `ingestion/rules/f43.yml`. What rows that fit their file can say against
their person, their visit, other files and facilities stands in the meta of `int_<rows>__examined`, as one expression
over the examined columns (`models/intermediate/quality/`), and what a facility's months say against its own history in
that of `fct_facility_drifts`. Each place runs its own; pages, reports and docs read this.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ingestion.checks import Axis, Severity, load_rules
from ruam.settings import PROJECT

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
EXAMINED = PROJECT / "models" / "intermediate" / "quality"
DRIFT = PROJECT / "models/warehouse/fct_facility_drifts.yml"
WHAT_RULES_SAY = {"checked_rules", "broken_rules"}
"""Columns of examined rows that their rules make (macros/rules.sql)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowRule(_Strict):
    """A rule over examined rows: SQL over their columns, and a row that breaks it beside one that only looks like it.

    `applies` says of which rows it is asked (all, when empty), `breaks` which of those break it; a null is no fault.
    `broken` and `sound` are what differs from the rows' `sound_row`.
    """

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    axis: Axis
    severity: Severity
    th: str
    en: str
    fix_th: str
    fix_en: str
    applies: str = "true"
    breaks: str
    broken: dict[str, Any]
    sound: dict[str, Any]


class Examined(_Strict):
    """What one kind of row is checked by: `columns` (name to SQL type) of the model `name` that its rules may name, and
    these."""

    name: str
    columns: dict[str, str]
    sound_row: dict[str, Any]
    rules: list[RowRule]


class DriftRule(_Strict):
    """A rule over one facility's months: `series` of `fct_facility_series` against their own history.

    `file` is the one to look at first.
    """

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    axis: Axis
    severity: Severity
    series: str
    file: str
    applies: str
    th: str
    en: str
    fix_th: str
    fix_en: str


@cache
def drift_rules() -> list[DriftRule]:
    """Rules of drift, by the order in which they stand. Raises `pydantic.ValidationError` for one that is not whole."""
    (model,) = yaml.load(DRIFT.read_text(encoding="utf-8"), _LOADER)["models"]  # noqa: S506 - the safe loader, in C
    return [DriftRule.model_validate(rule) for rule in model["config"]["meta"]["rules"]]


@cache
def examined() -> list[Examined]:
    """All kinds of examined rows, by name. Raises `pydantic.ValidationError` for a rule that is not whole."""
    return [_read(path) for path in sorted(EXAMINED.glob("int_*__examined.yml"))]


def _read(path: Path) -> Examined:
    (model,) = yaml.load(path.read_text(encoding="utf-8"), _LOADER)["models"]  # noqa: S506 - the safe loader, in C
    meta = model["config"]["meta"]
    columns = {
        column["name"]: column["data_type"] for column in model["columns"] if column["name"] not in WHAT_RULES_SAY
    }
    return Examined(name=model["name"], columns=columns, sound_row=meta["sound_row"], rules=meta["rules"])


class Entry(_Strict):
    """A rule as people read it, wherever it stands. `population` says to what it is put: words, or the examined rows
    and the condition that holds for them."""

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    axis: Axis
    level: Literal["delivery", "row", "warning", "note", "both", "standing", "drift"]
    severity: Severity
    population: str
    th: str
    en: str
    fix_th: str
    fix_en: str


def entries() -> Iterator[Entry]:
    """Every rule there is: of reading, over standing rows (which stay as they are), and of drift."""
    for rule in load_rules().values():
        yield Entry(population=rule.applies, **rule.model_dump(exclude={"applies", "landed"}))
    for rows in examined():
        for one in rows.rules:
            kept = one.model_dump(exclude={"applies", "breaks", "broken", "sound"})
            yield Entry(level="standing", population=f"{rows.name}: {one.applies}", **kept)
    for drift in drift_rules():
        kept = drift.model_dump(exclude={"series", "file", "applies"})
        yield Entry(level="drift", population=drift.applies, **kept)


@cache
def _axes() -> dict[str, Axis]:
    return {entry.code: entry.axis for entry in entries()}


def axis_of(code: str, scored: str | None) -> str | None:
    """The axis that a rule's results count in; of what reading set aside, which none counts, the kind of fault it is.

    None for a rule that is in the catalogue no longer.
    """
    return scored or _axes().get(code)


def codes() -> Iterator[str]:
    """Every rule's code; each is the code of one rule alone."""
    yield from (entry.code for entry in entries())
