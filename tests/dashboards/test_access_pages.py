"""SEC-2: every role on every page, and who is not to be there at all, as a session sees it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.runtime.scriptrunner_utils.exceptions import RerunException, StopException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest

import dashboards
from dashboards.access import guard
from dashboards.access.errors import shown_by_reference
from dashboards.access.pages import ENTRIES, FIRST, PAGES, Entry
from ruam.access import NATION, Role
from ruam.audit import AuditLog
from ruam.home import DataHome
from ruam.sessions import IDLE_SECONDS, WARNING_SECONDS, Sessions
from tests.dashboards.people import ISSUER, signed_in, user_of
from tests.dashboards.tables import named_tables

APP = Path(dashboards.__file__).with_name("app.py")
PAGE_FILES = sorted((APP.parent / "app_pages").glob("[a-z]*.py"))


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, published_home: Path) -> Path:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    return published_home


def open_as(user: dict[str, Any], entry: Entry, **query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = user
    for key, value in query.items():
        app.query_params[key] = value
    if entry is not FIRST:
        app.switch_page(f"app_pages/{entry.name}.py")
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    kinds = ("title", "header", "markdown", "error", "info", "caption", "metric", "dataframe")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def log_of(home: Path) -> AuditLog:
    return AuditLog(DataHome(home))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
@pytest.mark.parametrize("role", Role)
def test_a_page_is_shown_to_its_roles_and_to_nobody_else(home: Path, role: Role, entry: Entry) -> None:
    app = open_as(signed_in(home, [str(role)], sub=f"{role}-{entry.name}"), entry, lang="en")
    (last,) = log_of(home).newest(1)
    assert (last["page"], last["roles"][:1] or [str(role)]) == (entry.name, [str(role)])
    if role in entry.roles:
        assert [title.value for title in app.title]
        assert last["event"] == "view"
    else:
        assert not app.title
        assert not app.get("vega_lite_chart")
        assert not app.dataframe
        assert not named_tables(app)
        assert (last["event"], last["reason"]) == ("refused", "not_for_role")
        assert last["reference"] in shown(app)


@pytest.mark.parametrize("area", ["R04", "P50", "H10713"])
@pytest.mark.parametrize(
    "page",
    [
        *("overview", "nation", "utilization", "flow", "measures", "compare", "explore", "definitions", "rollout"),
        *("submissions", "scorecards", "rules"),
    ],
)
def test_a_page_holds_together_for_whoever_sees_a_part_of_the_nation(home: Path, page: str, area: str) -> None:
    app = open_as(signed_in(home, ["analyst"], [area]), PAGES[page], lang="en")
    assert [title.value for title in app.title]
    boxes = {box.label: box.options for box in app.selectbox}
    if "Area" in boxes:
        # These two go down to regions, the others to provinces.
        own = (
            {"R04": 2, "P50": 1, "H10713": 1} if page in {"overview", "nation"} else {"R04": 10, "P50": 2, "H10713": 1}
        )
        assert len(boxes["Area"]) == own[area]
    assert log_of(home).newest(1)[0]["scope"] == area


@pytest.mark.parametrize("area", ["R01", "P10"])
@pytest.mark.usefixtures("home")
def test_an_area_in_the_address_that_is_not_ones_own_shows_nothing_of_it(home: Path, area: str) -> None:
    """Two users, one after the other: neither the address nor a cache gives the second what the first was shown."""
    everything = open_as(signed_in(home, ["analyst"], ["TH"]), PAGES["utilization"], area=area, lang="en")
    part = open_as(signed_in(home, ["analyst"], ["R04"]), PAGES["utilization"], area=area, lang="en")
    nation = open_as(signed_in(home, ["analyst"], ["R04"]), PAGES["utilization"], lang="en")
    assert next(box.value for box in everything.selectbox if box.label == "Area") == area
    assert next(box.value for box in part.selectbox if box.label == "Area") == "TH"
    assert charts(part) == charts(nation)
    assert charts(part) != charts(everything)


def test_a_viewer_of_a_region_gets_its_flows_and_no_balance_of_others(home: Path) -> None:
    app = open_as(signed_in(home, ["analyst"], ["R04"]), PAGES["flow"], lang="en")
    (pairs,) = (frame.value for frame in app.dataframe if {"Home", "Treatment"} <= set(frame.value.columns))
    hidden = pairs[(pairs["Home"] != "Region 4") & (pairs["Treatment"] != "Region 4")]
    assert set(hidden["Visits"]) == {"Not your area"}
    assert "Not your area" not in set(pairs[pairs["Home"] == "Region 4"]["Visits"])
    (net,) = (frame.value for frame in app.dataframe if "Net" in frame.value.columns)
    assert net["Area"].tolist() == ["Region 4"]


def charts(app: AppTest) -> list[str]:
    """What the charts and tables hold."""
    return [
        *(chart.proto.alt for chart in app.get("vega_lite_chart")),
        *(frame.value.to_json() for frame in app.dataframe),
        *map(str, named_tables(app)),
    ]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("who", ["nobody", "anonymous", "without a session", "expired", "ended", "made up"])
def test_without_a_session_every_page_shows_how_to_sign_in_and_nothing_else(home: Path, page: str, who: str) -> None:
    claims = {"iss": ISSUER, "sub": "x", "roles": [str(role) for role in Role], "areas": ["TH"]}
    users: dict[str, dict[str, Any]] = {
        "nobody": {},
        "anonymous": {"is_logged_in": False},
        "without a session": claims | {"is_logged_in": True},
        "expired": user_of(home, claims, time.time() - 1),
        "ended": user_of(home, claims, time.time() + 60),
        "made up": claims | {"is_logged_in": True, "session": "0" * 64},
    }
    Sessions.of(DataHome(home)).end(users["ended"]["session"])
    app = open_as(users[who], PAGES[page], lang="en")
    assert [header.value for header in app.header] == ["You are not signed in"]
    assert not app.title
    assert not app.metric
    assert not app.dataframe
    assert not named_tables(app)


@pytest.mark.parametrize(
    ("roles", "areas", "reason"), [([], ["TH"], "no_role"), (["root"], ["TH"], "no_role"), (["analyst"], [], "no_area")]
)
@pytest.mark.parametrize("page", PAGES)
def test_who_has_no_role_or_area_is_refused_on_every_page(
    home: Path, page: str, roles: list[str], areas: list[str], reason: str
) -> None:
    app = open_as(signed_in(home, roles, areas), PAGES[page], lang="en")
    assert [header.value for header in app.header] == ["Not open to you (403)"]
    assert log_of(home).newest(1)[0]["reason"] == reason
    assert not app.title


def test_a_session_that_ends_while_a_page_is_open_ends_on_the_page_too(home: Path) -> None:
    user = signed_in(home)
    app = open_as(user, PAGES["overview"], lang="en")
    assert app.metric
    Sessions.of(DataHome(home)).end(user["session"])
    app.run()
    assert [header.value for header in app.header] == ["You are not signed in"]
    assert not app.metric


def test_an_idle_page_says_when_it_will_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = signed_in(home)
    sessions = Sessions.of(DataHome(home))
    # The page itself is use: what is looked at here is the moment at which the page looks at its session.
    monkeypatch.setattr(Sessions, "touch", lambda *_: None)
    assert "not been used" not in shown(open_as(user, PAGES["overview"], lang="en"))
    old = Sessions(sessions.folder, lambda: time.time() - WARNING_SECONDS - 1)
    monkeypatch.undo()
    monkeypatch.setenv("RUAM_HOME", str(home))
    old.touch(user["session"])
    monkeypatch.setattr(Sessions, "touch", lambda *_: None)
    app = open_as(user, PAGES["overview"], lang="en")
    ends_at = guard.clock_text(sessions.used_at(user["session"]) + IDLE_SECONDS)
    assert f"It ends at **{ends_at}**" in shown(app)


def test_a_view_is_recorded_with_its_filters_and_rows_once(home: Path) -> None:
    user = signed_in(home, ["analyst"], ["R04"], sub="recorded")
    app = open_as(user, PAGES["utilization"], area="R04", period="fy2567")
    before = len(log_of(home).newest(9, {"subject": user["subject"], "page": "utilization"}))
    app.run()
    views = log_of(home).newest(9, {"subject": user["subject"], "page": "utilization"})
    assert len(views) == before == 1
    (view,) = views
    assert view["filters"] == {"area": "R04", "period": "fy2567"}
    assert view["rows"] > 0
    assert (view["scope"], view["roles"]) == ("R04", ["analyst"])
    app.query_params["area"] = "P12"
    app.run()
    assert log_of(home).newest(1)[0]["filters"]["area"] == "P12"
    text = log_of(home).path.read_text(encoding="utf-8")
    assert "recorded" not in text
    assert log_of(home).problems() == []


@pytest.mark.parametrize("interruption", [StopException(), RerunException(RerunData())], ids=["gone", "next click"])
def test_a_view_is_recorded_though_its_run_is_interrupted_at_the_last_step(
    home: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    """Every touch of the session's state may interrupt a run for the next click, or because the browser has gone."""
    asked: list[None] = []
    read = guard._filters

    def filters() -> dict[str, str]:
        asked.append(None)
        if len(asked) == 2:  # The first is when the page begins.
            raise interruption
        return read()

    monkeypatch.setattr(guard, "_filters", filters)
    user = signed_in(home, ["analyst"], sub=f"interrupted by {type(interruption).__name__}")
    session = Sessions.of(DataHome(home)).get(user["session"])
    assert session is not None
    open_as(user, PAGES["measures"], lang="en")
    entry = log_of(home).newest(9, {"subject": session.subject})[-1]
    assert (entry["event"], entry["page"], entry["filters"]) == ("view", "measures", {"lang": "en"})
    assert entry["rows"] > 0


