"""Build one landing on DuckDB and on a Spark cluster of this machine, publish both, and hold every table of the one
against the other's.

    python -m tests.spark [--home FOLDER | --synthetic] [--select MODEL ...] [--kill] [--unit]
        [--through connect|thrift]

The landing is made by hand (`tests.spark.countries`); with `--synthetic`, it is that of a generated country and of odd
deliveries, with `--home`, that of a data home, which stays as it is. `--kill` kills one of the two workers in the
middle: nothing may differ for it. `--select` builds and compares some models alone and publishes nothing. `--unit` also
runs the models' unit tests on the cluster, as `make test` does on DuckDB. `--through` speaks to the cluster by a server
that drives it, as one does with a cluster of others. The exit code is 1 when a table differs, 4 when something is
missing that must be installed, 5 when a model or a test fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from rich.console import Console
from rich.table import Table as Printed

from benchmarks.results import Result, Target, report
from ruam import spark
from ruam.build import build
from ruam.dbt import run_dbt
from ruam.errors import RuamError
from ruam.home import DataHome
from ruam.publish import publish
from ruam.settings import Settings
from tests.spark.cluster import Cluster, served, started
from tests.spark.countries import by_hand, synthetic
from tests.spark.parity import Difference, Table, count_rows, differences, published_in, tables_of
from tests.unit.verdicts import pass_checks

_NOT_COPIED = ("warehouse.duckdb*", "dbt", "inbox", "serving", "spark", "spill", "vault", ".*.lock")
_ON_SMALL_DATA = {
    "RUAM_SPARK_DRIVER_MEMORY": "4g",
    "RUAM_SPARK_PARTITIONS": "2",
    "RUAM_SPARK_JAVA_OPTIONS": (
        "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -Dderby.system.durability=test"
    ),
}
"""Planning takes longer than running: the compiler that starts fast, and no more tasks than cores. What the driver
keeps of all statements fills a gigabyte when unit tests follow the build."""
_BY_HAND = "country of the warehouse's tests, and edges"
_KILLED_AFTER = 40
"""Tables that stand when a worker is killed; staging reads what lands, the others shuffle."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    landing = parser.add_mutually_exclusive_group()
    landing.add_argument("--home", type=Path, help="a data home; by default a country is made by hand")
    landing.add_argument("--synthetic", action="store_true", help="a generated country and odd deliveries")
    parser.add_argument("--select", nargs="+", metavar="MODEL", help="what to build, as dbt selects; all")
    parser.add_argument("--kill", action="store_true", help="kill a worker in the middle of the build on Spark")
    parser.add_argument("--unit", action="store_true", help="run the unit tests of the models on Spark too")
    parser.add_argument("--through", choices=("connect", "thrift"), help="a server that drives the cluster")
    given = parser.parse_args()
    console = Console(soft_wrap=True)
    for name, value in _ON_SMALL_DATA.items():
        os.environ.setdefault(name, value)
    try:
        spark.require()
        with TemporaryDirectory(prefix="ruam-spark-") as folder:
            return _compare(Path(folder), given, console)
    except RuamError as error:
        console.print(str(error), style="red", markup=False)
        return error.exit_code


def _compare(folder: Path, given: argparse.Namespace, console: Console) -> int:
    select: list[str] | None = given.select
    landed = _landed(folder / "country", given)
    on_duckdb, on_spark = (_with_the_same_landing(landed, folder / name) for name in ("duckdb", "spark"))
    console.print("▸ building on DuckDB")
    seconds = {"DuckDB": _build(on_duckdb, select, None)}
    with ExitStack() as stack:
        cluster = stack.enter_context(started(folder / "cluster"))
        address = cluster.master
        if given.through:
            options = _ON_SMALL_DATA["RUAM_SPARK_JAVA_OPTIONS"]
            address = stack.enter_context(served(cluster, given.through, folder / "server", options))
        console.print(f"▸ building on Spark ({address}, two workers of one core)")
        if given.kill:
            ended = Event()
            killer = Thread(target=_kill_a_worker, args=(cluster, on_spark, ended, console))
            stack.callback(killer.join)
            stack.callback(ended.set)
            killer.start()
        seconds["Spark"] = _build(on_spark, select, address)
        if given.unit:
            console.print("▸ unit tests on Spark")
            selected = [f"{one},test_type:unit" for one in select or ["*"]]
            spark.run(["test", "--select", *selected], on_spark, address)
            console.print(f"{_n_passed(on_spark)} passed")
    tables = tables_of(on_duckdb)
    if select:
        built = set(spark.tables(on_spark))
        tables = [table for table in tables if table.name in built]
    found = _told(console, on_duckdb.warehouse, on_spark.warehouse, tables)
    if not select:
        console.print("▸ publishing both")
        ours, theirs = (_published(home) for home in (on_duckdb, on_spark))
        found += _told(console, ours, theirs, published_in(ours))
    if not (select or given.kill or given.through):
        line = Target("time of a full build, Spark ÷ DuckDB", seconds["Spark"], None, seconds["DuckDB"], "s")
        of = "a generated country" if given.synthetic else given.home.name if given.home else _BY_HAND
        report(Result("spark", of, [line]))
    return 1 if found else 0


def _n_passed(home: DataHome) -> int:
    results = json.loads((home.spark / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    return sum(one["status"] == "pass" for one in results)


def _landed(folder: Path, given: argparse.Namespace) -> DataHome:
    if given.home:
        return DataHome(given.home.absolute())
    return synthetic(folder) if given.synthetic else by_hand(folder)


def _with_the_same_landing(home: DataHome, root: Path) -> DataHome:
    return DataHome(Path(shutil.copytree(home.root, root, ignore=shutil.ignore_patterns(*_NOT_COPIED))))


def _build(home: DataHome, select: list[str] | None, master: str | None) -> float:
    """The seconds that it took."""
    began = time.perf_counter()
    home.create()
    if not select:
        build(Settings(home=home.root, spark_master=master))
    elif master:
        spark.build(home, master, select=select)
        spark.show(home)
    else:
        run_dbt(["build", "--full-refresh", "--resource-type", "seed", "--resource-type", "model", "-s", *select], home)
    return time.perf_counter() - began


def _kill_a_worker(cluster: Cluster, home: DataHome, ended: Event, console: Console) -> None:
    while not ended.wait(0.5):
        if len(spark.tables(home)) >= _KILLED_AFTER:
            cluster.kill(1)
            console.print(f"▸ a worker was killed at {time.strftime('%H:%M:%S')}, {_KILLED_AFTER} tables stood")
            return


def _published(home: DataHome) -> Path:
    """The serving file, as after checkpoints that passed: what they check is tested elsewhere."""
    pass_checks(home)
    return publish(home).path


def _told(console: Console, ours: Path, theirs: Path, tables: list[Table]) -> list[Difference]:
    """Print what was compared, by layer, and each difference."""
    found = list(differences(ours, theirs, tables))
    differing = {difference.table for difference in found}
    n_rows = count_rows(ours, tables)
    printed = Printed("layer", "tables", "equal", "with rows", "rows")
    for layer in sorted({table.layer for table in tables}):
        names = [table.name for table in tables if table.layer == layer]
        counts = [
            len(names),
            sum(name not in differing for name in names),
            sum(n_rows[name] > 0 for name in names),
            sum(n_rows[name] for name in names),
        ]
        printed.add_row(layer, *(f"{count:,}" for count in counts))
    console.print(printed)
    for difference in found:
        console.print(str(difference), markup=False)
    return found


if __name__ == "__main__":
    sys.exit(main())
