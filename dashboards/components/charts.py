"""Charts. Each takes a frame with texts already made, so that Vega formats no date and no number of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias

import altair as alt
import polars as pl

from ruam.geography import province_names

# Four colours that people with colour-blindness tell apart, and each 3:1 against white.
SERIES = ("#12436D", "#28A197", "#801650", "#F46A25")
INK, MUTED, GRID, EMPTY = "#1F2933", "#52606D", "#E4E8ED", "#E9EDF2"
# One hue, light to dark: the value is also printed, colour never tells it alone.
SEQUENCE = ("#E3EDF6", "#A9C7E0", "#5C93BF", "#2A6496", "#12436D")
ON_LIGHT = "#000000"
DARK = 0.65
"""Numbers on the shades of `SEQUENCE`: up to this part of its length black has 4.5:1 against the shade, then white."""
LABEL_SIZE = 12
LONGEST_LINE = 26
"""Characters of a name beside a bar; a longer one goes on in a second line."""
LONGEST_LEVEL_NAME = 9
"""Characters of a name that still has room above a column of a matrix."""


# What `alt.layer` may return.
Picture: TypeAlias = alt.LayerChart | alt.FacetChart


P = ParamSpec("P")
MOST_KEPT = 500
"""Charts; one takes some 20 kB."""


def kept(draw: Callable[Concatenate[pl.DataFrame, P], Picture]) -> Callable[Concatenate[pl.DataFrame, P], Picture]:
    """A chart of the same rows, drawn the same way, is the same object: a changed filter leaves most of a page alone.

    Whoever gets one made for another has the very same rows, and no chart is changed once it is made.
    """

    @wraps(draw)
    def drawn(rows: pl.DataFrame, /, *args: P.args, **kwargs: P.kwargs) -> Picture:
        given = tuple(tuple(one) if isinstance(one, list) else one for one in args)
        return of(tuple(rows.schema.items()), tuple(rows.iter_rows()), given, tuple(kwargs.items()))

    @lru_cache(MOST_KEPT)
    def of(schema: tuple[Any, ...], rows: tuple[Any, ...], args: tuple[Any, ...], kwargs: tuple[Any, ...]) -> Picture:
        return draw(pl.DataFrame(rows, schema=dict(schema), orient="row"), *args, **dict(kwargs))

    return drawn


def _axis(**options: Any) -> alt.Axis:
    common: dict[str, Any] = {
        "labelFontSize": LABEL_SIZE,
        "titleFontSize": LABEL_SIZE,
        "labelColor": MUTED,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelLimit": 220,
    }
    return alt.Axis(**(common | options))


def _legend(names: Sequence[str], symbol: str | None = None) -> alt.Legend | None:
    """One for colour, shape and dash alike, so that they are drawn as one."""
    if len(names) < 2:
        return None
    common: dict[str, Any] = {"symbolType": symbol, "symbolSize": 500} if symbol else {"symbolSize": 90}
    # As many beside each other as fit a phone.
    columns = 1 if max(map(len, names)) > LONGEST_LINE else 2
    return alt.Legend(
        orient="top", title=None, labelFontSize=LABEL_SIZE, labelColor=INK, labelLimit=320, columns=columns, **common
    )


def _colour(names: Sequence[str], symbol: str | None = None) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=list(SERIES[: len(names)]))
    return alt.Color("series:N", sort=list(names), scale=scale, legend=_legend(names, symbol))


def _shape(names: Sequence[str]) -> alt.Shape:
    # Shape beside colour: lines stay apart in a black-and-white print.
    scale = alt.Scale(domain=list(names), range=["circle", "square", "triangle-up", "diamond"][: len(names)])
    return alt.Shape("series:N", sort=list(names), scale=scale, legend=_legend(names))


@kept
def sparkline(rows: pl.DataFrame) -> Picture:
    """`label`, `value`, `shown`, in order of time; months without a value stay gaps."""
    x = alt.X("label:O", sort=None, axis=None)
    y = alt.Y("value:Q", axis=None, scale=alt.Scale(zero=False, padding=6))
    tips = [alt.Tooltip("label:N", title=" "), alt.Tooltip("shown:N", title=" ")]
    base = alt.Chart(rows)
    line = base.mark_line(color=SERIES[0], strokeWidth=2).encode(x=x, y=y)
    points = base.mark_point(color=SERIES[0], filled=True, size=18, opacity=1).encode(x=x, y=y, tooltip=tips)
    return alt.layer(line, points).properties(height=56)


@kept
def control_chart(rows: pl.DataFrame, limits: tuple[float, float, float] | None, is_signal: bool) -> Picture:
    """`label`, `value`, `shown` in order of time, with the band of `limits` (mean, low, high) of the months before.

    The newest month is a diamond where it is a signal, and a ring where it is not: shape beside colour.
    """
    values = [*(value for value in rows["value"].to_list() if value is not None), *(limits or ())]
    edges = [min(values, default=0), max(values, default=1)]
    room = (edges[1] - edges[0]) * 0.12 or abs(edges[1]) * 0.1 or 1
    scale = alt.Scale(domain=[edges[0] - room, edges[1] + room], nice=False, zero=False)
    x = alt.X("label:O", sort=None, axis=None)
    y = alt.Y("value:Q", axis=None, scale=scale)
    tips = [alt.Tooltip("label:N", title=" "), alt.Tooltip("shown:N", title=" ")]
    base = alt.Chart(rows)
    line = base.mark_line(color=SERIES[0], strokeWidth=2).encode(x=x, y=y)
    points = base.mark_point(color=SERIES[0], filled=True, size=18, opacity=1).encode(x=x, y=y, tooltip=tips)
    newest = alt.Chart(rows.tail(1)).encode(x=x, y=y, tooltip=tips)
    last = (
        newest.mark_point(shape="diamond", color=SERIES[3], filled=True, size=150, opacity=1)
        if is_signal
        else newest.mark_point(color=SERIES[0], fill="#FFFFFF", size=70, opacity=1)
    )
    layers = [line, points, last]
    if limits:
        mean, low, high = limits
        band = pl.DataFrame({"mean": [mean], "low": [low], "high": [high]})
        ends = alt.Chart(band)
        layers = [
            ends.mark_rect(color=EMPTY).encode(y=alt.Y("low:Q", axis=None, scale=scale), y2="high:Q"),
            ends.mark_rule(color=MUTED, strokeDash=[4, 3]).encode(y=alt.Y("mean:Q", axis=None, scale=scale)),
            *layers,
        ]
    return alt.layer(*layers).properties(height=110)


@kept
def step_sparkline(rows: pl.DataFrame) -> Picture:
    """`day`, `n`, `shown`: a count that only grows."""
    base = alt.Chart(rows).encode(
        x=alt.X("day:T", axis=None, scale=alt.Scale(type="utc")),
        y=alt.Y("n:Q", axis=None, scale=alt.Scale(domainMin=0, padding=6)),
    )
    line = base.mark_line(color=SERIES[0], strokeWidth=2, interpolate="step-after")
    points = base.mark_point(color=SERIES[0], filled=True, size=18, opacity=1).encode(
        tooltip=[alt.Tooltip("shown:N", title=" ")]
    )
    return alt.layer(line, points).properties(height=56)


@kept
def trend(rows: pl.DataFrame, names: Sequence[str], x_title: str, y_title: str, height: int = 320) -> Picture:
    """`label`, `series`, `value`, `shown`; at most four series."""
    x = alt.X("label:O", sort=None, axis=_axis(title=x_title, labelAngle=0, labelOverlap="parity", grid=False))
    y = alt.Y("value:Q", axis=_axis(title=y_title, tickCount=5), scale=alt.Scale(zero=True, nice=True))
    tips = [alt.Tooltip(f"{field}:N", title=" ") for field in ("series", "label", "shown")]
    base = alt.Chart(rows)
    line = base.mark_line(strokeWidth=2.5).encode(x=x, y=y, color=_colour(names))
    points = base.mark_point(filled=True, size=50, opacity=1).encode(
        x=x, y=y, color=_colour(names), shape=_shape(names), tooltip=tips
    )
    return alt.layer(line, points).properties(height=height)


@kept
def bars(rows: pl.DataFrame) -> Picture:
    """`label`, `value`, `shown`; the printed text stands at the bar's end, also where there is no bar."""
    base = alt.Chart(rows.with_columns(pl.col("value").fill_null(0).alias("length"))).encode(y=_rows_axis(rows))
    highest = max((value for value in rows["value"].to_list() if value is not None), default=1) or 1
    # Room to the right of the longest bar for its number.
    x = alt.X("length:Q", axis=None, scale=alt.Scale(domain=[0, highest * 1.6], nice=False))
    bar = base.mark_bar(color=SERIES[0], height={"band": 0.62}).encode(x=x)
    text = base.mark_text(align="left", dx=6, fontSize=LABEL_SIZE + 1, color=INK).encode(x=x, text="shown:N")
    return alt.layer(bar, text).properties(height=38 * max(rows.height, 2))


