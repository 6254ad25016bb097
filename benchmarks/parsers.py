"""The text parser of ingestion against DuckDB's, on the same decoded text: cells as strings in memory, nothing else.

Each runs in a process of its own; the figures are the medians of three.

    python -m benchmarks.parsers [--facilities 60] [--months 3] [--scale 0.5] [--runs 3]
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.country import country_arguments, extract, make_country, told
from benchmarks.measuring import measured_in_turn, show_costs
from benchmarks.results import Result, cpu_for_a_row, memory, report
from ingestion.text import Header, read_lines, split_cells

SEVERAL = 50
"""Members read together, as a batch does."""


def _groups(text: Path) -> list[list[Path]]:
    """Members of one file with the same header, at most `SEVERAL` together."""
    shapes: dict[tuple[str, bytes], list[Path]] = {}
    for path in sorted(text.glob("*/*.txt")):
        header = path.read_bytes().partition(b"\n")[0]
        if b"HOSPCODE" in header.upper():
            shapes.setdefault((path.parent.name, header), []).append(path)
    return [paths[at : at + SEVERAL] for paths in shapes.values() for at in range(0, len(paths), SEVERAL)]


def with_polars(text: Path) -> int:
    rows = 0
    for paths in _groups(text):
        n_cells = paths[0].read_bytes().partition(b"\n")[0].count(b"|") + 1
        places = {f"c{place}": place for place in range(n_cells)}
        header = Header(places, n_cells, is_header=True, layout="", missing=[], unknown=[])
        bodies = [path.read_bytes().partition(b"\n")[2].rstrip(b"\n") + b"\n" for path in paths]
        sound = b"".join(read_lines(body, header, 2).text for body in bodies)
        rows += split_cells(sound, places, n_cells).height if sound else 0
    return rows


def with_duckdb(text: Path) -> int:
    rows = 0
    with duckdb.connect() as connection:
        connection.execute("set threads = 2; set enable_progress_bar = false")
        for paths in _groups(text):
            connection.execute(
                """select * from read_csv($names, delim = '|', header = true, quote = '', escape = '',
                all_varchar = true, auto_detect = false, columns = $columns, store_rejects = true)""".replace(
                    "$columns", _columns(paths[0])
                ),
                {"names": [str(path) for path in paths]},
            )
            rows += connection.to_arrow_table().num_rows
            connection.execute("drop table if exists reject_errors; drop table if exists reject_scans")
    return rows


def _columns(path: Path) -> str:
    n_cells = path.read_bytes().partition(b"\n")[0].count(b"|") + 1
    return "{" + ", ".join(f"'c{place}': 'varchar'" for place in range(n_cells)) + "}"


def compare(size: argparse.Namespace, folder: Path) -> Result:
    make_country(folder / "country", size)
    text = folder / "text"
    extract(folder / "country" / "deliveries", text)
    ours, peer = "polars (ingestion's)", "DuckDB read_csv"
    works = {ours: lambda _: partial(with_polars, text), peer: lambda _: partial(with_duckdb, text)}
    costs = measured_in_turn(works, size.runs)
    show_costs("Text to cells", costs, size.runs)
    lines = [
        cpu_for_a_row("CPU of polars ÷ DuckDB", costs[ours], costs[peer], 1),
        memory("memory of polars ÷ DuckDB", costs[ours], costs[peer]),
    ]
    return Result("parsers", told(size), lines)


def main() -> None:
    arguments = country_arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(compare(arguments, Path(folder)))


if __name__ == "__main__":
    main()
