"""What the overview and the rollout page say of provinces live against plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from dashboards.components.context import Context
from dashboards.components.tables import texts
from dashboards.components.values import date_text
from dashboards.queries import reads
from ruam.words import Words


@dataclass(frozen=True)
class RolloutFacts:
    """Counts as of the day of publication, among the provinces asked for."""

    provinces: pl.DataFrame
    steps: pl.DataFrame
    """kind (`actual`, `planned`), series, day, n (provinces so far), shown_day, shown."""
    n_total: int
    n_live: int
    n_planned: int
    n_with_actual: int
    n_with_plan: int
    last_live_date: date | None


def rollout_facts(context: Context, region: str | None = None, phase: int | None = None) -> RolloutFacts:
    rows = reads.rollout(context.serving, region, phase)
    today = context.publication.published_on
    live = rows.filter(pl.col("actual_date") <= today)
    steps = [
        _steps(context.words, rows, kind, f"{kind}_date", context.words(f"rollout.series_{kind}"))
        for kind in ("actual", "planned")
    ]
    days: list[date] = live["actual_date"].sort().to_list()
    return RolloutFacts(
        provinces=rows,
        steps=pl.concat(steps),
        n_total=rows.height,
        n_live=live.height,
        n_planned=rows.filter(pl.col("planned_date") <= today).height,
        n_with_actual=rows.height - rows["actual_date"].null_count(),
        n_with_plan=rows.height - rows["planned_date"].null_count(),
        last_live_date=days[-1] if days else None,
    )


def _steps(words: Words, rows: pl.DataFrame, kind: str, column: str, series: str) -> pl.DataFrame:
    by_day = (
        rows.filter(pl.col(column).is_not_null())
        .group_by(pl.col(column).alias("day"))
        .len()
        .sort("day")
        .select("day", pl.col("len").cum_sum().cast(pl.Int64).alias("n"))
    )
    shown_days = [date_text(words, day) for day in by_day["day"]]
    return by_day.with_columns(
        pl.lit(kind).alias("kind"),
        pl.lit(series).alias("series"),
        texts("shown_day", shown_days),
        texts("shown", [f"{day}: {n}" for day, n in zip(shown_days, by_day["n"], strict=True)]),
    )


def rollout_completeness(words: Words, facts: RolloutFacts) -> str:
    return words(
        "note.completeness_rollout",
        actual=facts.n_with_actual,
        planned=facts.n_with_plan,
        total=facts.n_total,
    )
