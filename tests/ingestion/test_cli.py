"""The command line: help that teaches, and exit codes that scripts can use."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from polars.exceptions import PanicException

from identity.keys import Keys
from identity.pseudonym import Pseudonymiser
from ingestion.checks import Checker, load_rules
from ingestion.contract import load_contracts
from ingestion.delivery import DeliveryZip
from ingestion.feed import load_feeds
from ingestion.receipts import check
from ruam import cli
from ruam.errors import RuamError
from ruam.files import locked
from ruam.landing import region_folder
from ruam.settings import PROJECT, Settings
from tests.conftest import registry_csv
from tests.ingestion.odd_zips import make_zip, row, text, zip_name
from tests.ingestion.reading import batches, landed, records

Command = Callable[..., int]
COMMANDS = [
    *("init", "synth", "reference load", "ingest", "build", "check", "publish", "run", "serve"),
    *("status", "deliveries", "quarantine list", "quarantine show", "quarantine release"),
    *("compact", "landing check", "landing repair", "feeds check", "inbox purge"),
    *("identity take-in", "identity status", "identity forget", "identity audit"),
    *("identity link", "identity review", "identity train", "identity evaluate", "keys show", "keys rotate"),
    *("study rollout", "brief", "docs", "export", "audit verify", "audit subject"),
    *("access check", "access sessions", "access revoke", "report", "reports", "alerts send"),
    *("findings list", "findings show", "findings assign", "findings comment", "findings snooze", "findings accept"),
    *("findings reopen", "scorecard"),
]


def registered() -> set[str]:
    """All commands, with those of groups as two words."""
    group = typer.main.get_command(cli.app)
    names = set()
    for name, one in group.commands.items():  # type: ignore[attr-defined]
        names |= {f"{name} {inner}" for inner in getattr(one, "commands", {})} or {name}
    return names


def test_these_are_the_commands() -> None:
    assert registered() == set(COMMANDS)


@pytest.mark.parametrize(
    "name", ["", *COMMANDS, "reference", "quarantine", "landing", "feeds", "inbox", "identity", "keys"]
)
def test_help_teaches(command: Command, capfd: pytest.CaptureFixture[str], name: str) -> None:
    assert command(*name.split(), "--help") == 0
    shown = capfd.readouterr().out
    assert "Usage" in shown
    assert len(shown.splitlines()) >= 5
    if not name:
        assert all(one.split()[0] in shown for one in COMMANDS)
        assert "75" in shown


def test_a_fresh_home_to_a_first_delivery(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(tmp_path / "fresh"))
    (tmp_path / "registry.csv").write_text(registry_csv(), encoding="utf-8")
    assert command("init") == 0
    keys = {path.name: path.read_bytes() for path in (tmp_path / "fresh" / "keys").iterdir()}
    assert command("init") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "fresh" / "keys").iterdir()} == keys
    assert "kept" in capfd.readouterr().out
    assert command("reference", "load", "registry", tmp_path / "registry.csv", "--as-of", "2024-10-01") == 0
    assert "15 rows, 0 lines rejected" in " ".join(capfd.readouterr().out.split())
    assert command("reference", "load", "registry", tmp_path / "registry.csv", "--as-of", "2024-10-01") == 0
    assert "in force already" in capfd.readouterr().out
    rows = [row("SERVICE"), row("SERVICE", SEQ="")]
    assert command("ingest", make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", *rows)})) == 0
    assert "accepted_with_rejects" in capfd.readouterr().out
    assert command("status") == 0
    shown = capfd.readouterr().out
    assert "Published: nothing yet" in shown
    assert "Last good build: none" in shown
    entries = [json.loads(line) for line in (tmp_path / "fresh/logs/ruam.jsonl").read_text().splitlines()]
    ingested = [entry for entry in entries if entry["message"] == "ingested"]
    assert [entry["accepted_with_rejects"] for entry in ingested] == [1]


def test_the_same_zip_again_is_no_error(command: Command, settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name())
    assert command("ingest", path) == 0
    before = batches(settings)
    assert command("ingest", path) == 0
    assert batches(settings) == before
    assert landed(settings, "SERVICE").height == 2


def test_a_folder_without_zips_is_no_error(command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert command("ingest", tmp_path / "empty") == 0
    assert "No zip was found" in capfd.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest",),
        ("ingest", "nowhere"),
        ("nonsense",),
        ("reference", "load", "registry", "nowhere.csv"),
        ("reference", "load", "people", "x.csv"),
        ("reference", "load", "registry", "x.csv", "--as-of", "yesterday"),
        ("synth", "--months", "0"),
        ("serve", "--port", "x"),
        ("status", "--region", "14"),
        ("deliveries", "--hospcode", "9010"),
        ("deliveries", "--hospcode", "12345"),
        ("deliveries", "--since", "yesterday"),
        ("deliveries", "--outcome", "lost"),
        ("deliveries", "--json", "--csv"),
        ("deliveries", "--csv", "--files", "--rules"),
        ("quarantine", "list", "--rule", "no_such_rule"),
        ("quarantine", "show", "abc"),
        ("quarantine", "show", "not a hex id"),
        ("quarantine", "show", "0123456789"),
        ("quarantine", "release", "0123456789"),
    ],
    ids=" ".join,
)
def test_a_wrong_argument_is_2(command: Command, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert command(*arguments) == 2
    shown = capfd.readouterr().err
    assert shown.strip()
    assert "Traceback" not in shown


def test_serving_beyond_this_machine_is_refused(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUAM_HOST", "0.0.0.0")  # noqa: S104
    assert command("serve") == 2
    assert "is not this machine" in capfd.readouterr().err


def test_nothing_accepted_is_3_and_says_why(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    junk = tmp_path / zip_name()
    junk.write_bytes(b"junk")
    for _ in range(2):
        assert command("ingest", junk, make_zip(tmp_path / "nameless.zip")) == 3
        captured = capfd.readouterr()
        assert "unreadable_zip" in captured.out
        assert "bad_zip_name" in captured.out
        assert junk.name in captured.out
        assert "None of the 2 deliveries" in captured.err
    assert len(list(settings.data_home.inbox.rglob("*.sealed"))) == 2


def test_copies_of_a_bad_zip_are_3_too(command: Command, tmp_path: Path) -> None:
    junk = tmp_path / "in" / zip_name()
    junk.parent.mkdir()
    junk.write_bytes(b"junk")
    shutil.copy(junk, junk.with_name(zip_name(sent_at="20240701120000")))
    assert command("ingest", junk.parent) == 3


def test_one_good_among_bad_ones_is_0(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "junk.zip").write_bytes(b"junk")
    make_zip(tmp_path / "in" / zip_name())
    assert command("ingest", tmp_path / "in") == 0


@pytest.mark.parametrize("name", ["ingest", "build", "publish", "status", "run", "deliveries", "quarantine list"])
def test_before_init_is_4(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(tmp_path / "nowhere"))
    path = make_zip(tmp_path / zip_name())
    assert command(*name.split(), *([path] if name in ("ingest", "run") else [])) == 4
    shown = capfd.readouterr().err
    assert "ruam init" in shown
    assert "docs/runbooks/not_ready.md" in shown
    assert not (tmp_path / "nowhere").exists()


def test_without_a_registry_is_4(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for version in (settings.data_home.reference / "registry").glob("2*.parquet"):
        version.unlink()
    assert command("ingest", make_zip(tmp_path / zip_name())) == 4
    assert "reference load registry" in capfd.readouterr().err


def test_a_key_that_others_may_read_is_4(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (settings.data_home.keys / "linkage.key").chmod(0o644)
    assert command("ingest", make_zip(tmp_path / zip_name())) == 4
    shown = " ".join(capfd.readouterr().err.split())
    assert "linkage.key" in shown
    assert "0644" in shown
    assert command("init") == 4


def test_a_wrong_setting_is_4(
    command: Command, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUAM_WORKERS", "none")
    assert command("status") == 4
    assert "workers" in capfd.readouterr().err


def test_nothing_to_publish_is_6(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("publish") == 6
    assert "ruam build" in capfd.readouterr().err


def test_a_busy_region_is_75(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with locked(region_folder(settings.data_home.landing, "01") / ".lock", "Region 01"):
        assert command("ingest", make_zip(tmp_path / zip_name())) == 75
        told = capfd.readouterr()
        assert "waiting: 1, not taken in" in told.out
        assert "1 delivery waits; the others were taken in.\nRegion 01 of" in told.err
        assert f"is in use by process {os.getpid()}" in told.err
    assert command("ingest", tmp_path / zip_name()) == 0


@pytest.mark.parametrize(("lock", "name"), [(".build.lock", "build"), ("serving/.lock", "publish")])
def test_a_busy_build_or_publish_is_75(command: Command, settings: Settings, lock: str, name: str) -> None:
    with locked(settings.data_home.root / lock, "It"):
        assert command(name) == 75


@pytest.mark.parametrize("kind", [KeyError, RuntimeError, PanicException])
def test_an_error_that_nobody_foresaw_is_told_by_its_place_and_without_its_words(
    command: Command,
    settings: Settings,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    def fail(*_: object) -> None:
        raise kind("1234567890123 สมชาย ใจดี")

    monkeypatch.setattr("ingestion.history.read_records", fail)
    assert command("deliveries") == 1
    said = capfd.readouterr().err
    found = re.search(rf"failed \({kind.__name__} at ingestion/history.py:\d+\), logged as (\w+)\.", said)
    assert found, said
    assert "docs/runbooks/failed.md" in said
    log = (settings.data_home.logs / "ruam.jsonl").read_text(encoding="utf-8")
    entry = next(one for one in map(json.loads, log.splitlines()) if one.get("reference") == found[1])
    assert entry["error"].startswith(f"{kind.__name__} at ingestion/history.py:")
    for words in (said, log):
        assert re.search("Traceback|1234567890123|สมชาย", words) is None


def test_a_delivery_on_which_ruam_fails_is_8_and_the_day_goes_on(
    command: Command,
    settings: Settings,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing(DeliveryZip):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            if self.members[0].name == "SERVICE_odd.txt":
                raise KeyError("1234567890123")

    for hospcode, name in (("90101", "SERVICE"), ("90102", "SERVICE_odd")):
        make_zip(tmp_path / "in" / zip_name(hospcode), {f"{name}.txt": text("SERVICE", row("SERVICE", hospcode))})
    built: list[Settings] = []
    monkeypatch.setattr("ingestion.batch.DeliveryZip", Failing)
    monkeypatch.setattr("ruam.cli.flow._build", built.append)
    monkeypatch.setattr("ruam.cli.flow._publish", lambda _: None)
    assert command("run", tmp_path / "in") == 8
    told = capfd.readouterr()
    assert f"{zip_name('90102')}: Ruam itself failed on it (KeyError at ingestion/batch.py:" in told.out
    assert "Ruam itself failed on 1 delivery" in told.err
    assert "docs/runbooks/failed.md" in told.err
    assert len(built) == 1
    assert landed(settings, "SERVICE").height == 1
    log = (settings.data_home.logs / "ruam.jsonl").read_text(encoding="utf-8")
    assert '"failed": 1' in log
    assert "1234567890123" not in log + told.out + told.err


def test_exit_codes_are_told_apart() -> None:
    codes = [error.exit_code for error in RuamError.__subclasses__()]
    assert sorted(codes) == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 74, 75]


def test_the_program_is_installed_and_its_errors_are_one_message(tmp_path: Path) -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ruam.cli", "ingest", str(tmp_path / "nowhere")],
        cwd=PROJECT,
        env={"RUAM_HOME": str(tmp_path / "none"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 4
    assert ended.stderr.startswith("ruam:")
    assert "Traceback" not in ended.stderr


def test_rejected_rows_are_named_by_file_line_column_and_rule(
    command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    bad = text("SERVICE", row("SERVICE"), row("SERVICE", SEQ="2", DATE_SERV="25670101"))
    make_zip(tmp_path / zip_name(), {"SERVICE.txt": bad})
    assert command("ingest", tmp_path / zip_name()) == 0
    shown = capfd.readouterr().out
    assert "1 × be_year: The year is of the Buddhist Era" in shown
    assert f"{zip_name()} › SERVICE.txt, line 3, DATE_SERV: be_year (25670101)" in shown


def test_a_member_whose_name_is_mistyped_is_noted_and_told(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = {"PERSON.txt": text("PERSON"), "SERVCE.txt": text("SERVICE"), "__MACOSX/._PERSON.txt": "", ".DS_Store": ""}
    assert command("ingest", make_zip(tmp_path / zip_name(), sent)) == 0
    told = " ".join(capfd.readouterr().out.split())
    assert "1 thing noted" in told
    assert "ignored_member" in told
    noted = records(settings, "receipt_rules").filter(pl.col("level") == "note")
    assert noted.select("rule", "column_name", "n_rows").rows() == [("ignored_member", "2: AAAAAA.txt", 1)]
    assert check(settings, sent=True) == []


def test_every_rule_that_ingestion_names_is_in_the_catalogue() -> None:
    named = set()
    for path in [*(PROJECT / "ingestion").glob("*.py"), PROJECT / "identity" / "cid.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= {node.value, *re.findall("'([a-z0-9_]+)'", node.value)}
    by_feeds = {
        rule
        for feed in load_feeds().values()
        for route in feed.routes
        for rule in (route.reject, *(case.flag for source in route.columns.values() for case in source.cases))
        if rule
    }
    assert by_feeds <= set(load_rules())
    unused = {rule for rule in load_rules() if rule not in named | by_feeds}
    assert not unused, "a rule that nothing checks"
    emitted = {*checker_rules(), "undecodable", "wrong_columns", "nul_byte", "unknown_layout", "unknown_sender"}
    assert emitted <= set(load_rules())


def checker_rules() -> set[str]:
    """Codes of every finding that the checks of all 52 files can make."""
    keys = Keys(b"k" * 32, b"l" * 32)
    rules = set()
    for contract in load_contracts().values():
        checker = Checker(contract, frozenset({"00001"}), Pseudonymiser(keys))
        columns = list(contract.columns)
        rules |= {finding.rule for finding in [*checker._row_findings(columns), *checker._value_findings(columns)]}
    return rules
