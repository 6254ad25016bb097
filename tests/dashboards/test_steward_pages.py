"""The stewards' pages: who sees which rows, what can be done about a finding, and which report is handed out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import dashboards
from ruam.audit import AuditLog
from ruam.followup import Followup
from ruam.home import DataHome
from ruam.reports import path_of
from ruam.settings import Settings
from tests.dashboards.people import signed_in
from tests.dashboards.serving_factory import write_serving
from tests.stewards_factory import WHEN, delivery, finding, write_stewards

APP = Path(dashboards.__file__).with_name("app.py")
ID = "d" * 64
FINDINGS = [
    finding(1, delivery_id=ID),
    finding(2, severity="low", rule_code="thai_with_labor", state="came_back", n_times_opened=2, last_opened_at=WHEN),
    finding(3, state="fixed", fixed_at=WHEN + timedelta(days=9)),
    finding(4, hospcode="90401", province_code="12", rule_code="sex_missing"),
    finding(5, kind="reading", rule_code="be_year", column_name="DATE_SERV", record=None, source_line=None, n_rows=7)
    | {"delivery_id": ID},
    finding(6, kind="drift", severity="medium", rule_code="right_mix_drifts", record="2025-01-01", n_rows=None)
    | {"source_line": None, "event_date": date(2025, 1, 1), "detail": "↑ uc 0.9 (0.2–0.4)"},
]
DELIVERIES = [
    delivery(ID, outcome="accepted_with_rejects", n_rejected=7),
    delivery("e" * 64, hospcode="90401", province_code="12"),
    delivery("f" * 64, outcome="rejected", reason="unreadable_zip", n_rows=0, n_landed=0),
]


@pytest.fixture(scope="module")
def stewards_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stewards")
    write_serving(home)
    write_stewards(home / "serving", FINDINGS, DELIVERIES)
    return home


@pytest.fixture
def home(stewards_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("RUAM_HOME", str(stewards_home))
    yield stewards_home
    Settings().data_home.followup.unlink(missing_ok=True)


def open_page(page: str, area: str = "TH", lang: str = "en", **query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = signed_in(Settings().home, ["steward"], [area], sub=f"steward of {area}")
    for key, value in {"lang": lang, **query}.items():
        app.query_params[key] = value
    app.switch_page(f"app_pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def column(app: AppTest, heading: str) -> list[Any]:
    return list(app.dataframe[0].value[heading])


def said(app: AppTest) -> str:
    kinds = ("title", "subheader", "markdown", "caption", "info", "error", "warning", "text", "success")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def test_the_worklist_has_the_gravest_first_and_counts_what_is_open(home: Path) -> None:
    app = open_page("findings", lang="th")
    assert column(app, "ระดับ") == ["สูง", "สูง", "สูง", "กลาง", "ต่ำ"]
    assert {metric.label: metric.value for metric in app.metric}["ยังไม่แก้ไข"] == "5"
    assert "ผู้ป่วยนอกไม่มีรหัสวินิจฉัย" in str(column(app, "ปัญหา"))


@pytest.mark.parametrize(
    ("query", "rules"),
    [
        ({"severity": "low"}, ["thai_with_labor"]),
        ({"state": "fixed"}, ["visit_without_diagnosis"]),
        ({"rule": "be_year"}, ["be_year"]),
        ({"facility": "90401"}, ["sex_missing"]),
        ({"area": "R04"}, ["sex_missing"]),
        ({"area": "P12", "severity": "low"}, []),
    ],
)
def test_filters_are_in_the_address(home: Path, query: dict[str, str], rules: list[str]) -> None:
    from quality.wording import wording

    app = open_page("findings", **query)
    found = column(app, "What is wrong") if app.dataframe else []
    assert found == [wording(rule).en for rule in rules]


def test_a_steward_of_a_part_sees_its_rows_alone(home: Path) -> None:
    app = open_page("findings", "P12")
    assert column(app, "Facility") == ["90401"]
    assert {metric.label: metric.value for metric in app.metric}["Open"] == "1"
    theirs = open_page("findings", "P12", finding=f"{1:032x}")
    assert "outside the area" in said(theirs)
    assert not theirs.text_input
    assert column(open_page("deliveries", "H90401"), "Facility") == ["90401"]


def test_what_a_steward_does_is_kept_and_recorded(home: Path) -> None:
    key = f"{1:032x}"
    app = open_page("findings", finding=key)
    box(app, "Who sees to it").set_value("งานเวชระเบียน")
    press(app, "Assign")
    assert column(app, "Who sees to it").count("งานเวชระเบียน") == 1
    assert "assigned to งานเวชระเบียน" in said(app)
    app = open_page("findings", finding=key)
    reason = [one for one in app.text_input if one.label.startswith("Reason")]
    reason[1].set_value("ถูกต้อง")
    press(app, "Accept as true")
    followup = Followup.of(Settings())
    assert followup.accepted() == {key}
    entries = AuditLog(DataHome(home)).newest(9, {"event": "followup"})
    assert [one["action"] for one in entries][:2] == ["accepted", "assigned"]
    assert entries[0]["roles"] == ["steward"]
    assert len(column(open_page("findings"), "State")) == 4, "what was found to be true is no work any more"
    assert column(open_page("findings", followup="accepted"), "State") == ["New"]


def test_a_month_that_drifts_says_what_left_which_limits(home: Path) -> None:
    app = open_page("findings", severity="medium", finding=f"{6:032x}")
    (month,) = column(app, "Key of the row")
    assert "2568" in month
    assert f"{month} · outside the limits of its own history: ↑ uc 0.9 (0.2–0.4)" in said(app)
    assert any(one.label == "Assign" for one in app.button), "it can be followed up as any other"


def test_words_that_are_missing_are_asked_for(home: Path) -> None:
    app = open_page("findings", finding=f"{1:032x}")
    press(app, "Accept as true")
    assert [one.value for one in app.error] == ["Please fill in the words."]
    assert Followup.of(Settings()).states() == {}


def box(app: AppTest, label: str) -> Any:
    return next(one for one in app.text_input if one.label == label)


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception


def test_deliveries_are_shown_with_what_became_of_them(home: Path) -> None:
    app = open_page("deliveries")
    assert sorted(column(app, "Outcome")) == ["Accepted", "Accepted, some rows rejected", "Rejected"]
    assert column(app, "Rows sent").count("–") == 1, "of a rejected delivery there are no rows to count"
    rejected = open_page("deliveries", outcome="rejected", delivery="f" * 12)
    assert "not a readable zip" in said(rejected)


def test_a_delivery_tells_what_is_wrong_and_hands_its_report_out(home: Path) -> None:
    app = open_page("deliveries", delivery=ID[:12])
    assert sorted(app.dataframe[1].value["Found by"]) == ["Comparing with other data", "Reading the file"]
    assert "has no report yet" in said(app)
    path = path_of(DataHome(home), "90101", ID, ".xlsx")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a report")
    try:
        app = open_page("deliveries", delivery=ID[:12])
        assert [one.proto.label for one in app.get("download_button")] == ["Download Excel"]
    finally:
        path.unlink()
        path.parent.rmdir()


@pytest.mark.parametrize("page", ["findings", "deliveries"])
def test_what_was_read_row_by_row_is_in_the_audit_log(home: Path, page: str) -> None:
    open_page(page, "P12", severity="high")
    (entry,) = AuditLog(DataHome(home)).newest(1)
    assert (entry["event"], entry["page"], entry["scope"]) == ("view", page, "P12")
    assert entry["rows"] > 0


@pytest.mark.parametrize("page", ["findings", "deliveries"])
def test_without_a_file_for_stewards_the_page_says_so(
    page: str, published_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    assert "Nothing has been published for data stewards" in said(open_page(page))


@pytest.mark.parametrize(
    ("hospcode", "delivery_id", "suffix"), [("../..", ID, ".xlsx"), ("90101", "../x", ".xlsx"), ("90101", ID, ".key")]
)
def test_no_report_leads_out_of_its_folder(hospcode: str, delivery_id: str, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no facility"):
        path_of(DataHome(tmp_path), hospcode, delivery_id, suffix)
