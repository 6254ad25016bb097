"""What may be inferred of a small count from all the totals that are published beside it."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from datetime import date

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import lil_array

from ruam.disclosure import THRESHOLD, controlled
from ruam.lattice import Axis, Lattice, axes_of, bounds, inferred, withheld
from ruam.settings import PROJECT


def table(cells: list[list[int]]) -> tuple[np.ndarray, list[Axis]]:
    """Rows by columns with the totals of both and the whole: areas by periods, or by members of a dimension."""
    with_totals = [[*row, sum(row)] for row in cells]
    with_totals.append([sum(column) for column in zip(*with_totals, strict=True)])
    height, width = len(with_totals), len(with_totals[0])
    down, across = [], []
    for row, column in itertools.product(range(height), range(width)):
        cell = row * width + column
        if row < height - 1:
            down.append(((height - 1) * width + column, cell))
        if column < width - 1:
            across.append((row * width + width - 1, cell))
    return np.array(list(itertools.chain(*with_totals)), dtype=np.int64), [axis("down", down), axis("across", across)]


def axis(name: str, links: list[tuple[int, int]]) -> Axis:
    parents, children = zip(*links, strict=True)
    return Axis(name, np.array(parents), np.array(children))


def told(counts: np.ndarray, hidden: np.ndarray, axes: list[Axis]) -> list[int]:
    low, high = inferred(counts, hidden, axes)
    return [int(cell) for cell in np.flatnonzero((counts > 0) & (counts < THRESHOLD) & (low == high))]


def nothing_hidden(counts: np.ndarray) -> np.ndarray:
    return np.zeros(len(counts), dtype=bool)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [([9, 9], 18), ([1] * 9, 9), ([10, 1, 1], 12)],
    ids=["all at their highest", "all at their lowest", "with one that is shown"],
)
def test_the_known_edges_of_rounding_are_found_and_closed(parts: list[int], whole: int) -> None:
    counts = np.array([*parts, whole])
    axes = [axis("area", [(len(parts), cell) for cell in range(len(parts))])]
    assert told(counts, nothing_hidden(counts), axes)
    hidden = withheld(counts, axes)
    assert hidden.any()
    assert told(counts, hidden, axes) == []


def test_what_tells_nothing_is_not_withheld() -> None:
    counts, axes = table([[4, 300, 25], [17, 0, 6], [120, 8, 41]])
    assert not withheld(counts, axes).any()


def test_a_part_that_is_alone_is_as_open_as_its_total() -> None:
    counts = np.array([7, 7, 7])
    axes = [axis("area", [(1, 0), (2, 1)])]
    assert not withheld(counts, axes).any()


def test_totals_of_two_axes_together_tell_what_neither_tells_alone() -> None:
    """Of 2 districts and 2 sexes: each sum leaves two values, both leave one."""
    found = False
    for values in itertools.product((0, 1, 2, 8, 9, 10, 12), repeat=4):
        counts, axes = table([list(values[:2]), list(values[2:])])
        alone = {cell for one in axes for cell in told(counts, nothing_hidden(counts), [one])}
        together = set(told(counts, nothing_hidden(counts), axes))
        if together - alone:
            found = True
            hidden = withheld(counts, axes)
            assert told(counts, hidden, axes) == []
    assert found


def test_a_small_count_that_greater_ones_around_it_tell_is_closed_too() -> None:
    """2 is told by 43 less 41 and by 17 less 15, each total standing alone in another; 41 and 15 are told around it."""
    cells = {"small": 2, "b": 41, "p": 43, "p_too": 43, "e": 15, "q": 17, "q_too": 17}
    cells |= {"c": 12, "t": 53, "d": 13, "f": 13, "u": 67, "r": 63}
    cells |= {f"twelve {number}": 12 for number in range(4)}
    number = {name: place for place, name in enumerate(cells)}
    sums = {"p": ["small", "b"], "q": ["small", "e"], "p_too": ["p"], "q_too": ["q"], "t": ["b", "c"]}
    sums |= {"u": ["b", "d", "f"], "r": ["e", *(name for name in cells if name.startswith("twelve"))]}
    axes = [axis(total, [(number[total], number[part]) for part in parts]) for total, parts in sums.items()]
    counts = np.array(list(cells.values()))
    assert told(counts, nothing_hidden(counts), axes) == [number["small"]]
    assert told(counts, withheld(counts, axes), axes) == []


def test_people_seen_in_two_districts_are_no_sum_but_a_bound() -> None:
    """9 and 9 people, 18 in all, are told; 9 and 9 of whom 4 are the same, 14 in all, are not."""
    links = [axis("area", [(2, 0), (2, 1)])]
    assert told(np.array([9, 9, 18]), np.zeros(3, dtype=bool), links) == [0, 1]
    assert told(np.array([9, 9, 14]), np.zeros(3, dtype=bool), links) == []


def test_what_a_part_is_published_as_is_never_wrong() -> None:
    counts = np.arange(3000)
    low, high = bounds(counts, nothing_hidden(counts))
    assert ((low <= counts) & (counts <= high)).all()
    for count in (0, 1, 9, 10, 12, 13, 2999):
        alike = [other for other in range(max(0, count - 12), count + 12) if controlled(other) == controlled(count)]
        assert (low[count], high[count]) == (min(alike), max(alike))


SMALL = st.one_of(st.just(0), st.integers(1, 9), st.sampled_from((1, 9, 10, 12, 13, 17)), st.integers(10, 400))


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(SMALL, min_size=width, max_size=width), min_size=1, max_size=5)
    )
)
@hypothesis_settings(max_examples=100)
def test_no_small_count_of_any_table_is_told_by_totals_over_both_axes(cells: list[list[int]]) -> None:
    counts, axes = table(cells)
    hidden = withheld(counts, axes)
    low, high = inferred(counts, hidden, axes)
    assert ((low <= counts) & (counts <= high)).all(), "the truth is always among what is possible"
    assert told(counts, hidden, axes) == []


QUARTERS, MEMBERS = range(4), range(3)
DISTRICTS_OF_REGION = 4


def country(dice: random.Random) -> tuple[np.ndarray, list[Axis], int]:
    """Counts of a nation, 4 regions and 16 districts by a year of 4 quarters by all of 3 members; the nation's cell."""
    districts = range(4 * DISTRICTS_OF_REGION)
    parts = {key: dice.choice((0, 0, 0, 1, 1, 9, 9, 10)) for key in itertools.product(districts, QUARTERS, MEMBERS)}
    areas = [*districts, *(f"region {number}" for number in range(4)), "nation"]

    def up(area: int | str) -> str:
        return f"region {area // DISTRICTS_OF_REGION}" if isinstance(area, int) else "nation"

    def count(area: int | str, quarter: int | str, member: int | str) -> int:
        return sum(
            n
            for (d, q, m), n in parts.items()
            if area in (d, up(d), "nation") and quarter in (q, "year") and member in (m, "all")
        )

    cells = list(itertools.product(areas, [*QUARTERS, "year"], [*MEMBERS, "all"]))
    number = {cell: n for n, cell in enumerate(cells)}
    axes = [
        axis("area", [(number[up(a), q, m], number[a, q, m]) for a, q, m in cells if a != "nation"]),
        axis("period", [(number[a, "year", m], number[a, q, m]) for a, q, m in cells if q != "year"]),
        axis("member", [(number[a, q, "all"], number[a, q, m]) for a, q, m in cells if m != "all"]),
    ]
    return np.array([count(*cell) for cell in cells]), axes, number["nation", "year", "all"]


