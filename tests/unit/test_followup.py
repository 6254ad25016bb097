"""What stewards did about findings, and that none of it can be lost or changed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from ruam.audit import AuditLog
from ruam.errors import SetupError, UsageError
from ruam.followup import NOBODY, Action, By, Done, Finding, Followup, standing_of
from ruam.followup.tables import HEAD, MIGRATIONS, followup_events, metadata
from ruam.settings import Settings
from tests.installed import missing
from tests.postgres import DATABASE, USER, postgres, programs

FINDING = Finding("a" * 32, "90101", "visit_without_diagnosis")
SOMCHAI = By("subject", "สมชาย", ("steward",))
TODAY = date(2026, 1, 15)


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """The socket of a PostgreSQL server."""
    if (server := programs()) is None:
        missing("PostgreSQL's server is not installed; `make services` installs it")
    with postgres(server) as socket:
        yield socket


@pytest.fixture(params=["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.slow)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Of a home whose follow-up is in a database that nobody used before."""
    if request.param == "SQLite":
        return Settings(home=tmp_path / "home")
    socket = request.getfixturevalue("socket")
    name = f"of_{uuid4().hex}"
    with psycopg.connect(host=socket, user=USER, dbname=DATABASE, autocommit=True) as connection:
        connection.execute(f"create database {name}")  # type: ignore[arg-type]
    return Settings(home=tmp_path / "home", followup=SecretStr(f"postgresql+psycopg://{USER}@/{name}?host={socket}"))


@pytest.fixture
def followup(settings: Settings) -> Followup:
    return Followup.of(settings)


def test_what_was_done_is_told_in_order_and_gives_how_it_stands(followup: Followup) -> None:
    followup.assign(FINDING, SOMCHAI, "งานเวชระเบียน", "ภายในสัปดาห์นี้")
    followup.comment(FINDING, SOMCHAI, "โทรแล้ว")
    followup.snooze(FINDING, SOMCHAI, date(2026, 2, 1), "รอโปรแกรมรุ่นใหม่", TODAY)
    history = followup.history(FINDING.finding_key)
    assert [one.action for one in history] == [Action.ASSIGNED, Action.COMMENTED, Action.SNOOZED]
    state = standing_of(history)
    assert (state.assignee, state.n_comments, state.reason) == ("งานเวชระเบียน", 1, "รอโปรแกรมรุ่นใหม่")
    assert [state.is_waiting(date(2026, 2, day)) for day in (1, 2)] == [True, False]
    assert followup.accepted() == frozenset()
    followup.accept(FINDING, SOMCHAI, "ถูกต้องตามเวชระเบียน")
    assert followup.accepted() == {FINDING.finding_key}
    followup.reopen(FINDING, SOMCHAI, "ดูผิด")
    assert followup.accepted() == frozenset()
    assert followup.states(["b" * 32]) == {}


def test_the_last_of_waiting_accepting_and_opening_again_holds() -> None:
    def done(action: Action) -> Done:
        return Done("k", datetime(2026, 1, 1), "x", action, None, TODAY if action is Action.SNOOZED else None, "why")  # noqa: DTZ001

    assert standing_of([]) == NOBODY
    assert standing_of([done(Action.SNOOZED), done(Action.ACCEPTED)]).snoozed_until is None
    assert not standing_of([done(Action.ACCEPTED), done(Action.SNOOZED)]).is_accepted
    assert standing_of([done(Action.ACCEPTED), done(Action.REOPENED)]).reason is None


@pytest.mark.parametrize("statement", [update(followup_events).values(note="other"), delete(followup_events)])
def test_what_was_done_can_be_neither_changed_nor_deleted(followup: Followup, statement: object) -> None:
    followup.comment(FINDING, SOMCHAI, "โทรแล้ว")
    with pytest.raises(DBAPIError, match="only ever added to"), followup.engine.begin() as connection:
        connection.execute(statement)  # type: ignore[call-overload]
    assert len(followup.history(FINDING.finding_key)) == 1


def test_the_audit_log_tells_who_did_what_and_not_in_which_words(followup: Followup, settings: Settings) -> None:
    followup.comment(FINDING, SOMCHAI, "โทรแล้ว")
    (entry,) = AuditLog(settings.data_home).newest(1)
    told = {name: entry[name] for name in ("event", "subject", "finding", "action")}
    assert told == {"event": "followup", "subject": "subject", "finding": FINDING.finding_key, "action": "commented"}
    assert "โทรแล้ว" not in AuditLog(settings.data_home).path.read_text("utf-8")


def test_what_cannot_be_recorded_is_not_done(followup: Followup, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AuditLog, "write", full)
    with pytest.raises(OSError, match="No space"):
        followup.comment(FINDING, SOMCHAI, "โทรแล้ว")
    assert followup.history(FINDING.finding_key) == []


def test_words_are_asked_for_and_hold_no_citizen_number(followup: Followup) -> None:
    with pytest.raises(UsageError, match="missing"):
        followup.accept(FINDING, SOMCHAI, "  ")
    with pytest.raises(UsageError, match="is over"):
        followup.snooze(FINDING, SOMCHAI, date(2026, 1, 14), "x", TODAY)
    with pytest.raises(UsageError, match="characters"):
        followup.comment(FINDING, SOMCHAI, "x" * 2001)
    followup.comment(FINDING, SOMCHAI, "เลข 1-1007-02145-67-6\nบรรทัดสอง")
    assert followup.history(FINDING.finding_key)[0].note == "เลข x-xxxx-xxxxx-xx-x\nบรรทัดสอง"


def test_the_database_is_for_its_owner_alone_and_opened_again_as_it_was(settings: Settings) -> None:
    Followup.of(settings).comment(FINDING, SOMCHAI, "โทรแล้ว")
    if settings.followup is None:
        assert stat.S_IMODE(settings.data_home.followup.stat().st_mode) == 0o600
    assert settings.data_home.followup.exists() == (settings.followup is None)
    assert len(Followup.of(settings).history(FINDING.finding_key)) == 1


def test_the_migrations_make_the_tables_that_the_code_knows(followup: Followup) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
    with followup.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(select(followup_events)).all() == []
    for table in metadata.sorted_tables:
        assert (
            "BIGSERIAL" in str(CreateTable(table).compile(dialect=postgresql.dialect())) or table.name == "alerts_sent"
        )


def test_another_database_that_cannot_be_reached_is_told_without_its_address(tmp_path: Path) -> None:
    away = "postgresql+psycopg://ruam:hidden@127.0.0.1:1/ruam"
    with pytest.raises(SetupError) as told:
        Followup.of(Settings(home=tmp_path, followup=SecretStr(away)))
    assert "hidden" not in str(told.value)
    with pytest.raises(SetupError, match="no address"):
        Followup.of(Settings(home=tmp_path, followup=SecretStr("somewhere")))
