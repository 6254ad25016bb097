"""The stable schema of the serving file: views that other tools may build upon, under a promise (`stable_v1.yml`)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import duckdb
import yaml
from pydantic import BaseModel, ConfigDict

from ruam.errors import PublishError

DESCRIPTION = Path(__file__).with_name("stable_v1.yml")

STATUS_TH, STATUS = "สถานะของ {name}", "exact, rounded, below_10 (the count is empty) or missing, of {name}."


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StableColumn(_Strict):
    name: str
    type: Literal["varchar", "date", "timestamp", "integer", "bigint", "double"]
    count: bool = False
    """A controlled count, beside which its status stands."""
    title_th: str
    description: str


class StableView(_Strict):
    name: str
    table: str
    """The published table behind it."""
    where: str | None = None
    """Which of its rows, in SQL, when the table has grown more kinds since."""
    title_th: str
    description: str
    """The grain in a sentence."""
    key: list[str]
    columns: list[StableColumn]

    @property
    def offered(self) -> Iterator[StableColumn]:
        """The columns of the view in order, the status of a count after it."""
        for column in self.columns:
            yield column
            if column.count:
                yield StableColumn(
                    name=f"{column.name}_status",
                    type="varchar",
                    title_th=STATUS_TH.format(name=column.name),
                    description=STATUS.format(name=column.name),
                )


class StableSchema(_Strict):
    name: str
    """Of the schema in the file, with its version."""
    views: list[StableView]
    left_out: dict[str, str]
    """Published tables that are no part of it, and why."""


@cache
def stable_schema() -> StableSchema:
    """Raises `ValueError` when the description does not fit."""
    return StableSchema.model_validate(yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8")))


def create_views(connection: duckdb.DuckDBPyConnection, schema: StableSchema) -> None:
    """Make the views in a serving file that holds its tables.

    Raises `PublishError` when a table no longer gives what was promised of it.
    """
    connection.execute(f'create schema "{schema.name}"')
    for view in schema.views:
        columns = ", ".join(f'cast("{one.name}" as {one.type}) as "{one.name}"' for one in view.offered)
        rows = f" where {view.where}" if view.where else ""
        name = f'"{schema.name}"."{view.name}"'
        key = ", ".join(f'"{one}"' for one in view.key)
        try:
            connection.execute(f'create view {name} as select {columns} from main."{view.table}"{rows}')
            twice = connection.execute(f"select count(*) - count(distinct ({key})) from {name}").fetchone()
        except duckdb.Error as error:
            raise PublishError(
                f"{view.table} no longer gives what {schema.name}.{view.name} promises ({error}). Nothing is "
                "published; keep the promise, or make a new version of the schema (ruam/stable_v1.yml)."
            ) from error
        if twice != (0,):
            raise PublishError(f"{schema.name}.{view.name} would hold a key ({key}) twice; nothing is published.")
