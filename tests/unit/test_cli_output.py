"""How the commands speak: safe words, figures, and progress in a terminal and without one."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ruam.cli.bar import SECONDS_BETWEEN_LINES, Advance, Lines
from ruam.cli.console import duration, for_machines, in_thai_time, number, plain, print_csv, print_json, said
from ruam.files import stamp
from ruam.settings import PROJECT
from tests.ingestion.odd_zips import cid


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("F43_90101_20240601120000.zip", "F43_90101_20240601120000.zip"),
        (f"{cid(1)}.zip", "xxxxxxxxxxxxx.zip"),
        (f"a {cid(1)[0]}-{cid(1)[1:5]}-{cid(1)[5:10]}-{cid(1)[10:12]}-{cid(1)[12]} b", "a x-xxxx-xxxxx-xx-x b"),
        ("2024-06-01 12:00", "2024-06-01 12:00"),
        ("red\x1b[31m\r\nnext", "red\\x1b[31m\\x0d\\x0anext"),
        ("a\u202etxt.zip", "a\\x202etxt.zip"),
        ("โรงพยาบาลสมมติ", "โรงพยาบาลสมมติ"),
    ],
)
def test_words_from_outside_hide_citizen_numbers_and_obey_no_terminal(words: str, shown: str) -> None:
    assert plain(words) == shown


@pytest.mark.parametrize("first", "0123456789abcdef")
def test_the_time_in_a_name_of_ours_is_shown_whatever_follows(first: str) -> None:
    name = f"ruam_{stamp(datetime(2026, 11, 26, 4, 6, 37, 539474, UTC))}-{first}acd7eae.duckdb"
    assert plain(name) == name


def test_markup_in_words_from_outside_is_shown_not_obeyed() -> None:
    from rich.text import Text

    assert Text.from_markup(said("[red]x[/] [bold")).plain == "[red]x[/] [bold"


def test_missing_is_not_zero() -> None:
    assert (number(None), number(0), number(12345)) == ("–", "0", "12,345")


def test_our_clock_is_shown_in_thai_time_and_kept_in_utc() -> None:
    at = datetime.fromisoformat("2024-05-31T18:30:00")
    assert in_thai_time(at) == "2024-06-01 01:30"
    assert for_machines({"at": at, "none": None, "n": 5}) == {"at": "2024-05-31T18:30:00Z", "none": None, "n": 5}


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (61.4, "1:01"), (3661, "1:01:01")])
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_json_is_one_document_in_thai(capfd: pytest.CaptureFixture[str]) -> None:
    print_json([{"name": "เชียงใหม่", "id": cid(2)}])
    shown = capfd.readouterr().out
    assert "เชียงใหม่" in shown
    assert json.loads(shown) == [{"name": "เชียงใหม่", "id": "xxxxxxxxxxxxx"}]


def test_no_text_in_a_csv_is_a_formula_and_numbers_stay_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    hostile = ["=1+1", "+1", "-1", "@x", "\t=1", "plain"]
    print_csv(["text", "n"], [{"text": one, "n": -1} for one in hostile])
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert [one["text"][0] for one in rows] == ["'"] * 5 + ["p"]
    assert {one["n"] for one in rows} == {"-1"}


def test_without_a_terminal_a_step_says_a_line_in_thirty_seconds_and_one_at_its_end() -> None:
    written: list[str] = []
    now = [0.0]
    follow = Lines(written.append, lambda: now[0])
    for second in range(0, 101):
        now[0] = float(second)
        follow(Advance("land", second * 10, 1000, f"{second} zips"))
    assert SECONDS_BETWEEN_LINES == 30
    assert written == [
        "land: 30%, 30 zips, 1:10 left",
        "land: 60%, 60 zips, 0:40 left",
        "land: 90%, 90 zips, 0:10 left",
        "land: 100 zips, in 1:40",
    ]


def test_a_short_step_says_one_line_and_a_next_one_its_own() -> None:
    written: list[str] = []
    now = [0.0]
    follow = Lines(written.append, lambda: now[0])
    for step in ("receive", "land"):
        for done in (0, 1, 2):
            now[0] += 1
            follow(Advance(step, done, 2, f"{done} of 2 zips"))
    assert written == ["receive: 2 of 2 zips, in 0:02", "land: 2 of 2 zips, in 0:02"]


def test_time_left_is_unknown_until_something_is_done() -> None:
    first = Advance("build", 5, 100, "")
    assert first.seconds_left(0.0, first) is None
    assert Advance("build", 24, 100, "").seconds_left(19.0, first) == 76.0


SHOWN = """
from ruam.cli.bar import Advance, bar
with bar() as follow:
    for done in (0, 50, 100):
        follow(Advance("land", done, 100, f"{done} of 100 zips"))
print("the output")
"""


def run(code: str, *, in_terminal: bool) -> tuple[str, str]:
    """Standard output, and what a terminal on standard error would show (or standard error itself)."""
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-c", code]
    if not in_terminal:
        ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=True)  # noqa: S603
        return ended.stdout.decode(), ended.stderr.decode()
    mine, theirs = pty.openpty()
    ended = subprocess.run(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=theirs, check=True)  # noqa: S603
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(mine, 65536)
        except OSError:  # How a pseudo-terminal says that it has ended.
            break
        if not piece:
            break
        shown += piece
    os.close(mine)
    return ended.stdout.decode(), shown.decode()


def test_a_terminal_shows_a_bar_and_a_piped_output_stays_clean() -> None:
    output, terminal = run(SHOWN, in_terminal=True)
    assert output == "the output\n"
    assert "━" in terminal
    assert "100 of 100 zips" in terminal


def test_a_pipe_shows_a_line_and_no_bar() -> None:
    output, errors = run(SHOWN, in_terminal=False)
    assert output == "land: 100 of 100 zips, in 0:00\nthe output\n"
    assert errors == ""


def test_help_waits_for_no_data_frame_and_no_database() -> None:
    code = (
        "import sys; sys.argv = ['ruam', '--help']\n"
        "from ruam.cli import app\n"
        "app(standalone_mode=False)\n"
        "heavy = {'polars', 'pyarrow', 'duckdb', 'dbt', 'pydantic', 'streamlit', 'numpy', 'yaml', 'ruam.settings'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    output, _ = run(code, in_terminal=False)
    assert "quarantine" in output