def _rows_axis(rows: pl.DataFrame) -> alt.Y:
    # Thai has no spaces between words: a name breaks before a bracket or the word `and`, wherever one comes first.
    broken = r"split(replace(datum.label, /\s*( \(| – |\u0e41\u0e25\u0e30| and )/, '\n$1'), '\n')"
    axis = _axis(
        title=None, grid=False, ticks=False, domain=False, labelColor=INK, labelPadding=6, labelLineHeight=16,
        labelExpr=f"length(datum.label) > {LONGEST_LINE} ? {broken} : datum.label",
    )  # fmt: skip
    return alt.Y("label:N", sort=rows["label"].to_list(), axis=axis)


@kept
def net_bars(rows: pl.DataFrame) -> Picture:
    """`label`, `value` (may be negative), `shown`."""
    edge = max((abs(value) for value in rows["value"].to_list() if value is not None), default=1) or 1
    base = alt.Chart(rows.with_columns(pl.col("value").fill_null(0).alias("length"))).encode(
        y=_rows_axis(rows),
        x=alt.X("length:Q", axis=None, scale=alt.Scale(domain=[-1.4 * edge, 1.4 * edge], nice=False)),
    )
    colour = alt.condition(alt.datum.length < 0, alt.value(SERIES[3]), alt.value(SERIES[0]))
    bar = base.mark_bar(height={"band": 0.62}).encode(color=colour)
    gain = (
        base.transform_filter(alt.datum.length >= 0)
        .mark_text(align="left", dx=6, fontSize=LABEL_SIZE, color=INK)
        .encode(text="shown:N")
    )
    loss = (
        base.transform_filter(alt.datum.length < 0)
        .mark_text(align="right", dx=-6, fontSize=LABEL_SIZE, color=INK)
        .encode(text="shown:N")
    )
    return alt.layer(bar, gain, loss).properties(height=28 * rows.height)


