"""The way to the published file: pointer, connection, cached read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, TypeAlias

import duckdb
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dashboards.queries.scope import scoped, tables_of
from ruam.access import Scope

MEMORY_LIMIT = "512MB"
FILES_KEPT = 4
"""Published files that are open: the newest, and those that pages began with."""

Parameter: TypeAlias = str | int | date | list[str] | None


class ServingFileError(Exception):
    """The pointer or the file it names cannot be read; the message names the file."""


class Pointer(BaseModel):
    """`serving/current.json`."""

    model_config = ConfigDict(frozen=True)

    # A bare name: the pointer can never lead out of the serving folder.
    file: Annotated[str, Field(pattern=r"^ruam_[A-Za-z0-9_-]+\.duckdb$")]
    run_id: Annotated[str, Field(min_length=1)]
    published_at: datetime
    stewards: Annotated[str, Field(pattern=r"^stewards_[A-Za-z0-9_-]+\.duckdb$")] | None = None


@dataclass(frozen=True)
class Serving:
    """One published file, the run that wrote it, and as much of it as a viewer may see."""

    path: Path
    run_id: str
    scope: Scope
    rows_read: list[int] = field(default_factory=list, compare=False)
    """Rows that each read of the page gave; the audit log keeps their sum."""


def current_serving(folder: Path, scope: Scope) -> Serving | None:
    """The file that `current.json` names, or None when nothing has been published yet.

    Read on each rerun, so that a page shows a new publication without a restart.
    Raises `ServingFileError` when the pointer is damaged or its file is gone.
    """
    pointer_path = folder / "current.json"
    try:
        text = pointer_path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        pointer = Pointer.model_validate_json(text)
    except ValidationError as error:
        raise ServingFileError(f"{pointer_path}: {error}") from error
    path = folder / pointer.file
    if not path.is_file():
        raise ServingFileError(f"{path}: named by {pointer_path.name}, but not there")
    return Serving(path, pointer.run_id, scope)


def stewards_serving(folder: Path, serving: Serving) -> Serving | None:
    """The stewards' file that was published along with a serving file, for the same viewer; its rows count as theirs.

    None when nothing was published for stewards. Raises `ServingFileError` when the file is gone.
    """
    pointer = Pointer.model_validate_json((folder / "current.json").read_text(encoding="utf-8"))
    if pointer.stewards is None or pointer.run_id != serving.run_id:
        return None
    path = folder / pointer.stewards
    if not path.is_file():
        raise ServingFileError(f"{path}: named by current.json, but not there")
    return Serving(path, pointer.run_id, serving.scope, serving.rows_read)


@lru_cache(FILES_KEPT)
def connection(path: str) -> duckdb.DuckDBPyConnection:
    """Keyed by file name: a second connection to a *replaced* path would still show the old content."""
    try:
        return duckdb.connect(
            path,
            read_only=True,
            config={
                "enable_external_access": "false",
                "memory_limit": MEMORY_LIMIT,
                "lock_configuration": "true",
            },
        )
    except duckdb.Error as error:
        raise ServingFileError(f"{path}: {error}") from error


@lru_cache(FILES_KEPT)
def _columns(path: str) -> dict[str, frozenset[str]]:
    """Columns of each published table; views for other tools lie in a schema of their own, and are not read here."""
    with connection(path).cursor() as cursor:
        rows = cursor.execute(
            """
            select table_name, list(column_name)
            from duckdb_columns()
            where schema_name = 'main' and not internal
            group by table_name
            """
        ).fetchall()
    return {table: frozenset(columns) for table, columns in rows}


MOST_KEPT = 2_000
"""Frames, of some kilobytes each."""


# The frame itself, not a copy: no page changes one in place. Not Streamlit's cache, which takes as long for a hit as a
# small page has in all: it makes a text of every argument.
@lru_cache(MOST_KEPT)
def _cached(
    run_id: str, path: str, sql: str, parameters: tuple[tuple[str, Parameter | tuple[str, ...]], ...], scope: Scope
) -> pl.DataFrame:
    """Keyed by run and scope: what one viewer was shown comes to another only where both may see it (SEC-6)."""
    # A cursor each: sessions run in threads of their own, and one connection serves one statement at a time.
    with connection(path).cursor() as cursor:
        statement, filters = scoped(sql, _tables(path, sql), _columns(path), scope)
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters}
        return cursor.execute(statement, {**values, **filters}).pl()


@lru_cache(MOST_KEPT)
def _tables(path: str, sql: str) -> frozenset[str]:
    """Names that a statement reads from: most are asked again and again with other values."""
    with connection(path).cursor() as cursor:
        parsed = cursor.execute("select json_serialize_sql($sql)", {"sql": sql}).fetchone()
    return frozenset(tables_of(str(parsed[0]))) if parsed else frozenset()


def fetch(serving: Serving, sql: str, parameters: Mapping[str, Parameter] | None = None) -> pl.DataFrame:
    """Rows of one statement that the viewer may see. Values come in as `$name` parameters, never inside the text."""
    given = tuple((name, tuple(one) if isinstance(one, list) else one) for name, one in (parameters or {}).items())
    rows = _cached(serving.run_id, str(serving.path), sql, given, serving.scope)
    serving.rows_read.append(rows.height)
    return rows
