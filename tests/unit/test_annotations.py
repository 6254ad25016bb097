"""What analysts say about figures: who may, that nothing of it is changed, and that it is written down who did."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, delete, inspect, update
from sqlalchemy.exc import DBAPIError

from ruam.access import Refused
from ruam.audit import AuditLog
from ruam.errors import UsageError
from ruam.followup import By
from ruam.followup.annotations import MOST_CHARACTERS, About, Annotations
from ruam.followup.tables import MIGRATIONS, annotation_events, followup_events, open_database
from ruam.settings import Settings

ABOUT = About("RED-01", "region", "04", "month", date(2025, 3, 1))
ANALYST = By("subject", "สมหญิง", ("executive", "analyst"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def kept(settings: Settings) -> Annotations:
    return Annotations.of(settings)


def standing(kept: Annotations, about: About = ABOUT) -> list[str]:
    return [one.note for one in kept.standing(about.measure_id, about.area_level, about.area_code)]


def test_an_annotation_stands_by_its_measure_and_area_newest_first(kept: Annotations) -> None:
    kept.write(ABOUT, ANALYST, "หน่วยบริการ 2 แห่งเปลี่ยนโปรแกรม")
    kept.write(replace(ABOUT, period_type="fiscal_year"), ANALYST, "ปีที่ยังไม่ครบ")
    kept.write(replace(ABOUT, area_code="05"), ANALYST, "ของเขตอื่น")
    kept.write(replace(ABOUT, measure_id="RED-02"), ANALYST, "ของตัวชี้วัดอื่น")
    assert standing(kept) == ["ปีที่ยังไม่ครบ", "หน่วยบริการ 2 แห่งเปลี่ยนโปรแกรม"]
    newest = kept.standing("RED-01", "region", "04")[0]
    assert (newest.by_role, newest.about.period_type) == ("analyst", "fiscal_year")


def test_what_is_withdrawn_is_shown_no_more_and_deleted_never(kept: Annotations) -> None:
    kept.write(ABOUT, ANALYST, "ผิด")
    kept.write(ABOUT, ANALYST, "ถูก")
    (_, wrong) = kept.standing("RED-01", "region", "04")
    kept.withdraw(wrong, replace(ANALYST, subject="another"))
    kept.withdraw(wrong, ANALYST)
    assert standing(kept) == ["ถูก"]
    with kept.engine.connect() as connection:
        assert len(connection.execute(annotation_events.select()).all()) == 4


@pytest.mark.parametrize("statement", [update(annotation_events).values(note="other"), delete(annotation_events)])
def test_an_annotation_can_be_neither_changed_nor_deleted(kept: Annotations, statement: object) -> None:
    kept.write(ABOUT, ANALYST, "ถูก")
    with pytest.raises(DBAPIError, match="only ever added to"), kept.engine.begin() as connection:
        connection.execute(statement)  # type: ignore[call-overload]
    assert standing(kept) == ["ถูก"]


@pytest.mark.parametrize("roles", [(), ("executive",), ("steward", "administrator")])
def test_nobody_but_an_analyst_writes_or_withdraws(kept: Annotations, roles: tuple[str, ...]) -> None:
    kept.write(ABOUT, ANALYST, "ถูก")
    other = replace(ANALYST, roles=roles)
    with pytest.raises(Refused):
        kept.write(ABOUT, other, "ไม่ควรได้")
    with pytest.raises(Refused):
        kept.withdraw(kept.standing("RED-01", "region", "04")[0], other)
    assert standing(kept) == ["ถูก"]


def test_words_of_an_annotation_are_asked_for_and_hold_no_citizen_number(kept: Annotations) -> None:
    for words in ("  ", "x" * (MOST_CHARACTERS + 1)):
        with pytest.raises(UsageError):
            kept.write(ABOUT, ANALYST, words)
    kept.write(ABOUT, ANALYST, "เลข 1-1007-02145-67-6")
    assert standing(kept) == ["เลข x-xxxx-xxxxx-xx-x"]


def test_the_audit_log_tells_of_each_annotation_and_not_its_words(kept: Annotations, settings: Settings) -> None:
    key = kept.write(ABOUT, ANALYST, "ข้อความ")
    kept.withdraw(kept.standing("RED-01", "region", "04")[0], ANALYST)
    withdrawn, written = AuditLog(settings.data_home).newest(2)
    assert (written["event"], written["change"], withdrawn["change"]) == ("annotation", "written", "withdrawn")
    told = {name: written[name] for name in ("subject", "annotation", "measure_id", "area_code", "period_start")}
    assert told == {
        "subject": "subject",
        "annotation": key,
        "measure_id": "RED-01",
        "area_code": "04",
        "period_start": "2025-03-01",
    }
    assert "ข้อความ" not in AuditLog(settings.data_home).path.read_text("utf-8")


def test_an_annotation_that_cannot_be_recorded_is_not_written(
    kept: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AuditLog, "write", full)
    with pytest.raises(OSError, match="No space"):
        kept.write(ABOUT, ANALYST, "ถูก")
    assert standing(kept) == []


def test_a_database_from_before_annotations_is_brought_up_to_date_when_it_is_opened(settings: Settings) -> None:
    path = settings.data_home.followup
    path.parent.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    before = create_engine(f"sqlite:///{path}")
    with before.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        assert inspect(connection).get_table_names() == ["alembic_version", "alerts_sent", "followup_events"]
    before.dispose()
    engine = open_database(settings)
    assert {annotation_events.name, followup_events.name} <= set(inspect(engine).get_table_names())
