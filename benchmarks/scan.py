"""Thirty days landed day by day, then compacted, against the same deliveries landed in one go.

    python -m benchmarks.scan [--days 30] [--table service] [--facilities 60] [--months 3] [--scale 0.5] [--runs 3]

Counts the landing's files and measures a scan of one table, every column. Compaction is `ruam compact`, by the
command line; without that command its line is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
from rich.console import Console

from benchmarks.country import (
    Material,
    country_arguments,
    facility_codes,
    land,
    make_country,
    material,
    new_home,
    repack,
    told,
    write_registry,
)
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.results import Result, Target, cpu, report
from ingestion.job import ingest
from ruam.home import DataHome

RATIO = 1.5
ZIPS_A_DAY = 100
SCANS = 20
"""In one run: a single scan is over too soon to measure."""


def land_by_day(days: list[Path], registry: Path, home: Path) -> None:
    settings = new_home(home, registry)
    for day in days:
        ingest(settings, [day])


def scan(landing: Path, table: str) -> int:
    """Read every cell of a table over all batches `SCANS` times, found as the warehouse finds them; its rows."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 2; set enable_progress_bar = false")
        source = f"read_parquet('{landing}/region=*/batch=*/{table}.parquet', union_by_name = true)"
        for _ in range(SCANS):
            found = connection.execute(f"select count(*), bit_xor(hash(columns(*))) from {source}").fetchall()
    return int(found[0][0])


def count_files(landing: Path) -> int:
    return sum(1 for _ in landing.glob("region=*/batch=*/*.parquet"))


def compact(home: Path) -> bool:
    """Run `ruam compact`; False when there is no such command. Raises `CalledProcessError` when it fails."""
    command = [str(Path(sys.executable).with_name("ruam")), "compact"]
    if subprocess.run([*command, "--help"], capture_output=True, check=False).returncode:  # noqa: S603
        return False
    subprocess.run(command, env=os.environ | {"RUAM_HOME": str(home)}, check=True)  # noqa: S603
    return True


def _share(rows: Material, day: int, days: int) -> Material:
    """The lines that come on one of the days."""
    return {file: (header, lines[day::days]) for file, (header, lines) in rows.items()}


def _scanning(landing: Path, table: str) -> Callable[[int], Callable[[], int]]:
    return lambda _: partial(scan, landing, table)


def main() -> None:
    parser = country_arguments(__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--table", default="service")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", arguments)
        rows = material(root / "country" / "deliveries")
        registry = root / "registry.csv"
        write_registry(registry, facility_codes(ZIPS_A_DAY))
        days = [root / "days" / f"{day:02d}" for day in range(arguments.days)]
        for day, path in enumerate(days):
            repack(_share(rows, day, arguments.days), path, ZIPS_A_DAY)
        land_by_day(days, registry, root / "daily")
        land(root / "days", registry, root / "fresh")
        daily, fresh = DataHome(root / "daily").landing, DataHome(root / "fresh").landing
        before, after, new = "day by day", "compacted", "in one go"
        landings = {before: daily, new: fresh}
        files = {name: count_files(landing) for name, landing in landings.items()}
        works = {name: _scanning(landing, arguments.table) for name, landing in landings.items()}
        costs = measured_in_turn(works, arguments.runs)
        if compact(root / "daily"):
            files[after] = count_files(daily)
            costs |= measured_in_turn({after: _scanning(daily, arguments.table)}, arguments.runs)
    show_costs(f"{SCANS} scans of {arguments.table}", costs, arguments.runs)
    if len({cost.rows for cost in costs.values()}) > 1:
        raise SystemExit("The scans did not read the same number of rows.")
    lines = [
        line
        for name in (before, after)
        if name in files
        for line in (
            Target(f"files, {name} ÷ {new}", files[name], RATIO, files[new], "files"),
            cpu(f"CPU of the scan, {name} ÷ {new}", costs[name], costs[new], RATIO),
            Target(f"wall of the scan, {name} ÷ {new}", costs[name].wall, RATIO, costs[new].wall, "s"),
        )
    ]
    report(Result("scan", f"{arguments.days} days, {told(arguments)}", lines))
    if after not in files:
        Console().print("There is no command `ruam compact`: the landing stayed as it was laid.")


if __name__ == "__main__":
    main()
