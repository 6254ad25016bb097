"""The audit log of the pages: only ever added to, and whatever else is done to it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruam import chain
from ruam.audit import AuditLog, Event, pseudonym
from ruam.chain import Head
from ruam.errors import SetupError
from ruam.home import DataHome

Lines = list[bytes]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(DataHome(tmp_path))


def filled(log: AuditLog, n: int = 5) -> Lines:
    for number in range(n):
        log.write(Event.VIEW, f"subject {number}", ("analyst",), page="overview", filters={"area": "R04"}, rows=number)
    return log.path.read_bytes().splitlines(keepends=True)


def changed(lines: Lines, number: int) -> Lines:
    entry = json.loads(lines[number]) | {"rows": 999}
    return [*lines[:number], json.dumps(entry).encode() + b"\n", *lines[number + 1 :]]


def swapped(lines: Lines) -> Lines:
    return [lines[0], lines[2], lines[1], *lines[3:]]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda lines: changed(lines, 0),
        lambda lines: changed(lines, 2),
        lambda lines: changed(lines, 4),
        lambda lines: lines[1:],
        lambda lines: lines[:2] + lines[3:],
        lambda lines: lines[:-1],
        lambda _: [],
        swapped,
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines[:2], b"rubbish\n", *lines[3:]],
    ],
    ids=["first", "middle", "last", "beginning", "gap", "end", "all", "order", "twice", "rubbish"],
)
def test_whatever_is_changed_removed_or_reordered_is_found(log: AuditLog, tamper: Callable[[Lines], Lines]) -> None:
    lines = filled(log)
    assert log.problems() == []
    log.path.write_bytes(b"".join(tamper(lines)))
    assert log.problems()


def test_a_log_written_anew_is_found_by_the_line_that_was_noted_elsewhere(log: AuditLog, tmp_path: Path) -> None:
    filled(log)
    noted = log.head()
    other = AuditLog(DataHome(tmp_path / "other"))
    filled(other, 9)
    log.path.write_bytes(other.path.read_bytes())
    (log.home.access / "audit-head.json").write_bytes((other.home.access / "audit-head.json").read_bytes())
    assert log.problems() == []
    assert log.problems(noted)


def test_the_note_of_the_newest_line_may_not_be_taken_away(log: AuditLog) -> None:
    filled(log)
    (log.home.access / "audit-head.json").unlink()
    assert log.problems()


def test_a_line_torn_by_a_power_cut_spoils_no_other(log: AuditLog) -> None:
    filled(log, 2)
    with log.path.open("ab") as handle:
        handle.write(b'{"seq": 3, "at":')
    log.write(Event.VIEW, "x")
    assert log.problems() == []
    assert [entry["seq"] for entry in log.newest(9)] == [3, 2, 1]


def test_sessions_write_at_the_same_time_into_one_chain(log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda number: log.write(Event.VIEW, str(number)), range(40)):
            pass
    assert log.problems() == []
    assert {entry["subject"] for entry in log.newest(99)} == {str(number) for number in range(40)}


def test_the_newest_lines_come_first_and_as_they_are_asked_for(log: AuditLog) -> None:
    filled(log, 3)
    log.write(Event.REFUSED, "subject 1", page="audit")
    assert [entry["seq"] for entry in log.newest(2)] == [4, 3]
    assert [entry["seq"] for entry in log.newest(9, {"subject": "subject 1"})] == [4, 2]
    assert [entry["seq"] for entry in log.newest(9, {"subject": "subject 1", "event": "view"})] == [2]
    assert log.newest(9, {"at": "1999"}) == []


@given(st.lists(st.text(max_size=30_000), max_size=6))
def test_a_log_is_read_backwards_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("chain") / "log.jsonl"
    head = chain.NOTHING
    for text in texts:
        head = chain.append(path, Head(0, chain.BEGINNING), {"text": text})
    assert [entry["text"] for entry in chain.newest_first(path)] == texts[::-1]
    assert chain.last_of(path) == head
    assert chain.problems(path, head) == []


def test_a_person_has_one_pseudonym_in_a_home_and_another_in_the_next(tmp_path: Path) -> None:
    here, there = DataHome(tmp_path / "a"), DataHome(tmp_path / "b")
    assert pseudonym(here, "i", "s") == pseudonym(here, "i", "s")
    assert len({pseudonym(here, "i", "s"), pseudonym(there, "i", "s"), pseudonym(here, "is", "")}) == 3
    (tmp_path / "a" / "access" / "subject.key").chmod(0o644)
    with pytest.raises(SetupError, match="chmod 0400"):
        pseudonym(here, "i", "s")
