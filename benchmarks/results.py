"""What a benchmark tells of: lines, each a ratio with its peer, shown as one table and kept (`ruam.benchmarks`)."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Cost
from ruam.benchmarks import HISTORY, history, keep, newest
from ruam.settings import PROJECT

_WIDTH_OF_FILES = 220
_PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "polars", "pyarrow", "pandas", "streamlit", "pyspark", "chdb")


@dataclass(frozen=True)
class Target:
    """A line: our figure over the peer's, or alone where `peer` is none, to stay at most at a limit.

    `words` name it from run to run, so that they hold no size.
    """

    words: str
    value: float
    limit: float | None = None
    peer: float | None = None
    unit: str = ""

    @property
    def ratio(self) -> float:
        return self.value if self.peer is None else self.value / self.peer

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "met" if self.ratio <= self.limit else "missed"


@dataclass(frozen=True)
class Result:
    benchmark: str
    size: str
    lines: Sequence[Target]


def cpu_for_a_row(words: str, ours: Cost, peer: Cost, limit: float | None = None) -> Target:
    """For a row: the peers may load what Ruam knows to be a duplicate or refuses."""
    return Target(words, 1e6 * ours.cpu / ours.rows, limit, 1e6 * peer.cpu / peer.rows, "CPU s / million rows")


def wall_for_a_row(words: str, ours: Cost, peer: Cost, limit: float | None = None) -> Target:
    return Target(words, 1e6 * ours.wall / ours.rows, limit, 1e6 * peer.wall / peer.rows, "s / million rows")


def cpu(words: str, ours: Cost, peer: Cost, limit: float | None = None) -> Target:
    return Target(words, ours.cpu, limit, peer.cpu, "CPU s")


def memory(words: str, ours: Cost, peer: Cost, limit: float | None = None) -> Target:
    return Target(words, ours.memory, limit, peer.memory, "MiB")


def report(*results: Result, folder: Path = HISTORY) -> None:
    """Show the lines of a run beside those of earlier runs on machines like this one, and keep them."""
    rows = _rows(results)
    path = keep(rows, folder)
    known = newest(history(folder)).filter(pl.col("at") == rows["at"][0])
    earlier = {(one["benchmark"], one["line"], one["size"]): one for one in known.iter_rows(named=True)}
    table = Table("benchmark", "line", "ours", "peer", "unit", "ratio", "target", "", "usual", "change")
    for result in results:
        for line in result.lines:
            before = earlier[result.benchmark, line.words, result.size]
            table.add_row(
                result.benchmark,
                line.words,
                f"{line.value:,.2f}",
                "–" if line.peer is None else f"{line.peer:,.2f}",
                line.unit,
                f"{line.ratio:,.2f}",
                "–" if line.limit is None else f"≤ {line.limit:g}",
                line.verdict,
                "–" if before["usual"] is None else f"{before['usual']:,.2f} ({before['n_earlier']})",
                "–" if before["change"] is None else f"{before['change']:+.0%}{' worse' if before['is_worse'] else ''}",
            )
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_FILES
    console.print(table)
    for result in results:
        console.print(f"{result.benchmark}: {result.size}")
    console.print(f"Kept: {path}")


def _rows(results: Sequence[Result]) -> pl.DataFrame:
    common = {
        "at": datetime.now(UTC),
        "commit": _commit(),
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load": os.getloadavg()[2],
        "versions": _versions(),
    }
    return pl.DataFrame(
        [
            common
            | {
                "benchmark": result.benchmark,
                "line": line.words,
                "size": result.size,
                "unit": line.unit,
                "value": line.value,
                "peer": line.peer,
                "ratio": line.ratio,
                "target": line.limit,
            }
            for result in results
            for line in result.lines
        ],
        infer_schema_length=None,
    )


def _commit() -> str:
    def told(*arguments: str) -> str:
        command = ["git", "-C", str(PROJECT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    try:
        # What is kept of runs changes nothing that is measured.
        changed = told("status", "--porcelain", "--", ".", ":!benchmarks/history")
        return told("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _versions() -> str:
    found = [f"python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
