"""The documentation that opens offline, written from the compiled project."""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from urllib.request import urlopen

import pytest

from ruam.benchmarks import keep
from ruam.cli import docs as command_module
from ruam.docs import write as writing
from ruam.docs.facts import Facts
from ruam.docs.lineage import lineage_of
from ruam.docs.project import Project
from ruam.docs.serve import server
from ruam.docs.site import LINEAGE, Words
from ruam.docs.write import Written, write_docs
from ruam.errors import UsageError
from ruam.home import DataHome
from ruam.publish import current
from ruam.settings import PROJECT
from tests.unit.test_benchmarks import planted, rows

pytestmark = [pytest.mark.usefixtures("built_home"), pytest.mark.slow]
"""All tests here run in the process that has the built warehouse, so that the project is compiled once."""

SECTIONS = ("formula", "caveat", "parameters", "code-sets", "lineage", "tests", "sql", "history")


@pytest.fixture(scope="session")
def project() -> Project:
    return command_module._project()


@pytest.fixture(scope="session")
def facts(project: Project) -> Facts:
    lineage = lineage_of(project.manifest, project.source_columns)
    return Facts(project.manifest, lineage, command_module._standard(), command_module._figures)


def write(home: DataHome, project: Project, out: Path) -> Written:
    return write_docs(home, project, command_module._standard(), command_module._figures, out)


@pytest.fixture(scope="session")
def site(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the project alone, without a data home."""
    folder = tmp_path_factory.mktemp("docs")
    write(DataHome(folder / "none"), project, folder / "site")
    return folder / "site"


class Links(HTMLParser):
    """What a page asks for and points to, and the places in it that one can point to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.assets: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given["id"]} if "id" in given else set()
        if tag == "a":
            self.links += [given["href"]] if "href" in given else []
        else:
            self.assets += [
                given[name] for name in ("href", "src", "srcset", "poster", "data", "action") if name in given
            ]


