"""Filters. Each lives in the URL, so that a copied address shows the same view."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboards.components.context import CHOSEN, Context, note_choice
from dashboards.components.values import period_code, period_text
from dashboards.queries import reads
from dashboards.queries.reads import Area, Period
from ruam.geography import province_names, province_names_en
from ruam.words import Language, Words

UNKNOWN_CODES = ("00", "99")
"""The unknown region and the unknown province."""


def choice(
    label: str,
    key: str,
    shown: Mapping[str, str],
    language: Language,
    *,
    style: Literal["select", "segments"] = "select",
    hide_label: bool = False,
) -> str:
    """One of several codes; the first is the default. `shown` gives each code's label in the language.

    The URL holds the code. Streamlit's own `bind="query-params"` writes the shown label: such an address would
    mean nothing in the other language, and the label would go stale when the language is switched.
    """
    default = next(iter(shown))
    chosen: dict[str, str] = st.session_state.setdefault(CHOSEN, {})
    asked = st.query_params.get(key) or chosen.get(key, default)
    # Kept as asked, also where this page has no such option: the next page may have it.
    chosen[key] = asked
    code = asked if asked in shown else default
    _write_url(key, code, default)

    # A widget for each language: a browser keeps the label of a widget, not its code.
    widget = f"{key}_{language}"
    st.session_state[widget] = code

    def changed() -> None:
        chosen[key] = st.session_state[widget]
        _write_url(key, chosen[key], default)

    common: dict[str, Any] = {
        "format_func": shown.__getitem__,
        "key": widget,
        "label_visibility": "collapsed" if hide_label else "visible",
        "on_change": changed,
    }
    if style == "segments":
        st.segmented_control(label, list(shown), required=True, **common)
    else:
        st.selectbox(label, list(shown), **common)
    note_choice(label, shown[code])
    return code


def _write_url(key: str, code: str, default: str) -> None:
    """Put the choice into the address; a default leaves no trace there."""
    if code != default:
        if st.query_params.get(key) != code:
            st.query_params[key] = code
    elif key in st.query_params:
        del st.query_params[key]


def area_label(words: Words, row: dict[str, object]) -> str:
    """Region codes and province codes overlap, and Bangkok is both: the label says which."""
    code = str(row["area_code"])
    if code in UNKNOWN_CODES:
        return words.name(row)
    if row["area_level"] == "nation":
        return words("area.nation")
    if row["area_level"] == "region":
        return region_label(words, code)
    return words("area.bangkok_province") if code == "10" else words("area.province", name=words.name(row))


def region_label(words: Words, code: str, *, short: bool = False) -> str:
    stem = "area.region_short" if short else "area.region"
    return words(f"{stem}_bangkok") if code == "13" else words(stem, number=int(code))


def place_label(words: Words, level: str, code: str) -> str:
    """A short name of any region or province, also of those whose figures the viewer may not see."""
    if level == "region":
        return region_label(words, code, short=True)
    names = province_names() if words.language == "th" else province_names_en()
    return names.get(code, code)


def choose_area(
    context: Context, *, provinces: bool, unknown: bool = True, key: str = "area", first_part: int | None = None
) -> tuple[Area, str]:
    """The area and its label. Codes in the URL: `TH`, `R04`, `P50`. The nation is the default.

    `unknown`: with the unknown region and province. `first_part`: the default is the known region or province of this
    place, where there is one.
    """
    rows = {
        _area_code(row): row
        for row in reads.areas(context.serving).iter_rows(named=True)
        if (provinces or row["area_level"] != "province") and (unknown or row["area_code"] not in UNKNOWN_CODES)
    }
    parts = [code for code, row in rows.items() if code != "TH" and row["area_code"] not in UNKNOWN_CODES]
    if first_part is not None and first_part < len(parts):
        rows = {parts[first_part]: rows[parts[first_part]]} | rows

    words = context.words
    shown = {code: area_label(words, row) for code, row in rows.items()}
    code = choice(words(f"filter.{key}"), key, shown, words.language)
    return Area.model_validate(rows[code]), shown[code]


def choose_district(context: Context, province: Area, name: str) -> tuple[Area, str]:
    """A district of the province, or the whole of it, with its label. In the URL: `district=5001`."""
    words = context.words
    rows = {
        str(row["area_code"]): row for row in reads.districts(context.serving, province.area_code).iter_rows(named=True)
    }
    shown = {"": words("area.whole_province")} | {
        code: words.name(row) if province.area_code == "10" else words("area.district", name=words.name(row))
        for code, row in rows.items()
    }
    code = choice(words("filter.district"), "district", shown, words.language)
    return (Area.model_validate(rows[code]), f"{shown[code]} {name}") if code else (province, name)


def choose_facility(
    context: Context, area: Area, name: str, *, whole: bool = True, first: Collection[str] = ()
) -> tuple[Area, str]:
    """A facility of the province or district, or (`whole`) the whole of it. In the URL: `facility=10713`.

    Those of `first` come before the others.
    """
    words = context.words
    rows = reads.facilities(context.serving, area).to_dicts()
    shown = {"": words("area.whole")} if whole else {}
    shown |= {
        str(row["area_code"]): f"{row['area_code']} {words.name(row)}"
        for row in sorted(rows, key=lambda row: row["area_code"] not in first)
    }
    code = choice(words("filter.facility"), "facility", shown, words.language)
    return (Area(area_level="facility", area_code=code), shown[code]) if code else (area, name)


def choose_area_or_district(context: Context, boxes: Sequence[DeltaGenerator]) -> tuple[Area, str]:
    """The area in the first box, and of a province, in the second, a district or the whole of it."""
    with boxes[0]:
        area, name = choose_area(context, provinces=True)
    with boxes[1]:
        return choose_district(context, area, name) if area.area_level == "province" else (area, name)


def _area_code(row: dict[str, object]) -> str:
    level, code = str(row["area_level"]), str(row["area_code"])
    return code if level == "nation" else level[0].upper() + code


def choose_period(context: Context, *, only: str | None = None, key: str = "period") -> Period:
    """Twelve months, fiscal years and months in one list, all in the Buddhist Era; or those of one type `only`."""
    periods = {
        period_code(period): period
        for period in reads.periods(context.serving)
        if only is None or period.period_type == only
    }

    words = context.words
    shown = {code: period_text(words, period) for code, period in periods.items()}
    return periods[choice(words(f"filter.{key}"), key, shown, words.language)]


def choose_of(
    words: Words,
    key: str,
    codes: tuple[str, ...],
    stem: str,
    *,
    style: Literal["select", "segments"] = "select",
    hide_label: bool = False,
) -> str:
    """One of a fixed list, whose labels are at `<stem>.<code>` in the words' file."""

    shown = {code: words(f"{stem}.{code}") for code in codes}
    return choice(words(f"filter.{key}"), key, shown, words.language, style=style, hide_label=hide_label)
