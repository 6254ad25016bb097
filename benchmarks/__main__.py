"""The short benchmarks in one run, each line a ratio with its peer: a quarter of an hour on two cores.

    python -m benchmarks [--only ingest parsers linkage warehouse]

* *ingest*, *parsers*: against DuckDB's plain copy, pandas, and Spark where it is installed (`make bench-tools`);
* *linkage*: how it grows;
* *warehouse*: a day against everything; dbt against its statements alone; the fact of visits against SQL by hand on
  DuckDB, and on ClickHouse where `chdb` is installed;
* *pages*: a filter change under 20 people against reading the same mart with pandas (with the warehouse).

Memory stands beside each. What is promised of larger data alone (a day, a million records) has no target here: the
long benchmarks measure it. `ruam docs` draws what earlier runs found.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import by_hand, incremental, ingest, linkage, pages, parsers
from benchmarks.country import country_arguments, told
from benchmarks.peers import has_spark
from benchmarks.results import Result, report
from ruam.home import DataHome
from ruam.publish import publish
from tests.unit.verdicts import pass_checks

TEXT = country_arguments(None).parse_args([])
YEAR = incremental.arguments_of(None).parse_args(["--facilities", "60", "--scale", "0.04", "--runs", "1"])
PEOPLE = pages.arguments_of(None).parse_args(["--sessions", "40", "--seconds", "40"])
RECORDS = (10_000, 100_000)


def text(folder: Path) -> Iterator[Result]:
    yield ingest.compare(TEXT, folder, with_spark=has_spark())


def cells(folder: Path) -> Iterator[Result]:
    yield parsers.compare(TEXT, folder)


def records(folder: Path) -> Iterator[Result]:
    yield linkage.compare(RECORDS, folder)


def warehouse(folder: Path) -> Iterator[Result]:
    settings = incremental.prepare(folder, YEAR)
    yield incremental.compare(settings, folder, YEAR, limit=None)
    day, everything = (DataHome(incremental.copy_of(folder, 0, full_refresh=full)) for full in (False, True))
    yield by_hand.compare(everything, folder, told(YEAR), TEXT.runs)
    pass_checks(day)
    publish(day)
    yield pages.compare(day, PEOPLE, told(YEAR))


BENCHMARKS: dict[str, Callable[[Path], Iterator[Result]]] = {
    "ingest": text,
    "parsers": cells,
    "linkage": records,
    "warehouse": warehouse,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    results: list[Result] = []
    for name in parser.parse_args().only:
        with tempfile.TemporaryDirectory(prefix=f"ruam-bench-{name}-") as folder:
            results += BENCHMARKS[name](Path(folder))
    report(*results)


if __name__ == "__main__":
    main()
