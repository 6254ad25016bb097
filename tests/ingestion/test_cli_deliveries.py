"""`ruam status` and `ruam deliveries`: what came, from whom, and what became of it, for people and for scripts."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion.job import land_received
from ingestion.landing import RECEIPTS, BatchWriter
from ruam.files import locked
from ruam.home import DataHome
from ruam.settings import Settings
from tests.ingestion.odd_zips import cid, make_zip, row, text, visits, zip_name
from tests.ingestion.reading import records, take_in

Command = Callable[..., int]
PLANTED = [cid(9001), cid(9002), cid(9003), cid(9004)]
IN_NAME, IN_ROW, IN_FACILITY, IN_MEMBER = PLANTED


@pytest.fixture(scope="module")
def history(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Region 01: clean, with rejects, a copy; 02: junk alone; 03: nothing but rows set aside; unknown senders."""
    folder = tmp_path_factory.mktemp("history")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    bad = [
        row("SERVICE"),
        row("SERVICE", SEQ="2", DATE_SERV="25670101"),
        row("SERVICE", SEQ="3", PID="", CID=IN_ROW),
        row("SERVICE", SEQ="4", HOSPCODE=IN_FACILITY),
    ]
    first = make_zip(folder / zip_name(sent_at="20240601120000"), {f"{IN_MEMBER}_SERVICE.txt": text("SERVICE", *bad)})
    take_in(settings, first)
    take_in(settings, Path(shutil.copy(first, folder / zip_name(sent_at="20240602120000"))))
    take_in(settings, make_zip(folder / zip_name("90102", "20240603120000"), {"SERVICE.txt": visits(3, "90102")}))
    (folder / zip_name("90201")).write_bytes(b"junk")
    take_in(settings, folder / zip_name("90201"))
    take_in(settings, make_zip(folder / zip_name("90301"), {"SERVICE.txt": text("SERVICE", row("SERVICE", "90101"))}))
    take_in(settings, make_zip(folder / zip_name("99999"), {"SERVICE.txt": visits(1, "99999")}))
    take_in(settings, make_zip(folder / f"{IN_NAME}\x1b[31m.zip", {"SERVICE.txt": visits(2)}))
    return settings


