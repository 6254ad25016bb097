"""Whether a month is unlike those before it, and the words for it."""

from __future__ import annotations

import polars as pl
import pytest

from dashboards.components.control import FEWEST, RUN, SPREAD, Limits, Signal, limits_of, signal_of
from dashboards.components.facts import Fact, headlines, judged
from dashboards.queries import figures
from ruam.settings import PROJECT
from ruam.words import Words

STEADY = [10.0, 11.0, 10.0, 9.0, 10.0, 11.0, 10.0, 9.0, 10.0]


def test_limits_are_those_of_the_published_example() -> None:
    """Mean 10, moving ranges 1 each: 10 ± 2.66."""
    limits = limits_of(STEADY)
    assert limits is not None
    assert (limits.mean, limits.low, limits.high) == pytest.approx((10.0, 7.34, 12.66))


def test_pages_and_build_draw_limits_by_one_constant() -> None:
    macros = (PROJECT / "macros" / "control_limits.sql").read_text("utf-8")
    assert "{{ (3 / 1.128) | round(2) }} * {{ mean_range }}" in macros
    assert SPREAD == 2.66


def test_limits_stay_within_what_a_share_can_be() -> None:
    limits = limits_of([99.0, 100.0, 1.0, 100.0, 1.0, 99.0, 100.0, 98.0], most=100)
    assert limits is not None
    assert (limits.low, limits.high) == (0, 100)


def test_too_few_months_give_no_limits_and_a_gap_gives_no_range() -> None:
    assert limits_of(STEADY[: FEWEST - 1]) is None
    assert limits_of([1.0, None] * FEWEST) is None
    with_gap = limits_of([10.0, 11.0, None, 50.0, 51.0, *STEADY])
    assert with_gap is not None
    assert with_gap.high - with_gap.mean < 2.66 * 5


@pytest.mark.parametrize(
    ("last", "signal"), [(12.7, Signal.HIGH), (7.3, Signal.LOW), (10.5, Signal.USUAL), (None, Signal.MISSING)]
)
def test_a_month_is_held_against_the_months_before_it(last: float | None, signal: Signal) -> None:
    _, found = judged(figures.VISITS_PER_HEAD, [*STEADY, last])
    assert found is signal


def test_the_newest_month_does_not_widen_what_it_is_judged_by() -> None:
    limits, signal = judged(figures.VISITS_PER_HEAD, [*STEADY, 1000.0])
    assert limits == limits_of(STEADY)
    assert signal is Signal.HIGH


@pytest.mark.parametrize(("side", "signal"), [(1, Signal.RUN_HIGH), (-1, Signal.RUN_LOW)])
def test_months_in_a_row_on_one_side_are_a_signal(side: int, signal: Signal) -> None:
    limits = Limits(10, 5, 15)
    assert signal_of([10.0, *[10.0 + side] * RUN], limits) is signal
    assert signal_of([10.0, *[10.0 + side] * (RUN - 1)], limits) is Signal.USUAL
    assert signal_of([*[10.0 + side] * (RUN - 1), None, 10.0 + side], limits) is Signal.USUAL


def test_without_limits_nothing_is_called_usual() -> None:
    assert signal_of([1.0], None) is Signal.UNKNOWN


def fact(signal: Signal, value: float | None, shown: str, regions: tuple[tuple[str, Signal], ...] = ()) -> Fact:
    months = pl.DataFrame({"value": [2.0, value], "shown": ["2.00", shown]}, schema_overrides={"value": pl.Float64})
    limits = Limits(2, 1, 3) if signal not in {Signal.UNKNOWN, Signal.MISSING} else None
    return Fact(figures.VISITS_PER_HEAD, "Visits", months, limits, signal, regions)


def test_what_is_unusual_is_told_first_and_every_figure_is_told_once() -> None:
    facts = [
        fact(Signal.USUAL, 2.1, "2.10"),
        fact(Signal.MISSING, None, "No data"),
        fact(Signal.LOW, 0.5, "0.50"),
        fact(Signal.HIGH, 4.0, "4.00", (("13", Signal.LOW), ("04", Signal.HIGH))),
    ]
    assert headlines(Words("en"), facts) == [
        "**Visits is above its usual range**: 4.00 (usual range 1.00 to 3.00), +2.00 from the month before",
        "**Visits is below its usual range**: 0.50 (usual range 1.00 to 3.00), -1.50 from the month before",
        "Visits by region: Bangkok (low), Region 4 (high)",
        "Within the usual range: Visits 2.10",
        "No data for this month: Visits",
    ]
    thai = headlines(Words("th"), facts)
    assert thai[0] == "**Visits สูงกว่าช่วงปกติ**: 4.00 (ช่วงปกติ 1.00 ถึง 3.00) · เทียบเดือนก่อน +2.00"
    assert len(thai) == 5