@kept
def tile_grid(rows: pl.DataFrame) -> Picture:
    """`tile_row`, `tile_column`, `label`, `value`, `shown`, `coverage`, `is_comparable`: one tile a region.

    Every number is printed. A tile that cannot be compared (no value, or too few facilities reported) is dashed
    and takes no part in the colours.
    """
    known = rows.filter(pl.col("is_comparable"))["value"].to_list()
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    middle = low + (high - low) * DARK
    band = alt.Scale(paddingInner=0.06, paddingOuter=0)
    base = alt.Chart(rows).encode(
        x=alt.X("tile_column:O", axis=None, scale=band),
        y=alt.Y("tile_row:O", axis=None, scale=band),
        tooltip=[alt.Tooltip(f"{field}:N", title=" ") for field in ("label", "shown", "coverage")],
    )
    domain = [low, high if high > low else low + 1]
    colour = alt.Color("value:Q", legend=None, scale=alt.Scale(domain=domain, range=list(SEQUENCE)))
    full = base.transform_filter("datum.is_comparable").mark_rect(cornerRadius=6).encode(color=colour)
    gap = base.transform_filter("!datum.is_comparable").mark_rect(
        cornerRadius=6, fill=EMPTY, stroke=MUTED, strokeDash=[4, 3]
    )
    ink = alt.condition(f"datum.is_comparable && datum.value > {middle}", alt.value("#FFFFFF"), alt.value(ON_LIGHT))
    name = base.mark_text(dy=-19, fontSize=12).encode(text="label:N", color=ink)
    # Words such as "no data" are longer than numbers and must still fit the tile.
    size = alt.condition("isValid(datum.value)", alt.value(18), alt.value(12))
    number = base.mark_text(dy=2, fontWeight=600).encode(text="shown:N", color=ink, size=size)
    coverage = base.mark_text(dy=21, fontSize=10.5).encode(text="coverage:N", color=ink)
    return alt.layer(full, gap, name, number, coverage).properties(height=72 * max(rows["tile_row"].n_unique(), 1))


