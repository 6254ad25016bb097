"""Ingestion (validated, typed, pseudonymised, landed, with receipts) against peers that do less, on the same zips.

    python -m benchmarks.ingest [--facilities 60] [--months 3] [--scale 0.5] [--runs 3] [--spark]

What each peer is spared stands in `benchmarks.peers`. Every run is in a fresh process. Against DuckDB's plain copy the
CPU seconds count; faster than pandas and Spark means that whoever waits, waits less: each as it is commonly run on the
same machine (pandas with one core, Spark and Ruam with two), and the CPU beside it.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.country import country_arguments, extract, land, make_country
from benchmarks.measuring import Target, measured_in_turn, show_costs, show_targets
from benchmarks.peers import copy_as_strings, has_spark, load_with_pandas, load_with_spark

OURS, DUCKDB, PANDAS, SPARK = "ruam ingest", "DuckDB as strings", "pandas", "Spark local[2]"


def main() -> None:
    parser = country_arguments(__doc__)
    parser.add_argument("--spark", action="store_true", help="with Spark, about ten minutes more")
    arguments = parser.parse_args()
    if arguments.spark and not has_spark():
        sys.exit("Spark is not installed: `make bench-spark` installs it and runs this.")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", arguments)
        deliveries, registry, text = root / "country" / "deliveries", root / "country" / "registry.csv", root / "text"
        extract(deliveries, text)
        works = {
            OURS: lambda run: partial(land, deliveries, registry, root / f"home{run}"),
            DUCKDB: lambda run: partial(copy_as_strings, text, root / f"duckdb{run}"),
            PANDAS: lambda run: partial(load_with_pandas, deliveries, root / f"pandas{run}"),
        }
        if arguments.spark:
            works[SPARK] = lambda run: partial(load_with_spark, text, root / f"spark{run}")
        costs = measured_in_turn(works, arguments.runs)
    show_costs("Ingestion", costs, arguments.runs)
    # For a row: the peers load what Ruam knows to be a duplicate or refuses.
    cpu = {name: cost.cpu / cost.rows for name, cost in costs.items()}
    wall = {name: cost.wall / cost.rows for name, cost in costs.items()}
    targets = [Target("CPU for a row, Ruam ÷ DuckDB", cpu[OURS] / cpu[DUCKDB], 1.3)]
    for peer, times in ((PANDAS, 2.5), (SPARK, 6)):
        if peer in wall:
            targets.append(Target(f"time for a row, {peer} ÷ Ruam", wall[peer] / wall[OURS], times, at_most=False))
    show_targets(targets)
    for peer in cpu.keys() - {OURS, DUCKDB}:
        Console().print(f"CPU for a row, {peer} ÷ Ruam: {cpu[peer] / cpu[OURS]:.2f}")
    if not arguments.spark:
        Console().print("Spark was left out: `make bench-spark` measures it too.")


if __name__ == "__main__":
    main()
