"""What published counts tell of each other: totals and their parts over areas, periods and members of dimensions.

Rounding cell by cell (`ruam.disclosure`) leaves edges: 9 and 9 are published as `<10` and `<10` under a total of 20,
and only 9 and 9 fit. A reader holds every total of the lattice against its parts, again and again, as intervals; where
that leaves a count of 1 to 9 a single value, neighbours of it are withheld until it does no longer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ruam.disclosure import BASE, THRESHOLD
from ruam.errors import PublishError

Counts = NDArray[np.int64]
Cells = NDArray[np.intp]
Mask = NDArray[np.bool_]

UNBOUNDED = 2**40
"""More than any count, and small enough that a million of them still add up."""


@dataclass(frozen=True)
class Axis:
    """Totals and parts along one axis: `parents[i]` is the total of which cell `children[i]` is a part.

    A cell is a part of at most one total of an axis.
    """

    name: str
    parents: Cells
    children: Cells

    @cached_property
    def groups(self) -> tuple[Cells, Cells, Cells]:
        """The links in order of their total, where each total begins among them, and which total each link has."""
        order = np.argsort(self.parents, kind="stable")
        _, starts, group = np.unique(self.parents[order], return_index=True, return_inverse=True)
        back = np.empty_like(group)
        back[order] = group
        return order, starts, back


class Lattice(BaseModel):
    """How the rows of a mart add up, from its `meta`.

    Its table has area_level and area_code (totals by the mart `areas`: area_level, area_code, parent_code),
    period_type, period_start and period_end, and `set_column` with `member_columns` in the order of `members`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    same: tuple[str, ...]
    """Columns in which a total and its parts agree."""
    areas: str
    members: dict[str, tuple[str, ...]]
    """Of each set of dimensions but `all`, its dimensions."""
    set_column: str = "dimension_set"
    member_columns: tuple[str, ...] = ("member_1", "member_2", "member_3")
    """As many as the greatest set has dimensions, or more."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that together tell a cell."""
        area = ("area_level", "area_code", "period_type", "period_start")
        return (*self.same, *area, self.set_column, *self.member_columns)


LEVELS = ("nation", "region", "province", "district", "facility")
PERIODS = (
    ("month", "quarter"),
    ("month", "fiscal_year"),
    ("month", "last_12_months"),
    ("quarter", "fiscal_year"),
    ("quarter", "last_12_months"),
    ("fiscal_year", "last_12_months"),
)
"""Kinds of period, a part and its total; they are held against each other where the data of one lie in the other."""


def withhold(
    connection: duckdb.DuckDBPyConnection, source: str, schema: str, lattice: Lattice, counts: Sequence[str]
) -> str:
    """The name of a temporary table: the rows of `source` with `<count>_is_withheld` beside each of its counts."""
    connection.execute(
        f"create or replace temp table lattice_cells as select row_number() over () - 1 as cell, * from {source}"
    )
    cells = connection.execute(f"select cell, {', '.join([*lattice.keys, 'period_end'])} from lattice_cells").pl()
    areas = connection.execute(f"select area_level, area_code, parent_code from {schema}.{lattice.areas}").pl()
    axes = list(axes_of(cells, areas, lattice))
    numbers = connection.execute(
        f"select {', '.join(f'coalesce({name}, 0)::bigint as {name}' for name in counts)} "
        "from lattice_cells order by cell"
    ).fetchnumpy()
    hidden = {name: withheld(np.asarray(numbers[name], dtype=np.int64), axes) for name in counts}
    flags = pl.DataFrame({f"{name}_is_withheld": mask for name, mask in hidden.items()}).with_row_index("cell")
    connection.register("lattice_flags", flags.to_arrow())
    connection.execute(
        """
        create or replace temp table lattice_rows as
        select * exclude (cell)
        from lattice_cells inner join lattice_flags using (cell)
        """
    )
    connection.unregister("lattice_flags")
    return "lattice_rows"


