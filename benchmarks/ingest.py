"""Ingestion (validated, typed, pseudonymised, landed, with receipts) against peers that do less, on the same zips.

    python -m benchmarks.ingest [--facilities 60] [--months 3] [--scale 0.5] [--runs 3] [--spark]

What each peer is spared stands in `benchmarks.peers`. Every run is in a fresh process. Against DuckDB's plain copy the
CPU seconds count; faster than pandas and Spark means that whoever waits, waits less: each as it is commonly run on the
same machine (pandas with one core, Spark and Ruam with two), and the CPU beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.country import country_arguments, extract, land, make_country, told
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.peers import copy_as_strings, has_spark, load_with_pandas, load_with_spark
from benchmarks.results import Result, cpu_for_a_row, memory, report, wall_for_a_row

OURS, DUCKDB, PANDAS, SPARK = "Ruam", "DuckDB", "pandas", "Spark"


def compare(size: argparse.Namespace, folder: Path, *, with_spark: bool) -> Result:
    make_country(folder / "country", size)
    deliveries, registry, text = folder / "country" / "deliveries", folder / "country" / "registry.csv", folder / "text"
    extract(deliveries, text)
    works = {
        OURS: lambda run: partial(land, deliveries, registry, folder / f"home{run}"),
        DUCKDB: lambda run: partial(copy_as_strings, text, folder / f"duckdb{run}"),
        PANDAS: lambda run: partial(load_with_pandas, deliveries, folder / f"pandas{run}"),
    }
    if with_spark:
        works[SPARK] = lambda run: partial(load_with_spark, text, folder / f"spark{run}")
    costs = measured_in_turn(works, size.runs)
    show_costs("Ingestion", costs, size.runs)
    ours = costs[OURS]
    lines = [cpu_for_a_row("CPU for a row, Ruam ÷ DuckDB", ours, costs[DUCKDB], 1.3)]
    for peer, times in ((PANDAS, 2.5), (SPARK, 6)):
        if peer in costs:
            lines.append(wall_for_a_row(f"time for a row, Ruam ÷ {peer}", ours, costs[peer], 1 / times))
            lines.append(cpu_for_a_row(f"CPU for a row, Ruam ÷ {peer}", ours, costs[peer]))
    lines += [memory(f"memory, Ruam ÷ {peer}", ours, cost) for peer, cost in costs.items() if peer != OURS]
    return Result("ingest", told(size), lines)


def main() -> None:
    parser = country_arguments(__doc__)
    parser.add_argument("--spark", action="store_true", help="with Spark, about ten minutes more")
    arguments = parser.parse_args()
    if arguments.spark and not has_spark():
        sys.exit("Spark is not installed: `make bench-spark` installs it and runs this.")
    with tempfile.TemporaryDirectory() as folder:
        report(compare(arguments, Path(folder), with_spark=arguments.spark))
    if not arguments.spark:
        Console().print("Spark was left out: `make bench-spark` measures it too.")


if __name__ == "__main__":
    main()
