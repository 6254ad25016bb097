"""Thirteen regions land side by side: how that scales by cores, and what the centre alone must do after it.

    python -m benchmarks.regions [--facilities 130] [--months 3] [--scale 0.5] [--folder FOLDER]

Each region's node is `ruam ingest --region NN` in a process of its own with one worker, on one landing. They
are run one after another, and then as many at once as there are cores. Ingestion of a region waits for no other; the
person join does, so that people are taken into the vault, linked, built, checked and published by the centre, once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.country import START, new_home
from benchmarks.measuring import Cost, measured
from benchmarks.national import COMMANDS, commanded
from benchmarks.results import Result, Target, report
from ingestion.job import ingest
from ingestion.reference import load
from ingestion.synthetic import generate
from ruam.settings import REGIONS, Settings

SCALING = 1.25
"""Cores × time side by side ÷ time one after another; 1 where nothing waits for anything. An own target."""


def landed(home: Path, region: str, deliveries: Path) -> int:
    """Land what a region's facilities sent; the number of its rows."""
    done = ingest(Settings(home=home, workers=1, region=region), [deliveries])
    return sum(outcome.n_rows for outcome in done.outcomes)


def all_landed(home: Path, deliveries: Path, at_once: int) -> tuple[float, dict[str, Cost]]:
    """Seconds until every region has landed, so many at once, and the cost of each region."""
    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        works = [partial(landed, home, region, deliveries) for region in REGIONS]
        costs = dict(zip(REGIONS, pool.map(measured, works), strict=True))
        return time.perf_counter() - began, costs


def compare(folder: Path, size: argparse.Namespace) -> Result:
    """Raises `SystemExit` when the two landings do not hold as many rows."""
    generate(folder / "country", facilities=size.facilities, months=size.months, scale=size.scale, seed=1, start=START)
    cores = os.cpu_count() or 1
    seconds, costs = {}, {}
    for at_once in (1, cores):
        home = new_home(folder / f"home-{at_once}", folder / "country" / "registry.csv").data_home
        load(home, "drugs", folder / "country" / "drugs.csv", START)
        seconds[at_once], costs[at_once] = all_landed(home.root, folder / "country" / "deliveries", at_once)
    rows = {at_once: {region: cost.rows for region, cost in one.items()} for at_once, one in costs.items()}
    if rows[1] != rows[cores]:
        raise SystemExit(f"Regions side by side landed other rows: {rows}")
    centre = {
        name: measured(partial(commanded, home.root, arguments, size.memory_limit))
        for name, arguments in COMMANDS.items()
    }
    table = Table("step", "rows", "CPU s", "wall s", "peak MiB", title=f"{cores} cores")
    for name, cost in ({f"region {region}": cost for region, cost in costs[1].items()} | centre).items():
        rows_told = f"{cost.rows:,}" if cost.rows else "–"
        table.add_row(name, rows_told, f"{cost.cpu:.1f}", f"{cost.wall:.1f}", f"{cost.memory:,.0f}")
    Console().print(table)
    slowest = max(cost.wall for cost in costs[1].values())
    Console().print(
        f"All regions one after another {seconds[1]:.1f} s, {cores} at once {seconds[cores]:.1f} s; the slowest of "
        f"them alone {slowest:.1f} s. The centre {sum(cost.wall for cost in centre.values()):.1f} s."
    )
    lines = [
        Target(
            "cores × time of regions side by side ÷ one after another",
            cores * seconds[cores],
            SCALING,
            seconds[1],
            unit="s",
        ),
        Target(
            "CPU of the centre ÷ of all landings",
            sum(cost.cpu for cost in centre.values()),
            None,
            sum(cost.cpu for cost in costs[1].values()),
            unit="CPU s",
        ),
    ]
    told = f"{size.facilities} facilities, {size.months} months, scale {size.scale:g}, {cores} cores"
    return Result("regions", told, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--facilities", type=int, default=130)
    parser.add_argument("--months", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--memory-limit", default="4GB")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as made:
        report(compare(Path(made), chosen))


if __name__ == "__main__":
    main()
