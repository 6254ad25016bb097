"""An error of ours as people see it: a reference number. The log says where it was, neither holds its words."""

from __future__ import annotations

import logging
from secrets import token_hex

import streamlit as st

from dashboards.components.context import chosen_language
from ruam.errors import failed_at
from ruam.words import Words

LOGGER = logging.getLogger(__name__)


def shown_by_reference(error: Exception) -> bool:
    """For `st.App(on_script_error=…)`: says to Streamlit that nothing else is to be shown."""
    reference = token_hex(4)
    # Its words may hold a value of a record, its traceback a path: neither is logged.
    LOGGER.error("a page failed", extra={"reference": reference, "at_line": failed_at(error)})
    st.error(Words(chosen_language())("error.page", reference=reference), icon=":material/error:")
    return True
