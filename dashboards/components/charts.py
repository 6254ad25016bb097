"""Charts. Each takes a frame with texts already made, so that Vega formats no date and no number of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec

import polars as pl

from dashboards.components.vega import (
    Options,
    Picture,
    chart,
    condition,
    constant,
    expression,
    field,
    layer,
)
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
LONGEST_OF_THREE = 13
"""Characters of a range of values of which three stand beside each other on a phone."""
LONGEST_LEVEL_NAME = 9
"""Characters of a name that still has room above a column of a matrix."""


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


def _axis(**options: Any) -> Options:
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
    return common | options


def _legend(names: Sequence[str], symbol: str | None = None) -> Options | None:
    """One for colour, shape and dash alike, so that they are drawn as one."""
    if len(names) < 2:
        return None
    common: dict[str, Any] = {"symbolType": symbol, "symbolSize": 500} if symbol else {"symbolSize": 90}
    # As many beside each other as fit a phone.
    columns = 1 if max(map(len, names)) > LONGEST_LINE else 2
    return dict(
        orient="top", title=None, labelFontSize=LABEL_SIZE, labelColor=INK, labelLimit=320, columns=columns, **common
    )


def _colour(names: Sequence[str], symbol: str | None = None) -> Options:
    scale = {"domain": list(names), "range": list(SERIES[: len(names)])}
    return field("series:N", sort=list(names), scale=scale, legend=_legend(names, symbol))


def _shape(names: Sequence[str]) -> Options:
    # Shape beside colour: lines stay apart in a black-and-white print.
    scale = {"domain": list(names), "range": ["circle", "square", "triangle-up", "diamond"][: len(names)]}
    return field("series:N", sort=list(names), scale=scale, legend=_legend(names))


@kept
def sparkline(rows: pl.DataFrame) -> Picture:
    """`label`, `value`, `shown`, in order of time; months without a value stay gaps."""
    x = field("label:O", sort=None, axis=None)
    y = field("value:Q", axis=None, scale={"zero": False, "padding": 6})
    tips = [field("label:N", title=" "), field("shown:N", title=" ")]
    base = chart(rows)
    line = base.mark("line", color=SERIES[0], strokeWidth=2).encode(x=x, y=y)
    points = base.mark("point", color=SERIES[0], filled=True, size=18, opacity=1).encode(x=x, y=y, tooltip=tips)
    return layer(line, points, height=56)


@kept
def control_chart(rows: pl.DataFrame, limits: tuple[float, float, float] | None, is_signal: bool) -> Picture:
    """`label`, `value`, `shown` in order of time, with the band of `limits` (mean, low, high) of the months before.

    The newest month is a diamond where it is a signal, and a ring where it is not: shape beside colour.
    """
    values = [*(value for value in rows["value"].to_list() if value is not None), *(limits or ())]
    edges = [min(values, default=0), max(values, default=1)]
    room = (edges[1] - edges[0]) * 0.12 or abs(edges[1]) * 0.1 or 1
    scale = {"domain": [edges[0] - room, edges[1] + room], "nice": False, "zero": False}
    x = field("label:O", sort=None, axis=None)
    y = field("value:Q", axis=None, scale=scale)
    tips = [field("label:N", title=" "), field("shown:N", title=" ")]
    base = chart(rows)
    line = base.mark("line", color=SERIES[0], strokeWidth=2).encode(x=x, y=y)
    points = base.mark("point", color=SERIES[0], filled=True, size=18, opacity=1).encode(x=x, y=y, tooltip=tips)
    newest = chart(rows.tail(1)).encode(x=x, y=y, tooltip=tips)
    last = (
        newest.mark("point", shape="diamond", color=SERIES[3], filled=True, size=150, opacity=1)
        if is_signal
        else newest.mark("point", color=SERIES[0], fill="#FFFFFF", size=70, opacity=1)
    )
    layers = [line, points, last]
    if limits:
        mean, low, high = limits
        band = pl.DataFrame({"mean": [mean], "low": [low], "high": [high]})
        ends = chart(band)
        layers = [
            ends.mark("rect", color=EMPTY).encode(y=field("low:Q", axis=None, scale=scale), y2="high:Q"),
            ends.mark("rule", color=MUTED, strokeDash=[4, 3]).encode(y=field("mean:Q", axis=None, scale=scale)),
            *layers,
        ]
    return layer(*layers, height=110)


@kept
def step_sparkline(rows: pl.DataFrame) -> Picture:
    """`day`, `n`, `shown`: a count that only grows."""
    base = chart(rows).encode(
        x=field("day:T", axis=None, scale={"type": "utc"}),
        y=field("n:Q", axis=None, scale={"domainMin": 0, "padding": 6}),
    )
    line = base.mark("line", color=SERIES[0], strokeWidth=2, interpolate="step-after")
    points = base.mark("point", color=SERIES[0], filled=True, size=18, opacity=1).encode(
        tooltip=[field("shown:N", title=" ")]
    )
    return layer(line, points, height=56)


@kept
def trend(rows: pl.DataFrame, names: Sequence[str], x_title: str, y_title: str, height: int = 320) -> Picture:
    """`label`, `series`, `value`, `shown`; at most four series."""
    x = field("label:O", sort=None, axis=_axis(title=x_title, labelAngle=0, labelOverlap="parity", grid=False))
    y = field("value:Q", axis=_axis(title=y_title, tickCount=5), scale={"zero": True, "nice": True})
    tips = [field(f"{name}:N", title=" ") for name in ("series", "label", "shown")]
    base = chart(rows)
    line = base.mark("line", strokeWidth=2.5).encode(x=x, y=y, color=_colour(names))
    points = base.mark("point", filled=True, size=50, opacity=1).encode(
        x=x, y=y, color=_colour(names), shape=_shape(names), tooltip=tips
    )
    return layer(line, points, height=height)


@kept
def bars(rows: pl.DataFrame) -> Picture:
    """`label`, `value`, `shown`; the printed text stands at the bar's end, also where there is no bar."""
    base = chart(rows.with_columns(pl.col("value").fill_null(0).alias("length"))).encode(y=_rows_axis(rows))
    highest = max((value for value in rows["value"].to_list() if value is not None), default=1) or 1
    # Room to the right of the longest bar for its number.
    x = field("length:Q", axis=None, scale={"domain": [0, highest * 1.6], "nice": False})
    bar = base.mark("bar", color=SERIES[0], height={"band": 0.62}).encode(x=x)
    text = base.mark("text", align="left", dx=6, fontSize=LABEL_SIZE + 1, color=INK).encode(x=x, text="shown:N")
    return layer(bar, text, height=38 * max(rows.height, 2))


