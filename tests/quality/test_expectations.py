"""The adapter: what is wrong is seen, what was not evaluated is an error, and the pages need no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from quality import expectations
from quality.expectations import ROWS, judge, offline, run
from ruam.checks import Check, Kind, Outcome, Request, Status, Suite
from ruam.settings import PROJECT

FILLED = Check(rule="filled", gate="keys", kind=Kind.FILLED, columns=("code",))
UNIQUE = Check(rule="unique", gate="keys", kind=Kind.UNIQUE, columns=("code", "day"))
NEVER = Check(rule="never", gate="contracts", kind=Kind.NEVER, condition="regexp_matches(code, '^x{2}$')")
COLUMNS = Check(rule="columns", gate="contracts", kind=Kind.COLUMNS, columns=("code", "day"))
LOST = Check(rule="lost", gate="keys", kind=Kind.FILLED, columns=("lost",))
UNKNOWN = Check(rule="unknown", gate="contracts", kind=Kind.NEVER, condition="lost > 1")
ALL = (FILLED, UNIQUE, NEVER, COLUMNS)

TABLES = """
create table sound as select 'a' || i as code, i as day from range(30) t(i);
create table faulty as
select * from (values ('a', 1), ('a', 1), ('secret', 2), ('secret', 2), ('xx', 3), (null, 4), (null, 5)) t(code, day);
alter table faulty add column more integer;
create table empty as select * from sound where false;
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checked") / "it is.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(TABLES)
    return path


@pytest.fixture(scope="module")
def ran(database: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Outcome], Path]:
    docs = tmp_path_factory.mktemp("docs")
    suites = (
        Suite(table="sound", checks=(*ALL, LOST, UNKNOWN)),
        Suite(table="faulty", checks=ALL),
        Suite(table="empty", checks=ALL),
        Suite(table="nowhere", checks=ALL),
    )
    return run(Request(name="test", database=database, suites=suites), docs), docs


def found(ran: tuple[list[Outcome], Path], table: str) -> dict[str, tuple[Status, int | None]]:
    return {one.check.rule: (one.status, one.n_broken) for one in ran[0] if one.table == table}


def test_each_planted_fault_is_seen_and_counted(ran: tuple[list[Outcome], Path]) -> None:
    assert found(ran, "faulty") == {
        "filled": (Status.FAILED, 2),
        "unique": (Status.FAILED, 2),
        "never": (Status.FAILED, 1),
        "columns": (Status.FAILED, 1),
    }
    (columns,) = (one for one in ran[0] if one.table == "faulty" and one.check == COLUMNS)
    assert columns.message == "unexpected: more"


def test_what_is_sound_passes_and_a_column_that_is_not_there_is_an_error(ran: tuple[list[Outcome], Path]) -> None:
    assert found(ran, "sound") == {
        **{check.rule: (Status.PASSED, 0) for check in ALL},
        "lost": (Status.ERROR, None),
        "unknown": (Status.ERROR, None),
    }
    told = {one.check.rule: one.message for one in ran[0] if one.table == "sound" and one.message}
    assert 'Referenced column "lost" not found' in told["unknown"]
    assert "lost" in told["lost"]


def test_a_table_without_rows_and_one_that_is_not_there_are_errors(ran: tuple[list[Outcome], Path]) -> None:
    assert set(found(ran, "empty").values()) == {(Status.ERROR, None)}
    assert set(found(ran, "nowhere").values()) == {(Status.ERROR, None)}


def test_a_table_that_may_be_empty_is_neither_passed_nor_failed(database: Path, tmp_path: Path) -> None:
    suite = Suite(table="empty", may_be_empty=True, checks=ALL)
    outcomes = run(Request(name="test", database=database, suites=(suite,)), tmp_path / "docs")
    assert [one.status for one in outcomes] == [Status.NO_ROWS, Status.NO_ROWS, Status.NO_ROWS, Status.PASSED]


def test_where_a_planted_fault_is_not_found_nothing_is_believed(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectations, "CANARY_SQL", "create table canary as select 2 as twice, 'a' as empty")
    outcomes = run(
        Request(name="test", database=database, suites=(Suite(table="sound", checks=ALL),)), tmp_path / "docs"
    )
    assert {one.status for one in outcomes} == {Status.ERROR}