@pytest.fixture
def ruam(history: Settings, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in the home with a history."""
    monkeypatch.setenv("RUAM_HOME", str(history.home))
    monkeypatch.setenv("COLUMNS", "120")
    return command


def told(capfd: pytest.CaptureFixture[str]) -> Any:
    """The JSON that was printed, whole and alone."""
    return json.loads(capfd.readouterr().out)


def test_all_regions_are_shown_and_silence_is_not_zero(ruam: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert ruam("status", "--json") == 0
    state = told(capfd)
    by_region = {one["region"]: one for one in state["regions"]}
    assert list(by_region) == [*(f"{region:02d}" for region in range(1, 14)), "00"]
    rows = {region: one["n_rows_landed"] for region, one in by_region.items()}
    assert rows == dict.fromkeys(by_region) | {"01": 4, "03": 0}
    assert [one["region"] for one in state["regions"] if one["is_received"]] == ["01", "02", "03", "00"]
    first = by_region["01"]
    assert (first["n_accepted"], first["n_accepted_with_rejects"], first["n_duplicate"], first["n_rejected"]) == (
        *(1, 1, 1, 0),
    )
    assert (first["n_facilities"], first["n_facilities_sent"]) == (2, 2)
    assert by_region["02"]["n_facilities_sent"] == 0
    assert by_region["04"]["last_received_at"] is None

    assert ruam("status") == 0
    shown = capfd.readouterr().out
    assert "ไม่มีข้อมูลส่งเข้ามา / nothing received: เขตสุขภาพที่ 4, " in shown
    (silent,) = [line for line in shown.splitlines() if line.startswith("04")]
    assert "0" not in silent.replace("04", "", 1).replace("0/1", "")
    assert "nothing" in silent


def test_status_of_one_region_is_of_that_region_alone(ruam: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert ruam("status", "--region", "2", "--json") == 0
    state = told(capfd)
    assert [one["region"] for one in state["regions"]] == ["02"]
    assert state["quarantine"] == [{"rule": "unreadable_zip", "n_deliveries": 1}]
    assert state["build"]["n_deliveries_waiting"] == 0
    assert ruam("status", "--region", "01", "--json") == 0
    state = told(capfd)
    assert state["quarantine"] == []
    assert state["build"] == {
        "is_running": False,
        "last_good": None,
        "has_failed_since": False,
        "n_batches": 3,
        "n_batches_waiting": 3,
        "n_deliveries_waiting": 2,
        "n_rows_waiting": 4,
    }
    assert state["published"] is None
    assert ruam("status", "--region", "unknown", "--json") == 0
    assert {one["rule"] for one in told(capfd)["quarantine"]} == {"unknown_sender", "bad_zip_name"}


def test_status_in_words(ruam: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert ruam("status") == 0
    shown = capfd.readouterr().out
    assert "1 × unreadable_zip: The file is not a readable zip." in shown
    assert "เปิดไฟล์ zip ไม่ได้" in shown
    assert "Waiting to be built: 3 deliveries with 4 rows" in shown
    assert "Published: nothing yet." in shown


def test_an_empty_home_has_received_nothing_from_anyone(
    command: Command, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("status", "--json") == 0
    assert {one["n_rows_landed"] for one in told(capfd)["regions"]} == {None}
    assert command("deliveries", "--json") == 0
    assert told(capfd) == []
    assert command("deliveries", "--hospcode", "90102") == 0
    assert "90102 โรงพยาบาลสมมติ 90102, แม่ฮ่องสอน: ไม่มีข้อมูลส่งเข้ามา / nothing received" in capfd.readouterr().out


def test_history_is_newest_first_with_who_and_what_became_of_it(
    ruam: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ruam("deliveries", "--json") == 0
    ones = told(capfd)
    assert [one["received_at"] for one in ones] == sorted((one["received_at"] for one in ones), reverse=True)
    assert [(one["hospcode"], one["outcome"], one["reason"]) for one in ones] == [
        (None, "rejected", "bad_zip_name"),
        ("99999", "rejected", "unknown_sender"),
        ("90301", "accepted_with_rejects", None),
        ("90201", "rejected", "unreadable_zip"),
        ("90102", "accepted", None),
        ("90101", "duplicate", None),
        ("90101", "accepted_with_rejects", None),
    ]
    last = ones[-1]
    assert (last["facility"], last["province"], last["region"]) == ("โรงพยาบาลสมมติ 90101", "แม่ฮ่องสอน", "01")
    assert last["sent_at"] == "2024-06-01T12:00:00+07:00"
    assert datetime.fromisoformat(last["received_at"]).utcoffset() == timedelta(0)
    assert (last["n_rows"], last["n_landed"], last["n_rejected"]) == (4, 1, 3)
    assert (ones[1]["facility"], ones[1]["province"]) == (None, None)


@pytest.mark.parametrize(
    ("filters", "n"),
    [
        (("--hospcode", "90101"), 2),
        (("--hospcode", "99999"), 1),
        (("--region", "1"), 3),
        (("--region", "unknown"), 2),
        (("--outcome", "duplicate"), 1),
        (("--outcome", "rejected", "--region", "02"), 1),
        (("--since", "2024-01-01"), 7),
        (("--since", "2999-01-01"), 0),
    ],
    ids=str,
)
def test_history_can_be_narrowed(
    ruam: Command, capfd: pytest.CaptureFixture[str], filters: tuple[str, ...], n: int
) -> None:
    assert ruam("deliveries", *filters, "--json") == 0
    assert len(told(capfd)) == n


def test_since_is_a_day_in_thailand(command: Command, settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    times = {"before.zip": "2024-05-31T16:59:59", "after.zip": "2024-05-31T17:00:00"}  # Midnight in Bangkok.
    rows = [
        {"delivery_id": name, "file_name": name, "outcome": "rejected", "reason": "bad_zip_name"}
        | {"received_at": datetime.fromisoformat(at)}
        for name, at in times.items()
    ]
    with BatchWriter(settings.data_home.landing, "00", "20240531T000000-a") as writer:
        writer.append("receipts", pl.DataFrame(rows, schema=RECEIPTS))
        writer.commit()
    assert command("deliveries", "--since", "2024-06-01", "--json") == 0
    assert [one["file_name"] for one in told(capfd)] == ["after.zip"]
    assert command("deliveries", "--since", "2024-05-31", "--json") == 0
    assert len(told(capfd)) == 2


def test_history_in_words(ruam: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert ruam("deliveries", "--limit", "2", "--region", "01") == 0
    shown = capfd.readouterr().out
    assert "90102 โรงพยาบาลสมมติ 90102, แม่ฮ่องสอน" in shown
    assert "accepted: 3 rows = 3 landed + 0 rejected; 0 flagged" in shown
    assert "2 deliveries, newest of 3 (--limit 0 shows all)" in shown
    assert ruam("deliveries", "--outcome", "rejected") == 0
    shown = capfd.readouterr().out
    assert "99999 ไม่อยู่ในทะเบียน / not in the registry" in shown
    assert "unknown_sender: facility 99999 is not in the registry in force" in shown
    assert "docs/runbooks/rejected.md#unknown_sender" in shown


def test_files_balance_and_rules_come_with_words(ruam: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert ruam("deliveries", "--hospcode", "90101", "--files", "--rules", "--json") == 0
    copy, first = told(capfd)
    assert (copy["files"], copy["rules"]) == ([], [])
    (file,) = first["files"]
    assert (file["file"], file["n_rows"], file["n_landed"], file["n_rejected"]) == ("SERVICE", 4, 1, 3)
    rows = {one["rule"]: one for one in first["rules"] if one["level"] == "row"}
    assert sum(one["n_rows"] for one in rows.values()) == 3
    assert rows["be_year"]["column_name"] == "DATE_SERV"
    assert rows["be_year"]["th"] == "ปีเป็น พ.ศ. (ต้องเป็น ค.ศ.)"
    assert rows["be_year"]["fix"] == "Subtract 543 in the export."

    assert ruam("deliveries", "--hospcode", "90101", "--files", "--rules") == 0
    shown = capfd.readouterr().out
    assert "SERVICE.DATE_SERV" in shown
    assert "ปีเป็น พ.ศ. (ต้องเป็น ค.ศ.)" in shown


def test_csv_has_a_header_and_a_line_for_each(ruam: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert ruam("deliveries", "--csv") == 0
    ones = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert len(ones) == 7
    assert (ones[-1]["hospcode"], ones[-1]["n_rejected"]) == ("90101", "3")
    assert ruam("deliveries", "--csv", "--files") == 0
    files = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert [(one["hospcode"], one["file"], one["n_rows"]) for one in files] == [
        ("90301", "SERVICE", "1"),
        ("90102", "SERVICE", "3"),
        ("90101", "SERVICE", "4"),
    ]
    assert ruam("deliveries", "--csv", "--rules") == 0
    rules = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert {"bad_zip_name", "unknown_sender", "unreadable_zip", "be_year"} <= {one["rule"] for one in rules}


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "--json"),
        ("deliveries", "--files", "--rules", "--limit", "0"),
        ("deliveries", "--files", "--rules", "--json"),
        ("deliveries", "--csv"),
        ("deliveries", "--csv", "--files"),
        ("deliveries", "--csv", "--rules"),
        ("quarantine", "list"),
        ("quarantine", "list", "--json"),
        ("quarantine", "list", "--csv"),
        ("quarantine", "list", "--rows", "--csv"),
        ("quarantine", "list", "--rows"),
    ],
    ids=" ".join,
)
def test_no_identifier_and_no_control_character_is_shown(
    ruam: Command, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert ruam(*arguments) == 0
    shown = capfd.readouterr()
    assert shown.out
    for planted in PLANTED:
        assert planted not in shown.out + shown.err
    assert "\x1b[31m" not in shown.out


def test_no_identifier_is_shown_of_any_single_delivery(
    history: Settings, ruam: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    for delivery_id in records(history, "receipts")["delivery_id"].unique():
        for form in ((), ("--json",)):
            assert ruam("quarantine", "show", delivery_id, *form) == 0
            shown = capfd.readouterr()
            assert delivery_id in shown.out
            assert not [planted for planted in PLANTED if planted in shown.out + shown.err]
            assert "\x1b[31m" not in shown.out


def test_what_waits_is_what_the_last_good_build_has_not_read(
    history: Settings, ruam: Command, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = set(records(history, "receipts")["batch"])

    def of_build(home: DataHome) -> set[str]:
        return set(sorted(built)[:1])

    monkeypatch.setattr("ruam.build.built_batches", of_build)
    assert ruam("status", "--json") == 0
    build = told(capfd)["build"]
    assert (build["n_batches"], build["n_batches_waiting"]) == (len(built), len(built) - 1)
    assert (build["n_deliveries_waiting"], build["n_rows_waiting"]) == (2, 3)


def test_looking_waits_for_no_lock(history: Settings, ruam: Command) -> None:
    home = history.data_home
    with locked(home.landing / "region=01" / ".lock", "It"), locked(home.root / ".build.lock", "It"):
        assert ruam("status") == 0
        assert ruam("deliveries") == 0
        assert ruam("quarantine", "list") == 0


def test_landing_nothing_is_nothing(settings: Settings) -> None:
    report = land_received(settings, [])
    assert (report.outcomes, report.batches) == ([], [])
