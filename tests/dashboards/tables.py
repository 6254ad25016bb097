"""What the tables of a page hold that are no grid of Streamlit."""

from __future__ import annotations

from xml.etree import ElementTree

from streamlit.testing.v1 import AppTest


def named_tables(app: AppTest) -> list[list[dict[str, str]]]:
    """The rows of every table whose first column names them."""
    tables = []
    for element in app.get("html"):
        if element.proto.body.startswith('<div class="named-table"'):
            head, *body = ElementTree.fromstring(element.proto.body).iter("tr")  # noqa: S314 - of our own making
            headings = ["".join(cell.itertext()) for cell in head]
            tables.append(
                [dict(zip(headings, ("".join(cell.itertext()) for cell in row), strict=True)) for row in body]
            )
    return tables
