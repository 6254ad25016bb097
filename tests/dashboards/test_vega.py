"""Charts as plain specifications: right by the schema that Altair ships, and the same bytes for the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pyarrow as pa
import pytest
import streamlit as st

import dashboards
from dashboards.components import charts
from dashboards.components.vega import chart, condition, constant, field, layer
from tests.dashboards.test_pages import PAGES, open_page

ROWS = pl.DataFrame({"label": ["a", "b"], "value": [1.0, None], "shown": ["1", "–"]})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every specification that pages hand to Streamlit."""
    found: list[dict[str, Any]] = []
    show = st.vega_lite_chart

    def shown(*args: Any, **given: Any) -> Any:
        found.append(given["spec"])
        return show(*args, **given)

    monkeypatch.setattr(st, "vega_lite_chart", shown)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_chart_is_right_by_the_schema(
    monkeypatch: pytest.MonkeyPatch, published_home: Path, drawn: list[dict[str, Any]], page: str
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    for area in ("TH", "R01", "P50"):
        open_page(page, area=area)
    for spec in drawn:
        told = {name: value for name, value in spec.items() if name != "datasets"}
        alt.LayerChart.from_dict(told).to_dict()
        assert all(pa.ipc.open_stream(rows).read_all().num_columns for rows in spec["datasets"].values())


def test_a_table_is_sent_once_and_is_named_by_its_content() -> None:
    base = chart(ROWS).encode(x=field("label:O", sort=None), y="value:Q")
    told = layer(base.mark("line"), base.mark("point", size=18), height=56).spec
    (name,) = told["datasets"]
    assert [one["data"] for one in told["layer"]] == [{"name": name}] * 2
    assert pa.ipc.open_stream(told["datasets"][name]).read_all().to_pylist() == ROWS.to_dicts()
    again = layer(chart(ROWS.clone()).mark("line"), height=56).spec
    assert set(again["datasets"]) == {name}
    assert set(layer(chart(ROWS.head(1)).mark("line"), height=56).spec["datasets"]) != {name}


def test_fields_and_conditions_are_said_as_vega_lite_reads_them() -> None:
    one = chart(ROWS).mark("bar").encode(x="value:Q", x2="high:Q", tooltip=[field("shown:N", title=" ")])
    assert one.drawing == {
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "value", "type": "quantitative"},
            "x2": {"field": "high"},
            "tooltip": [{"field": "shown", "type": "nominal", "title": " "}],
        },
    }
    assert condition("datum.a > 1", constant("red"), constant("blue")) == {
        "condition": {"test": "datum.a > 1", "value": "red"},
        "value": "blue",
    }
    with pytest.raises(KeyError):
        field("value")


def test_a_picture_that_was_shown_stays_as_it_was() -> None:
    picture = charts.sparkline(ROWS)
    before = repr(picture.spec)
    st.vega_lite_chart(spec=picture.spec, alt="a line")
    assert repr(picture.spec) == before


def test_no_module_of_the_pages_imports_altair() -> None:
    for path in Path(dashboards.__file__).parent.rglob("*.py"):
        assert "import altair" not in path.read_text(encoding="utf-8"), path.name