SHAPES = alt.UrlData(url="app/static/provinces.json", format=alt.JsonDataFormat(type="json", property="features"))
"""The provinces of the map, a feature each; the address holds on every page."""


@kept
def province_map(rows: pl.DataFrame, groups: Sequence[str], chosen: str | None = None, height: int = 640) -> Picture:
    """`province_code`, `label`, `shown`, `group`: the provinces, coloured by their group, from the lowest on.

    A province without a row or with a group that is not among `groups` is left grey. `chosen` is drawn with a bold
    line. The numbers stand in a table beside it, for they fit no province.
    """
    steps = (
        [SEQUENCE[-1]]
        if len(groups) == 1
        else [SEQUENCE[round(n * (len(SEQUENCE) - 1) / (len(groups) - 1))] for n in range(len(groups))]
    )
    names = json.dumps(list(groups), ensure_ascii=False)
    colour = alt.Color(
        "group:N",
        sort=list(groups),
        scale=alt.Scale(domain=list(groups), range=steps),
        legend=alt.Legend(
            orient="top", title=None, symbolType="square", symbolSize=160, labelFontSize=LABEL_SIZE, labelColor=INK,
            columns=3, labelLimit=160,
        ) if groups else None,
    )  # fmt: skip
    tips = [alt.Tooltip("label:N", title=" "), alt.Tooltip("shown:N", title=" ")]
    known = alt.LookupData(data=rows, key="province_code", fields=["label", "shown", "group"])
    base = alt.Chart(SHAPES)
    shapes = base.transform_lookup(lookup="properties.province_code", from_=known)
    coloured = shapes.mark_geoshape(stroke="#FFFFFF", strokeWidth=0.6).encode(
        color=alt.condition(f"indexof({names}, datum.group) >= 0", colour, alt.value(EMPTY)), tooltip=tips
    )
    layers = [coloured]
    # A layer without a shape would be a picture without words to those who listen.
    if chosen in province_names():
        own = base.transform_filter(f"datum.properties.province_code === '{chosen}'")
        layers.append(own.mark_geoshape(fillOpacity=0, stroke=SERIES[3], strokeWidth=2.5))
    return alt.layer(*layers).project(type="identity").properties(height=height)


CONSTANT = 100
"""Of the logarithm that a matrix of flows is shaded by: about this count the shades begin to be of ratios."""


@kept
def flow_matrix(rows: pl.DataFrame, order: Sequence[str], x_title: str, y_title: str) -> Picture:
    """`home`, `treatment`, `value`, `cell` (its text), `shown`; colour by logarithm: care at home dwarfs the rest."""
    names = list(order)
    known = [value for value in rows["value"].to_list() if value]
    high = max(known, default=10.0)
    # On the same scale as the shades.
    middle = CONSTANT * ((1 + high / CONSTANT) ** DARK - 1)
    # Long names stand upright, for side by side they would run into each other.
    longest = max(map(len, names), default=0)
    angle, room = (-90, 8 * longest) if longest > LONGEST_LEVEL_NAME else (0, 0)
    base = alt.Chart(rows).encode(
        x=alt.X(
            "treatment:N",
            sort=names,
            axis=_axis(title=x_title, orient="top", labelAngle=angle, grid=False, labelFlush=False),
        ),
        y=alt.Y("home:N", sort=names, axis=_axis(title=y_title, grid=False, labelOverlap=False)),
        tooltip=[
            alt.Tooltip("home:N", title=y_title),
            alt.Tooltip("treatment:N", title=x_title),
            alt.Tooltip("shown:N", title=" "),
        ],
    )
    cell = base.mark_rect(stroke="#FFFFFF", strokeWidth=1).encode(
        color=alt.condition(
            "isValid(datum.value)",
            alt.Color(
                "value:Q",
                legend=None,
                scale=alt.Scale(type="symlog", constant=CONSTANT, domain=[0, high], range=list(SEQUENCE)),
            ),
            alt.value(EMPTY),
        )
    )
    # On a phone the cells are narrower than their numbers; colour, tooltip and table remain.
    text = base.mark_text(fontSize=11, opacity=alt.ExprRef("width < 520 ? 0 : 1")).encode(
        text="cell:N",
        color=alt.condition(f"datum.value > {middle}", alt.value("#FFFFFF"), alt.value(ON_LIGHT)),
    )
    return alt.layer(cell, text).properties(height=32 * len(names) + 40 + room)


