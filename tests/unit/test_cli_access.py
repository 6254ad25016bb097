"""The commands for who is signed in and for the log of who saw what, by their words and exit codes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ruam import cli
from ruam.access import DEFAULT_TABLE
from ruam.audit import AuditLog, Event, pseudonym
from ruam.home import DataHome
from ruam.sessions import Sessions, name_of

Run = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataHome:
    home = DataHome(tmp_path / "home")
    home.create()
    monkeypatch.setenv("RUAM_HOME", str(home.root))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def run(home: DataHome, in_process: Run) -> Run:
    return in_process


def test_a_whole_log_is_told_with_its_newest_line(run: Run, home: DataHome, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "verify") == 0
    head = AuditLog(home).write(Event.VIEW, "x", page="overview")
    assert run("audit", "verify") == 0
    newest = f"{head.seq}:{head.hash}"
    assert newest in capsys.readouterr().out
    AuditLog(home).write(Event.VIEW, "y")
    assert run("audit", "verify", "--known", newest) == 0
    assert run("audit", "verify", "--known", f"1:{'0' * 64}") == 1
    assert run("audit", "verify", "--known", "the last one") == 2


def test_a_changed_line_ends_the_command_with_one(run: Run, home: DataHome, capsys: pytest.CaptureFixture[str]) -> None:
    log = AuditLog(home)
    for page in ("overview", "rollout"):
        log.write(Event.VIEW, "x", page=page)
    log.path.write_text(log.path.read_text().replace("rollout", "measures"))
    assert run("audit", "verify") == 1
    said = capsys.readouterr()
    assert "line 2 was changed" in said.out
    assert "docs/runbooks/audit.md" in said.err


def test_a_persons_sessions_are_found_by_their_pseudonym_and_ended(
    run: Run, home: DataHome, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = pseudonym(home, "https://login.example", "1100")
    sessions = Sessions.of(home)
    tokens = [sessions.start(one, {}, time.time() + 60) for one in (subject, subject, "other")]
    assert run("audit", "subject", "--issuer", "https://login.example", "1100") == 0
    assert capsys.readouterr().out.strip() == subject
    assert run("access", "sessions") == 0
    assert "3 sessions." in capsys.readouterr().out
    assert run("access", "revoke", subject) == 0
    assert [sessions.get(name_of(token)) is None for token in tokens] == [True, True, False]
    (revoked,) = AuditLog(home).newest(9)
    assert (revoked["event"], revoked["subject"], revoked["n_sessions"]) == ("revoked", subject, 2)
    assert run("access", "revoke", "--everyone") == 0
    assert sessions.alive() == {}
    assert run("access", "revoke") == 2


def test_a_table_of_access_is_checked_before_it_is_used(run: Run, tmp_path: Path) -> None:
    assert run("access", "check") == 0
    (tmp_path / "bad.yml").write_text("role: {claim: roles, words: {boss: emperor}}")
    assert run("access", "check", str(tmp_path / "bad.yml")) == 4


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("--demo", "--host", "0.0.0.0"), 2),  # noqa: S104
        (("--host", "0.0.0.0"), 2),  # noqa: S104
        ((), 4),
        (("--port", "0"), 2),
    ],
)
def test_pages_are_not_served_where_and_how_they_should_not(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], exit_code: int
) -> None:
    def begun(*_: object) -> None:
        raise AssertionError("the server began")

    monkeypatch.setattr("os.execve", begun)
    assert run("serve", *arguments) == exit_code


def test_a_demo_is_served_with_the_settings_in_force(
    run: Run, home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ruam.toml").write_text('access_table = "mine.yml"\n')
    (tmp_path / "mine.yml").write_text(DEFAULT_TABLE.read_text(encoding="utf-8"))
    begun: list[tuple[list[str], dict[str, str]]] = []

    def begin(_: str, command: list[str], environment: dict[str, str]) -> None:
        begun.append((command, environment))

    monkeypatch.setattr("os.execve", begin)
    monkeypatch.setattr("os.chdir", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["ruam", "serve", "--demo", "--port", "8777"])
    with pytest.raises(SystemExit):
        cli.main()
    ((command, environment),) = begun
    assert command[1:] == ["-m", "dashboards.access.server", "--demo"]
    assert environment["RUAM_PORT"] == "8777"
    assert environment["RUAM_ACCESS_TABLE"] == str(tmp_path / "mine.yml")
    assert environment["RUAM_HOME"] == str(home.root)