def axes_of(cells: pl.DataFrame, areas: pl.DataFrame, lattice: Lattice) -> Iterator[Axis]:
    """The axes along which the cells (cell, the lattice's keys, period_end) add up.

    Raises `PublishError` when a cell is a part of two totals of one axis: the reader would be taken to know too little.
    """
    up = dict(itertools.pairwise(reversed(LEVELS)))
    area_parents = areas.select(
        "area_level",
        "area_code",
        total_level=pl.col("area_level").replace_strict(up, default=None, return_dtype=pl.String),
        total_code="parent_code",
    ).drop_nulls()
    parts = cells.join(area_parents, on=["area_level", "area_code"])
    yield _axis("area", parts, cells, lattice, {"area_level": "total_level", "area_code": "total_code"})

    periods = cells.select("period_type", "period_start", "period_end").unique()
    months = periods.filter(pl.col("period_type") == "month")
    within = periods.with_columns(
        first=pl.max_horizontal("period_start", pl.lit(months["period_start"].min())),
        last=pl.min_horizontal("period_end", pl.lit(months["period_end"].max())),
    )
    pairs = within.join(within, how="cross", suffix="_total").filter(
        (pl.col("first") >= pl.col("first_total")) & (pl.col("last") <= pl.col("last_total"))
    )
    for part, total in PERIODS:
        chosen = pairs.filter((pl.col("period_type") == part) & (pl.col("period_type_total") == total)).select(
            "period_type", "period_start", "period_type_total", "period_start_total"
        )
        parts = cells.join(chosen, on=["period_type", "period_start"])
        totals = {"period_type": "period_type_total", "period_start": "period_start_total"}
        yield _axis(f"{part} in {total}", parts, cells, lattice, totals)

    for name, dimensions in lattice.members.items():
        for dropped in range(len(dimensions)):
            kept = dimensions[:dropped] + dimensions[dropped + 1 :]
            whole = next((other for other, those in lattice.members.items() if those == kept), None if kept else "all")
            if whole is None:
                continue
            left = [lattice.member_columns[position] for position in range(len(dimensions)) if position != dropped]
            members = {
                member: pl.col(left[position]) if position < len(left) else pl.lit("all")
                for position, member in enumerate(lattice.member_columns)
            }
            parts = cells.filter(pl.col(lattice.set_column) == name).with_columns(
                pl.lit(whole).alias("total_set"), **{f"total_{member}": value for member, value in members.items()}
            )
            totals = {lattice.set_column: "total_set"} | {member: f"total_{member}" for member in members}
            yield _axis(f"{dimensions[dropped]} of {name}", parts, cells, lattice, totals)


def _axis(name: str, parts: pl.DataFrame, cells: pl.DataFrame, lattice: Lattice, totals: dict[str, str]) -> Axis:
    """`totals`: under which columns of `parts` stand the keys of the total, where they are not the part's own."""
    links = parts.join(
        cells.select("cell", *lattice.keys),
        left_on=[totals.get(key, key) for key in lattice.keys],
        right_on=list(lattice.keys),
        suffix="_total",
    )
    if links["cell"].n_unique() != links.height:
        raise PublishError(f"A cell is a part of two totals along {name}; nothing is published.")
    return Axis(name, links["cell_total"].to_numpy().astype(np.intp), links["cell"].to_numpy().astype(np.intp))


