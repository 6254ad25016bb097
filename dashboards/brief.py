"""The one-page brief of the nation or a health region: what the page of the nation says, as a PDF of one A4 sheet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import polars as pl
import typst

from dashboards.components.context import Context
from dashboards.components.exhibit import completeness_text
from dashboards.components.facts import Fact, fact_of, headlines, limits_text, went_live
from dashboards.components.filters import place_label, region_label
from dashboards.components.values import date_text, month_text, with_values
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import NATION, Area, Period
from dashboards.queries.serving import current_serving
from ruam.access import NATION as WHOLE
from ruam.errors import PublishError, UsageError
from ruam.geography import provinces_of_region, region_names
from ruam.home import DataHome
from ruam.words import Words

TEMPLATE = Path(__file__).parent / "assets" / "brief.typ"
FONTS = Path(__file__).parent / "assets" / "fonts"
SIZES = (9, 8.4, 7.8, 7.2, 6.6)
"""Points of the text, tried in this order until all of it is on one page: a month in which much changes needs room."""
BY_AREA = (
    figures.VISITS_PER_HEAD,
    figures.CROSS_PROVINCE,
    figures.POLICY_ELIGIBLE,
    figures.REPEAT_7_DAYS,
    figures.COMPLETENESS,
)
"""Figures of the table of regions, or of a region's provinces."""


def area_of(code: str) -> Area:
    """`TH` or a region such as `R04`. Raises `UsageError` for anything else."""
    if code == NATION.area_code:
        return NATION
    if code[:1] == "R" and code[1:] in region_names():
        return Area(area_level="region", area_code=code[1:])
    raise UsageError(f"{code!r} is no area of a brief: TH, or a health region from R01 to R13.")


def brief_of(context: Context, area: Area, month: Period) -> bytes:
    """The PDF; the same publication, area, month and language give the same bytes."""
    told = content_of(context, area, month)
    for size in SIZES:
        paper = typst.Compiler(
            TEMPLATE,
            font_paths=[FONTS],
            ignore_system_fonts=True,
            sys_inputs={"brief": json.dumps(told | {"size": size}, ensure_ascii=False)},
        )
        (n_pages,) = json.loads(paper.query("<pages>", field="value"))
        if n_pages == 1:
            pdf = paper.compile(format="pdf", timestamp=int(context.publication.published_at.timestamp()))
            return cast("bytes", pdf)  # Of pictures there would be one a page.
    raise PublishError(f"What is to be said of {area.area_code} fits no page, even at {SIZES[-1]} points.")


def brief_from(home: DataHome, code: str, month: str | None, words: Words) -> bytes:
    """The brief of what is published in a home, for its operator: the nation's scope.

    `month` is such as `2025-03`, the newest when None. Raises `UsageError` for an unknown area or month, `PublishError`
    when nothing is published.
    """
    serving = current_serving(home.serving, WHOLE)
    publication = reads.publication(serving) if serving else None
    if serving is None or publication is None:
        raise PublishError("Nothing is published yet, so there is no brief. Run `ruam publish` first.")
    months = {f"{one.period_start:%Y-%m}": one for one in reads.periods(serving) if one.period_type == "month"}
    newest = next(iter(months))
    if month is not None and month not in months:
        raise UsageError(f"{month!r} is not published: months from {min(months)} to {max(months)} are.")
    return brief_of(Context(words, serving, publication), area_of(code), months[month or newest])


def content_of(context: Context, area: Area, month: Period) -> dict[str, Any]:
    """All texts and points of the page, as its template reads them."""
    words = context.words
    day = month.period_start
    facts = [fact_of(context, figure, area, day) for figure in figures.NATION]
    area_name = words("area.nation") if area == NATION else region_label(words, area.area_code)
    changes = headlines(words, facts)
    if live := went_live(context, area, day):
        changes.append(live)
    return {
        "language": words.language,
        "publisher": words("export.publisher"),
        "as_of": words(
            "note.as_of",
            data_to=date_text(words, context.publication.data_to),
            published=date_text(words, context.publication.published_on),
        ),
        "title": words("brief.title", area=area_name, month=month_text(words, day)),
        "changes_title": words("brief.changes"),
        "changes": changes,
        "figures_title": words("nation.figures"),
        "headings": [words(f"brief_column.{name}") for name in ("figure", "value", "months", "signal")],
        "figures": [_row(words, fact) for fact in facts],
        "areas_title": words("brief.by_region" if area == NATION else "brief.by_province"),
        "area_headings": [words("column.area"), *(words(f"figure.{figure.code}") for figure in BY_AREA)],
        "areas": _areas(context, area, month),
        "notes": [
            completeness_text(context, area, month),
            words("control.method"),
            words("note.disclosure"),
            words("overview.signal"),
            words("brief.definitions", ids=", ".join(dict.fromkeys(fact.figure.measure_id for fact in facts))),
        ],
    }


def _row(words: Words, fact: Fact) -> dict[str, Any]:
    values: list[float | None] = fact.months["value"].to_list()
    limits = (fact.limits.low, fact.limits.mean, fact.limits.high) if fact.limits else ()
    known = [value for value in (*values, *limits) if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)

    def within(value: float) -> float:
        return (value - low) / (high - low) if high > low else 0.5

    return {
        "name": fact.name,
        "shown": fact.shown,
        "signal": words(f"signal.{fact.signal}"),
        "limits": limits_text(words, fact),
        "asks": fact.asks_for_a_look,
        "points": [None if value is None else within(value) for value in values],
        "band": [within(value) for value in limits] or None,
    }


def _areas(context: Context, area: Area, month: Period) -> list[list[str]]:
    """A row for every region, or every province of the region, with its name and the text of each figure."""
    level = "region" if area == NATION else "province"
    codes = list(region_names()) if area == NATION else list(provinces_of_region(area.area_code))
    columns = [_texts(context, figure, level, month) for figure in BY_AREA]
    missing = context.words("value.missing")
    return [
        [place_label(context.words, level, code), *(column.get(code, missing) for column in columns)] for code in codes
    ]


def _texts(context: Context, figure: Figure, level: str, month: Period) -> dict[str, str]:
    rows = with_values(context.words, figure, reads.figure_by_area(context.serving, figure, level, month))
    return dict(rows.select("area_code", pl.col("shown")).iter_rows())