@kept
def heat(rows: pl.DataFrame, row_names: Sequence[str], column_names: Sequence[str]) -> Picture:
    """`row`, `column`, `value`, `shown`: one dimension down, another across, the number printed in each cell."""
    known = [value for value in rows["value"].to_list() if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    longest = max(map(len, column_names), default=0)
    angle, room = (-90, 7 * min(longest, 24)) if longest > LONGEST_LEVEL_NAME else (0, 0)
    across = _axis(
        title=None, orient="top", labelAngle=angle, grid=False, labelColor=INK, labelLimit=170, labelFlush=False
    )
    base = alt.Chart(rows).encode(
        x=alt.X("column:N", sort=list(column_names), axis=across),
        y=alt.Y("row:N", sort=list(row_names), axis=_axis(title=None, grid=False, labelColor=INK, labelOverlap=False)),
        tooltip=[alt.Tooltip(f"{field}:N", title=" ") for field in ("row", "column", "shown")],
    )
    scale = alt.Scale(domain=[low, high if high > low else low + 1], range=list(SEQUENCE))
    cell = base.mark_rect(stroke="#FFFFFF", strokeWidth=1).encode(
        color=alt.condition("isValid(datum.value)", alt.Color("value:Q", legend=None, scale=scale), alt.value(EMPTY))
    )
    ink = alt.condition(f"datum.value > {low + (high - low) * DARK}", alt.value("#FFFFFF"), alt.value(ON_LIGHT))
    text = base.mark_text(fontSize=11, opacity=alt.ExprRef("width < 300 ? 0 : 1")).encode(text="shown:N", color=ink)
    return alt.layer(cell, text).properties(height=34 * max(len(row_names), 2) + 40 + room)


def _date_axis(months: Sequence[str], **options: Any) -> alt.Axis:
    names = ", ".join(f"'{month}'" for month in months)
    return _axis(
        labelExpr=f"[{names}][utcmonth(datum.value)] + ' ' + (utcyear(datum.value) + 543 - 2500)",
        labelOverlap="greedy",
        **options,
    )


@kept
def cumulative(
    rows: pl.DataFrame, names: Sequence[str], months: Sequence[str], total: int, x_title: str, y_title: str
) -> Picture:
    """`day`, `series`, `n`, `shown`: steps up at each day, each line drawn on to the last day of all."""
    last = rows.group_by("series", maintain_order=True).last().with_columns(pl.lit(rows["day"].max()).alias("day"))
    y = alt.Y("n:Q", axis=_axis(title=y_title, tickCount=5), scale=alt.Scale(domain=[0, total], nice=True))
    dash = alt.StrokeDash(
        "series:N",
        sort=list(names),
        scale=alt.Scale(domain=list(names), range=[[1, 0], [6, 4]]),
        legend=_legend(names, "stroke"),
    )
    axis = _date_axis(months, title=x_title, grid=False, tickCount={"interval": "month", "step": 2})
    x = alt.X("day:T", scale=alt.Scale(type="utc", padding=10), axis=axis)
    line = alt.Chart(pl.concat([rows, last.select(rows.columns)])).mark_line(interpolate="step-after", strokeWidth=2.5)
    points = alt.Chart(rows).mark_point(filled=True, size=60, opacity=1)
    return alt.layer(
        line.encode(x=x, y=y, color=_colour(names, "stroke"), strokeDash=dash),
        points.encode(
            x=x,
            y=y,
            color=_colour(names, "stroke"),
            tooltip=[alt.Tooltip("series:N", title=" "), alt.Tooltip("shown:N", title=" ")],
        ),
    ).properties(height=400)


@kept
def timeline(
    rows: pl.DataFrame, order: Sequence[str], names: Sequence[str], months: Sequence[str], x_title: str
) -> Picture:
    """`place`, `series` (phase), `planned`, `actual`, `n`, `shown`: ring = plan, disc = actual, line = variance."""
    axis = _date_axis(months, title=x_title, grid=False, tickCount={"interval": "month", "step": 2})
    scale = alt.Scale(type="utc", padding=18)
    planned = alt.X("planned:T", scale=scale, axis=axis)
    actual = alt.X("actual:T", scale=scale, axis=axis)
    base = alt.Chart(rows).encode(
        y=alt.Y("place:N", sort=list(order), axis=_axis(title=None, grid=True, labelColor=INK))
    )
    tips = [alt.Tooltip("shown:N", title=" ")]
    known = base.transform_filter("isValid(datum.planned)")
    rule = known.mark_rule(strokeWidth=2).encode(x=planned, x2="actual:T", color=_colour(names))
    ring = known.mark_point(filled=False, fill="#FFFFFF", size=110, strokeWidth=2, opacity=1).encode(
        x=planned, color=_colour(names), tooltip=tips
    )
    disc = base.mark_point(filled=True, size=130, opacity=1).encode(x=actual, color=_colour(names), tooltip=tips)
    number = base.mark_text(dy=-13, fontSize=11, color=INK).encode(x=actual, text="n:N")
    return alt.layer(rule, ring, disc, number).properties(height=31 * max(len(order), 3) + 60)


@kept
def differences(rows: pl.DataFrame, x_title: str) -> Picture:
    """`label`, `value`, `low`, `high`, `shown`: differences with their intervals, and the line of no difference.

    One whose interval holds 0 is a ring, and lighter: shape beside colour.
    """
    rows = rows.with_columns(((pl.col("low") <= 0) & (pl.col("high") >= 0)).alias("is_unclear"))
    edge = max((abs(value) for name in ("low", "high") for value in rows[name].to_list()), default=1) or 1
    scale = alt.Scale(domain=[-1.1 * edge, 1.1 * edge], nice=False)
    axis = _axis(title=x_title, tickCount=6, format="+,~r")
    base = alt.Chart(rows).encode(y=_rows_axis(rows))
    tips = [alt.Tooltip("label:N", title=" "), alt.Tooltip("shown:N", title=" ")]
    colour = alt.condition("datum.is_unclear", alt.value(MUTED), alt.value(SERIES[0]))
    zero = alt.Chart(pl.DataFrame({"value": [0.0]})).mark_rule(color=MUTED).encode(x=alt.X("value:Q", scale=scale))
    whisker = base.mark_rule(strokeWidth=2.5).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", color=colour
    )
    point = alt.X("value:Q", scale=scale, axis=axis)
    clear = base.transform_filter("!datum.is_unclear").mark_point(filled=True, size=80, opacity=1, color=SERIES[0])
    unclear = base.transform_filter("datum.is_unclear").mark_point(fill="#FFFFFF", size=70, opacity=1, stroke=MUTED)
    return alt.layer(
        zero, whisker, clear.encode(x=point, tooltip=tips), unclear.encode(x=point, tooltip=tips)
    ).properties(height=34 * max(rows.height, 3) + 40)