def _rows_axis(rows: pl.DataFrame) -> Options:
    # Thai has no spaces between words: a name breaks before a bracket or the word `and`, wherever one comes first.
    broken = r"split(replace(datum.label, /\s*( \(| – |\u0e41\u0e25\u0e30| and )/, '\n$1'), '\n')"
    axis = _axis(
        title=None, grid=False, ticks=False, domain=False, labelColor=INK, labelPadding=6, labelLineHeight=16,
        labelExpr=f"length(datum.label) > {LONGEST_LINE} ? {broken} : datum.label",
    )  # fmt: skip
    return field("label:N", sort=rows["label"].to_list(), axis=axis)


@kept
def net_bars(rows: pl.DataFrame) -> Picture:
    """`label`, `value` (may be negative), `shown`."""
    edge = max((abs(value) for value in rows["value"].to_list() if value is not None), default=1) or 1
    base = chart(rows.with_columns(pl.col("value").fill_null(0).alias("length"))).encode(
        y=_rows_axis(rows),
        x=field("length:Q", axis=None, scale={"domain": [-1.4 * edge, 1.4 * edge], "nice": False}),
    )
    colour = condition("datum.length < 0", constant(SERIES[3]), constant(SERIES[0]))
    bar = base.mark("bar", height={"band": 0.62}).encode(color=colour)
    gain = (
        base.transform(filter="datum.length >= 0")
        .mark("text", align="left", dx=6, fontSize=LABEL_SIZE, color=INK)
        .encode(text="shown:N")
    )
    loss = (
        base.transform(filter="datum.length < 0")
        .mark("text", align="right", dx=-6, fontSize=LABEL_SIZE, color=INK)
        .encode(text="shown:N")
    )
    return layer(bar, gain, loss, height=28 * rows.height)


