"""Any figure, cut by up to three dimensions: by group, over time, by region, on the map. The address holds it all."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, page_title
from dashboards.components.figure_views import SMALLEST_COVERAGE, coverage_of, linkage_band, places_of
from dashboards.components.filters import choice, choose_area, choose_of, choose_period, place_label
from dashboards.components.maps import credit, map_groups
from dashboards.components.tables import columns_of, spoken, texts
from dashboards.components.values import (
    interval_text,
    month_text,
    number_text,
    period_text,
    with_values,
)
from dashboards.components.vega import Picture
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure
from dashboards.queries.reads import NATION, Area, Period
from ruam.geography import region_tiles
from ruam.words import Words

VIEWS = ("groups", "time", "regions", "map")
LEVEL_OF = {"regions": "region", "map": "province"}
STEPS = ("month", "quarter", "fiscal_year")
EVERY = "every"
MOST_AXES = 2
"""Dimensions that one chart shows at once; of a third, one member at a time."""


@dataclass(frozen=True)
class Chosen:
    """What is shown: the figure by one of its rules, and how it is cut."""

    figure: Figure
    name: str
    variant: str
    dimension_set: str
    members: tuple[str, ...]
    """Of each dimension of the set a member, or `every` of them."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        return figures.dimensions_of(self.dimension_set)

    @property
    def is_whole(self) -> bool:
        """Whether it is the figure as registered, by its main rule and undivided."""
        return self.variant == "main" and not self.dimensions


def dimension_name(words: Words, dimension: str) -> str:
    return words(f"cut.{dimension}") if dimension in figures.CUTS else words(f"dimension.{dimension}")


def choose_figure(context: Context) -> tuple[Figure, str, str]:
    """The figure, its name and the variant. In the URL: `measure=RED-01&variant=group`, `measure=visits`."""
    words = context.words
    measured = reads.measured(context.serving)
    names = {
        row["measure_id"]: f"{row['measure_id']} {words.name(row)}"
        for row in measured.unique("measure_id", keep="first", maintain_order=True).iter_rows(named=True)
    }
    by_code = {figure.code: figure for figure in figures.UTILIZATION}
    shown = names | {code: f"{figure.measure_id} {words(f'figure.{code}')}" for code, figure in by_code.items()}
    left, right = st.columns([7, 3])
    with left:
        code = choice(words("filter.measure"), "measure", shown, words.language)
    variants = measured.filter(pl.col("measure_id") == code)["variant"].to_list() or ["main"]
    labels = {one: words("explore.main_rule") if one == "main" else one for one in variants}
    with right:
        variant = choice(words("filter.variant"), "variant", labels, words.language)
    return by_code.get(code) or figures.of_measure(code), shown[code], variant


def choose_cut(
    context: Context, figure: Figure, name: str, variant: str, level: str, period_type: str, view: str
) -> Chosen:
    """How the figure is cut: only sets of dimensions that are published for such areas and periods are offered."""
    words = context.words
    published = reads.cuts(context.serving, figure, variant).filter(
        (pl.col("level") == level) & (pl.col("period_type") == period_type)
    )
    sets = sorted(published["dimension_set"].to_list(), key=lambda one: (len(figures.dimensions_of(one)), one))
    labels = {
        one: " × ".join(dimension_name(words, dimension) for dimension in figures.dimensions_of(one))
        or words("explore.whole")
        for one in sets or ["all"]
    }
    boxes = st.columns(4)
    with boxes[0]:
        chosen = choice(words("filter.set"), "set", labels, words.language)
    members, n_axes = [], 0
    for place, dimension in enumerate(figures.dimensions_of(chosen)):
        rows = reads.members(context.serving, dimension)
        options = {row["member_code"]: words.name(row, "label") for row in rows.iter_rows(named=True)}
        if view == "groups" and n_axes < MOST_AXES:
            options = {EVERY: words("explore.every")} | options
        with boxes[place + 1]:
            member = choice(dimension_name(words, dimension), f"m{place + 1}", options, words.language)
        n_axes += member == EVERY
        members.append(member)
    return Chosen(figure, name, variant, chosen, tuple(members))


