"""Who goes where for care: between regions and provinces, what comes in and goes out, and how far people go."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl
import streamlit as st

from dashboards.components import charts
from dashboards.components.annotations import analysts_notes
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, notes, page_title
from dashboards.components.figure_views import figure_card, province_figure_map
from dashboards.components.filters import choice, choose_area, choose_of, choose_period, place_label
from dashboards.components.flows import OUTSIDE, all_pairs, balances, with_texts
from dashboards.components.maps import credit, map_groups
from dashboards.components.tables import spoken, texts
from dashboards.components.values import period_text
from dashboards.queries import figures, reads
from dashboards.queries.reads import Area, Period
from ruam.access import Level
from ruam.geography import province_names, provinces_of_region, region_names, region_of_province, region_tiles

DIRECTIONS = ("out", "in")
COUNTS = ("visits", "persons")
N_LISTED = 12
"""Of the areas that most go to, or come from."""


def codes_of(level: str, area: Area) -> list[str]:
    """The areas of the matrix: the regions, or the provinces of the area's region."""
    if level == "region":
        return list(region_names())
    region = area.area_code if area.area_level == "region" else region_of_province(area.area_code)
    return list(provinces_of_region(region))


def seen_of(context: Context, level: str) -> set[str] | None:
    """Areas of a level that are the viewer's own; None for all of them."""
    if context.serving.scope.level is Level.NATION:
        return None
    areas = reads.areas(context.serving)
    return set(areas.filter(pl.col("area_level") == level)["area_code"])


def pairs_of(
    context: Context, level: str, count: str, homes: Sequence[str], treatments: Sequence[str], period: Period
) -> pl.DataFrame:
    reports = reads.reports_by_area(context.serving, level, period)
    reported: Collection[str] = set(reports.filter(pl.col("n_reports_received") > 0)["area_code"])
    flows = reads.patient_flow(context.serving, level, period)
    pairs = all_pairs(flows, f"n_{count}", homes, treatments, reported, seen_of(context, level))
    words = context.words
    return with_texts(words, pairs).with_columns(
        *(
            texts(end, [place_label(words, level, code) for code in pairs[f"{end}_code"]])
            for end in ("home", "treatment")
        )
    )


def matrix(context: Context, level: str, count: str, area: Area, area_name: str, period: Period) -> None:
    words = context.words
    codes = codes_of(level, area)
    rows = pairs_of(context, level, count, codes, codes, period)
    names = [place_label(words, level, code) for code in codes]
    exhibit(
        context,
        "flow",
        title=words(f"flow_matrix.{level}"),
        caption=words("flow.matrix_caption", count=words(f"flow_count.{count}"), period=period_text(words, period)),
        chart=charts.flow_matrix(
            rows.select("home", "treatment", "value", "cell", "shown"), names, words("flow.to"), words("flow.from")
        ),
        description=words("flow.matrix_alt", n=len(codes), period=period_text(words, period)),
        measure_id=figures.PATIENT_FLOW,
        completeness=completeness_text(context, area, period),
        table=rows,
        columns={
            "home": words("flow.from"),
            "treatment": words("flow.to"),
            "shown": words(f"flow_count.{count}"),
        },
        places={name: Area(area_level=level, area_code=code) for name, code in zip(names, codes, strict=True)}
        | {area_name: area},
    )
    analysts_notes(context, figures.PATIENT_FLOW, area, period)


def ways(context: Context, count: str, direction: str, area: Area, area_name: str, period: Period) -> None:
    """Where the people of one region or province go, or where those whom it treats come from."""
    words, level = context.words, area.area_level
    others = list(region_names() if level == "region" else province_names())
    ends = ([area.area_code], others) if direction == "out" else (others, [area.area_code])
    rows = pairs_of(context, level, count, *ends, period)
    other = "treatment" if direction == "out" else "home"
    rows = rows.with_columns(pl.col(f"{other}_code").alias("area_code"), pl.col(other).alias("label"))
    away = rows.filter(pl.col("area_code") != area.area_code)
    top = away.filter(pl.col("value") > 0).sort("value", descending=True, maintain_order=True).head(N_LISTED)
    title = words(f"flow_ways.{direction}", area=area_name)
    period_name = period_text(words, period)
    completeness = completeness_text(context, area, period)
    left, right = st.columns(2, gap="large")
    with left:
        if level == "region":
            tiles = tiles_of(context, rows, area.area_code)
            chart = charts.tile_grid(tiles)
        else:
            group, groups = map_groups(away["value"].to_list(), lambda number: f"{number:,.0f}")
            coloured = away.with_columns(group, pl.col("area_code").alias("province_code"))
            chart = charts.province_map(
                coloured.select("province_code", "label", "shown", "group"), groups, area.area_code
            )
        exhibit(
            context,
            "ways",
            title=title,
            caption=words(f"flow_ways_caption.{level}", count=words(f"flow_count.{count}"), period=period_name),
            chart=chart,
            description=words("flow.ways_alt", title=title, period=period_name, values=spoken(top)),
            measure_id=figures.PATIENT_FLOW,
            completeness=completeness,
            table=rows.sort("value", descending=True, nulls_last=True, maintain_order=True),
            columns={"label": words("column.area"), "shown": words(f"flow_count.{count}")},
            places={area_name: area},
        )
        if level == "province":
            st.caption(credit(words))
    with right:
        st.subheader(words("flow.top", n=N_LISTED), anchor=False)
        if top.is_empty():
            st.info(words("flow.none"))
            return
        st.vega_lite_chart(
            spec=charts.bars(top.select("label", "value", "shown")).spec,
            alt=words("flow.ways_alt", title=title, period=period_name, values=spoken(top)),
            key="chart_top",
        )
        hidden = away.filter(pl.col("status") == "below_10").height
        unknown = away.filter(pl.col("status").is_in(["missing", OUTSIDE])).height
        st.markdown(words("flow.hidden", hidden=hidden, unknown=unknown))
        notes(context, "top", figures.PATIENT_FLOW, completeness)