def test_a_country_of_three_axes_keeps_its_small_counts() -> None:
    dice = random.Random(43)  # noqa: S311
    n_told = 0
    for _ in range(3):
        counts, axes, nation = country(dice)
        n_told += len(told(counts, nothing_hidden(counts), axes))
        hidden = withheld(counts, axes)
        assert told(counts, hidden, axes) == []
        assert hidden.mean() < 0.25
        assert not hidden[nation]
    assert n_told > 0, "rounding alone would have been enough"


def utilization_country(dice: random.Random) -> tuple[np.ndarray, list[Axis]]:
    """Visits of a nation of 2 regions and 4 provinces in 2 months, on the lattice that `agg_utilization` declares."""
    (model,) = yaml.safe_load((PROJECT / "models/marts/utilization/agg_utilization.yml").read_text("utf-8"))["models"]
    lattice = Lattice.model_validate(model["config"]["meta"]["lattice"])
    members = {"age_band": 3, "condition_group": 4, "office_hours": 2}
    assert members.keys() <= lattice.members.keys()
    months, ends = [date(2024, 10, 1), date(2024, 11, 1)], [date(2024, 10, 31), date(2024, 11, 30)]
    periods = {month: [("month", month, end)] for month, end in zip(months, ends, strict=True)}
    for month in months:
        periods[month].append(("fiscal_year", months[0], date(2025, 9, 30)))
        periods[month].append(("last_12_months", date(2023, 12, 1), ends[-1]))
    cells: Counter[tuple[object, ...]] = Counter()
    for province, month in itertools.product(range(4), months):
        areas = [("nation", "TH"), ("region", f"R{province % 2}"), ("province", f"P{province}")]
        for _ in range(dice.choice((0, 3, 9, 12, 30))):
            kinds = [("all", "all"), *((name, str(dice.randrange(n))) for name, n in members.items())]
            cells.update((*area, *period, *kind) for area in areas for period in periods[month] for kind in kinds)
    columns = ["area_level", "area_code", "period_type", "period_start", "period_end", "dimension", "dimension_value"]
    frame = pl.DataFrame(list(cells), schema=columns, orient="row").with_row_index("cell")
    areas = [("region", "R0", "TH"), ("region", "R1", "TH"), *(("province", f"P{n}", f"R{n % 2}") for n in range(4))]
    parents = pl.DataFrame(
        [("nation", "TH", None), *areas], schema=["area_level", "area_code", "parent_code"], orient="row"
    )
    return np.array(list(cells.values())), list(axes_of(frame, parents, lattice))