@kept
def event_study(rows: pl.DataFrame, x_title: str, y_title: str) -> Picture:
    """`event_month`, `effect`, `effect_low`, `effect_high`, `shown`: an effect and its interval by month from go-live.

    Months before are lighter; the month before go-live, which all others are compared with, is a ring at 0.
    """
    base = alt.Chart(rows)
    axis = _axis(title=x_title, grid=False, tickMinStep=1, format="+d")
    x = alt.X("event_month:Q", axis=axis, scale=alt.Scale(nice=False, zero=False, padding=16))
    y = alt.Y("effect:Q", axis=_axis(title=y_title, tickCount=6))
    tips = [alt.Tooltip("shown:N", title=" ")]
    colour = alt.condition("datum.event_month < 0", alt.value(MUTED), alt.value(SERIES[0]))
    zero = alt.Chart(pl.DataFrame({"effect": [0.0]})).mark_rule(color=MUTED).encode(y="effect:Q")
    start = alt.Chart(pl.DataFrame({"event_month": [-0.5]})).mark_rule(color=MUTED, strokeDash=[4, 3])
    whisker = base.transform_filter("isValid(datum.effect_low)").mark_rule(strokeWidth=2)
    known = base.transform_filter("isValid(datum.effect_low)").mark_point(filled=True, size=70, opacity=1)
    reference = base.transform_filter("!isValid(datum.effect_low)").mark_point(fill="#FFFFFF", size=70, opacity=1)
    return alt.layer(
        zero,
        start.encode(x="event_month:Q"),
        whisker.encode(x=x, y=alt.Y("effect_low:Q", axis=_axis(title=y_title)), y2="effect_high:Q", color=colour),
        known.encode(x=x, y=y, color=colour, tooltip=tips),
        reference.encode(x=x, y=y, stroke=alt.value(MUTED), tooltip=tips),
    ).properties(height=340)


