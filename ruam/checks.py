"""What a checkpoint is asked and what it answers, apart from whatever runs it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ruam.files import replacing
from ruam.home import DataHome

LANDING, WAREHOUSE = CHECKPOINTS = ("landing", "warehouse")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kind(StrEnum):
    """What is expected of a table."""

    FILLED = "filled"
    """No null in the one column."""
    UNIQUE = "unique"
    """The columns together tell each row from every other."""
    NEVER = "never"
    """No row meets the condition."""
    COLUMNS = "columns"
    """These columns and no others."""


class Check(_Strict):
    """One expectation, the rule or promise that it tests, and the gate that it holds shut when it fails."""

    rule: str
    gate: str
    kind: Kind
    columns: tuple[str, ...] = ()
    condition: str = ""
    """SQL over the table's columns; a null is no fault."""


class Suite(_Strict):
    """All that is expected of one table. Unless it may be empty, a table without rows is an error."""

    table: str
    may_be_empty: bool = False
    checks: tuple[Check, ...]


class Status(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It was not evaluated, or on no rows, or its answer contradicts itself."""
    NO_ROWS = "no_rows"
    """Of a table that may be empty, and is."""


class Outcome(_Strict):
    """What became of one check. `n_broken` counts rows (of `unique` keys), null where nothing was counted."""

    table: str
    check: Check
    status: Status
    n_rows: int | None = None
    n_broken: int | None = None
    message: str = ""


class Request(_Strict):
    """Tables of one DuckDB file, and what is expected of them."""

    name: str
    database: Path
    suites: tuple[Suite, ...]


class Verdict(_Strict):
    """What a checkpoint found, of which build or batches, and when (UTC)."""

    checkpoint: str
    at: datetime
    build_id: str = ""
    batches: tuple[str, ...] = ()
    """All batches of the landing that stand and passed, now or before."""
    outcomes: tuple[Outcome, ...]

    @property
    def is_passed(self) -> bool:
        """Whether anything was checked and nothing failed."""
        return any(one.status is Status.PASSED for one in self.outcomes) and not self.stopping

    @property
    def stopping(self) -> tuple[Outcome, ...]:
        return tuple(one for one in self.outcomes if one.status in (Status.FAILED, Status.ERROR))


def keep(home: DataHome, verdict: Verdict) -> None:
    """Make it the checkpoint's last verdict."""
    home.checks.mkdir(mode=0o700, exist_ok=True)
    with replacing(home.checks / f"{verdict.checkpoint}.json") as path:
        path.write_text(verdict.model_dump_json(), encoding="utf-8")


def last_verdict(home: DataHome, checkpoint: str) -> Verdict | None:
    """None when the checkpoint never ran in this home."""
    path = home.checks / f"{checkpoint}.json"
    return Verdict.model_validate_json(path.read_bytes()) if path.exists() else None
