"""Each page as a session sees it: both languages, with and without data, by its URL."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

import dashboards
from dashboards.components.rollout_effects import ASSUMPTIONS
from dashboards.components.values import figure_value, month_text
from dashboards.queries import figures, reads
from dashboards.queries.serving import current_serving
from quality.catalogue import codes
from ruam.access import NATION
from ruam.gates import Stop, gates, lift, record
from ruam.settings import Settings
from ruam.words import LANGUAGES, Language, Words
from tests.dashboards.people import signed_in
from tests.dashboards.serving_factory import write_serving
from tests.dashboards.tables import named_tables

APP = Path(dashboards.__file__).with_name("app.py")
TITLES = {
    "th": {
        "overview": "ภาพรวมการรับบริการ",
        "nation": "ประเทศในหน้าเดียว",
        "utilization": "การใช้บริการ",
        "flow": "การไปรับบริการข้ามเขต",
        "measures": "ความซ้ำซ้อน ความจำเป็น และความสมเหตุสมผล",
        "compare": "เปรียบเทียบ",
        "continuity": "ความต่อเนื่องของการรักษา",
        "facility": "ข้อมูลรายหน่วยบริการ",
        "explore": "สำรวจตัวชี้วัด",
        "definitions": "นิยามตัวชี้วัด",
        "rollout": "ความก้าวหน้า 30 บาทรักษาทุกที่",
        "weaknesses": "ข้อจำกัดของข้อมูล",
        "linkage": "คุณภาพการเชื่อมโยงบุคคล",
        "submissions": "การส่งข้อมูล",
        "scorecards": "คะแนนคุณภาพข้อมูล",
        "rules": "กฎตรวจสอบข้อมูล",
    },
    "en": {
        "overview": "Overview of care",
        "nation": "The nation on one page",
        "utilization": "Utilization of care",
        "flow": "Patient flow",
        "measures": "Redundancy, necessity and appropriateness",
        "compare": "Compare",
        "continuity": "Continuity of care",
        "facility": "Facility profile",
        "explore": "Explore the figures",
        "definitions": "Definitions of the measures",
        "rollout": "Rollout of treatment anywhere",
        "weaknesses": "Limits of the data",
        "linkage": "Linkage quality",
        "submissions": "Submissions",
        "scorecards": "Data quality scorecards",
        "rules": "Rules of data quality",
    },
}
PAGES = tuple(TITLES["en"])
N_CHARTS = {
    "overview": 8,
    "nation": 9,
    "utilization": 2,
    "flow": 7,
    "measures": 2,
    "compare": 2,
    "continuity": 3,
    "facility": 2,
    "explore": 1,
    "definitions": 0,
    "rollout": 4,
    "weaknesses": 2,
    "linkage": 2,
    "submissions": 2,
    "scorecards": 4,
    "rules": 1,
}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, published_home: Path) -> Path:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    return published_home


def open_page(page: str, **query: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.user = signed_in(Settings().home)
    for key, value in query.items():
        app.query_params[key] = value
    if page != "overview":
        app.switch_page(f"app_pages/{page}.py")
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    kinds = ("title", "header", "markdown", "caption", "info", "error")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


@pytest.mark.parametrize("language", ["th", "en"])
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("home")
def test_every_figure_says_what_it_is_as_of_when_and_how_complete(page: str, language: str) -> None:
    app = open_page(page, lang=language)
    assert [title.value for title in app.title] == [TITLES[language][page]]
    charts = app.get("vega_lite_chart")
    assert len(charts) == N_CHARTS[page]
    as_of = "ข้อมูลถึง 31 มี.ค. 2568 · เผยแพร่ 10 เม.ย. 2568" if language == "th" else "Data to 31 Mar BE 2568"
    notes = [caption.value for caption in app.caption if as_of in caption.value]
    assert len(notes) >= len(charts)
    reports = ((291, 300), (77, 77), (3, 15), (30, 31), (12, 12))
    completeness = [f"{came} {'จาก' if language == 'th' else 'of'} {due}" for came, due in reports]
    assert [note for note in notes if not any(part in note for part in completeness)] == []
    definition = "**ตัวตั้ง:** ตัวตั้งของ" if language == "th" else "**Numerator:** Numerator of"
    assert sum(definition in element.value for element in app.markdown) == len(notes)
    assert all(chart.proto.alt for chart in charts)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["th", "en"])
def test_before_the_first_publication_pages_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, language: str
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(tmp_path))
    app = open_page(page, lang=language)
    assert ("ยังไม่มีข้อมูลเผยแพร่" if language == "th" else "Nothing has been published yet") in texts(app)
    assert not app.get("vega_lite_chart")


@pytest.mark.parametrize("page", PAGES)
def test_a_publication_without_any_visit_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    with duckdb.connect(str(write_serving(tmp_path))) as connection:
        connection.execute("update publication set data_from = null, data_to = null")
    monkeypatch.setenv("RUAM_HOME", str(tmp_path))
    app = open_page(page)
    assert not app.exception
    assert "ยังไม่มีข้อมูลเผยแพร่" in texts(app)


def test_a_damaged_publication_is_told_without_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "current.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv("RUAM_HOME", str(tmp_path))
    app = open_page("overview")
    assert "เปิดข้อมูลที่เผยแพร่ไม่ได้" in texts(app)
    assert str(tmp_path) not in texts(app)


@pytest.mark.usefixtures("home")
def test_the_url_chooses_language_area_period_and_figure() -> None:
    app = open_page("overview", lang="en", area="R04", period="fy2567", figure="same_day_repeat")
    assert [box.value for box in app.selectbox] == ["R04", "fy2567"]
    assert "Same-day repeat share by health region" in [header.value for header in app.subheader]
    assert any("Health Region 4" in element.value for element in app.markdown)


@pytest.mark.usefixtures("home")
def test_nonsense_in_the_url_falls_back_to_the_defaults() -> None:
    app = open_page("overview", lang="xx", area="R99", period="tomorrow")
    assert [box.value for box in app.selectbox] == ["TH", "12m"]
    assert app.title[0].value == TITLES["th"]["overview"]


@pytest.mark.usefixtures("home")
def test_a_choice_goes_into_the_url_and_to_the_next_page() -> None:
    app = open_page("overview")
    app.selectbox[0].set_value("R13").run()
    assert app.query_params["area"] == "R13"
    app.switch_page("app_pages/utilization.py").run()
    assert next(box.value for box in app.selectbox if box.label == "พื้นที่") == "R13"
    assert app.query_params["area"] == "R13"


@pytest.mark.usefixtures("home")
def test_switching_the_language_keeps_the_choices() -> None:
    app = open_page("utilization", area="P50", period="2024-06")
    app.get("button_group")[0].set_value("en").run()
    assert app.title[0].value == TITLES["en"]["utilization"]
    assert next(box.value for box in app.selectbox if box.label == "Area") == "P50"
    assert next(box.value for box in app.selectbox if box.label == "Period") == "2024-06"


@pytest.mark.usefixtures("home")
def test_what_was_not_sent_is_missing_and_never_zero() -> None:
    app = open_page("overview", area="R13", period="2024-04")
    shown = metrics(app)
    assert shown["ครั้งรับบริการต่อคน"] == "ไม่มีข้อมูล"
    assert shown["สัดส่วนข้ามจังหวัด"] == "ไม่มีข้อมูล"
    assert shown["ความครบถ้วนของการส่งข้อมูล"] == "0.0%"


@pytest.mark.usefixtures("home")
def test_small_numbers_stay_small_in_tables() -> None:
    app = open_page("utilization", area="R13", period="2024-07", figure="visits", dimension="right_group")
    tables = [frame.value for frame in app.dataframe]
    cells = {str(cell) for table in tables for column in table.columns for cell in table[column]}
    assert "<10" in cells
    assert not cells & {str(number) for number in range(1, 10)}


@pytest.mark.usefixtures("home")
def test_rollout_counts_provinces_of_a_region_and_phase() -> None:
    app = open_page("rollout", region="04", phase="3")
    shown = metrics(app)
    assert shown["จังหวัดที่เริ่มแล้ว"] == "7 จาก 7"
    assert shown["เริ่มตามแผนหรือก่อน"] == "7 จาก 7"
    table = next(frame.value for frame in app.dataframe if "จังหวัด" in frame.value.columns)
    assert len(table) == 7
    assert set(table["วันเริ่มจริง"]) == {"1 พ.ค. 2567"}


@pytest.mark.usefixtures("home")
def test_bangkok_shows_its_three_dates() -> None:
    app = open_page("rollout", region="13")
    table = next(frame.value for frame in app.dataframe if "วันเปิดบางส่วน" in frame.value.columns)
    row = table.iloc[0]
    assert (row["วันตามแผน"], row["วันเปิดบางส่วน"], row["วันเริ่มจริง"]) == (
        "26 ส.ค. 2567",
        "15 พ.ค. 2567",
        "27 ก.ย. 2567",
    )
    assert row["ต่างจากแผน (วัน, + คือช้ากว่า)"] == "+32"


@pytest.mark.usefixtures("home")
def test_a_filter_that_matches_no_province_says_so() -> None:
    assert "ไม่มีจังหวัดที่ตรงกับตัวกรอง" in texts(open_page("rollout", region="13", phase="1"))


@pytest.mark.usefixtures("home")
def test_a_measure_stands_with_its_interval_and_what_linkage_may_change() -> None:
    app = open_page("measures", lang="en", group="necessity")
    ((row,),) = named_tables(app)
    assert row["Measure"] == "NEC-01 Unplanned readmission"
    assert row["95% interval (Wilson)"] == "12.35–13.65%"
    low, high = (float(text.removesuffix("%")) for text in row["By linkage threshold"].split("–"))
    assert low == float(row["Value"].removesuffix("%"))
    assert high == pytest.approx(1.1 * low, abs=0.01)
    assert any(
        f"By linkage threshold {row['By linkage threshold']}".lower() in text.lower()
        for text in texts(app).split(" · ")
    )


@pytest.mark.usefixtures("home")
def test_a_measure_that_was_not_measured_has_no_figure_and_no_band() -> None:
    app = open_page("measures", lang="en", group="appropriateness")
    ((row,),) = named_tables(app)
    assert (row["Value"], row["95% interval (Wilson)"], row["By linkage threshold"]) == ("No data", "–", "–")
    assert (row["Numerator"], row["People flagged"], row["Mean"]) == ("No data", "No data", "–")


@pytest.mark.usefixtures("home")
def test_each_group_of_measures_is_one_choice_and_one_measure_of_it_another() -> None:
    app = open_page("measures", lang="en", group="redundancy", measure="RED-09")
    assert metrics(app).keys() == {"RED-09 Continuity of care"}
    (table,) = named_tables(app)
    assert [row["Mean"] for row in table] == ["–", "–", "0.62"]


@pytest.mark.usefixtures("home")
def test_a_measure_is_cut_by_one_dimension_or_says_that_it_is_not_published_so() -> None:
    app = open_page("measures", lang="en", group="necessity", cut="sex")
    (table,) = (frame.value for frame in app.dataframe if "Group" in frame.value.columns)
    assert table["Group"].tolist() == ["Male", "Female"]
    assert app.info.len == 0
    app = open_page("measures", lang="en", group="necessity", cut="hour")
    assert "not published by Hour of the day" in app.info[0].value


@pytest.mark.usefixtures("home")
def test_a_table_of_measures_says_what_its_counts_rest_on() -> None:
    app = open_page("measures", lang="en", group="necessity")
    ((row,),) = named_tables(app)
    assert row["Inputs"] == "Partial (93%)"
    app = open_page("measures", lang="en", group="appropriateness")
    ((row,),) = named_tables(app)
    assert row["Inputs"] == "Not counted here"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("page", ["overview", "nation"])
def test_a_card_of_repeats_shows_what_linkage_may_change(page: str) -> None:
    app = open_page(page, lang="en")
    bands = [element.value for element in app.markdown if element.value.startswith("by linkage threshold ")]
    (band,) = bands
    assert band.split()[-1].startswith(metrics(app)["Same-day repeat share"].removesuffix("%"))


@pytest.mark.usefixtures("home")
def test_a_compared_or_explored_figure_shows_what_linkage_may_change() -> None:
    compared = texts(open_page("compare", lang="en", area="R04", area_b="R05", compare="redundancy"))
    assert "A · Health Region 4: by linkage threshold " in compared
    assert "B · Health Region 5: by linkage threshold " in compared
    assert "by linkage threshold " in texts(open_page("explore", lang="en", measure="RED-01"))
    assert "by linkage threshold " not in texts(open_page("explore", lang="en", measure="RED-01", set="sex"))


def test_every_figure_of_utilization_has_a_name_a_unit_a_definition_and_a_value(home: Path) -> None:
    serving = current_serving(home / "serving", NATION)
    assert serving is not None
    period = reads.periods(serving)[0]
    for language in LANGUAGES:
        words = Words(language)
        names = {words(f"figure.{figure.code}") for figure in figures.UTILIZATION}
        assert len(names) == len(figures.UTILIZATION)
        assert all(words(f"unit.{figure.unit}") for figure in figures.UTILIZATION)
    for figure in figures.UTILIZATION:
        assert reads.definition(serving, figure.measure_id)
        (counts,) = reads.figure_of(serving, figure, reads.NATION, period).iter_rows(named=True)
        assert figure_value(Words("en"), figure, counts).number, figure.code


@pytest.mark.usefixtures("home")
def test_figures_of_the_population_stand_by_region_and_others_by_group() -> None:
    by_people = open_page("utilization", lang="en", figure="episode_rate")
    assert "Admissions per 1,000 (transfers merged) by health region" in [one.value for one in by_people.subheader]
    assert ways(by_people) == ["health region", "age band"]
    assert ways(open_page("utilization", lang="en", figure="occupancy")) == ["facility type", "affiliation"]


def ways(app: AppTest) -> list[str]:
    """What a figure may be broken down by."""
    (box,) = (box for box in app.selectbox if box.label == "Broken down by")
    return list(box.options)


@pytest.mark.usefixtures("home")
def test_use_is_broken_down_by_age_disease_and_hours_with_what_is_unknown_beside() -> None:
    app = open_page("utilization", lang="en", figure="visits", dimension="condition_group")
    assert ways(app) == [
        *("facility type", "affiliation", "right group", "age band", "disease group", "class of visit", "office hours"),
    ]  # fmt: skip
    assert "Visits by disease group" in [one.value for one in app.subheader]
    assert "Group of the principal diagnosis; unknown without a code" in texts(app)
    assert [row["Group"] for row in table_of(app, "Group")] == ["Diabetes", "Other conditions", "Unknown group"]
    hours = open_page("utilization", figure="visits", dimension="office_hours")
    assert "INTIME" in texts(hours)
    assert [row["กลุ่ม"] for row in table_of(hours, "กลุ่ม")] == ["ในเวลาราชการ", "นอกเวลาราชการ"]
    # A stay has no hours: what is asked for gives way to the first that there is.
    assert "Admissions by facility type" in [
        one.value
        for one in open_page("utilization", lang="en", figure="admissions", dimension="office_hours").subheader
    ]


@pytest.mark.usefixtures("home")
def test_visits_per_head_of_an_age_are_over_those_of_that_age() -> None:
    app = open_page("utilization", lang="en", figure="visits_per_head", dimension="age_band")
    rows = table_of(app, "Group")
    people = [int(row["Denominator"].replace(",", "")) for row in rows]
    assert people[0] * 4 == pytest.approx(people[1], rel=0.01)
    assert people[0] * 5 == pytest.approx(people[2], rel=0.01)


@pytest.mark.usefixtures("home")
def test_only_what_a_figure_has_is_offered_to_explore() -> None:
    app = open_page("explore", lang="en", measure="admissions")
    (box,) = (box for box in app.selectbox if "not cut" in box.options)
    assert "class of visit" not in box.options
    assert "Disease group" in box.options


def table_of(app: AppTest, *columns: str) -> list[dict[str, str]]:
    """The rows of the table that has these columns; it may stand beside its chart and in the note under it."""
    tables: list[list[dict[str, str]]] = [frame.value.to_dict("records") for frame in app.dataframe]
    tables = [rows for rows in [*named_tables(app), *tables] if rows and set(columns) <= set(rows[0])]
    assert tables
    assert all(rows == tables[0] for rows in tables)
    return tables[0]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.usefixtures("home")
def test_a_month_is_told_in_words_made_of_the_data(language: Language) -> None:
    app = open_page("nation", lang=language, period="2024-09")
    words = Words(language)
    said = texts(app)
    # Bangkok's service began on 27 September 2024, alone.
    assert words("control.went_live", n=1, month=month_text(words, date(2024, 9, 1)), names="").strip() in said
    # Of the eight months that limits need, five are there before September.
    assert words("control.no_limits") in said
    assert set(metrics(app)) == {words(f"figure.{figure.code}") for figure in figures.NATION}
    newest = open_page("nation", lang=language)
    assert words("control.no_limits") not in texts(newest)
    assert words("nation.changes", area=words("area.nation"), month=month_text(words, date(2025, 3, 1))) in [
        header.value for header in newest.header
    ]


@pytest.mark.usefixtures("home")
def test_people_of_a_province_are_followed_to_where_they_go_and_come_from() -> None:
    app = open_page("flow", lang="en", area="P50")
    titles = [one.value for one in app.subheader]
    assert "Where people of Chiang Mai Province go for care" in titles
    assert len(app.get("vega_lite_chart")) == N_CHARTS["flow"] + 2
    assert sum("Tae Noppakun Wongsrinoppakun (CC BY 4.0)" in one.value for one in app.caption) == 2
    away = {row["Area"]: row["Visits"] for row in table_of(app, "Area", "Visits")}
    assert int(away["Chiang Mai"].replace(",", "")) > int(away["Lamphun"].replace(",", "")) >= 10
    # Nobody of the fixture goes from Chiang Mai to Phuket, which reported: that is 0, and no gap.
    assert away["Phuket"] == "0"
    app = open_page("flow", lang="en", area="P50", direction="in", count="persons")
    assert "Where those treated in Chiang Mai Province come from" in [one.value for one in app.subheader]
    assert table_of(app, "Area", "People")


@pytest.mark.usefixtures("home")
def test_a_net_flow_tells_its_bounds_and_what_is_not_in_it() -> None:
    rows = table_of(open_page("flow", lang="en"), "Net", "Possible range")
    assert len(rows) == 13
    for row in rows:
        if row["Net"] == "No data":
            continue
        low, high = (int(end.replace(",", "")) for end in row["Possible range"].split(" to "))
        assert low <= int(row["Net"].replace(",", "")) <= high
    assert [row["Pairs without data"] for row in rows if row["Area"] == "Region 4"] == [0]


@pytest.mark.usefixtures("home")
def test_two_areas_stand_side_by_side_with_their_difference_and_its_interval() -> None:
    app = open_page("compare", lang="en", area="R04", area_b="R05", compare="redundancy")
    assert len(app.get("vega_lite_chart")) == N_CHARTS["compare"]
    for row in table_of(app, "A", "B", "Difference (B less A)"):
        first, second = (float(row[side].removesuffix("%")) for side in ("A", "B"))
        assert float(row["Difference (B less A)"].removesuffix(" pp")) == pytest.approx(second - first, abs=0.011)
        low, high = map(float, row["95% interval of the difference"].split(" to "))
        assert low <= second - first + 0.01
        assert high >= second - first - 0.01
        told = "Cannot be told apart" if low <= 0 <= high else "B is higher" if low > 0 else "B is lower"
        assert row["Reading"] == told


@pytest.mark.usefixtures("home")
def test_what_holds_the_same_visits_is_compared_without_an_interval() -> None:
    """A region lies in the nation, and its fiscal year in the last twelve months."""
    for choices in ({"area": "TH", "area_b": "R04"}, {"area": "R04", "area_b": "P12", "period_b": "2024-06"}):
        app = open_page("compare", lang="en", compare="redundancy", **choices)
        assert "A and B share some of their visits" in texts(app)
        rows = table_of(app, "A", "Reading")
        assert {row["Reading"] for row in rows} == {"No interval"}
    apart = {"area": "R04", "area_b": "R04", "period": "2024-05", "period_b": "2024-06"}
    assert "share some of their visits" not in texts(open_page("compare", lang="en", **apart))


@pytest.mark.usefixtures("home")
def test_what_is_missing_on_one_side_is_compared_with_nothing() -> None:
    app = open_page("compare", lang="en", area="R13", period="2024-04", area_b="R04", period_b="2024-04")
    rows = table_of(app, "A", "Reading")
    assert {(row["Difference (B less A)"], row["Reading"]) for row in rows if row["A"] == "No data"} == {
        ("–", "Not comparable, no value")
    }


@pytest.mark.usefixtures("home")
def test_a_figure_is_explored_as_far_as_it_is_published() -> None:
    app = open_page("explore", lang="en", measure="RED-01", set="sex")
    rows = table_of(app, "Sex", "Value", "Numerator", "95% interval (Wilson)")
    assert [row["Sex"] for row in rows] == ["Male", "Female"]
    boxes = {box.label: list(box.options) for box in app.selectbox}
    assert boxes["Cut"] == ["not cut", "Sex"], "only what is published is offered"
    assert boxes["Sex"] == ["every group", "Male", "Female"]
    app = open_page("explore", lang="en", measure="RED-01", set="sex", m1="2", view="map", period="fy2567")
    assert "RED-01 Same-day visits for one condition · Female" in [one.value for one in app.subheader]
    assert len(table_of(app, "Area", "Sex", "Reporting")) == 77
    app = open_page("explore", lang="en", measure="visits", set="facility_type", m1="05", view="time", area="R04")
    assert len(table_of(app, "Period", "Facility type", "Value")) == 12


@pytest.mark.usefixtures("home")
def test_a_month_that_was_not_sent_stays_a_gap_when_explored() -> None:
    app = open_page("explore", lang="en", measure="visits_per_head", view="time", area="P58")
    values = {row["Period"]: row["Value"] for row in table_of(app, "Period", "Value")}
    assert values["Jun BE 2567"] == "No data"
    assert values["Jul BE 2567"] != "No data"


@pytest.mark.usefixtures("home")
def test_what_is_explored_is_shared_by_its_address() -> None:
    app = open_page("explore", lang="en", measure="RED-02", view="regions")
    (link,) = app.get("code")
    assert set(link.value.split("?")[1].split("&")) == {"lang=en", "measure=RED-02", "view=regions"}


@pytest.mark.usefixtures("home")
def test_a_definition_is_read_whole_with_its_parameters() -> None:
    app = open_page("definitions", lang="en", registry="RED", measure="RED-02")
    listed = table_of(app, "Id", "Next review")
    assert [row["Id"] for row in listed] == ["RED-01", "RED-02", "RED-09"]
    said = [element.value for element in app.get("text")]
    for part in ("Question of RED-02", "Numerator of RED-02", "Denominator of RED-02", "A signal for review", "lower"):
        assert part in said
    parameters = {row["Parameter"]: row for row in table_of(app, "Parameter", "Valid from")}
    assert parameters["merge_visits"]["Value"] == "true", "what holds for all measures holds for this one"
    assert len(parameters) > 1
    assert all(row["Source"] for row in parameters.values())


@pytest.mark.usefixtures("home")
def test_the_parameters_of_all_measures_are_none_of_a_count_of_visits() -> None:
    app = open_page("definitions", lang="en", registry="UT", measure="UT-00")
    assert "This measure has no parameters." in [element.value for element in app.markdown]
    assert not [table for table in app.dataframe if "Parameter" in table.value.columns]


@pytest.mark.usefixtures("home")
def test_a_rule_that_cannot_be_measured_says_for_want_of_what() -> None:
    app = open_page("definitions", lang="en", registry="RED", measure="RED-01")
    told = [element.value for element in app.get("text") if "cannot be measured, for want of" in element.value]
    assert len(told) == 2
    assert any("prescription" in text for text in told)


def indicators(app: AppTest) -> dict[str, dict[str, str]]:
    """Rows of the table of indicators by name and state."""
    (rows,) = named_tables(app)
    return {f"{row['Indicator'][:5]} {row['State']}": row for row in rows}


@pytest.mark.usefixtures("home")
def test_an_indicator_is_given_computed_or_not_measured_and_never_zero() -> None:
    rows = indicators(open_page("rollout", lang="en"))
    assert {name[:5] for name in rows} == {f"RO-{n:02d}" for n in range(1, 16)}
    assert (rows["RO-01 Given"]["Value"], rows["RO-01 Given"]["Given by"]) == ("10,628", "สำนักหนึ่ง")
    assert (rows["RO-12 Given"]["Value"], rows["RO-12 Computed"]["Value"]) == ("227", "12")
    assert rows["RO-09 Computed"]["Value"] == "1.0"
    missing = [row for row in rows.values() if row["State"] == "Not yet measured"]
    assert {row["Indicator"][:5] for row in missing} == {f"RO-{n:02d}" for n in range(1, 16)} - {
        "RO-01",
        "RO-09",
        "RO-12",
    }
    for row in missing:
        assert row["Value"] == "–"
        assert row["Source, or the feed it needs"].startswith("Needs: ")


@pytest.mark.usefixtures("home")
def test_a_region_for_which_nothing_was_given_does_not_borrow_the_nation_s_value() -> None:
    rows = indicators(open_page("rollout", lang="en", region="04"))
    assert "RO-01 Not yet measured" in rows
    assert "RO-01 Given" not in rows


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("language", ["th", "en"])
def test_an_effect_stands_with_its_checks_and_what_must_hold(language: Language) -> None:
    app = open_page("rollout", lang=language)
    said = texts(app)
    assert ("4.6 จุดร้อยละ" if language == "th" else "rose by **4.6 percentage points**") in said
    assert ("+3.1 ถึง +6.1" if language == "th" else "+3.1 to +6.1") in said
    assert "p = 0.81" in said
    words = Words(language)
    assert all(words(f"effect.assume.{key}") in said for key in ASSUMPTIONS)
    (table,) = (frame.value for frame in app.dataframe if words("column.effect") in frame.value.columns)
    assert table[words("column.weight")].tolist()[:2] == ["30%", "70%"]


@pytest.mark.usefixtures("home")
def test_an_effect_whose_checks_cannot_be_made_is_not_shown() -> None:
    app = open_page("rollout", lang="en", effect="cross_province")
    assert len(app.get("vega_lite_chart")) == N_CHARTS["rollout"] - 1
    assert "3.2" not in texts(app)
    assert any("placebo checks cannot all be made" in element.value for element in app.warning)
    assert "What must hold" in texts(app)


@pytest.mark.usefixtures("home")
def test_an_effect_whose_check_failed_says_so_first() -> None:
    app = open_page("rollout", lang="en", effect="cross_region")
    (error,) = app.error
    assert error.value.startswith("A placebo check failed")
    assert "cannot be told" in error.value


def test_without_a_study_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(write_serving(tmp_path))) as connection:
        connection.execute("delete from agg_rollout_effects")
    monkeypatch.setenv("RUAM_HOME", str(tmp_path))
    app = open_page("rollout", lang="en")
    assert "There is no study of before and after yet" in texts(app)
    assert len(app.get("vega_lite_chart")) == N_CHARTS["rollout"] - 1


@pytest.mark.parametrize("language", ["th", "en"])
def test_while_a_gate_is_shut_a_page_says_why_and_of_when_its_figures_are(language: str, home: Path) -> None:
    assert not open_page("utilization", lang=language).warning
    record(Settings().data_home, "a build", [Stop(gate="row_balance", detail="fct_delivery_files: rows_balance (3)")])
    try:
        (warning,) = open_page("utilization", lang=language).warning
    finally:
        lift(Settings().data_home)
    gate = gates()["row_balance"]
    assert (gate.th if language == "th" else gate.en) in warning.value
    assert ("10 เม.ย. 2568" if language == "th" else "10 Apr BE 2568") in warning.value
    assert "fct_delivery_files" not in warning.value


@pytest.mark.usefixtures("home")
def test_what_weakens_a_measure_is_listed_the_greatest_first_and_a_small_base_gives_no_share() -> None:
    nation = open_page("weaknesses", lang="en", measure="UNR-01")
    table = nation.dataframe[0].value
    assert table["Weakness"].to_list() == [
        "Person who cannot be followed", "No principal diagnosis", "No visit came in the month",
    ]  # fmt: skip
    assert table["Value"].to_list() == ["8.0%", "3.1%", "3.0%"]
    silent = open_page("weaknesses", lang="en", area="R13").dataframe[0].value
    assert not any("%" in value for value in silent["Value"].to_list())


@pytest.mark.usefixtures("home")
def test_what_linkage_leaves_open_stands_with_both_thresholds() -> None:
    app = open_page("linkage", lang="en")
    followed, regions = (table.value for table in app.dataframe[-2:])
    (thresholds,) = named_tables(app)
    assert "8.0%" in followed["Value"].to_list(), "as the factory has it"
    assert set(regions["Area"]) >= {"Region 4"}
    changes = [row["Change"] for row in thresholds]
    assert changes
    sizes = [abs(float(text.split()[0].replace(",", ""))) for text in changes if text != "–"]
    assert sizes == sorted(sizes, reverse=True), "what changes most is first"


@pytest.mark.parametrize("language", ["th", "en"])
def test_stewards_see_the_gates_the_checks_and_the_steps(language: str, home: Path) -> None:
    data_home = Settings().data_home
    record(data_home, "a build", [Stop(gate="keys", detail="warehouse, fct_visits: key (3)")])
    data_home.logs.mkdir(exist_ok=True)
    line = {"at": "2025-04-09T20:30:00+00:00", "message": "published", "run_id": "r1", "rows": 1234, "seconds": 2.5}
    (data_home.logs / "ruam.jsonl").write_text(json.dumps(line), encoding="utf-8")
    try:
        app = AppTest.from_file(str(APP), default_timeout=60)
        app.user = signed_in(data_home.root, ["steward"])
        app.query_params["lang"] = language
        app.switch_page("app_pages/runs.py")
        app.run()
    finally:
        lift(data_home)
        (data_home.logs / "ruam.jsonl").unlink()
    assert not app.exception
    gates_table, checks, steps = (frame.value for frame in app.dataframe)
    states = dict(zip(gates(), gates_table[gates_table.columns[1]], strict=True))
    assert [gate for gate, state in states.items() if state == ("ปิด" if language == "th" else "Shut")] == ["keys"]
    assert set(checks[checks.columns[2]]) == {"–"}, "no check ever ran here: that is not 0"
    assert steps.iloc[0].to_list()[2:4] == ["2.5", "1,234"]
    assert "2568 03:30" in steps.iloc[0, 0]


@pytest.mark.usefixtures("home")
def test_each_state_of_a_report_is_counted_apart_and_silence_is_no_zero() -> None:
    app = open_page("submissions", lang="en", month="2025-03")
    shown = metrics(app)
    assert shown["Expected"] == "10"
    assert (shown["◐ Late"], shown["◪ Partial"], shown["✕ Silent"], shown["… Not due yet"]) == ("1", "1", "1", "1")
    assert (shown["○ Declared none"], shown["– Closed"]) == ("0", "0")


@pytest.mark.usefixtures("home")
def test_who_has_not_sent_is_listed_with_what_is_missing_and_since_when() -> None:
    app = open_page("submissions", lang="en", area="R01", month="2025-03")
    table = next(frame.value for frame in app.dataframe if "Days after due" in frame.value.columns)
    states = dict(zip(table["Facility"].str[:5], table["State"], strict=True))
    assert states == {"11119": "✕ Silent", "10674": "◪ Partial"}
    assert list(table["Days after due"]) == ["+5", "-5"], "silent until the day of the newest delivery"
    assert list(table["Files missing"]) == ["PERSON, SERVICE", "DRUG_OPD"]


@pytest.mark.usefixtures("home")
def test_a_province_shows_its_facilities_by_month() -> None:
    app = open_page("submissions", lang="en", area="P50")
    assert "State by facility and month" in [header.value for header in app.subheader]
    table = next(frame.value for frame in app.dataframe if "State" in frame.value.columns and "Month" in frame.value)
    assert set(table["Facility"].str[:5]) == {"10713", "11119"}
    assert len(table) == 24


@pytest.mark.usefixtures("home")
def test_a_scorecard_says_where_an_area_stands_against_its_past_and_its_peers() -> None:
    app = open_page("scorecards", lang="en", area="P50", facility="10713")
    assert app.header[0].value.startswith("10713")
    assert metrics(app)["Correct"] == "80.00"
    said = texts(app)
    assert "below its limits" in said
    assert "Lower half of 13 peers · median 97.00 (quartiles 95.00–98.00)" in said
    costs = next(frame.value for frame in app.dataframe if "Cost" in frame.value.columns)
    ranked = ["visit_without_diagnosis", "wrong_columns", "pregnancy_of_male"]
    assert list(costs["Code"]) == ranked, "what nothing breaks costs nothing, what reading set aside does"
    assert list(costs["Rows broken"]) == ["240", "60", "<10"]
    assert list(costs["Axis"]) == ["Complete", "Correct", "Consistent"]


@pytest.mark.usefixtures("home")
def test_a_scorecard_tells_what_was_set_aside_and_what_the_newest_delivery_changed() -> None:
    app = open_page("scorecards", lang="en", area="P50", facility="10713")
    columns = [set(frame.value.columns) for frame in app.dataframe]
    assert ["Rows set aside / read" in names for names in columns].count(True) == 1, "of one axis"
    read = next(frame.value for frame in app.dataframe if "Rows set aside / read" in frame.value.columns)
    assert set(read["Rows set aside / read"]) == {"45 / 900"}
    shown = metrics(app)
    assert [shown[name] for name in ("New", "Came back", "Fixed", "Open now")] == ["45", "0", "60", "310"]
    changed = next(frame.value for frame in app.dataframe if "Came back" in frame.value.columns)
    assert list(changed["Code"]) == ["all", "visit_without_diagnosis", "pregnancy_of_male"]
    assert list(changed["New"]) == ["45", "40", "<10"]
    assert "newest of the area 7 Apr BE 2568" in texts(app)
    app = open_page("scorecards", lang="en", area="R13")
    assert "No facility of this area has sent anything yet" in texts(app)


@pytest.mark.usefixtures("home")
def test_an_area_without_data_has_no_score() -> None:
    app = open_page("scorecards", lang="en", area="R13")
    assert set(metrics(app).values()) == {"No data"}


@pytest.mark.usefixtures("home")
def test_every_rule_stands_in_the_catalogue_and_what_was_not_asked_is_no_zero() -> None:
    app = open_page("rules", lang="en")
    table = next(frame.value for frame in app.dataframe if "Code" in frame.value.columns)
    assert sorted(table["Code"]) == sorted(codes())
    ranked = ["visit_without_diagnosis", "wrong_columns", "pregnancy_of_male"]
    assert list(table["Code"])[:3] == ranked, "the costliest first"
    found = dict(zip(table["Code"], table["Rows broken"], strict=True))
    assert (found["visit_without_diagnosis"], found["pregnancy_of_male"]) == ("240", "<10")
    assert (found["nation_missing"], found["visit_sent_late"]) == ("0", "Applies to no row")
    app = open_page("rules", lang="en", axis="timely")
    table = next(frame.value for frame in app.dataframe if "Code" in frame.value.columns)
    assert set(table["Axis"]) == {"Timely"}
