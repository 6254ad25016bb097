"""Annotations on the pages: shown to all who see the figure, written by analysts, and to nobody beyond the area."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboards
from ruam.audit import AuditLog
from ruam.followup import By
from ruam.followup.annotations import About, Annotations
from ruam.home import DataHome
from ruam.settings import Settings
from tests.dashboards.people import signed_in

APP = Path(dashboards.__file__).with_name("app.py")
ABOUT = About("UT-01", "region", "04", "last_12_months", date(2024, 4, 1))
BY = By("s", "n", ("analyst",))
MARKUP = "**ตัวหนา** <script>alert(1)</script>"


@pytest.fixture
def home(published_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    yield published_home
    Settings().data_home.followup.unlink(missing_ok=True)


def opened(home: Path, role: str, scope: str, page: str | None = None, **query: str) -> AppTest:
    """A page, by default the first, as somebody of the scope sees it."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = signed_in(home, [role], [scope], sub=f"{role} of {scope}")
    for key, value in query.items():
        app.query_params[key] = value
    if page:
        app.switch_page(f"app_pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def marks(app: AppTest) -> list[str]:
    """Labels of what opens annotations."""
    labels = [str(block.proto.popover.label) for block in app.get("popover")]
    return [label for label in labels if label.startswith("หมายเหตุของนักวิเคราะห์")]


def notes(app: AppTest) -> list[str]:
    """What analysts said, each once, however many figures of the page show it."""
    return list(dict.fromkeys(str(element.value) for element in app.get("text")))


def test_an_analyst_writes_one_and_an_executive_reads_it(home: Path) -> None:
    app = opened(home, "analyst", "TH", area="R04")
    (form,) = (area for area in app.text_area if "หมายเหตุ" in area.label)
    form.set_value(MARKUP)
    next(button for button in app.button if button.label == "บันทึกหมายเหตุ").click().run()
    assert notes(app) == [MARKUP]
    assert AuditLog(DataHome(home)).newest(2)[-1]["event"] in {"annotation", "view"}
    reader = opened(home, "executive", "R04", area="R04")
    assert notes(reader) == [MARKUP], "as text, whatever it looks like"
    assert not any("<script>" in str(element.value) for element in reader.markdown)
    (told,) = (caption.value for caption in reader.caption if caption.value.startswith("หมายเหตุ ·"))
    assert "นักวิเคราะห์ข้อมูล" in told
    assert " 25" in told, "its day is of the Buddhist Era"
    assert not reader.text_area
    assert not [button for button in reader.button if button.label == "ถอนหมายเหตุ"]


def test_one_is_withdrawn_on_the_page_and_stays_in_the_database(home: Path) -> None:
    kept = Annotations.of(Settings())
    kept.write(ABOUT, BY, "ผิด")
    app = opened(home, "analyst", "R04", area="R04")
    next(button for button in app.button if button.label == "ถอนหมายเหตุ").click().run()
    assert notes(app) == []
    assert kept.standing("UT-01", "region", "04") == []
    assert [entry["change"] for entry in AuditLog(DataHome(home)).newest(9) if entry["event"] == "annotation"][:2] == [
        "withdrawn",
        "written",
    ]


def test_of_an_area_that_is_not_theirs_nobody_reads_one(home: Path) -> None:
    Annotations.of(Settings()).write(ABOUT, BY, "ของเขต 4")
    assert notes(opened(home, "analyst", "R05", area="R04")) == []
    assert notes(opened(home, "analyst", "TH", area="R04")) == ["ของเขต 4"]
    app = opened(home, "analyst", "TH", area="R05")
    told = [caption.value for caption in app.caption if "หมายเหตุ ·" in caption.value]
    assert [text.split(" · ")[0] for text in told] == ["เขตสุขภาพที่ 4"], "at its own tile alone, by its name"


@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("nation", {"area": "R04"}),
        ("utilization", {"area": "R04", "figure": "visits_per_head"}),
        ("compare", {"area": "R05", "area_b": "R04", "compared": "visits_per_head"}),
        ("explore", {"measure": "visits_per_head", "area": "R04"}),
        ("explore", {"measure": "visits_per_head", "view": "regions"}),
    ],
)
def test_wherever_a_figure_is_shown_what_was_said_about_it_is_one_click_away(
    home: Path, page: str, query: dict[str, str]
) -> None:
    app = opened(home, "analyst", "R04", page, **query)
    assert not marks(app)
    Annotations.of(Settings()).write(ABOUT, BY, MARKUP)
    Annotations.of(Settings()).write(replace(ABOUT, measure_id="UT-02"), BY, "ของอีกตัวชี้วัด")
    app.run()
    assert not app.exception
    assert MARKUP in notes(app)
    assert "หมายเหตุของนักวิเคราะห์ (1)" in marks(app)
    # Who may not see the area sees none of it, on the same page.
    assert MARKUP not in notes(opened(home, "analyst", "R05", page, **query))


def test_a_card_says_that_its_figure_has_one(home: Path) -> None:
    Annotations.of(Settings()).write(ABOUT, BY, "เตียงเพิ่ม")
    app = opened(home, "executive", "R04", area="R04")
    assert marks(app), "the card, beside the trend below which it stands in full"
    assert "เขตสุขภาพที่ 4 · หมายเหตุ ·" in " ".join(caption.value for caption in app.caption)


@pytest.mark.parametrize(
    ("page", "measure_id", "query"),
    [
        ("measures", "RED-01", {"area": "R04", "measure": "RED-02"}),
        ("compare", "UT-02", {"area": "R04", "area_b": "R05", "compared": "visits_per_head"}),
        ("flow", "UT-07", {"area": "R04"}),
    ],
)
def test_a_table_of_several_measures_or_areas_says_which_of_them_has_one(
    home: Path, page: str, measure_id: str, query: dict[str, str]
) -> None:
    app = opened(home, "executive" if page != "measures" else "analyst", "R04", page, **query)
    before = len(marks(app))
    Annotations.of(Settings()).write(replace(ABOUT, measure_id=measure_id), BY, "ดูแถวนี้")
    app.run()
    assert not app.exception
    assert len(marks(app)) > before
    assert "ดูแถวนี้" in notes(app)
    if measure_id != "UT-07":
        assert any(measure_id in one.value or "ผู้ป่วยใน" in one.value for one in app.caption if "หมายเหตุ ·" in one.value)