def possible(counts: np.ndarray, hidden: np.ndarray, axes: list[Axis], cell: int) -> tuple[float, float]:
    """The least and the greatest that a cell may be by all sums at once: two linear programmes."""
    sums = [
        (total, one.children[one.parents == total])
        for one in axes
        for total in np.unique(one.parents)
        if counts[one.children[one.parents == total]].sum() == counts[total]
    ]
    equal = lil_array((len(sums), len(counts)))
    for row, (total, parts) in enumerate(sums):
        equal[row, total] = -1
        equal[row, parts] = 1
    low, high = bounds(counts, hidden)
    goal = np.zeros(len(counts))
    goal[cell] = 1
    known = {"A_eq": equal.tocsr(), "b_eq": np.zeros(len(sums)), "bounds": np.column_stack([low, high])}
    ends = [sign * linprog(sign * goal, **known).fun for sign in (1, -1)]
    return ends[0], ends[1]


def test_a_reader_with_every_sum_at_once_does_not_tell_a_small_count_by_age_disease_or_hours() -> None:
    """Stronger than intervals, one sum at a time: each small count keeps two whole numbers that it may be."""
    dice = random.Random(2)  # noqa: S311
    counts, axes = utilization_country(dice)
    assert told(counts, nothing_hidden(counts), axes), "rounding alone would have been enough"
    hidden = withheld(counts, axes)
    assert told(counts, hidden, axes) == []
    small = np.flatnonzero((counts > 0) & (counts < THRESHOLD))
    assert len(small) > 100
    for cell in small:
        least, greatest = possible(counts, hidden, axes, cell)
        assert least - 1e-6 <= counts[cell] <= greatest + 1e-6
        assert math.floor(greatest + 1e-6) > math.ceil(least - 1e-6), f"{counts[cell]} is told"
