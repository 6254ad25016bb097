"""The file of the data stewards: findings and deliveries row by row, published beside the file of the pages.

It holds no direct identifier, and is under no disclosure control: only commands and the pages of stewards open it, and
the pages do so behind a scope and the audit log.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import duckdb
import polars as pl

from ruam.errors import SetupError
from ruam.home import DataHome

FILE = "stewards_{run_id}.duckdb"
OPEN_STATES = ("opened", "still_open", "came_back")
SEVERITIES = ("high", "medium", "low")

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "lock_configuration": "true",
}


def current_file(home: DataHome) -> Path | None:
    """The file of the last publication; None when nothing was published, or nothing for stewards."""
    try:
        pointer = json.loads((home.serving / "current.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    path = home.serving / str(pointer.get("stewards"))
    return path if path.is_file() else None


def findings(home: DataHome, given: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Columns of `fct_finding_histories`, gravest first, then newest; `given` gives columns that must be as said.

    `finding_key` may be given by its beginning. Raises `SetupError` when nothing was published for stewards yet.
    """
    wanted = dict(given or {})
    prefix = wanted.pop("finding_key", "")
    conditions = [f'"{name}" = ?' for name in wanted] + ["starts_with(finding_key, ?)"]
    return _read(
        home,
        f"""
        select * from fct_finding_histories
        where {" and ".join(conditions)}
        order by list_position(['high', 'medium', 'low'], severity), last_opened_at desc, finding_key
        """,
        [*wanted.values(), prefix],
    )


def findings_of(home: DataHome, hospcodes: Collection[str], columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of all findings of some facilities, in no order. Raises `SetupError` as `findings` does."""
    named = ", ".join(f'"{name}"' for name in columns)
    sql = f"select {named} from fct_finding_histories where hospcode in (select unnest(?))"
    return _read(home, sql, [sorted(hospcodes)])


def delivery_rows(home: DataHome) -> pl.DataFrame:
    """Columns of `fct_deliveries`. Raises `SetupError` when nothing was published for stewards yet."""
    return _read(home, "select * from fct_deliveries order by received_at, file_name", [])


def _read(home: DataHome, sql: str, parameters: Sequence[str | list[str]]) -> pl.DataFrame:
    path = current_file(home)
    if path is None:
        raise SetupError(
            f"Nothing is published for stewards in {home.serving} yet. Run `ruam build` and `ruam publish` first."
        )
    with duckdb.connect(str(path), read_only=True, config=_CONFIG) as connection:
        return connection.execute(sql, parameters).pl()
