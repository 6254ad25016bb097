"""Ruam's pages, as `ruam serve` runs them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboards.access import guard
from dashboards.access.pages import ENTRIES, FIRST
from dashboards.components.context import chosen_language
from dashboards.components.filters import choice
from ruam.words import LANGUAGES, Words

ASSETS = Path(__file__).parent / "assets"
MORE_PAGES = '[data-testid="stTopNavSection"] p'


st.set_page_config(page_title="Ruam · รวม", page_icon=str(ASSETS / "icon.svg"), layout="wide")
st.html(ASSETS / "style.css")
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    brand = st.empty()
    with st.container(horizontal=True, width="content", vertical_alignment="center"):
        names: dict[str, str] = {language: Words(language)("language") for language in LANGUAGES}
        # One label in both languages: whoever looks for the switch cannot read the other.
        choice("ภาษา / Language", "lang", names, LANGUAGES[0], style="segments", hide_label=True)
        words = Words(chosen_language())
        guard.menu(words)
brand.markdown(words("brand"), width="content")
# The one word of Streamlit's menu that its pages have no say in.
st.html(f"<style>{MORE_PAGES}::after {{ content: '{words('more_pages')}'; }}</style>")

identity = guard.present()
# Files, not functions: each page can then be opened, tested and guarded by itself. The first one has no path. All are
# registered for everybody: the address of a page that is not for someone then says so, and is not lost.
page = st.navigation(
    [
        st.Page(
            f"app_pages/{entry.name}.py",
            title=words(f"{entry.name}.menu"),
            icon=entry.icon,
            default=entry is FIRST,
            visibility="visible" if identity and entry.is_open_to(identity) else "hidden",
        )
        for entry in ENTRIES
    ],
    position="top",
)
if identity:
    guard.watch(words)
try:
    page.run()
finally:
    guard.record()
