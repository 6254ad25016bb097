"""Build one small landing on DuckDB and on a Spark cluster of this machine, and hold every table against the other.

    python -m tests.spark [--home FOLDER] [--select MODEL ...]

The landing is the country of the warehouse's tests; with `--home`, that of a data home, whose warehouse is taken as it
is when it was built. The exit code is 1 when a table differs, 4 when something is missing that must be installed, 5
when a model does not run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from ruam.dbt import run_dbt
from ruam.errors import RuamError
from ruam.home import DataHome
from ruam.spark import build, cluster, require
from tests.spark.parity import differences, tables_of
from tests.warehouse.country import BATCHES, land, make_country


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a data home; by default a small country is made")
    parser.add_argument("--select", nargs="+", metavar="MODEL", help="what to build on Spark, as dbt selects; all")
    given = parser.parse_args()
    console = Console(soft_wrap=True)
    try:
        require()
        with TemporaryDirectory() as folder:
            return _compare(DataHome(given.home) if given.home else _country(Path(folder)), given.select, console)
    except RuamError as error:
        console.print(str(error), style="red", markup=False)
        return error.exit_code


def _country(folder: Path) -> DataHome:
    home = make_country(folder / "home")
    land(home, *BATCHES)
    return home


def _compare(home: DataHome, select: list[str] | None, console: Console) -> int:
    if not home.warehouse.exists():
        console.print("▸ building on DuckDB")
        run_dbt(
            ["build", "--full-refresh", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "test"], home
        )
    with cluster(home.spark / "cluster") as master:
        console.print(f"▸ building on Spark ({master}, two workers)")
        build(home, master, select=select)
    built = {path.name for path in home.spark_tables.iterdir()}
    tables = {name: key for name, key in tables_of(home).items() if not select or name in built}
    found = list(differences(home, tables))
    for difference in found:
        console.print(str(difference), markup=False)
    equal = len(tables) - len({difference.table for difference in found})
    console.print(f"▸ {equal} of {len(tables)} tables are equal on both")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