def tiles_of(context: Context, rows: pl.DataFrame, own: str) -> pl.DataFrame:
    """The tiles of all regions: a tile's place is no figure, so that every viewer gets all of them."""
    places = region_tiles()
    return rows.with_columns(
        pl.Series("tile_row", [places[code][0] for code in rows["area_code"]]),
        pl.Series("tile_column", [places[code][1] for code in rows["area_code"]]),
        texts("coverage", [context.words("flow.own") if code == own else "" for code in rows["area_code"]]),
        ((pl.col("area_code") != own) & pl.col("value").is_not_null()).alias("is_comparable"),
    ).select("tile_row", "tile_column", "label", "value", "shown", "coverage", "is_comparable")


def net(context: Context, level: str, area: Area, period: Period) -> None:
    """Inflow less outflow, of the viewer's own areas alone: of others some of the pairs are not shown."""
    words = context.words
    codes, every = codes_of(level, area), list(region_names() if level == "region" else province_names())
    seen = seen_of(context, level)
    own = [code for code in codes if seen is None or code in seen]
    if not own:
        return
    pairs = pl.concat(
        [
            pairs_of(context, level, "visits", own, every, period),
            pairs_of(context, level, "visits", [code for code in every if code not in own], own, period),
        ]
    )
    persons = reads.registered_persons(context.serving, level, period)
    table = (
        balances(pairs, own)
        .join(persons, on="area_code", how="left", maintain_order="left")
        .with_columns(
            texts("label", [place_label(words, level, code) for code in own]),
            pl.col("net").cast(pl.Float64).alias("value"),
        )
        .with_columns((1000 * pl.col("value") / pl.col("n_registered_persons")).alias("per_1000"))
        .sort("value", descending=True, nulls_last=True, maintain_order=True)
    )
    missing = words("value.missing")

    def shown(column: str, form: str) -> pl.Series:
        return texts(f"{column}_shown", [missing if n is None else format(n, form) for n in table[column]])

    table = table.with_columns(
        shown("inflow", ",.0f"),
        shown("outflow", ",.0f"),
        shown("per_1000", "+,.1f"),
        shown("value", "+,.0f").alias("shown"),
        texts(
            "bounds",
            [
                missing if low is None else words("flow.bounds", low=f"{low:+,}", high=f"{high:+,}")
                for low, high in table.select("net_low", "net_high").iter_rows()
            ],
        ),
    )
    exhibit(
        context,
        "net",
        title=words(f"flow_net.{level}"),
        caption=words("flow.net_caption", period=period_text(words, period)),
        chart=charts.net_bars(table.select("label", "value", "shown")),
        description=words("flow.net_alt", period=period_text(words, period), values=spoken(table)),
        measure_id=figures.NET_FLOW,
        completeness=completeness_text(context, area, period),
        table=table,
        columns={
            "label": words("column.area"),
            "inflow_shown": words("column.inflow"),
            "outflow_shown": words("column.outflow"),
            "shown": words("column.net"),
            "bounds": words("flow.bounds_column"),
            "per_1000_shown": words("column.net_per_1000"),
            "n_hidden": words("flow.n_hidden"),
            "n_unknown": words("flow.n_unknown"),
        },
    )


def page() -> None:
    context = open_context("flow")
    words = context.words
    page_title(words, "flow")
    boxes = st.columns([5, 5, 3, 3])
    with boxes[0]:
        area, area_name = choose_area(context, provinces=True, unknown=False)
    with boxes[1]:
        period = choose_period(context)
    with boxes[2]:
        directions = {code: words(f"flow_direction.{code}") for code in DIRECTIONS}
        direction = choice(words("filter.direction"), "direction", directions, words.language, style="segments")
    with boxes[3]:
        count = choose_of(words, "count", COUNTS, "flow_count", style="segments")

    st.header(words("flow.how_far", area=area_name), anchor=False)
    for column, figure in zip(st.columns(len(figures.FLOW)), figures.FLOW, strict=True):
        with column:
            figure_card(context, figure, area, area_name, period)
    st.caption(words("flow.treated"))

    level = "region" if area.area_level == "nation" else "province"
    if area.area_level != "nation":
        ways(context, count, direction, area, area_name, period)
        st.divider()
    left, right = st.columns([6, 5], gap="large")
    with left:
        matrix(context, level, count, area, area_name, period)
    with right:
        net(context, level, area, period)
    st.divider()
    by_code = {figure.code: figure for figure in figures.FLOW}
    figure = by_code[choose_of(words, "figure", tuple(by_code), "figure", style="segments")]
    province_figure_map(context, figure, words(f"figure.{figure.code}"), area, period)


page()