def test_what_cannot_be_recorded_ends_the_session(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = signed_in(home)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AuditLog, "write", full)
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = user
    app.run()
    assert app.exception
    assert Sessions.of(DataHome(home)).get(user["session"]) is None


def test_the_officer_sees_the_log_and_whether_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUAM_HOME", str(tmp_path))
    log = log_of(tmp_path)
    for number in range(3):
        log.write("view", f"subject {number}", ("analyst",), page="overview", filters={"area": "R04"}, rows=1234)
    user = signed_in(tmp_path, ["data_protection_officer"])
    app = open_as(user, PAGES["audit"], lang="en", event="view")
    (table,) = (frame.value for frame in app.dataframe)
    assert table["Subject"].tolist()[-3:] == ["subject 2", "subject 1", "subject 0"]
    assert table["Filters"].tolist()[-1] == "area=R04"
    assert table["Rows"].tolist()[-1] == "1,234"
    app.text_input[0].set_value("subject 1").run()
    assert app.dataframe[0].value["Subject"].tolist() == ["subject 1"]

    press(app, "Verify the whole log")
    assert [element.value for element in app.success] == ["Every line is as it was written."]
    lines = log.path.read_text(encoding="utf-8").splitlines(keepends=True)
    log.path.write_text("".join([lines[0].replace("1234", "12"), *lines[1:]]), encoding="utf-8")
    press(app, "Verify the whole log")
    assert not app.success
    assert "line 1 was changed" in shown(app)
    checks = [entry["n_problems"] for entry in log.newest(9, {"event": "verified"})]
    assert checks == [1, 0]


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception


