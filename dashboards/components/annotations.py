"""What analysts say about a figure: shown to all who see the figure, written by analysts alone.

Below a trend they stand in full, where they are written (`analysts_notes`); wherever else the figure is shown its line
of notes says that there are some, and opens them (`marked`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

import streamlit as st

from dashboards.access.guard import present
from dashboards.components.context import ANNOTATED, Context
from dashboards.components.values import date_text, period_text
from dashboards.queries import reads
from dashboards.queries.reads import Area, Period
from ruam.errors import SetupError, UsageError
from ruam.followup import By
from ruam.followup.annotations import MOST_CHARACTERS, WRITERS, About, Annotation, Annotations
from ruam.settings import settings_in_force

LOGGER = logging.getLogger(__name__)
N_SHOWN = 5
"""The newest; those before them open with a click."""
THAI_TIME = timedelta(hours=7)


def marked(context: Context, measures: Mapping[str, str], places: Mapping[str, Area]) -> None:
    """How many stand about measures in areas, each by the name it has on the page, and their words with one click.

    A name is empty where the page leaves no doubt.
    """
    words = context.words
    said = _read(context, places.values())
    found = [(name, one) for name, area in places.items() for one in said[area] if one.about.measure_id in measures]
    if not found:
        return
    periods = _periods(context)
    with st.popover(words("annotation.mark", n=len(found)), icon=":material/chat:", type="tertiary"):
        for name, one in found:
            told = (measures[one.about.measure_id], name, _heading(context, one, periods))
            st.caption(" · ".join(part for part in told if part))
            # As text: what somebody wrote must never become markup.
            st.text(one.note)


def _read(context: Context, areas: Iterable[Area]) -> dict[Area, list[Annotation]]:
    """All that stand in areas, none of one that the viewer may not see; read once in a run of the page."""
    read: dict[Area, list[Annotation]] = st.session_state[ANNOTATED]
    new = [area for area in dict.fromkeys(areas) if area not in read]
    read |= {area: [] for area in new}
    if seen := reads.seen(context.serving, new):
        try:
            kept = Annotations.of(settings_in_force())
        except SetupError as error:
            # The figure stands without them; the message goes to the log, for it may name a machine.
            LOGGER.error("annotations cannot be read: %s", error)
            st.caption(context.words("annotation.unreadable"))
            return read
        for one in kept.standing_in([(area.area_level, area.area_code) for area in seen]):
            read[Area(area_level=one.about.area_level, area_code=one.about.area_code)].append(one)
    return read


def _periods(context: Context) -> dict[tuple[str, date], Period]:
    return {(one.period_type, one.period_start): one for one in reads.periods(context.serving)}


def _heading(context: Context, one: Annotation, periods: Mapping[tuple[str, date], Period]) -> str:
    words = context.words
    period = periods.get((one.about.period_type, one.about.period_start))
    return words(
        "annotation.said",
        period=period_text(words, period) if period else words("annotation.old_period"),
        role=words(f"role.{one.by_role}"),
        day=date_text(words, (one.at + THAI_TIME).date()),
    )


def analysts_notes(context: Context, measure_id: str, area: Area, period: Period) -> None:
    """Those of a measure in an area, each with its period; who may write adds one on the period that is looked at."""
    words = context.words
    if not reads.sees(context.serving, area):
        return
    try:
        kept = Annotations.of(settings_in_force())
    except SetupError as error:
        # The figure stands without them; the message goes to the log, for it may name a machine.
        LOGGER.error("annotations cannot be read: %s", error)
        st.caption(words("annotation.unreadable"))
        return
    may_write = _writer() is not None
    found = kept.standing(measure_id, area.area_level, area.area_code)
    periods = _periods(context)
    for one in found[:N_SHOWN]:
        _shown(context, kept, one, periods, may_write)
    if len(found) > N_SHOWN:
        with st.expander(words("annotation.earlier", n=len(found) - N_SHOWN)):
            for one in found[N_SHOWN:]:
                _shown(context, kept, one, periods, may_write)
    if may_write:
        _form(context, kept, About(measure_id, **area.model_dump(), period_type=period.period_type,
                                   period_start=period.period_start), period)  # fmt: skip


def _writer() -> By | None:
    """Who may write, if it is the one who looks at the page: asked again when something is sent."""
    identity = present()
    if identity is None or WRITERS.isdisjoint(identity.roles):
        return None
    return By(identity.subject, identity.name, tuple(str(role) for role in identity.roles))


def _shown(
    context: Context, kept: Annotations, one: Annotation, periods: dict[tuple[str, date], Period], may_write: bool
) -> None:
    words = context.words
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap=None):
            st.caption(_heading(context, one, periods))
            # As text: what somebody wrote must never become markup.
            st.text(one.note)
        if may_write and st.button(words("annotation.withdraw"), key=f"withdraw_{one.annotation_key}", type="tertiary"):
            if (by := _writer()) is not None:
                kept.withdraw(one, by)
            st.rerun()


def _form(context: Context, kept: Annotations, about: About, period: Period) -> None:
    words = context.words
    key = f"annotate_{about.measure_id}"
    with (
        st.popover(words("annotation.add"), icon=":material/add_comment:", type="tertiary"),
        st.form(key, border=False, clear_on_submit=True),
    ):
        st.caption(words("annotation.of_period", period=period_text(words, period)))
        note = st.text_area(words("annotation.text"), max_chars=MOST_CHARACTERS)
        if st.form_submit_button(words("annotation.save"), type="primary") and (by := _writer()) is not None:
            try:
                kept.write(about, by, note)
            except UsageError:
                st.error(words("act.words_missing"))
                return
            st.rerun()
