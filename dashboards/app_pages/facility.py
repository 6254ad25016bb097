"""One facility: what it does, how much of it came, and where it stands among facilities of its type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards.components import charts
from dashboards.components.context import Context, open_context
from dashboards.components.exhibit import completeness_text, exhibit, notes, page_title, tabled
from dashboards.components.figure_views import figure_name, month_trend
from dashboards.components.filters import choice, choose_district, choose_facility, choose_period, place_label
from dashboards.components.tables import spoken
from dashboards.components.values import Status, figure_value, number_text, period_text
from dashboards.queries import figures, reads
from dashboards.queries.figures import Figure, Unit
from dashboards.queries.reads import Area, Period
from ruam.words import Words

CARDS = figures.FACILITY_PROFILE[:5]
FURTHEST = 3.0
"""Times the median at which the chart ends: one facility far out would press all others together."""


def choose_place(context: Context, boxes: Sequence[DeltaGenerator]) -> tuple[Area, str] | None:
    """A facility, by its province and district; None when the viewer sees none. Those that sent anything come first."""
    words = context.words
    parents = reads.facilities(context.serving, reads.NATION)["parent_code"].drop_nulls()
    provinces = sorted({code[:2] for code in parents} & _provinces(context))
    area, name = reads.NATION, ""
    if provinces:
        with boxes[0]:
            shown = {f"P{code}": place_label(words, "province", code) for code in provinces}
            code = choice(words("column.province"), "area", shown, words.language)
            area, name = Area(area_level="province", area_code=code[1:]), shown[code]
        with boxes[1]:
            area, name = choose_district(context, area, name)
    if reads.facilities(context.serving, area).is_empty():
        return None
    with boxes[2]:
        return choose_facility(context, area, name, whole=False, first=reads.active_facilities(context.serving))


def _provinces(context: Context) -> set[str]:
    rows = reads.areas(context.serving)
    return set(rows.filter(pl.col("area_level") == "province")["area_code"])


def profile_of(context: Context, area: Area, period: Period) -> pl.DataFrame:
    """label, shown, peers, place and n_peers as text, and value, low and high as multiples of the peers' median.

    Peers are those of the health region; where fewer than five have a value there, those of the nation.
    """
    words = context.words
    own = reads.facility_profile(context.serving, figures.FACILITY_PROFILE, area, period)
    peers = reads.peers_of(context.serving, figures.FACILITY_PROFILE, area, period)
    found = {(row["code"], row["among"]): row for row in peers.iter_rows(named=True)}
    rows = []
    for figure, row in zip(figures.FACILITY_PROFILE, own.iter_rows(named=True), strict=True):
        value = figure_value(words, figure, row)
        among = found.get((figure.code, "region")) or found.get((figure.code, "nation"))
        rows.append(
            {"code": figure.code, "label": figure_name(context, figure), "shown": value.text}
            | {"is_known": row["numerator_status"] != Status.MISSING}
            | _against(words, figure, value.number, among)
        )
    texts = dict.fromkeys(("code", "label", "shown", "median", "quartiles", "place", "among"), pl.String)
    numbers = dict.fromkeys(("value", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema={**texts, "is_known": pl.Boolean, **numbers})


def _against(words: Words, figure: Figure, number: float | None, peers: dict[str, Any] | None) -> dict[str, Any]:
    if peers is None:
        return {"median": "–", "quartiles": "–", "place": words("facility_place.none"), "among": "–"}
    factor = 100 if figure.unit is Unit.PERCENT else 1
    low, median, high = (factor * peers[name] for name in ("first_quartile", "median_value", "third_quartile"))
    told: dict[str, Any] = {
        "median": number_text(figure, median),
        "quartiles": f"{number_text(figure, low)} – {number_text(figure, high)}",
        "among": words(f"facility_peers.{peers['among']}", n=f"{peers['n_peers']:,}"),
        "place": words(f"facility_place.{_place(number, low, median, high)}"),
    }
    # Nothing is a multiple of 0.
    return told if median == 0 else told | {
        "value": None if number is None else number / median, "low": low / median, "high": high / median,
    }  # fmt: skip


def _place(number: float | None, low: float, median: float, high: float) -> str:
    """Where a value lies among its peers; in the middle half when it is one of the quartiles."""
    if number is None:
        return "unknown"
    if number > high:
        return "above"
    if number < low:
        return "below"
    return "upper" if number > median else "lower"


def cards(context: Context, rows: pl.DataFrame) -> None:
    words = context.words
    for column, figure in zip(st.columns(len(CARDS)), CARDS, strict=True):
        row = rows.row(by_predicate=pl.col("code") == figure.code, named=True)
        with column, st.container(border=True, height="stretch"):
            st.metric(row["label"], row["shown"])
            st.markdown(
                row["place"]
                if row["among"] == "–"
                else words("facility.card", place=row["place"], median=row["median"])
            )


def columns_of_peers(words: Words) -> dict[str, str]:
    return {
        "label": words("column.measure"),
        "shown": words("facility.own"),
        "median": words("column.peer_median"),
        "quartiles": words("facility.quartiles"),
        "place": words("facility.place"),
        "among": words("facility.among"),
    }


def measures_of(rows: pl.DataFrame) -> dict[str, str]:
    """The names of the profile's measures by their ids."""
    names = dict(rows.select("code", "label").iter_rows())
    return {figure.measure_id: names[figure.code] for figure in figures.FACILITY_PROFILE if figure.code in names}


