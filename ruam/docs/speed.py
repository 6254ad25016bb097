"""The history of the benchmarks as pictures: a curve a line, beside what the last run found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ruam.benchmarks import LINE, MACHINE, newest

WIDTH, HEIGHT, EDGE = 480, 96, 8

Row = dict[str, Any]


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    is_like: bool
    """Of a machine like that of the last run: such points are joined."""
    run: Row


@dataclass(frozen=True)
class Curve:
    """The ratio of a line at one size, by run; pixels, from the top left."""

    last: Row
    """As `ruam.benchmarks.newest` tells of it."""
    points: tuple[Point, ...]
    target_y: float | None

    @property
    def joined(self) -> str:
        """The `points` of an SVG's polyline."""
        return " ".join(f"{one.x:g},{one.y:g}" for one in self.points if one.is_like)


def curves(rows: pl.DataFrame) -> dict[str, list[Curve]]:
    """By benchmark, in order of name; within one, as they were measured."""
    found: dict[str, list[Curve]] = {}
    rows = rows.with_columns(pl.col("at").dt.convert_time_zone("Asia/Bangkok"))  # Its day is that of the readers.
    for last in newest(rows).iter_rows(named=True):
        runs = rows.filter(pl.all_horizontal(pl.col(name) == last[name] for name in LINE)).to_dicts()
        found.setdefault(last["benchmark"], []).append(_curve(last, runs))
    return dict(sorted(found.items()))


def _curve(last: Row, runs: list[Row]) -> Curve:
    top: float = max(*(run["ratio"] for run in runs), last["target"] or 0.0, 1e-9)

    def height(ratio: float) -> float:
        return round(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * ratio / top, 1)

    step = (WIDTH - 2 * EDGE) / max(len(runs) - 1, 1)
    points = tuple(
        Point(
            round(EDGE + step * place, 1),
            height(run["ratio"]),
            all(run[name] == last[name] for name in MACHINE),
            run,
        )
        for place, run in enumerate(runs)
    )
    return Curve(last, points, None if last["target"] is None else height(last["target"]))