@kept
def tile_grid(rows: pl.DataFrame) -> Picture:
    """`tile_row`, `tile_column`, `label`, `value`, `shown`, `coverage`, `is_comparable`: one tile a region.

    Every number is printed. A tile that cannot be compared (no value, or too few facilities reported) is dashed
    and takes no part in the colours.
    """
    known = rows.filter(pl.col("is_comparable"))["value"].to_list()
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    middle = low + (high - low) * DARK
    band = {"paddingInner": 0.06, "paddingOuter": 0}
    base = chart(rows).encode(
        x=field("tile_column:O", axis=None, scale=band),
        y=field("tile_row:O", axis=None, scale=band),
        tooltip=[field(f"{name}:N", title=" ") for name in ("label", "shown", "coverage")],
    )
    domain = [low, high if high > low else low + 1]
    colour = field("value:Q", legend=None, scale={"domain": domain, "range": list(SEQUENCE)})
    full = base.transform(filter="datum.is_comparable").mark("rect", cornerRadius=6).encode(color=colour)
    gap = base.transform(filter="!datum.is_comparable").mark(
        "rect", cornerRadius=6, fill=EMPTY, stroke=MUTED, strokeDash=[4, 3]
    )
    ink = condition(f"datum.is_comparable && datum.value > {middle}", constant("#FFFFFF"), constant(ON_LIGHT))
    name = base.mark("text", dy=-19, fontSize=12).encode(text="label:N", color=ink)
    # Words such as "no data" are longer than numbers and must still fit the tile.
    size = condition("isValid(datum.value)", constant(18), constant(12))
    number = base.mark("text", dy=2, fontWeight=600).encode(text="shown:N", color=ink, size=size)
    coverage = base.mark("text", dy=21, fontSize=10.5).encode(text="coverage:N", color=ink)
    return layer(full, gap, name, number, coverage, height=72 * max(rows["tile_row"].n_unique(), 1))


SHAPES: Options = {"url": "app/static/provinces.json", "format": {"type": "json", "property": "features"}}
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
    colour = field(
        "group:N",
        sort=list(groups),
        scale={"domain": list(groups), "range": steps},
        legend={
            "orient": "top", "title": None, "symbolType": "square", "symbolSize": 160,
            "labelFontSize": LABEL_SIZE, "labelColor": INK, "labelLimit": 160,
            "columns": 3 if max(map(len, groups)) <= LONGEST_OF_THREE else 2,
        } if groups else None,
    )  # fmt: skip
    tips = [field("label:N", title=" "), field("shown:N", title=" ")]
    base = chart(SHAPES)
    known = {"data": rows, "key": "province_code", "fields": ["label", "shown", "group"]}
    shapes = base.transform(lookup="properties.province_code", **{"from": known})
    coloured = shapes.mark("geoshape", stroke="#FFFFFF", strokeWidth=0.6).encode(
        color=condition(f"indexof({names}, datum.group) >= 0", colour, constant(EMPTY)), tooltip=tips
    )
    layers = [coloured]
    # A layer without a shape would be a picture without words to those who listen.
    if chosen in province_names():
        own = base.transform(filter=f"datum.properties.province_code === '{chosen}'")
        layers.append(own.mark("geoshape", fillOpacity=0, stroke=SERIES[3], strokeWidth=2.5))
    return layer(*layers, height=height, projection={"type": "identity"})


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
    base = chart(rows).encode(
        x=field(
            "treatment:N",
            sort=names,
            axis=_axis(title=x_title, orient="top", labelAngle=angle, grid=False, labelFlush=False),
        ),
        y=field("home:N", sort=names, axis=_axis(title=y_title, grid=False, labelOverlap=False)),
        tooltip=[
            field("home:N", title=y_title),
            field("treatment:N", title=x_title),
            field("shown:N", title=" "),
        ],
    )
    cell = base.mark("rect", stroke="#FFFFFF", strokeWidth=1).encode(
        color=condition(
            "isValid(datum.value)",
            field(
                "value:Q",
                legend=None,
                scale={"type": "symlog", "constant": CONSTANT, "domain": [0, high], "range": list(SEQUENCE)},
            ),
            constant(EMPTY),
        )
    )
    # On a phone the cells are narrower than their numbers; colour, tooltip and table remain.
    text = base.mark("text", fontSize=11, opacity=expression("width < 520 ? 0 : 1")).encode(
        text="cell:N",
        color=condition(f"datum.value > {middle}", constant("#FFFFFF"), constant(ON_LIGHT)),
    )
    return layer(cell, text, height=32 * len(names) + 40 + room)


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
    base = chart(rows).encode(
        x=field("column:N", sort=list(column_names), axis=across),
        y=field("row:N", sort=list(row_names), axis=_axis(title=None, grid=False, labelColor=INK, labelOverlap=False)),
        tooltip=[field(f"{name}:N", title=" ") for name in ("row", "column", "shown")],
    )
    scale = {"domain": [low, high if high > low else low + 1], "range": list(SEQUENCE)}
    cell = base.mark("rect", stroke="#FFFFFF", strokeWidth=1).encode(
        color=condition("isValid(datum.value)", field("value:Q", legend=None, scale=scale), constant(EMPTY))
    )
    ink = condition(f"datum.value > {low + (high - low) * DARK}", constant("#FFFFFF"), constant(ON_LIGHT))
    text = base.mark("text", fontSize=11, opacity=expression("width < 300 ? 0 : 1")).encode(text="shown:N", color=ink)
    return layer(cell, text, height=34 * max(len(row_names), 2) + 40 + room)


