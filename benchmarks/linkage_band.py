"""Every measure at two thresholds of linkage: what changes when the people whom the lower one joins are one.

    python -m benchmarks.linkage_band HOME

HOME is a data home with a full build; it is only read. Nobody else's events can change, so each measure's own compiled
statement is run for these people alone, by the keys of either threshold. What it prints is the ground of decision 27.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
from rich.console import Console
from rich.table import Table

LIMITS: dict[str, str | bool | int | float | list[str]] = {"threads": 2, "memory_limit": "4GB"}
SOURCE = re.compile(r'"warehouse"\."main"\."(\w+)"')

JOINED = """
create table joined as
with people as (select distinct person_key, wide_person_key from warehouse.main.int_persons__identified)
select *, count(*) over (partition by wide_person_key) as n_people from people qualify n_people > 1
"""

RECOMPUTED = {"int_visits__chained": "intermediate/visits/int_visits__chained.sql"}
"""Tables that chain the rows of a person: made anew, as re-keying them would not do. Files by table."""


class Band(NamedTuple):
    measure: str
    numerator: int
    denominator: int
    flagged: int
    """Of the joined people, by the keys of the higher threshold."""
    flagged_wide: int
    """By those of the lower one."""

    @property
    def change(self) -> str:
        return f"{(self.flagged_wide - self.flagged) / self.numerator:+.2%}" if self.numerator else "–"


class Joined:
    """The tables that measures read, for the joined people alone, by one of the two keys."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, compiled: Path, key: str) -> None:
        self._connection, self._compiled, self._key = connection, compiled, key
        self._made: set[str] = set()

    def statement(self, file: Path) -> str:
        """A compiled statement over these tables. Raises `ValueError` when it is of a build of changes."""
        sql = file.read_text(encoding="utf-8")
        tables = set(SOURCE.findall(sql))
        if tables & {"int_persons__affected", "int_persons__watched"}:
            raise ValueError(f"{file.name} was compiled for a build of changes: build the home with --full-refresh.")
        for table in sorted(tables - self._made):
            self._made.add(table)
            self._connection.execute(f"create table {self._key}_{table} as {self._rows(table)}")
        return SOURCE.sub(rf"{self._key}_\1", sql)

    def _rows(self, table: str) -> str:
        if table in RECOMPUTED:
            return self.statement(self._compiled / RECOMPUTED[table])
        source = f"warehouse.main.{table}"
        if table == "int_episodes__summarized":
            linkage = "wide" if self._key == "wide_person_key" else "main"
            people = f"(select {self._key} from joined)"
            rows = f"from {source} where linkage = '{linkage}' and person_key in {people}"
            # The main rule follows numbers alone, which no threshold moves: here it is given everybody.
            return f"select * replace ('number' as linkage) {rows}"
        columns = {name for name, *_ in self._connection.execute(f"describe {source}").fetchall()}
        if "person_key" not in columns:
            return f"from {source}"
        key = f"joined.{self._key}"
        rows = f"select rows.* replace ({key} as person_key) from {source} as rows join joined using (person_key)"
        if table == "dim_persons":
            # Of people who are one now, the facts of him who is known best.
            best_first = f"row_number() over (partition by {key} order by rows.person_tier, rows.person_key)"
            rows += f" qualify {best_first} = 1"
        return rows


def bands(home: Path) -> Iterator[Band]:
    """The band of each measure that has a model, by its variant `main`."""
    compiled = home / "dbt" / "target" / "compiled" / "ruam" / "models"
    with duckdb.connect(config=LIMITS) as connection:
        connection.execute(
            f"set enable_progress_bar = false; attach '{home / 'warehouse.duckdb'}' as warehouse (read_only)"
        )
        connection.execute(JOINED)
        sides = [Joined(connection, compiled, key) for key in ("person_key", "wide_person_key")]
        count = "select count(*) filter (is_numerator), count(*) from"
        for file in sorted((compiled / "measures").glob("msr_*.sql")):
            whole = connection.execute(f"{count} warehouse.main.{file.stem} where variant = 'main'").fetchall()
            found = [
                connection.execute(f"{count} ({side.statement(file)}) where variant = 'main'").fetchall()[0][0]
                for side in sides
            ]
            yield Band(file.stem[4:].upper().replace("_", "-"), *whole[0], *found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    table = Table("measure", "numerator", "denominator", "of joined people", "joined", "change")
    for band in bands(parser.parse_args().home):
        counts = (band.numerator, band.denominator, band.flagged, band.flagged_wide)
        table.add_row(band.measure, *(f"{n:,}" for n in counts), band.change)
    Console().print(table)


if __name__ == "__main__":
    main()
