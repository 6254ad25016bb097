"""Sessions on the server: how long they live, and that an ended one is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruam.sessions import IDLE_SECONDS, LIFE_SECONDS, Sessions, name_of

NOON = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    return Sessions(tmp_path / "sessions", clock)


def use_until(sessions: Sessions, clock: Clock, name: str, moment: float) -> None:
    """Use the session every quarter of an hour."""
    while clock.now < moment:
        clock.now = min(clock.now + 900, moment)
        if sessions.get(name):
            sessions.touch(name)


def test_a_session_lives_no_longer_than_its_token(sessions: Sessions, clock: Clock) -> None:
    name = name_of(sessions.start("x", {}, NOON + 3600))
    use_until(sessions, clock, name, NOON + 3599)
    assert sessions.get(name)
    clock.now = NOON + 3600
    assert sessions.get(name) is None


def test_a_session_lives_no_longer_than_eight_hours(sessions: Sessions, clock: Clock) -> None:
    name = name_of(sessions.start("x", {}, NOON + 30 * 24 * 3600))
    use_until(sessions, clock, name, NOON + LIFE_SECONDS - 1)
    assert sessions.get(name)
    clock.now = NOON + 8 * 3600
    assert sessions.get(name) is None


def test_a_session_ends_when_nobody_uses_it(sessions: Sessions, clock: Clock) -> None:
    name = name_of(sessions.start("x", {}, NOON + LIFE_SECONDS))
    clock.now += IDLE_SECONDS - 1
    sessions.touch(name)
    clock.now += IDLE_SECONDS - 1
    assert sessions.get(name)
    clock.now += 1
    assert sessions.get(name) is None
    # Looking at it again does not bring it back.
    clock.now = NOON
    assert sessions.get(name) is None


def test_an_ended_session_stays_ended_however_its_token_is_used(sessions: Sessions) -> None:
    token = sessions.start("x", {}, NOON + 3600)
    assert sessions.end(name_of(token))
    sessions.touch(name_of(token))
    assert sessions.get(name_of(token)) is None
    assert not sessions.end(name_of(token))


def test_all_sessions_of_a_person_end_and_nobody_elses(sessions: Sessions) -> None:
    tokens = [sessions.start(subject, {}, NOON + 3600) for subject in ("x", "x", "y")]
    assert sessions.end_of("x") == 2
    assert [sessions.get(name_of(token)) is None for token in tokens] == [True, True, False]


def test_the_folder_tells_nobody_a_token_and_nobody_else_may_read_it(sessions: Sessions) -> None:
    token = sessions.start("x", {"name": "y"}, NOON + 3600)
    (path,) = sessions.folder.iterdir()
    assert token not in path.name + path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert sessions.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", "x", "../" * 20 + "abcd", "0" * 63 + "/", "g" * 64])
def test_a_name_that_is_none_leads_nowhere(sessions: Sessions, name: str) -> None:
    assert sessions.get(name) is None


def test_a_damaged_session_is_none(sessions: Sessions) -> None:
    name = name_of(sessions.start("x", {}, NOON + 3600))
    (sessions.folder / f"{name}.json").write_text("{")
    assert sessions.get(name) is None