def _date_axis(months: Sequence[str], **options: Any) -> Options:
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
    y = field("n:Q", axis=_axis(title=y_title, tickCount=5), scale={"domain": [0, total], "nice": True})
    dash = field(
        "series:N",
        sort=list(names),
        scale={"domain": list(names), "range": [[1, 0], [6, 4]]},
        legend=_legend(names, "stroke"),
    )
    axis = _date_axis(months, title=x_title, grid=False, tickCount={"interval": "month", "step": 2})
    x = field("day:T", scale={"type": "utc", "padding": 10}, axis=axis)
    line = chart(pl.concat([rows, last.select(rows.columns)])).mark("line", interpolate="step-after", strokeWidth=2.5)
    points = chart(rows).mark("point", filled=True, size=60, opacity=1)
    return layer(
        line.encode(x=x, y=y, color=_colour(names, "stroke"), strokeDash=dash),
        points.encode(
            x=x,
            y=y,
            color=_colour(names, "stroke"),
            tooltip=[field("series:N", title=" "), field("shown:N", title=" ")],
        ),
        height=400,
    )


@kept
def timeline(
    rows: pl.DataFrame, order: Sequence[str], names: Sequence[str], months: Sequence[str], x_title: str
) -> Picture:
    """`place`, `series` (phase), `planned`, `actual`, `n`, `shown`: ring = plan, disc = actual, line = variance."""
    axis = _date_axis(months, title=x_title, grid=False, tickCount={"interval": "month", "step": 2})
    scale = {"type": "utc", "padding": 18}
    planned = field("planned:T", scale=scale, axis=axis)
    actual = field("actual:T", scale=scale, axis=axis)
    base = chart(rows).encode(y=field("place:N", sort=list(order), axis=_axis(title=None, grid=True, labelColor=INK)))
    tips = [field("shown:N", title=" ")]
    known = base.transform(filter="isValid(datum.planned)")
    rule = known.mark("rule", strokeWidth=2).encode(x=planned, x2="actual:T", color=_colour(names))
    ring = known.mark("point", filled=False, fill="#FFFFFF", size=110, strokeWidth=2, opacity=1).encode(
        x=planned, color=_colour(names), tooltip=tips
    )
    disc = base.mark("point", filled=True, size=130, opacity=1).encode(x=actual, color=_colour(names), tooltip=tips)
    number = base.mark("text", dy=-13, fontSize=11, color=INK).encode(x=actual, text="n:N")
    return layer(rule, ring, disc, number, height=37 * max(len(order), 3) + 90)


@kept
def differences(rows: pl.DataFrame, x_title: str) -> Picture:
    """`label`, `value`, `low`, `high`, `shown`: differences with their intervals, and the line of no difference.

    One whose interval holds 0 is a ring, and lighter: shape beside colour.
    """
    rows = rows.with_columns(((pl.col("low") <= 0) & (pl.col("high") >= 0)).alias("is_unclear"))
    edge = max((abs(value) for name in ("low", "high") for value in rows[name].to_list()), default=1) or 1
    scale = {"domain": [-1.1 * edge, 1.1 * edge], "nice": False}
    axis = _axis(title=x_title, tickCount=6, format="+,~r")
    base = chart(rows).encode(y=_rows_axis(rows))
    tips = [field("label:N", title=" "), field("shown:N", title=" ")]
    colour = condition("datum.is_unclear", constant(MUTED), constant(SERIES[0]))
    zero = chart(pl.DataFrame({"value": [0.0]})).mark("rule", color=MUTED).encode(x=field("value:Q", scale=scale))
    whisker = base.mark("rule", strokeWidth=2.5).encode(
        x=field("low:Q", scale=scale, axis=axis), x2="high:Q", color=colour
    )
    point = field("value:Q", scale=scale, axis=axis)
    clear = base.transform(filter="!datum.is_unclear").mark("point", filled=True, size=80, opacity=1, color=SERIES[0])
    unclear = base.transform(filter="datum.is_unclear").mark("point", fill="#FFFFFF", size=70, opacity=1, stroke=MUTED)
    return layer(
        zero,
        whisker,
        clear.encode(x=point, tooltip=tips),
        unclear.encode(x=point, tooltip=tips),
        height=34 * max(rows.height, 3) + 40,
    )


