"""What every page needs: the words, the published file and its dates."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC

import streamlit as st

from dashboards.access.guard import admit, end_page, reads_from
from dashboards.components.values import date_text
from dashboards.queries import reads
from dashboards.queries.serving import Serving, ServingFileError, current_serving
from ruam.gates import gates, stopped
from ruam.settings import settings_in_force
from ruam.words import LANGUAGES, Language, Words

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Context:
    words: Words
    serving: Serving
    publication: reads.Publication


CHOSEN = "chosen"
"""Where the session keeps every choice, by filter: pages come and go, their widgets with them."""

SAID = "said"
"""Where the session keeps what the page's filters say in this run, by their label: downloads repeat it."""


ANNOTATED = "annotated"
"""Where the session keeps what this run read of annotations, by area: figures of one page share it."""


def note_choice(label: str, text: str) -> None:
    st.session_state.setdefault(SAID, {})[label] = text


def chosen_language() -> Language:
    """The choice of the switch that `app.py` draws above every page."""
    chosen = st.session_state.get(CHOSEN, {}).get("lang")
    return next((language for language in LANGUAGES if language == chosen), LANGUAGES[0])


def say_if_stopped(words: Words, publication: reads.Publication) -> None:
    """A line above the figures while newer data wait behind a gate: why, since when, and of when these are."""
    told = stopped(settings_in_force().data_home)
    if told is None:
        return
    names = [gate.th if words.language == "th" else gate.en for gate in gates().values()]
    reasons = [name for name, code in zip(names, gates(), strict=True) if code in {one.gate for one in told.stops}]
    since = told.at.replace(tzinfo=UTC).astimezone(reads.THAILAND).date()
    st.warning(
        words(
            "gate.stopped",
            since=date_text(words, since),
            published=date_text(words, publication.published_on),
            reasons=" · ".join(reasons),
        ),
        icon=":material/block:",
    )


def open_context(page: str) -> Context:
    """The context of a page, for who may open it; the page ends here with a plain word when nothing can be shown."""
    words = Words(chosen_language())
    st.session_state[SAID] = {}
    st.session_state[ANNOTATED] = {}
    identity = admit(words, page)
    try:
        serving = current_serving(settings_in_force().data_home.serving, identity.scope)
        publication = reads.publication(serving) if serving else None
        if serving and publication:
            reads_from(serving)
            say_if_stopped(words, publication)
            return Context(words, serving, publication)
        st.header(words("state.empty_title"))
        st.info(words("state.empty_text"), icon=":material/hourglass_empty:")
        end_page()
    except ServingFileError as error:
        # The message names paths: it goes to the log, never to the page.
        LOGGER.error("serving file cannot be opened: %s", error)
        st.header(words("state.damaged_title"))
        st.error(words("state.damaged_text"), icon=":material/error:")
        end_page()