NEUTRAL = "#C3CBD4"
"""For what is neither good nor bad: it stands beside the four colours and takes no meaning from them."""
MARKS = {
    "received": ("●", SERIES[0]),
    "late": ("◐", SERIES[3]),
    "partial": ("◪", "#FBC3A2"),
    "zero": ("○", SERIES[1]),
    "silent": ("✕", SERIES[2]),
    "not_due": ("…", NEUTRAL),
    "closed": ("–", NEUTRAL),
    "not_registered": ("–", NEUTRAL),
}
"""Of each state of a report its symbol and its colour; what is partial is late's orange, lighter."""


@kept
def stacked_states(
    rows: pl.DataFrame, states: Sequence[str], names: Sequence[str], x_title: str, y_title: str
) -> Picture:
    """`label`, `state`, `series` (its name), `n`, `order`, `shown`: bars of months, with the number in each part."""
    colours = [MARKS[state][1] for state in states]
    x = alt.X("label:O", sort=None, axis=_axis(title=x_title, labelAngle=0, labelOverlap="parity", grid=False))
    base = alt.Chart(rows).encode(
        x=x,
        y=alt.Y("n:Q", stack=True, axis=_axis(title=y_title, tickCount=5, tickMinStep=1, format=",d")),
        order=alt.Order("order:Q"),
    )
    legend = alt.Legend(orient="top", title=None, labelFontSize=LABEL_SIZE, labelColor=INK, labelLimit=220, columns=2)
    bar = base.mark_bar(stroke="#FFFFFF", strokeWidth=1).encode(
        color=alt.Color(
            "series:N", sort=list(names), scale=alt.Scale(domain=list(names), range=colours), legend=legend
        ),
        tooltip=[alt.Tooltip(f"{field}:N", title=" ") for field in ("label", "series", "shown")],
    )
    return alt.layer(bar).properties(height=320)


LEAST_CELL = 22
"""Pixels of a month's cell that hold `100`."""


@kept
def month_matrix(rows: pl.DataFrame, places: Sequence[str], is_share: bool) -> Picture:
    """`label` (month), `place`, `cell` (symbol or per cent), `state`, `value`, `shown`: one square a place and month.

    Shares are shaded from light to dark; states have the colours of `MARKS`. The cell's text says the same.
    """
    months = list(dict.fromkeys(rows["label"].to_list()))
    base = alt.Chart(rows).encode(
        x=alt.X(
            "label:O",
            sort=months,
            axis=_axis(title=None, orient="top", labelAngle=0, labelOverlap="parity", labelFlush=False),
        ),
        y=alt.Y("place:N", sort=list(places), axis=_axis(title=None, labelLimit=190, labelColor=INK)),
        tooltip=[alt.Tooltip(f"{field}:N", title=" ") for field in ("place", "label", "shown")],
    )
    colour = (
        alt.condition(
            "isValid(datum.value)",
            alt.Color("value:Q", legend=None, scale=alt.Scale(domain=[0, 100], range=list(SEQUENCE))),
            alt.value(EMPTY),
        )
        if is_share
        else alt.Color(
            "state:N",
            legend=None,
            scale=alt.Scale(domain=list(MARKS), range=[colour for _, colour in MARKS.values()]),
        )
    )
    light = (
        f"datum.value > {100 * DARK}"
        if is_share
        else "datum.state != 'late' && datum.state != 'partial' && "
        + " && ".join(f"datum.state != '{state}'" for state, (_, colour) in MARKS.items() if colour == NEUTRAL)
    )
    cell = base.mark_rect(stroke="#FFFFFF", strokeWidth=1).encode(color=colour)
    # Numbers that would run into each other are left to the table and the tooltip.
    room = alt.ExprRef(f"width < {LEAST_CELL * len(months)} ? 0 : 1") if is_share else 1
    text = base.mark_text(fontSize=11 if is_share else 13, opacity=room).encode(
        text="cell:N", color=alt.condition(light, alt.value("#FFFFFF"), alt.value(ON_LIGHT))
    )
    return alt.layer(cell, text).properties(height=26 * max(len(places), 2) + 30)


