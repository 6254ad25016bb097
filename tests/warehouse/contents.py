"""What a warehouse holds, so that two of them can be compared."""

from __future__ import annotations

import duckdb

from ruam.home import DataHome
from ruam.settings import PROJECT

_TIME_OF_BUILD = {"built_at"}
_CHANGES = {path.stem for path in (PROJECT / "models" / "intermediate" / "changes").glob("*.sql")}
"""What a build has recomputed: of that build alone."""


def contents(home: DataHome) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table and view, sorted; without the ledger and what a build notes for itself."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{home.warehouse}' as built (read_only)")
        connection.execute("use built")
        tables = connection.execute(
            "select table_name, list(column_name order by ordinal_position) from information_schema.columns "
            "where table_catalog = 'built' and table_schema = 'main' group by all"
        ).fetchall()
        return {
            table: connection.execute(
                f"select {', '.join(c for c in columns if c not in _TIME_OF_BUILD)} from {table} order by all"
            ).fetchall()
            for table, columns in tables
            if table not in _CHANGES
        }