def registry() -> list[dict[str, str]]:
    with (PROJECT / "seeds" / "measures" / "measure_registry.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def paths(facts: Facts, measure_id: str) -> dict[str, tuple[str, list[str]]]:
    from ruam.docs.site import lineage_document

    fields = lineage_document(facts)[measure_id]["fields"]
    return {one["field"]: (one["kind"], one["path"]) for one in fields}


def test_lineage_goes_from_the_field_over_every_store_to_the_figure_and_its_pages(facts: Facts) -> None:
    red_02 = paths(facts, "RED-02")
    assert red_02["SERVICE.DATE_SERV"] == (
        "value",
        [
            "f43.service.date_serv",
            "stg_f43__service.date_serv",
            "int_visits__enriched.date_serv",
            "int_visits__merged.date_serv",
            "int_visits__qualified.date_serv",
            "msr_red_02.event_date",
        ],
    )
    # The diagnosis gives no value of the measure's rows: it decides which visits are eligible, and which are compared.
    assert red_02["DIAGNOSIS_OPD.DIAGCODE"][0] == "condition"
    assert red_02["SERVICE.TYPEOUT"][0] == "condition"
    assert red_02["PERSON.CID"][0] == "value"
    assert not [field for field in red_02 if field.startswith(("DRUG_OPD.", "LABFU."))]

    red_06 = paths(facts, "RED-06")
    assert red_06["DRUG_OPD.DATE_SERV"][0] == "value"
    assert red_06["DRUG_OPD.AMOUNT"] == (
        "value",
        [
            "f43.drug_opd.amount",
            "stg_f43__drug_opd.amount",
            "int_dispensings__enriched.days_supply",
            "int_dispensings__covered.cover_end",
            "msr_red_06.is_numerator",
        ],
    )

    measure = facts.measures["RED-02"]
    assert [list(map(str, path)) for path in measure.last_leg] == [
        ["msr_red_02.is_numerator", "fct_measure_cells.numerator", "agg_measure_results.numerator"]
    ]
    pages = {"compare", "continuity", "explore", "facility", "linkage", "measures", "nation", "overview"}
    assert {page["name"] for page in measure.pages} == pages
    assert {page["name"] for page in facts.measures["UT-07"].pages} == {"flow"}


def test_every_registered_measure_has_its_page_with_all_its_sections(site: Path) -> None:
    for row in registry():
        for language in ("th", "en"):
            text = (site / language / "measures" / f"{row['measure_id']}.html").read_text(encoding="utf-8")
            assert set(SECTIONS) <= Links(text).places
            assert f"<h1>{row['measure_id']} " in text
            assert f'<html lang="{language}">' in text


def test_every_model_of_a_measure_is_shown_with_its_sql_and_comes_from_fields_of_senders(facts: Facts) -> None:
    of_library = [measure for measure in facts.measures.values() if measure.id.split("-")[0] in ("RED", "NEC", "UNR")]
    assert len(of_library) == 27
    for measure in of_library:
        (model,) = measure.models
        assert model["name"].startswith("msr_")
        assert "{{" in model["raw_code"]
        assert "{{" not in model["compiled_code"]
        assert measure.tests
        assert measure.unit_tests
        assert all(test.says and test.n_rows for test in measure.unit_tests)
        assert any(origin.column.relation.startswith("f43.") and origin.is_value for origin in measure.origins)
        assert measure.last_leg
        assert measure.parameters


def test_code_sets_are_those_of_the_measure_and_of_what_it_reads(facts: Facts) -> None:
    sets = {id_: {row["set_id"] for row in measure.code_sets} for id_, measure in facts.measures.items()}
    assert sets["RED-02"] == {"necessary_repeat"}
    # The index of merged visits, which UNR-01 reads, is made of what says whether a repeat is called for.
    assert sets["UNR-01"] == {"CS_ABX", "CS_IMMUNE", "CS_OTHER_INFECTION", "CS_URI", "necessary_repeat"}
    of_readmission = {"acute", "elective", "index_excluded", "planned"}
    assert sets["NEC-01"] == {f"readmission_{name}" for name in of_readmission}
    assert {"acsc_main", "acsc_oecd_5"} <= sets["NEC-02"]
    assert set(facts.measures["RED-05"].tables) == {"retest_intervals"}


def test_a_parameter_holds_until_the_day_before_the_next_value_of_it() -> None:
    from ruam.docs.facts import _parameters

    rows = [
        {"measure_id": id_, "parameter": name, "value": value, "valid_from": day, "source": "rule"}
        for id_, name, value, day in [
            ("RED-02", "window", "7", "2024-01-01"),
            ("RED-02", "window", "14", "2025-10-01"),
            ("RED-02", "population", "all", "2024-01-01"),
            ("RED-01", "window", "0", "2024-06-01"),
            ("*", "window", "1", "2026-01-01"),
        ]
    ]
    held = [
        (one.name, one.value, one.valid_to and str(one.valid_to), one.is_common) for one in _parameters(rows, "RED-02")
    ]
    assert held == [
        ("population", "all", None, False),
        ("window", "7", "2025-09-30", False),
        ("window", "14", None, False),
        ("window", "1", None, True),
    ]


def test_history_tells_what_a_version_changed(facts: Facts) -> None:
    from dataclasses import replace

    measure = facts.measures["RED-02"]
    second = measure.newest | {"version": "2", "window_days": "14"}
    changes = replace(measure, versions=(*measure.versions, second)).changes
    assert [row["version"] for row, _ in changes] == ["2", "1"]
    assert changes[0][1] == {"version": ("1", "2"), "window_days": ("7", "14")}
    assert changes[1][1] == {}


def test_pages_ask_nothing_of_any_other_place(site: Path) -> None:
    for path in site.rglob("*.html"):
        assets = Links(path.read_text(encoding="utf-8")).assets
        # dbt's page paints its logo from data that it holds itself.
        outside = [one for one in assets if re.match(r"(?!data:)([a-z]+:|//)", one)]
        assert outside == [], path
    for style in re.findall(r"url\(([^)]*)\)|@import", (site / "assets" / "style.css").read_text(encoding="utf-8")):
        assert (site / "assets" / style).is_file()


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "dbt.html"}
    manifest_ids = set(re.findall(r'"(model\.ruam\.\w+)"', (site / "dbt.html").read_text(encoding="utf-8")))
    for path, page in pages.items():
        for link in (*page.links, *page.assets):
            name, _, place = link.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path
            assert target.is_file(), f"{path}: {link}"
            if target.name == "dbt.html":
                assert not place or place.removeprefix("!/model/") in manifest_ids, link
            elif place:
                assert place in pages[target].places, f"{path}: {link}"