@kept
def event_study(rows: pl.DataFrame, x_title: str, y_title: str) -> Picture:
    """`event_month`, `effect`, `effect_low`, `effect_high`, `shown`: an effect and its interval by month from go-live.

    Months before are lighter; the month before go-live, which all others are compared with, is a ring at 0.
    """
    base = chart(rows)
    axis = _axis(title=x_title, grid=False, tickMinStep=1, format="+d")
    x = field("event_month:Q", axis=axis, scale={"nice": False, "zero": False, "padding": 16})
    y = field("effect:Q", axis=_axis(title=y_title, tickCount=6))
    tips = [field("shown:N", title=" ")]
    colour = condition("datum.event_month < 0", constant(MUTED), constant(SERIES[0]))
    zero = chart(pl.DataFrame({"effect": [0.0]})).mark("rule", color=MUTED).encode(y="effect:Q")
    start = chart(pl.DataFrame({"event_month": [-0.5]})).mark("rule", color=MUTED, strokeDash=[4, 3])
    whisker = base.transform(filter="isValid(datum.effect_low)").mark("rule", strokeWidth=2)
    known = base.transform(filter="isValid(datum.effect_low)").mark("point", filled=True, size=70, opacity=1)
    reference = base.transform(filter="!isValid(datum.effect_low)").mark("point", fill="#FFFFFF", size=70, opacity=1)
    return layer(
        zero,
        start.encode(x="event_month:Q"),
        whisker.encode(x=x, y=field("effect_low:Q", axis=_axis(title=y_title)), y2="effect_high:Q", color=colour),
        known.encode(x=x, y=y, color=colour, tooltip=tips),
        reference.encode(x=x, y=y, stroke=constant(MUTED), tooltip=tips),
        height=340,
    )


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
    x = field("label:O", sort=None, axis=_axis(title=x_title, labelAngle=0, labelOverlap="parity", grid=False))
    base = chart(rows).encode(
        x=x,
        y=field("n:Q", stack=True, axis=_axis(title=y_title, tickCount=5, tickMinStep=1, format=",d")),
        order=field("order:Q"),
    )
    legend = {
        "orient": "top",
        "title": None,
        "labelFontSize": LABEL_SIZE,
        "labelColor": INK,
        "labelLimit": 220,
        "columns": 2,
    }
    bar = base.mark("bar", stroke="#FFFFFF", strokeWidth=1).encode(
        color=field("series:N", sort=list(names), scale={"domain": list(names), "range": colours}, legend=legend),
        tooltip=[field(f"{name}:N", title=" ") for name in ("label", "series", "shown")],
    )
    return layer(bar, height=320)


LEAST_CELL = 22
"""Pixels of a month's cell that hold `100`."""


@kept
def month_matrix(rows: pl.DataFrame, places: Sequence[str], is_share: bool) -> Picture:
    """`label` (month), `place`, `cell` (symbol or per cent), `state`, `value`, `shown`: one square a place and month.

    Shares are shaded from light to dark; states have the colours of `MARKS`. The cell's text says the same.
    """
    months = list(dict.fromkeys(rows["label"].to_list()))
    base = chart(rows).encode(
        x=field(
            "label:O",
            sort=months,
            axis=_axis(title=None, orient="top", labelAngle=0, labelOverlap="parity", labelFlush=False),
        ),
        y=field("place:N", sort=list(places), axis=_axis(title=None, labelLimit=190, labelColor=INK)),
        tooltip=[field(f"{name}:N", title=" ") for name in ("place", "label", "shown")],
    )
    colour = (
        condition(
            "isValid(datum.value)",
            field("value:Q", legend=None, scale={"domain": [0, 100], "range": list(SEQUENCE)}),
            constant(EMPTY),
        )
        if is_share
        else field(
            "state:N",
            legend=None,
            scale={"domain": list(MARKS), "range": [colour for _, colour in MARKS.values()]},
        )
    )
    light = (
        f"datum.value > {100 * DARK}"
        if is_share
        else "datum.state != 'late' && datum.state != 'partial' && "
        + " && ".join(f"datum.state != '{state}'" for state, (_, colour) in MARKS.items() if colour == NEUTRAL)
    )
    cell = base.mark("rect", stroke="#FFFFFF", strokeWidth=1).encode(color=colour)
    # Numbers that would run into each other are left to the table and the tooltip.
    room = expression(f"width < {LEAST_CELL * len(months)} ? 0 : 1") if is_share else 1
    text = base.mark("text", fontSize=11 if is_share else 13, opacity=room).encode(
        text="cell:N", color=condition(light, constant("#FFFFFF"), constant(ON_LIGHT))
    )
    return layer(cell, text, height=26 * max(len(places), 2) + 30)


