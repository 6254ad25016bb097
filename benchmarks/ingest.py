"""Ingestion against DuckDB's plain copy of the same rows.

The peer gets the text already unzipped and decoded, and only copies it as strings to Parquet (zstd): no types, no
rules, no pseudonyms, no receipts. Ours starts from the zips. Each runs in a process of its own; the figures are the
medians of three.

    python -m benchmarks.ingest [--facilities 60] [--months 3] [--scale 0.5]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

from identity.keys import create_keys
from ingestion.feed import STANDARD, load_feeds
from ingestion.job import ingest
from ingestion.reference import load
from ingestion.synthetic import generate
from ingestion.text import UTF8_BOM, to_utf8
from ruam.settings import Settings

RUNS = 3


@dataclass(frozen=True)
class Cost:
    """Of one run, its children included: seconds of CPU and of wall, peak memory of any one process in MiB."""

    cpu: float
    wall: float
    memory: float
    rows: int


def measured(work: Callable[[], int]) -> Cost:
    """Run `work` (which returns its number of rows) in a fresh process and measure it."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, sender))
    process.start()
    sender.close()  # Only the child holds it now: if the child fails, `recv` ends instead of waiting for ever.
    cost: Cost = receiver.recv()
    process.join()
    return cost


def _child(work: Callable[[], int], sender: Connection) -> None:
    began = time.perf_counter()
    rows = work()
    wall = time.perf_counter() - began
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    sender.send(Cost(cpu, wall, max(usage.ru_maxrss for usage in usages) / 1024, rows))


def extract(deliveries: Path, out: Path) -> None:
    """Unzip and decode every member into a folder for each file of the standard."""
    for path in sorted(deliveries.rglob("*.zip")):
        if not zipfile.is_zipfile(path):
            continue
        with zipfile.ZipFile(path) as opened:
            for info in opened.infolist():
                file = load_feeds()[STANDARD].table_of(info.filename)
                if file:
                    text, _ = to_utf8(opened.read(info).removeprefix(UTF8_BOM))
                    target = out / file / f"{path.stem}.txt"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(text.replace(b"\r\n", b"\n"))


def copy_as_strings(text: Path, out: Path) -> int:
    """Copy every extracted member to one Parquet per file of the standard, all columns as text."""
    out.mkdir()
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted(text.glob("*/*.txt")):
        if path.stat().st_size:
            files[path.parent.name].append(str(path))
    rows = 0
    with duckdb.connect() as connection:
        connection.execute("set threads = 2; set preserve_insertion_order = false")
        for file, names in files.items():
            result = connection.execute(
                f"""copy (select * from read_csv($names, delim = '|', header = true, quote = '', escape = '',
                    all_varchar = true, union_by_name = true, ignore_errors = true, strict_mode = false))
                    to '{out / file}.parquet' (format parquet, compression zstd)""",
                {"names": names},
            ).fetchone()
            rows += result[0] if result else 0
    return rows


def land(country: Path, home_folder: Path) -> int:
    """Ingest the country into a new home."""
    settings = Settings(home=home_folder, workers=2)
    home = settings.data_home
    home.create()
    create_keys(home.keys)
    load(home, "registry", country / "registry.csv", date(2024, 4, 1))
    return sum(outcome.n_rows for outcome in ingest(settings, [country / "deliveries"]).outcomes)


def country_arguments(description: str | None) -> argparse.Namespace:
    """Size of the synthetic country, from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--facilities", type=int, default=60)
    parser.add_argument("--months", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.5)
    return parser.parse_args()


def make_country(folder: Path, size: argparse.Namespace) -> None:
    generate(folder, facilities=size.facilities, months=size.months, scale=size.scale, seed=1, start=date(2024, 4, 1))


def report(costs: dict[str, list[Cost]], peer: str, title: str) -> Table:
    table = Table(
        *("method", "rows", "CPU s", "wall s", "krows/s", "peak MiB", "CPU ÷ peer"),
        title=f"{title}, median of {RUNS}, {os.cpu_count()} cores",
    )
    peer_cpu = statistics.median(cost.cpu for cost in costs[peer])
    for name, ones in costs.items():
        cpu = statistics.median(cost.cpu for cost in ones)
        wall = statistics.median(cost.wall for cost in ones)
        table.add_row(
            *(name, f"{ones[0].rows:,}", f"{cpu:.1f}", f"{wall:.1f}", f"{ones[0].rows / wall / 1000:,.0f}"),
            *(f"{max(cost.memory for cost in ones):,.0f}", f"{cpu / peer_cpu:.2f}"),
        )
    return table


def main() -> None:
    arguments = country_arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_country(root / "country", arguments)
        extract(root / "country" / "deliveries", root / "text")
        ours, peer = "ruam ingest", "duckdb copy as strings"
        costs: dict[str, list[Cost]] = {ours: [], peer: []}
        for run in range(RUNS):
            costs[ours].append(measured(partial(land, root / "country", root / f"home{run}")))
            costs[peer].append(measured(partial(copy_as_strings, root / "text", root / f"copy{run}")))
    Console().print(report(costs, peer, "Ingestion"))


if __name__ == "__main__":
    main()