def test_published_tables_and_columns_are_all_described(site: Path, facts: Facts) -> None:
    assert set(facts.tables) == {
        node["name"] for node in facts.manifest["nodes"].values() if node["config"]["meta"].get("publish")
    }
    for name, table in facts.tables.items():
        text = (site / "en" / "tables" / f"{name}.html").read_text(encoding="utf-8")
        assert set(table.node["columns"]) <= Links(text).places
    assert "RED-02" in (site / "th" / "tables" / "agg_measure_results.html").read_text(encoding="utf-8")


def test_every_field_of_the_standard_says_what_becomes_of_it(site: Path) -> None:
    service = (site / "th" / "fields" / "SERVICE.html").read_text(encoding="utf-8")
    assert "stg_f43__service.date_serv" in service
    assert Words("th")("dropped.direct_identifier") in service
    assert "RED-02.html" in service
    assert len(list((site / "th" / "fields").glob("*.html"))) == len(command_module._standard()) + 1


def test_without_a_home_it_says_what_is_missing_and_every_definition_is_there(site: Path) -> None:
    text = (site / "th" / "measures" / "NEC-01.html").read_text(encoding="utf-8")
    words = Words("th")
    assert words("missing.nothing_published") in text
    assert words("missing.no_warehouse") in text


def test_writing_again_gives_the_same_bytes_and_leaves_no_path_of_the_machine(
    site: Path, project: Project, tmp_path: Path
) -> None:
    write(DataHome(tmp_path / "elsewhere"), project, tmp_path / "again")
    files = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.*")}
    assert files == again
    for content in files.values():
        assert str(PROJECT).encode() not in content
        assert b"generated_at" not in content.replace(b".generated_at", b"")


def test_what_benchmarks_found_is_a_page_of_the_site(project: Project, tmp_path: Path) -> None:
    keep(rows(planted(1.0, 1.0, 1.4)), tmp_path / "history")
    write_docs(
        DataHome(tmp_path / "none"),
        project,
        command_module._standard(),
        command_module._figures,
        tmp_path / "site",
        benchmarks=tmp_path / "history",
    )
    page = (tmp_path / "site" / "th" / "benchmarks" / "index.html").read_text(encoding="utf-8")
    assert page.count("<circle") == 3
    assert Words("th")("b.worse") in page


def test_a_published_home_dates_the_pages(published_home: DataHome, project: Project, tmp_path: Path) -> None:
    assert write(published_home, project, tmp_path / "site").missing == ()
    text = (tmp_path / "site" / "th" / "index.html").read_text(encoding="utf-8")
    pointer = current(published_home)
    assert pointer
    assert pointer["run_id"] in text
    assert "1 ก.พ. 2568" in text
    assert '"type": "TIMESTAMP"' in (tmp_path / "site" / "dbt.html").read_text(encoding="utf-8")


def test_definitions_other_than_the_built_ones_are_named(
    published_home: DataHome, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "project_digest", lambda: "another")
    assert write(published_home, project, tmp_path / "site").missing == ("other_definitions",)


def test_the_command_writes_and_replaces_its_own_folder_alone(
    command: Callable[..., int],
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command_module, "_project", lambda: project)
    assert command("docs", tmp_path / "site") == 0
    said = capsys.readouterr().out
    assert f"{len({row['measure_id'] for row in registry()})} measures" in said
    assert Words("en")("missing.nothing_published") in said
    assert json.loads((tmp_path / "site" / LINEAGE).read_text(encoding="utf-8")).keys() >= {"RED-01", "UT-05"}
    (tmp_path / "site" / "stray.html").touch()
    assert command("docs", tmp_path / "site") == 0
    assert not (tmp_path / "site" / "stray.html").exists()

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    assert command("docs", tmp_path / "mine") == UsageError.exit_code
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_serving_is_on_this_machine_alone(site: Path) -> None:
    with server(site, 0) as pages:
        thread = threading.Thread(target=pages.serve_forever, daemon=True)
        thread.start()
        assert pages.server_address[0] == "127.0.0.1"
        with urlopen(f"http://127.0.0.1:{pages.server_port}/th/index.html", timeout=10) as page:
            assert "RED-02" in page.read().decode()
        pages.shutdown()
        thread.join()
