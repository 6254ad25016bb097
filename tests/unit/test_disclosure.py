"""Disclosure control: what a published count may be, and what may be inferred from several of them."""

from __future__ import annotations

import random

import duckdb
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ruam.disclosure import BASE, RULE, THRESHOLD, Status, controlled, controlled_sql

COUNTS = [*range(5001), None]


def test_the_rule_for_every_count() -> None:
    for count in range(5001):
        published, status = controlled(count)
        if count == 0:
            assert (published, status) == (0, Status.EXACT)
        elif count < THRESHOLD:
            assert (published, status) == (None, Status.BELOW_10)
        else:
            assert published is not None
            assert status is Status.ROUNDED
            assert published >= THRESHOLD
            assert published % BASE == 0
            assert abs(published - count) <= BASE // 2
    assert controlled(None) == (None, Status.MISSING)
    assert RULE


@pytest.mark.parametrize(
    ("count", "published"), [(10, 10), (12, 10), (13, 15), (17, 15), (18, 20), (1_000_002, 1_000_000)]
)
def test_rounding_goes_to_the_nearest(count: int, published: int) -> None:
    assert controlled(count)[0] == published


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        controlled(-1)


@pytest.mark.parametrize("type_name", ["integer", "bigint", "hugeint"])
def test_sql_and_python_agree(type_name: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"create table counts (n {type_name})")
        connection.execute("insert into counts select unnest(?)", [COUNTS])
        rows = connection.execute(f"select n, * from (select n as sent, {controlled_sql('n')} from counts)").fetchall()
    found = {sent: (published, status) for _, sent, published, status in rows}
    assert found == {count: controlled(count) for count in COUNTS}
    assert all(published is None or isinstance(published, int) for published, _ in found.values())


@given(st.integers(min_value=0, max_value=2**62))
@hypothesis_settings(max_examples=20)
def test_sql_and_python_agree_on_any_count(count: int) -> None:
    with duckdb.connect() as connection:
        row = connection.execute(f"select {controlled_sql('n')} from (select ?::bigint as n)", [count]).fetchone()
    assert row == controlled(count)


def test_a_column_name_cannot_break_out_of_its_quotes() -> None:
    name = 'n" from x; --'
    with duckdb.connect() as connection:
        connection.execute('create table t ("n"" from x; --" integer)')
        connection.execute("insert into t values (7)")
        assert connection.execute(f"select {controlled_sql(name)} from t").fetchall() == [(None, "below_10")]


def bounds(count: int) -> tuple[int, int]:
    """Least and greatest count that would be published as this one is."""
    published, _ = controlled(count)
    if published is None:
        return 1, THRESHOLD - 1
    return (max(THRESHOLD, published - BASE // 2), published + BASE // 2) if published else (0, 0)


def inferred(cells: list[int]) -> list[tuple[int, int]]:
    """What an attacker can say of each cell from all published cells and their published total."""
    known = [bounds(cell) for cell in cells]
    low_total, high_total = bounds(sum(cells))
    low_sum, high_sum = sum(low for low, _ in known), sum(high for _, high in known)
    return [(max(low, low_total - (high_sum - high)), min(high, high_total - (low_sum - low))) for low, high in known]


@given(st.integers(0, 12), st.lists(st.integers(0, 3000), min_size=13, max_size=13), st.integers(1, 9))
def test_one_small_cell_among_regions_is_never_found_from_the_total(place: int, cells: list[int], small: int) -> None:
    cells = [cell if cell == 0 or cell >= THRESHOLD else THRESHOLD for cell in cells]
    cells[place] = small
    low, high = inferred(cells)[place]
    assert low <= small <= high
    assert low < high


def test_small_cells_of_random_tables_are_not_found_from_the_total() -> None:
    """The test of security_ux.md §4: 20,000 tables of 13 regions, none of whose small cells is pinned to one value."""
    dice = random.Random(13)  # noqa: S311
    n_small = 0
    for _ in range(20_000):
        cells = [dice.choice((0, dice.randint(1, 9), dice.randint(10, 60), dice.randint(10, 4000))) for _ in range(13)]
        for cell, (low, high) in zip(cells, inferred(cells), strict=True):
            assert low <= cell <= high
            if 0 < cell < THRESHOLD:
                n_small += 1
                assert low < high, (cells, cell)
    assert n_small > 20_000


TINY = st.one_of(st.just(0), st.sampled_from((1, 9)), st.integers(1, 9), st.sampled_from((10, 12, 13, 17)))


@given(st.lists(TINY, min_size=2, max_size=13))
@hypothesis_settings(max_examples=500)
def test_only_where_every_cell_is_at_the_same_end_of_its_range_does_the_total_tell(cells: list[int]) -> None:
    """The rule's known limit: nine cells of 1 whose total is `<10`, or 9 and 9 whose total is 20, tell themselves.

    Rounding cell by cell cannot prevent it; anything less extreme leaves at least two values for each small cell.
    """
    pinned = [
        cell for cell, (low, high) in zip(cells, inferred(cells), strict=True) if 0 < cell < THRESHOLD and low == high
    ]
    if pinned:
        ends = [bounds(cell) for cell in cells]
        low_total, high_total = bounds(sum(cells))
        all_lowest = all(cell == low for cell, (low, _) in zip(cells, ends, strict=True))
        all_highest = all(cell == high for cell, (_, high) in zip(cells, ends, strict=True))
        assert (all_lowest and sum(cells) == high_total) or (all_highest and sum(cells) == low_total)


def test_the_difference_of_two_published_cells_is_never_a_small_count_for_certain() -> None:
    """Of a whole and a part of it: what is left of the whole may be 0 or 10 and more."""
    for whole in range(10, 200):
        for part in range(10, whole + 1):
            (low_whole, high_whole), (low_part, high_part) = bounds(whole), bounds(part)
            low, high = max(0, low_whole - high_part), high_whole - low_part
            assert low == 0 or high >= THRESHOLD or low < high


def test_an_exact_total_would_give_a_small_cell_away() -> None:
    """Why totals are rounded too: the control of the tests above."""
    cells = [7, 0, 0]
    assert controlled(cells[0])[0] is None
    assert sum(cells) == 7
    assert inferred(cells)[0] == (1, 9)