def cells_of(
    context: Context, chosen: Chosen, level: str, area: Area | None, period_type: str, period: Period | None
) -> pl.DataFrame:
    """The published cells with their texts and `dimension_1` to `dimension_3`, of the members that are chosen."""
    words = context.words
    rows = reads.cells(
        context.serving,
        chosen.figure,
        chosen.variant,
        chosen.dimension_set,
        level,
        area.area_code if area else None,
        period_type,
        period.period_start if period else None,
    )
    for place, (dimension, member) in enumerate(zip(chosen.dimensions, chosen.members, strict=True), start=1):
        labels = reads.members(context.serving, dimension).select(
            pl.col("member_code").alias(f"member_{place}"),
            pl.col(f"label_{words.language}").alias(f"dimension_{place}"),
            pl.int_range(pl.len()).alias(f"order_{place}"),
        )
        rows = rows.join(labels, on=f"member_{place}", maintain_order="left")
        if member != EVERY:
            rows = rows.filter(pl.col(f"member_{place}") == member)
    order = [column for column in rows.columns if column.startswith("order_")]
    rows = with_values(words, chosen.figure, rows.sort(order, maintain_order=True) if order else rows)
    return rows.with_columns(
        texts(
            "interval",
            [interval_text(chosen.figure, *ends) for ends in rows.select("rate_low", "rate_high").iter_rows()],
        )
    )


def columns_for(context: Context, chosen: Chosen, *firsts: str) -> dict[str, str]:
    """The headings of the table: what a row is, every dimension, the value and its interval."""
    words = context.words
    dimensions = {
        f"dimension_{place}": dimension_name(words, dimension)
        for place, dimension in enumerate(chosen.dimensions, start=1)
    }
    interval = {"interval": words("column.interval")} if chosen.figure.table == "agg_measure_results" else {}
    return (
        {first: words(f"column.{first}") for first in firsts}
        | dimensions
        | columns_of(context, chosen.figure)
        | interval
    )


def title_of(context: Context, chosen: Chosen) -> str:
    """The figure, with the members that are held fast."""
    words, held = context.words, []
    for dimension, member in zip(chosen.dimensions, chosen.members, strict=True):
        if member != EVERY:
            rows = reads.members(context.serving, dimension).filter(pl.col("member_code") == member)
            held += [words.name(row, "label") for row in rows.iter_rows(named=True)]
    variant = "" if chosen.variant == "main" else f" ({chosen.variant})"
    return f"{chosen.name}{variant}" + (f" · {', '.join(held)}" if held else "")


def nothing(context: Context) -> None:
    st.info(context.words("explore.nothing"), icon=":material/search_off:")


def groups(context: Context, chosen: Chosen, area: Area, area_name: str, period: Period) -> None:
    """By member: one number, bars for one dimension, a matrix for two."""
    words = context.words
    rows = cells_of(context, chosen, area.area_level, area, period.period_type, period)
    if rows.is_empty():
        nothing(context)
        return
    axes = [place for place, member in enumerate(chosen.members, start=1) if member == EVERY]
    if len(axes) == MOST_AXES:
        down, across = (f"dimension_{place}" for place in axes)
        rows = rows.with_columns(pl.col(down).alias("row"), pl.col(across).alias("column"))
        names = [list(dict.fromkeys(rows.sort(f"order_{place}")[f"dimension_{place}"].to_list())) for place in axes]
        chart = charts.heat(rows.select("row", "column", "value", "shown"), *names)
        said = ", ".join(f"{row} {column} {shown}" for row, column, shown in rows["row", "column", "shown"].rows())
    else:
        label = pl.col(f"dimension_{axes[0]}") if axes else pl.lit(area_name)
        rows = rows.with_columns(label.alias("label"))
        chart, said = charts.bars(rows.select("label", "value", "shown")), spoken(rows)
    caption = f"{area_name} · {period_text(words, period)}"
    if chosen.is_whole and (band := linkage_band(context, chosen.figure, area, period)):
        caption = f"{caption} · {band}"
    show(context, chosen, chart, said, rows, (), {area_name: area}, caption, period)


def time(context: Context, chosen: Chosen, area: Area, area_name: str, step: str, period: Period) -> None:
    words = context.words
    rows = cells_of(context, chosen, area.area_level, area, step, None)
    if rows.is_empty():
        nothing(context)
        return
    published = [one for one in reads.periods(context.serving) if one.period_type == step]
    names = {one.period_start: period_text(words, one) for one in published}
    shorts = {day: month_text(words, day, short=True) if step == "month" else name for day, name in names.items()}
    # A period without a row stays a gap of the line, and a row of the table.
    whole = pl.DataFrame({"period_start": sorted(names)}).join(
        rows, on="period_start", how="left", maintain_order="left"
    )
    rows = whole.with_columns(
        pl.col("shown").fill_null(words("value.missing")),
        texts("label", [shorts[day] for day in whole["period_start"]]),
        texts("period", [names[day] for day in whole["period_start"]]),
    )
    chart = charts.trend(
        rows.select("label", pl.lit(area_name).alias("series"), "value", "shown"),
        [area_name],
        words(f"step.{step}"),
        words(f"unit.{chosen.figure.unit}"),
    )
    show(context, chosen, chart, spoken(rows), rows, ("period",), {area_name: area}, area_name, period)


