"""Published counts and the rates made of them, as numbers for charts and as text for people.

The rule (measures.md §4): 1-9 is shown as `<10`; a rate comes from the published numerator and denominator;
no rate on a base under 30; what was not reported is said to be missing and is never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import polars as pl

from dashboards.queries.figures import Figure, Unit
from dashboards.queries.reads import Period
from ruam.disclosure import SMALLEST_BASE
from ruam.era import BUDDHIST_ERA
from ruam.words import Words

BELOW_10_BOUND = 10


class Status(StrEnum):
    EXACT = "exact"
    ROUNDED = "rounded"
    BELOW_10 = "below_10"
    MISSING = "missing"
    WITHHELD = "withheld"


@dataclass(frozen=True)
class Value:
    """`number` is None wherever a chart must leave a gap; `text` is always there."""

    number: float | None
    text: str


def count_value(words: Words, number: int | None, status: str) -> Value:
    if status == Status.BELOW_10:
        return Value(None, f"<{BELOW_10_BOUND}")
    if status == Status.WITHHELD:
        return Value(None, words("value.withheld"))
    if number is None or status == Status.MISSING:
        return Value(None, words("value.missing"))
    return Value(number, f"{number:,}")


def rate_value(words: Words, figure: Figure, counts: dict[str, object]) -> Value:
    """The figure's rate from `numerator`, `numerator_status`, `denominator` and `denominator_status`.

    A numerator below 10 gives an upper bound only, hence a text such as `<0.4%` and no number.
    """
    numerator, denominator = counts["numerator"], counts["denominator"]
    numerator_status, denominator_status = counts["numerator_status"], counts["denominator_status"]
    if Status.MISSING in (numerator_status, denominator_status):
        return Value(None, words("value.missing"))
    if Status.WITHHELD in (numerator_status, denominator_status):
        return Value(None, words("value.withheld"))
    if not isinstance(denominator, int) or (figure.controlled and denominator < SMALLEST_BASE) or denominator == 0:
        return Value(None, words("value.small_base", n=SMALLEST_BASE))
    factor = {Unit.PERCENT: 100, Unit.PER_1000: 1000}.get(figure.unit, 1)
    if not isinstance(numerator, int):
        return Value(None, f"<{rate_text(figure, BELOW_10_BOUND * factor / denominator).removeprefix('<')}")
    number = numerator * factor / denominator
    return Value(number, rate_text(figure, number))


def rate_text(figure: Figure, number: float) -> str:
    """What rounds to 0 and is none is said to be less than the last decimal."""
    unit = "%" if figure.unit is Unit.PERCENT else ""
    if 0 < number < 0.5 * 10**-figure.decimals:
        return f"<{10**-figure.decimals:.{figure.decimals}f}{unit}"
    return f"{number:,.{figure.decimals}f}{unit}"


def number_text(figure: Figure, number: float) -> str:
    """A number of a figure, whether it is a count or a rate."""
    return f"{number:,.0f}" if figure.unit is Unit.COUNT else rate_text(figure, number)


def figure_value(words: Words, figure: Figure, counts: dict[str, object]) -> Value:
    if figure.denominator is None:
        number = counts["numerator"]
        if isinstance(number, float):
            return Value(number, rate_text(figure, number))
        return count_value(words, number if isinstance(number, int) else None, str(counts["numerator_status"]))
    return rate_value(words, figure, counts)


def interval_text(figure: Figure, low: float | None, high: float | None) -> str:
    """`0.31–0.38%` of two shares between 0 and 1, or a dash."""
    if low is None or high is None:
        return "–"
    return f"{100 * low:,.{figure.decimals}f}–{rate_text(figure, 100 * high)}"


def band_text(words: Words, figure: Figure, counts: dict[str, object]) -> str | None:
    """The rate at both linkage thresholds, lower one first; None where one of them is no number."""
    rates = [rate_value(words, figure, one).number for one in (counts, wide_counts(counts))]
    known = sorted(rate for rate in rates if rate is not None)
    if len(known) < len(rates):
        return None
    return interval_text(figure, known[0] / 100, known[1] / 100)


def wide_counts(counts: dict[str, object]) -> dict[str, object]:
    """The counts at the wide linkage threshold, as `rate_value` takes them."""
    names = [f"{name}{suffix}" for name in ("numerator", "denominator") for suffix in ("", "_status")]
    return {name: counts[f"wide_{name}"] for name in names}


def with_values(words: Words, figure: Figure, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows and `value` (number or null), `shown` (text), `numerator_shown` and `denominator_shown`."""
    values = [figure_value(words, figure, row) for row in rows.iter_rows(named=True)]
    numerators, denominators = (
        [
            count_value(words, number, status).text
            for number, status in zip(rows[name], rows[f"{name}_status"], strict=True)
        ]
        for name in ("numerator", "denominator")
    )
    return rows.with_columns(
        pl.Series("value", [value.number for value in values], dtype=pl.Float64),
        pl.Series("shown", [value.text for value in values], dtype=pl.String),
        pl.Series("numerator_shown", numerators, dtype=pl.String),
        pl.Series("denominator_shown", denominators, dtype=pl.String),
    )