def test_an_officer_of_a_part_does_not_see_the_log_of_the_whole(home: Path) -> None:
    app = open_as(signed_in(home, ["data_protection_officer"], ["R04"]), PAGES["audit"], lang="en")
    assert not app.dataframe
    assert not named_tables(app)
    assert log_of(home).newest(1)[0]["reason"] == "not_for_area"


def test_the_menu_says_who_as_what_and_where_and_leads_out(home: Path) -> None:
    user = signed_in(home, ["analyst", "steward"], ["R04"])
    app = open_as(user, PAGES["overview"], lang="en")
    text = shown(app)
    assert "Analyst · Data steward" in text
    assert "Area: Health region 04" in text
    assert user["subject"] in text
    assert any(button.label == "Sign out" for button in app.button)


def test_an_error_of_ours_is_a_number_on_the_page_and_a_place_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def script() -> None:
        from dashboards.access.errors import shown_by_reference

        try:
            raise ValueError("a value of a record, 1100702145676")
        except ValueError as error:
            shown_by_reference(error)

    app = AppTest.from_function(script).run()
    (message,) = (element.value for element in app.error)
    reference = re.search(r"[0-9a-f]{8}", message)
    assert reference
    (record,) = (one for one in caplog.records if one.name == "dashboards.access.errors")
    assert record.__dict__["reference"] == reference[0]
    assert "1100702145676" not in message + json.dumps(record.__dict__, default=str)
    assert shown_by_reference.__doc__


@pytest.mark.parametrize("path", PAGE_FILES, ids=lambda path: path.stem)
def test_every_page_file_is_registered_and_guards_itself(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.stem in PAGES
    assert re.search(rf'(open_(context|desk)\("{path.stem}"\)|admit\(words, "{path.stem}"\))', text)


def test_every_registered_page_has_a_file_and_a_role() -> None:
    assert {path.stem for path in PAGE_FILES} == PAGES.keys()
    assert all(entry.roles for entry in ENTRIES)
    assert NATION.codes == ("TH",)