def places(context: Context, chosen: Chosen, view: str, period: Period) -> None:
    """By region as tiles, or by province on the map."""
    words, level = context.words, LEVEL_OF[view]
    rows = cells_of(context, chosen, level, None, period.period_type, period)
    areas = reads.figure_by_area(context.serving, figures.COMPLETENESS, level, period)
    rows = areas.select("area_code").join(rows, on="area_code", how="left", maintain_order="left")
    if not rows["value"].count():
        nothing(context)
        return
    coverage = coverage_of(areas)
    is_comparable = pl.Series([share >= SMALLEST_COVERAGE for share in coverage]) & pl.col("value").is_not_null()
    rows = rows.with_columns(
        pl.col("shown").fill_null(words("value.missing")),
        is_comparable.alias("is_comparable"),
        texts("coverage", [words("overview.coverage", share=f"{100 * share:.0f}") for share in coverage]),
        texts("label", [place_label(words, level, code) for code in rows["area_code"]]),
    ).with_columns(pl.col("label").alias("area"))
    if view == "regions":
        tiles = region_tiles()
        chart = charts.tile_grid(
            rows.with_columns(
                pl.Series("tile_row", [tiles[code][0] for code in rows["area_code"]]),
                pl.Series("tile_column", [tiles[code][1] for code in rows["area_code"]]),
            ).select("tile_row", "tile_column", "label", "value", "shown", "coverage", "is_comparable")
        )
    else:
        values = rows.select(pl.when("is_comparable").then("value"))["value"].to_list()
        group, names = map_groups(values, lambda number: number_text(chosen.figure, number))
        coloured = rows.with_columns(group, pl.col("area_code").alias("province_code"))
        chart = charts.province_map(coloured.select("province_code", "label", "shown", "group"), names)
    rows = rows.sort("value", descending=True, nulls_last=True, maintain_order=True)
    said = spoken(rows.head(10))
    named = {words("area.nation"): NATION} | places_of(rows.with_columns(pl.lit(level).alias("area_level")), "area")
    show(context, chosen, chart, said, rows, ("area", "coverage"), named, period_text(words, period), period)
    if view == "map":
        st.caption(credit(words))


def show(
    context: Context,
    chosen: Chosen,
    chart: Picture,
    said: str,
    rows: pl.DataFrame,
    firsts: tuple[str, ...],
    places: dict[str, Area],
    caption: str,
    period: Period,
) -> None:
    """The chart, and the table beside it. The first of `places` is the area whose completeness counts."""
    words, area = context.words, next(iter(places.values()))
    title, columns = title_of(context, chosen), columns_for(context, chosen, *firsts)
    left, right = st.columns([6, 5], gap="large")
    with left:
        exhibit(
            context,
            "explored",
            title=title,
            caption=caption,
            chart=chart,
            description=words("explore.alt", title=title, caption=caption, values=said),
            measure_id=chosen.figure.measure_id,
            completeness=completeness_text(context, area, period),
            table=rows,
            columns=columns,
            places=places,
        )
    with right:
        st.dataframe(
            rows.select(list(columns)).rename(columns), hide_index=True, alt=words("note.table"), key="beside_explored"
        )


def share(words: Words) -> None:
    """The address of what is shown, for a bookmark or a letter."""
    with st.popover(words("explore.share"), icon=":material/link:", type="tertiary"):
        st.markdown(words("explore.share_text"))
        query = urlencode(st.query_params.to_dict())
        st.code(f"{(st.context.url or '').split('?')[0]}{'?' if query else ''}{query}", language=None, wrap_lines=True)


def page() -> None:
    context = open_context("explore")
    words = context.words
    page_title(words, "explore")
    figure, name, variant = choose_figure(context)
    boxes = st.columns([4, 3, 3])
    with boxes[0]:
        shown = {code: words(f"view.{code}") for code in VIEWS}
        view = choice(words("filter.view"), "view", shown, words.language, style="segments")
    area, area_name, step = NATION, words("area.nation"), ""
    if view in {"groups", "time"}:
        with boxes[1]:
            area, area_name = choose_area(context, provinces=True)
    with boxes[2]:
        if view == "time":
            step = choose_of(words, "step", STEPS, "step", style="segments")
            period = reads.periods(context.serving)[0]
        else:
            period = choose_period(context)
    level = LEVEL_OF.get(view, area.area_level)
    chosen = choose_cut(context, figure, name, variant, level, step or period.period_type, view)
    if view == "groups":
        groups(context, chosen, area, area_name, period)
    elif view == "time":
        time(context, chosen, area, area_name, step, period)
    else:
        places(context, chosen, view, period)
    if figure.table == "agg_measure_results":
        st.caption(words("measures.signal"))
    share(words)


page()