def test_a_package_that_ends_the_process_when_it_is_imported_ends_nothing(database: Path, tmp_path: Path) -> None:
    """As pyspark does where the process has no main file: the exit code would be 0, and nothing checked."""
    (tmp_path / "pyspark.py").write_text("raise SystemExit(0)")
    work = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(tmp_path)!r})
from quality.expectations import run
from ruam.checks import Check, Kind, Request, Suite
suite = Suite(table="sound", checks=(Check(rule="filled", gate="keys", kind=Kind.FILLED, columns=("code",)),))
request = Request(name="test", database=Path({str(database)!r}), suites=(suite,))
(outcome,) = run(request, Path({str(tmp_path)!r}) / "docs")
print(outcome.status)
"""
    command = [sys.executable, "-c", work]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert done.stdout.strip() == Status.PASSED


def test_the_pages_name_each_check_and_neither_load_nor_show_anything_else(ran: tuple[list[Outcome], Path]) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in ran[1].rglob("*.html")}
    assert (ran[1] / "index.html") in pages
    assert len(pages) > 3
    for path, page in pages.items():
        assert "<script" not in page, path
        assert not re.search(r"""(src|href|action)\s*=\s*["']?\s*(https?:)?//""", page), path
        assert "default-src 'none'" in page
        assert "secret" not in page, "a row's value is shown"
    index = pages[ran[1] / "index.html"]
    linked = re.findall(r'<a href="([^"]+)">(\w+)</a></td><td>([\d,]+)</td><td>\d</td><td>(\d)</td>', index)
    assert [(name, n_rows, bad) for _, name, n_rows, bad in linked][:2] == [("faulty", "7", "4"), ("empty", "0", "4")]
    assert all((ran[1] / path).is_file() for path, *_ in linked)
    assert any("regexp_matches" in page for page in pages.values())
    assert {path.suffix for path in ran[1].rglob("*") if path.is_file()} == {".html"}


def test_links_pictures_and_scripts_of_other_hosts_are_taken_out() -> None:
    page = offline(
        '<html><head><link rel="stylesheet" href="https://cdn.example/a.css"><script src=//cdn.example/a.js></script>'
        "</head><body><a href='https://example.org'>x</a><a href=\"b.html\">y</a><img src='//cdn.example/c.png'></body>"
    )
    assert "example" not in page
    assert '<a href="b.html">y</a>' in page
    assert "<style>" in page


SOUND: dict[str, Any] = {
    "success": True,
    "result": {"observed_value": 0},
    "exception_info": {"raised_exception": False},
}
SEEN = {ROWS: SOUND | {"result": {"observed_value": 5}}}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "not evaluated"),
        (SOUND | {"exception_info": {"raised_exception": True}}, "could not be evaluated"),
        (SOUND | {"exception_info": {"a metric": {"raised_exception": True}}}, "could not be evaluated"),
        (SOUND | {"exception_info": {"a metric": "an error"}}, "could not be evaluated"),
        (SOUND | {"exception_info": None}, "could not be evaluated"),
        (SOUND | {"result": {}}, "contradicts"),
        (SOUND | {"result": {"observed_value": 2}}, "contradicts"),
        (SOUND | {"success": False}, "contradicts"),
        (SOUND | {"success": None}, "contradicts"),
    ],
)
def test_an_answer_is_believed_only_when_it_is_whole(answer: dict[str, Any] | None, message: str) -> None:
    suite = Suite(table="t", checks=(FILLED,))
    assert judge(suite, 5, SEEN | {0: SOUND})[0].status is Status.PASSED
    (outcome,) = judge(suite, 5, SEEN | ({} if answer is None else {0: answer}))
    assert outcome.status is Status.ERROR
    assert message in outcome.message


@pytest.mark.parametrize("seen", [{}, {ROWS: SOUND}, {ROWS: SOUND | {"result": {}}}])
def test_what_was_counted_on_other_rows_than_there_are_is_an_error(seen: dict[int, dict[str, Any]]) -> None:
    (outcome,) = judge(Suite(table="t", checks=(FILLED,)), 5, seen | {0: SOUND})
    assert outcome.status is Status.ERROR
    assert "rows of 5" in outcome.message


def test_words_of_an_exception_that_may_hold_a_value_are_not_told() -> None:
    raised = {
        "raised_exception": True,
        "exception_message": "Conversion Error: Could not convert string '1100' to INT32",
    }
    (outcome,) = judge(Suite(table="t", checks=(FILLED,)), 5, SEEN | {0: SOUND | {"exception_info": raised}})
    assert "1100" not in outcome.message
