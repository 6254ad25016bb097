"""The steps of the newest runs, read from the log."""

from __future__ import annotations

import json
from pathlib import Path

from ruam.home import DataHome
from ruam.steps import steps

LINES = [
    {
        "at": "2025-01-01T01:00:00+00:00",
        "message": "ingested",
        "seconds": 12.5,
        "rows": 100,
        "accepted": 2,
        "rejected": 0,
    },
    {"at": "2025-01-01T01:01:00+00:00", "message": "something else"},
    {"at": "2025-01-01T01:02:00+00:00", "message": "built", "build_id": "b1", "skipped": False, "seconds": 3},
    {"at": "no time", "message": "built"},
    {"at": "2025-01-01T01:03:00+00:00", "message": "checked", "checkpoint": "landing", "checks": 5, "failed": 1},
    {"at": "2025-01-01T01:04:00+00:00", "message": "published", "run_id": "r1", "rows": 7},
]


def home_with(tmp_path: Path, text: str) -> DataHome:
    home = DataHome(tmp_path / "home")
    home.create()
    (home.logs / "ruam.jsonl").write_text(text, encoding="utf-8")
    return home


def test_the_newest_steps_come_first_and_what_is_no_step_is_left_out(tmp_path: Path) -> None:
    text = "\n".join(["torn line", *map(json.dumps, LINES), "[]", "{"])
    told = steps(home_with(tmp_path, text), 10)
    assert [(one.message, one.id) for one in told] == [
        ("published", "r1"), ("checked", ""), ("built", "b1"), ("ingested", ""),
    ]  # fmt: skip
    assert (told[3].rows, told[3].accepted, told[3].seconds) == (100, 2, 12.5)
    assert told[2].rows is None, "what a step does not count is not 0"
    assert (told[1].checks, told[1].failed) == (5, 1)


def test_no_more_steps_are_read_than_were_asked_for_and_none_where_there_is_no_log(tmp_path: Path) -> None:
    home = home_with(tmp_path, "\n".join(map(json.dumps, LINES)))
    assert [one.message for one in steps(home, 2)] == ["published", "checked"]
    (home.logs / "ruam.jsonl").unlink()
    assert steps(home, 2) == []