def signed(number: int) -> str:
    """`+3`, `-3` and plain `0`."""
    return f"{number:+,}" if number else "0"


def compact(words: Words, number: float) -> str:
    """1,234,567 as `1.2 ล้าน`, for cells of a matrix; the table beside it holds the whole number."""
    for size, name in ((1_000_000, "million"), (1_000, "thousand")):
        if abs(number) >= size:
            return words(f"value.{name}", n=f"{number / size:,.{1 if abs(number) < 10 * size else 0}f}")
    return f"{number:.0f}"


def month_text(words: Words, day: date, *, short: bool = False) -> str:
    """`เม.ย. 2567`; on axes `เม.ย. 67`."""
    year = day.year + BUDDHIST_ERA
    name = words("month.names").split()[day.month - 1]
    return f"{name} {year % 100:02d}" if short else words("month.text", name=name, year=year)


def date_text(words: Words, day: date | None) -> str:
    """`1 เม.ย. 2567`, or a dash."""
    return f"{day.day} {month_text(words, day)}" if day else "–"


def fiscal_year(day: date) -> int:
    """The Buddhist-Era year of the fiscal year (October to September) that the day falls in."""
    return day.year + BUDDHIST_ERA + (1 if day.month >= 10 else 0)


def fiscal_quarter(day: date) -> int:
    """1 from October to December, and so on."""
    return (day.month + 2) % 12 // 3 + 1


def standardized_text(row: dict[str, object]) -> str:
    """`1,120 (1,070–1,180)` to 100,000 people, or a dash."""
    numbers = [row[f"standardized_{name}"] for name in ("rate", "low", "high")]
    rate, low, high = (f"{100_000 * number:,.0f}" if isinstance(number, float) else None for number in numbers)
    return "–" if rate is None else f"{rate} ({low}–{high})"


def period_text(words: Words, period: Period) -> str:
    first, last = month_text(words, period.period_start), month_text(words, period.period_end)
    if period.period_type == "month":
        return first
    if period.period_type == "fiscal_year":
        return words("period.fiscal_year", year=fiscal_year(period.period_end))
    if period.period_type == "quarter":
        return words("period.quarter", number=fiscal_quarter(period.period_start), year=fiscal_year(period.period_end))
    return words("period.last_12_months", first=first, last=last)


def period_code(period: Period) -> str:
    """What the URL says: `12m`, `fy2567`, `fy2567q3` or `2024-04`."""
    if period.period_type == "month":
        return f"{period.period_start:%Y-%m}"
    if period.period_type == "quarter":
        return f"fy{fiscal_year(period.period_end)}q{fiscal_quarter(period.period_start)}"
    return f"fy{fiscal_year(period.period_end)}" if period.period_type == "fiscal_year" else "12m"


def change_text(words: Words, figure: Figure, numbers: Sequence[float | None]) -> str | None:
    """Change from the month before to the newest month, when both are known; in words where it rounds to 0."""
    if len(numbers) < 2 or numbers[-1] is None or numbers[-2] is None:
        return None
    difference = round(numbers[-1] - numbers[-2], figure.decimals)
    if not difference:
        return words("value.no_change")
    unit = words("value.points") if figure.unit is Unit.PERCENT else ""
    return f"{difference:+z,.{figure.decimals}f}{unit}"