@kept
def score_chart(rows: pl.DataFrame, x_title: str, y_title: str) -> Picture:
    """`label`, `score`, `lower_limit`, `upper_limit`, `median_score`, `signal`, `shown`: a score within its limits.

    A band for the limits, a dashed line for the median of peers; a month out of its limits is a larger diamond.
    """
    months = rows["label"].to_list()
    x = alt.X("label:O", sort=months, axis=_axis(title=x_title, labelAngle=0, labelOverlap="parity", grid=False))
    drawn = [
        value for name in ("score", "lower_limit", "upper_limit", "median_score") for value in rows[name].drop_nulls()
    ]
    low, high = min(drawn, default=0.0), max(drawn, default=100.0)
    # A line that never moves has no height of its own.
    room = max((high - low) * 0.08, 0.05)
    axis = _axis(title=y_title, tickCount=4, format=".2~f")
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    base = alt.Chart(rows).encode(x=x)
    band = (
        base.transform_filter("isValid(datum.lower_limit)")
        .mark_area(opacity=0.35, color=SEQUENCE[1])
        .encode(y=alt.Y("lower_limit:Q", axis=axis, scale=scale), y2="upper_limit:Q")
    )
    peers = base.mark_line(color=MUTED, strokeDash=[4, 3], strokeWidth=1.5).encode(
        y=alt.Y("median_score:Q", axis=axis, scale=scale)
    )
    y = alt.Y("score:Q", axis=axis, scale=scale)
    line = base.mark_line(color=SERIES[0], strokeWidth=2).encode(y=y)
    is_out = "datum.signal === 'below' || datum.signal === 'above'"
    points = base.mark_point(filled=True, opacity=1).encode(
        y=y,
        size=alt.condition(is_out, alt.value(150), alt.value(45)),
        shape=alt.condition(is_out, alt.value("diamond"), alt.value("circle")),
        color=alt.condition(is_out, alt.value(SERIES[3]), alt.value(SERIES[0])),
        tooltip=[alt.Tooltip(f"{field}:N", title=" ") for field in ("label", "shown")],
    )
    return alt.layer(band, peers, line, points).properties(height=190)


@kept
def against_peers(rows: pl.DataFrame, furthest: float, x_title: str) -> Picture:
    """`label`, `value`, `low`, `high`, `shown`: multiples of the peers' median; the band is their middle half.

    What lies beyond `furthest` stands at the edge as a triangle: shape says that the place is not to scale.
    """
    rows = rows.with_columns(
        (pl.col("value") > furthest).fill_null(False).alias("is_beyond"),
        pl.col("value", "low", "high").clip(upper_bound=furthest),
    )
    scale = alt.Scale(domain=[0, 1.05 * furthest], nice=False)
    axis = _axis(title=x_title, tickCount=4)
    base = alt.Chart(rows).encode(y=_rows_axis(rows))
    tips = [alt.Tooltip(f"{field}:N", title=" ") for field in ("label", "shown")]
    band = base.mark_bar(color=SEQUENCE[1], height={"band": 0.5}).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"
    )
    median = alt.Chart(pl.DataFrame({"value": [1.0]})).mark_rule(color=MUTED, strokeDash=[4, 3])
    x = alt.X("value:Q", scale=scale, axis=axis)
    points = base.transform_filter("isValid(datum.value)").mark_point(filled=True, opacity=1, color=SERIES[0])
    shape = alt.condition("datum.is_beyond", alt.value("triangle-right"), alt.value("circle"))
    size = alt.condition("datum.is_beyond", alt.value(160), alt.value(90))
    return alt.layer(band, median.encode(x=x), points.encode(x=x, shape=shape, size=size, tooltip=tips)).properties(
        height=30 * max(rows.height, 3) + 40
    )