@kept
def score_chart(rows: pl.DataFrame, x_title: str, y_title: str) -> Picture:
    """`label`, `score`, `lower_limit`, `upper_limit`, `median_score`, `signal`, `shown`: a score within its limits.

    A band for the limits, a dashed line for the median of peers; a month out of its limits is a larger diamond.
    """
    months = rows["label"].to_list()
    x = field("label:O", sort=months, axis=_axis(title=x_title, labelAngle=0, labelOverlap="parity", grid=False))
    drawn = [
        value for name in ("score", "lower_limit", "upper_limit", "median_score") for value in rows[name].drop_nulls()
    ]
    low, high = min(drawn, default=0.0), max(drawn, default=100.0)
    # A line that never moves has no height of its own.
    room = max((high - low) * 0.08, 0.05)
    axis = _axis(title=y_title, tickCount=4, format=".2~f")
    scale = {"domain": [low - room, high + room], "nice": False}
    base = chart(rows).encode(x=x)
    band = (
        base.transform(filter="isValid(datum.lower_limit)")
        .mark("area", opacity=0.35, color=SEQUENCE[1])
        .encode(y=field("lower_limit:Q", axis=axis, scale=scale), y2="upper_limit:Q")
    )
    peers = base.mark("line", color=MUTED, strokeDash=[4, 3], strokeWidth=1.5).encode(
        y=field("median_score:Q", axis=axis, scale=scale)
    )
    y = field("score:Q", axis=axis, scale=scale)
    line = base.mark("line", color=SERIES[0], strokeWidth=2).encode(y=y)
    is_out = "datum.signal === 'below' || datum.signal === 'above'"
    points = base.mark("point", filled=True, opacity=1).encode(
        y=y,
        size=condition(is_out, constant(150), constant(45)),
        shape=condition(is_out, constant("diamond"), constant("circle")),
        color=condition(is_out, constant(SERIES[3]), constant(SERIES[0])),
        tooltip=[field(f"{name}:N", title=" ") for name in ("label", "shown")],
    )
    return layer(band, peers, line, points, height=190)


@kept
def against_peers(rows: pl.DataFrame, furthest: float, x_title: str) -> Picture:
    """`label`, `value`, `low`, `high`, `shown`: multiples of the peers' median; the band is their middle half.

    What lies beyond `furthest` stands at the edge as a triangle: shape says that the place is not to scale.
    """
    rows = rows.with_columns(
        (pl.col("value") > furthest).fill_null(False).alias("is_beyond"),
        pl.col("value", "low", "high").clip(upper_bound=furthest),
    )
    scale = {"domain": [0, 1.05 * furthest], "nice": False}
    axis = _axis(title=x_title, tickCount=4)
    base = chart(rows).encode(y=_rows_axis(rows))
    tips = [field(f"{name}:N", title=" ") for name in ("label", "shown")]
    band = base.mark("bar", color=SEQUENCE[1], height={"band": 0.5}).encode(
        x=field("low:Q", scale=scale, axis=axis), x2="high:Q"
    )
    median = chart(pl.DataFrame({"value": [1.0]})).mark("rule", color=MUTED, strokeDash=[4, 3])
    x = field("value:Q", scale=scale, axis=axis)
    points = base.transform(filter="isValid(datum.value)").mark("point", filled=True, opacity=1, color=SERIES[0])
    shape = condition("datum.is_beyond", constant("triangle-right"), constant("circle"))
    size = condition("datum.is_beyond", constant(160), constant(90))
    return layer(
        band,
        median.encode(x=x),
        points.encode(x=x, shape=shape, size=size, tooltip=tips),
        height=30 * max(rows.height, 3) + 40,
    )