def bounds(counts: Counts, hidden: Mask) -> tuple[Counts, Counts]:
    """Least and greatest count that would be published as each is; a hidden one may be anything from 0 on."""
    rounded = (counts + BASE // 2) // BASE * BASE
    low = np.select([hidden | (counts == 0), counts < THRESHOLD], [0, 1], np.maximum(THRESHOLD, rounded - BASE // 2))
    high = np.select([hidden, counts == 0, counts < THRESHOLD], [UNBOUNDED, 0, THRESHOLD - 1], rounded + BASE // 2)
    return low.astype(np.int64), high.astype(np.int64)


def inferred(counts: Counts, hidden: Mask, axes: Sequence[Axis]) -> tuple[Counts, Counts]:
    """Least and greatest value of each count, once every total was held against its parts until nothing is learnt.

    The reader is taken to know whether the parts make up the total (visits), overlap (people seen in two districts) or
    leave something out, which is more than the file says.
    """
    low, high = bounds(counts, hidden)
    kinds = [_kinds(counts, axis) for axis in axes]
    while True:
        before = low.copy(), high.copy()
        for axis, (is_covered, is_contained) in zip(axes, kinds, strict=True):
            _narrow(low, high, axis, is_covered, is_contained)
        if np.array_equal(before[0], low) and np.array_equal(before[1], high):
            return low, high


def withheld(counts: Counts, axes: Sequence[Axis]) -> Mask:
    """Cells to withhold, so that no count of 1 to 9 can be told from the others. Mostly none.

    Raises `PublishError` if that cannot be had, which would be a fault of this module.
    """
    hidden: Mask = np.zeros(len(counts), dtype=np.bool_)
    while True:
        low, high = inferred(counts, hidden, axes)
        told = np.flatnonzero((counts > 0) & (counts < THRESHOLD) & (low == high))
        if not len(told):
            return hidden
        # Its own bounds often close the gap; only where it is told without them must a neighbour go too.
        n_before = hidden.sum()
        told_by_others = told[hidden[told]]
        hidden[told] = True
        for axis in axes:
            _hide_beside(hidden, told_by_others, counts, axis)
        if hidden.sum() == n_before:
            # All beside it are hidden and told as well, greater ones too: the gap is closed beyond them.
            told_around = np.flatnonzero(hidden & (counts > 0) & (low == high))
            for axis in axes:
                _hide_beside(hidden, told_around, counts, axis)
        if hidden.sum() == n_before:
            raise PublishError(
                "Counts below 10 can be told from their totals whatever is withheld; nothing is published."
            )


def _kinds(counts: Counts, axis: Axis) -> tuple[Mask, Mask]:
    """Of each link: whether the parts cover the total, and whether they are contained in it without overlap."""
    sums = _sums(counts, axis)
    totals = counts[axis.parents]
    return totals <= sums, totals >= sums


def _narrow(low: Counts, high: Counts, axis: Axis, is_covered: Mask, is_contained: Mask) -> None:
    parents, children = axis.parents, axis.children
    sums_low, sums_high = _sums(low, axis), _sums(high, axis)
    # No part is greater than the total, whether parts overlap or not.
    ceiling = np.where(is_contained, high[parents] - (sums_low - low[children]), high[parents])
    floor = np.where(is_covered, low[parents] - (sums_high - high[children]), 0)
    overlapping = ~is_contained
    np.maximum.at(low, parents[overlapping], low[children[overlapping]])
    # The parts of one total write the same into it, and a part has one total: plain assignment is right.
    high[children] = np.minimum(high[children], ceiling)
    low[children] = np.maximum(low[children], floor)
    low[parents] = np.maximum(low[parents], np.where(is_contained, sums_low, 0))
    high[parents] = np.minimum(high[parents], np.where(is_covered, sums_high, UNBOUNDED))


def _sums(values: Counts, axis: Axis) -> Counts:
    """For each link, the sum over all parts of its total."""
    if not len(axis.parents):
        return np.zeros(0, dtype=np.int64)
    order, starts, group = axis.groups
    sums: Counts = np.add.reduceat(values[axis.children[order]], starts)[group]
    return sums


def _hide_beside(hidden: Mask, told: Cells, counts: Counts, axis: Axis) -> None:
    """In every sum with a told cell: hide its smallest neighbour still shown, a part before the total."""
    is_told = np.zeros(len(counts), dtype=np.bool_)
    is_told[told] = True
    touched = np.unique(axis.parents[is_told[axis.children] | is_told[axis.parents]])
    members = np.isin(axis.parents, touched)
    parents, children = axis.parents[members], axis.children[members]
    order = np.lexsort((children, counts[children], parents))
    parents, children = parents[order], children[order]
    starts = np.searchsorted(parents, touched, "left")
    ends = np.searchsorted(parents, touched, "right")
    for parent, start, end in zip(touched, starts, ends, strict=True):
        parts = children[start:end]
        shown = parts[(counts[parts] > 0) & ~hidden[parts]]
        if len(shown):
            hidden[shown[0]] = True
        else:
            hidden[parent] = True
