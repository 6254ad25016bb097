"""What a month says of an area, figure by figure: its value, whether that is unusual, and the sentence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from dashboards.components.context import Context
from dashboards.components.control import SIGNALS, Limits, Signal, limits_of, signal_of
from dashboards.components.filters import region_label
from dashboards.components.tables import figure_months
from dashboards.components.values import change_text, month_text, number_text, with_values
from dashboards.queries import reads
from dashboards.queries.figures import Figure, Unit
from dashboards.queries.reads import Area
from ruam.words import Words

WHOLE = 100.0


@dataclass(frozen=True)
class Fact:
    figure: Figure
    name: str
    months: pl.DataFrame
    """`figure_months` up to the month told, which is the last row."""
    limits: Limits | None
    signal: Signal
    regions: tuple[tuple[str, Signal], ...] = ()
    """Health regions whose month is out of their own limits, with how."""

    @property
    def shown(self) -> str:
        return str(self.months["shown"][-1]) if self.months.height else "–"

    @property
    def asks_for_a_look(self) -> bool:
        return self.signal in SIGNALS


def judged(figure: Figure, numbers: Sequence[float | None]) -> tuple[Limits | None, Signal]:
    most = WHOLE if figure.unit is Unit.PERCENT else float("inf")
    limits = limits_of(numbers[:-1], most=most)
    return limits, signal_of(numbers, limits)


def fact_of(context: Context, figure: Figure, area: Area, month: date) -> Fact:
    months = figure_months(context, figure, area).filter(pl.col("period_start") <= month)
    limits, signal = judged(figure, months["value"].to_list())
    regions = unusual_regions(context, figure, month) if area == reads.NATION else ()
    return Fact(figure, context.words(f"figure.{figure.code}"), months, limits, signal, regions)


def unusual_regions(context: Context, figure: Figure, month: date) -> tuple[tuple[str, Signal], ...]:
    rows = reads.figure_by_region_and_month(context.serving, figure).filter(pl.col("period_start") <= month)
    found = []
    for (code,), months in with_values(context.words, figure, rows).group_by("area_code", maintain_order=True):
        _, signal = judged(figure, months["value"].to_list())
        if signal in {Signal.HIGH, Signal.LOW}:
            found.append((str(code), signal))
    return tuple(found)


def limits_text(words: Words, fact: Fact) -> str:
    if fact.limits is None:
        return words("control.no_limits")
    low, high = (number_text(fact.figure, number) for number in (fact.limits.low, fact.limits.high))
    return words("control.limits", low=low, high=high)


def headlines(words: Words, facts: Sequence[Fact]) -> list[str]:
    """What changed, in sentences: figures that ask for a look first, then regions, and the rest in one line."""
    lines = []
    for signal in SIGNALS:
        lines += [headline(words, fact) for fact in facts if fact.signal is signal]
    for fact in facts:
        if fact.regions:
            places = ", ".join(
                words(f"signal_region.{signal}", region=region_label(words, code, short=True))
                for code, signal in fact.regions
            )
            lines.append(words("control.regions", figure=fact.name, places=places))
    for signal in (Signal.USUAL, Signal.UNKNOWN, Signal.MISSING):
        names = [f"{fact.name} {fact.shown}" if signal is not Signal.MISSING else fact.name for fact in facts
                 if fact.signal is signal]  # fmt: skip
        if names:
            lines.append(words(f"signal_all.{signal}", figures=", ".join(names)))
    return lines


def headline(words: Words, fact: Fact) -> str:
    line = words(f"signal_told.{fact.signal}", figure=fact.name, value=fact.shown, limits=limits_text(words, fact))
    change = change_text(words, fact.figure, fact.months["value"].to_list())
    return line + (words("control.change", change=change) if change else "")


def went_live(context: Context, area: Area, month: date) -> str | None:
    """The provinces that began in the month; None when none did."""
    rows = reads.rollout(context.serving, area.area_code if area.area_level == "region" else None)
    new = rows.filter(pl.col("actual_date").dt.truncate("1mo") == month).to_dicts()
    if not new:
        return None
    names = ", ".join(context.words.name(row) for row in new)
    return context.words("control.went_live", n=len(new), month=month_text(context.words, month), names=names)
