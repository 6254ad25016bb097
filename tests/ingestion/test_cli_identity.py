"""`ruam identity` from the outside: what it says, what it never shows, and what it leaves behind."""

from __future__ import annotations

import io
import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from identity.intake import Intake
from identity.vault import opened
from ingestion.inbox import deliveries_in
from ruam.files import locked
from ruam.settings import Settings
from tests.ingestion.nodes import run
from tests.ingestion.odd_zips import cid, make_zip, row, text, zip_name
from tests.ingestion.reading import landed, take_in

Command = Callable[..., int]
Captured = pytest.CaptureFixture[str]
WHY = ("--purpose", "a test")
ONE, OTHER = cid(8101), cid(8102)


@pytest.fixture(scope="module")
def one_peopled(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person at two facilities and another one; nothing is in the vault yet."""
    folder = tmp_path_factory.mktemp("peopled")
    here = text("PERSON", row("PERSON", CID=ONE, NAME="กานดา"), row("PERSON", PID="2", CID=OTHER))
    make_zip(folder / "in" / zip_name(), {"PERSON.txt": here})
    make_zip(folder / "in" / zip_name("90102"), {"PERSON.txt": text("PERSON", row("PERSON", "90102", CID=ONE))})
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    take_in(settings, folder / "in")
    return settings.home


@pytest.fixture
def peopled(settings: Settings, one_peopled: Path) -> Settings:
    shutil.rmtree(settings.home)
    shutil.copytree(one_peopled, settings.home)
    return settings


def held(settings: Settings) -> list[tuple[object, ...]]:
    with opened(settings, "test", "to look") as vault:
        return vault.connection.execute("select hospcode, pid from records order by all").fetchall()


ALL = [("90101", "1001"), ("90101", "2"), ("90102", "1001")]


def test_what_was_landed_is_taken_in_once_and_only_counts_are_told(
    command: Command, peopled: Settings, capfd: Captured
) -> None:
    assert command("identity", "take-in", *WHY) == 0
    assert "1 batch taken in; +3 records, +3 numbers." in capfd.readouterr().out
    assert command("identity", "take-in", *WHY) == 0
    assert "Nothing waits" in capfd.readouterr().out
    assert command("identity", "status", *WHY, "--json") == 0
    told = json.loads(capfd.readouterr().out)
    assert told == {
        "records": 3,
        "people_with_a_usable_number": 2,
        "records_without_one": 0,
        "numbers": 3,
        "forgotten": 0,
        "batches": 1,
        "batches_waiting": 0,
    }
    assert held(peopled) == ALL


@pytest.mark.parametrize("point", ["vault.filled", "vault.taken", "vault.removed"])
def test_killed_at_any_step_the_next_take_in_ends_where_a_clean_one_ends(peopled: Settings, point: str) -> None:
    code, said = run(peopled.home, "identity", "take-in", *WHY, fault=f"{point}:kill")
    assert code == -signal.SIGKILL, said
    assert run(peopled.home, "identity", "take-in", *WHY)[0] == 0
    assert held(peopled) == ALL
    assert list(Intake.of(peopled.data_home).waiting()) == []


@pytest.mark.parametrize("point", ["vault.forgotten", "vault.copied"])
def test_killed_while_it_forgets_it_may_be_repeated(peopled: Settings, point: str) -> None:
    forget = ("identity", "forget", "90101", "1001", *WHY)
    code, said = run(peopled.home, *forget, fault=f"{point}:kill")
    assert code == -signal.SIGKILL, said
    assert run(peopled.home, *forget)[0] == (0 if point == "vault.forgotten" else 2)
    assert held(peopled) == [("90101", "2")]
    assert list(peopled.data_home.vault.glob(".fresh*")) == []


@pytest.mark.parametrize(
    "arguments", [("take-in",), ("status",), ("forget", "90101", "1001"), ("link",), ("review", "pairs.csv")]
)
def test_nobody_opens_the_vault_without_a_purpose(
    command: Command, peopled: Settings, capfd: Captured, arguments: tuple[str, ...]
) -> None:
    assert command("identity", *arguments) == 2
    assert command("identity", *arguments, "--purpose", " ") == 2
    assert command("identity", *arguments, "--purpose", f"for {ONE}") == 2
    assert ONE not in capfd.readouterr().err
    assert not (peopled.data_home.vault / "vault.duckdb").exists()


def test_a_person_is_forgotten_everywhere_by_a_number_that_no_argument_holds(
    command: Command, peopled: Settings, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed_before = landed(peopled, "PERSON").rows()
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{ONE[0]}-{ONE[1:]}\n"))
    assert command("identity", "forget", "--cid", *WHY) == 0
    shown = capfd.readouterr()
    assert "Forgotten: 2 records, 1 number, 0 mentions as a mother." in shown.out
    assert "2 deliveries in the inbox still hold the person" in shown.out
    assert ONE not in shown.out + shown.err
    assert held(peopled) == [("90101", "2")]
    assert landed(peopled, "PERSON").rows() == landed_before
    logs = b"".join(path.read_bytes() for path in peopled.data_home.logs.iterdir())
    assert ONE.encode() not in logs


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (("90101",), ""),
        ((), ""),
        (("90101", "1001", "--cid"), f"{ONE}\n"),
        (("90101", "9999"), ""),
        (("--cid",), "12345\n"),
        (("--cid",), "\n"),
    ],
)
def test_who_is_not_named_rightly_is_not_forgotten(
    command: Command, peopled: Settings, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], stdin: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    assert command("identity", "forget", *arguments, *WHY) == 2
    assert command("identity", "take-in", *WHY) == 0
    assert held(peopled) == ALL


def test_links_join_more_records_and_lose_the_forgotten(command: Command, peopled: Settings) -> None:
    links = pl.DataFrame(
        {"hospcode": ["90101", "90101", "90201"], "pid": ["2", "1001", "5"], "person_key": ["a", "b", "a"]}
    )
    links.write_parquet(peopled.data_home.links)
    assert command("identity", "forget", "90101", "2", *WHY) == 0
    assert pl.read_parquet(peopled.data_home.links).rows() == [("90101", "1001", "b")]
    assert held(peopled) == [("90101", "1001"), ("90102", "1001")]


def test_deliveries_of_a_forgotten_person_leave_the_inbox_when_that_is_wanted(
    command: Command, peopled: Settings, capfd: Captured
) -> None:
    assert len(list(deliveries_in(peopled.data_home.inbox))) == 2
    assert command("identity", "forget", "90101", "2", "--purge-deliveries", *WHY) == 0
    assert "1 delivery with the person left the inbox." in capfd.readouterr().out
    assert len(list(deliveries_in(peopled.data_home.inbox))) == 1
    assert command("landing", "check") == 0


def test_a_vault_in_use_is_75_and_says_what_to_do(
    command: Command, peopled: Settings, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUAM_VAULT_WAIT_SECONDS", "0.05")
    with locked(peopled.data_home.vault / ".lock", "The vault"):
        assert command("identity", "take-in", *WHY) == 75
    said = capfd.readouterr().err
    assert "Waiting up to 0.05 seconds." in said
    assert "is in use by process" in said
    assert "docs/runbooks/vault.md" in said
    assert command("identity", "take-in", *WHY) == 0


def test_another_key_is_4_and_names_it(command: Command, peopled: Settings, capfd: Captured) -> None:
    assert command("identity", "take-in", *WHY) == 0
    key = peopled.data_home.keys / "vault.key"
    content = key.read_bytes()
    for wrong in (bytes(32), b"short", None):
        key.unlink()
        if wrong is not None:
            key.write_bytes(wrong)
            key.chmod(0o400)
        assert command("identity", "status", *WHY) == 4
        assert "vault" in capfd.readouterr().err
        key.touch()
    key.unlink()
    key.write_bytes(content)
    key.chmod(0o400)
    assert command("identity", "status", *WHY) == 0


def test_the_audit_log_is_verified_and_a_changed_line_is_named(
    command: Command, peopled: Settings, capfd: Captured
) -> None:
    assert command("identity", "take-in", *WHY) == 0
    assert command("identity", "audit") == 0
    assert command("identity", "audit", *WHY) == 0
    path = peopled.data_home.logs / "identity-audit.jsonl"
    assert path.stat().st_mode & 0o077 == 0
    path.write_text(path.read_text().replace("a test", "another purpose", 1))
    capfd.readouterr()
    assert command("identity", "audit") == 1
    assert "line 1 was changed" in capfd.readouterr().out