def against_peers(
    context: Context, rows: pl.DataFrame, area: Area, name: str, period: Period, completeness: str
) -> None:
    """What can be drawn beside peers."""
    words = context.words
    drawn = rows.filter(pl.col("low").is_not_null())
    if drawn.is_empty():
        st.info(words("facility.no_peers"), icon=":material/info:")
        return
    exhibit(
        context,
        "peers",
        title=words("facility.peers"),
        caption=words("facility.peers_caption", name=name, period=period_text(words, period)),
        chart=charts.against_peers(
            drawn.select("label", "value", "low", "high", "shown"), FURTHEST, words("facility.axis")
        ),
        description=words("facility.peers_alt", name=name, values=spoken(drawn)),
        measure_id=figures.FACILITY_VISITS.measure_id,
        completeness=completeness,
        table=drawn.drop("value"),
        columns=columns_of_peers(words),
        places={name: area},
        measures=measures_of(drawn),
    )


def table(context: Context, rows: pl.DataFrame, area: Area, name: str, completeness: str) -> None:
    title, columns = context.words("facility.table"), columns_of_peers(context.words)
    st.subheader(title, anchor=False)
    tabled(
        context,
        "profile",
        title=title,
        measure_id=figures.FACILITY_VISITS.measure_id,
        completeness=completeness,
        table=rows.drop("value"),
        columns=columns,
        places={name: area},
        measures=measures_of(rows),
    )


def page() -> None:
    context = open_context("facility")
    words = context.words
    page_title(words, "facility")
    boxes = st.columns(4)
    place = choose_place(context, boxes)
    if place is None:
        st.info(words("facility.none"), icon=":material/search_off:")
        return
    area, name = place
    with boxes[3]:
        period = choose_period(context)
    completeness = completeness_text(context, area, period)
    rows = profile_of(context, area, period)
    st.header(name, anchor=False)
    counted = rows.filter(pl.col("code") != figures.COMPLETENESS.code)
    if counted.filter(pl.col("is_known")).is_empty():
        st.info(words("facility.silent", period=period_text(words, period)), icon=":material/inbox:")
        notes(context, "silent", figures.FACILITY_VISITS.measure_id, completeness)
        return
    cards(context, rows)
    notes(
        context,
        "cards",
        figures.FACILITY_VISITS.measure_id,
        completeness,
        places={name: area},
        measures=measures_of(rows.head(len(CARDS))),
    )
    left, right = st.columns(2, gap="large")
    with left:
        month_trend(context, figures.FACILITY_VISITS, figure_name(context, figures.FACILITY_VISITS), area, name, period)
    with right:
        against_peers(context, rows, area, name, period, completeness)
    table(context, rows, area, name, completeness)


page()
