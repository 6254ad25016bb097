"""Ruam's pages: `python -m streamlit run dashboards/app.py` from the project's folder."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards.components.context import chosen_language
from dashboards.components.filters import choice
from dashboards.components.words import LANGUAGES, Words

ASSETS = Path(__file__).parent / "assets"
PAGES = {
    "overview": ":material/monitoring:",
    "utilization": ":material/stacked_line_chart:",
    "measures": ":material/fact_check:",
    "rollout": ":material/event_available:",
}


st.set_page_config(page_title="Ruam · รวม", page_icon=str(ASSETS / "icon.svg"), layout="wide")
st.html(ASSETS / "style.css")
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    brand = st.empty()
    names: dict[str, str] = {language: Words(language)("language") for language in LANGUAGES}
    # One label in both languages: whoever looks for the switch cannot read the other.
    choice("ภาษา / Language", "lang", names, LANGUAGES[0], style="segments", hide_label=True)
words = Words(chosen_language())
brand.markdown(words("brand"), width="content")

# Files, not functions: each page can then be opened, tested and guarded by itself. The first one has no path.
page = st.navigation(
    [
        st.Page(f"app_pages/{name}.py", title=words(f"{name}.menu"), icon=icon, default=name == "overview")
        for name, icon in PAGES.items()
    ],
    position="top",
)
page.run()
