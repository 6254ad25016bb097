"""The way from a page on which a facility stands to the page of that facility."""

from __future__ import annotations

import streamlit as st

from dashboards.components.context import Context
from dashboards.queries import reads


def facility_link(context: Context, hospcode: str) -> None:
    """A link that works by keyboard; none for a facility of no district, which has no page."""
    found = reads.facilities(context.serving, reads.NATION)
    parents: dict[str, str | None] = dict(found.select("area_code", "parent_code").iter_rows())
    if (district := parents.get(hospcode)) is None:
        return
    query = {"area": f"P{district[:2]}", "facility": hospcode}
    label = context.words("facility.link", facility=hospcode)
    st.page_link("app_pages/facility.py", label=label, icon=":material/home_health:", query_params=query)
