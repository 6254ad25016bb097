"""`ruam quarantine`: what waits, what is wrong with it, and trying it again on the one way there is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingestion import history
from ingestion.delivery import content_hash
from ingestion.feed import FEEDS
from ingestion.inbox import stored
from ingestion.quarantine import list_members, proposed_name, senders_inside
from ingestion.reference import load
from ruam.files import locked
from ruam.settings import PROJECT, Settings, ZipLimits
from tests.conftest import registry_csv
from tests.ingestion.f16_zips import f16_dbf, f16_row, f16_text
from tests.ingestion.odd_zips import cid, make_zip, row, text, visits, zip_name, zip_of_infos
from tests.ingestion.reading import assert_balanced, batches, landed, records, take_in

Command = Callable[..., int]
NEW = "90199"


def told(capfd: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capfd.readouterr().out)


def load_registry(settings: Settings, folder: Path, *more: str) -> None:
    """The registry with more facilities in the province of 90101."""
    lines = registry_csv().splitlines()
    like = next(line for line in lines if line.startswith("90101,"))
    file = folder / "registry-new.csv"
    file.write_text("\n".join([*lines, *(like.replace("90101", code) for code in more), ""]), encoding="utf-8")
    load(settings.data_home, "registry", file, date(2024, 11, 1))


@pytest.fixture
def nameless(settings: Settings, tmp_path: Path) -> str:
    """Id of a good delivery whose name bears no code."""
    path = make_zip(tmp_path / "export.zip", {"SERVICE.txt": visits(3)})
    take_in(settings, path)
    return content_hash(path)


@pytest.fixture
def unknown(settings: Settings, tmp_path: Path) -> str:
    """Id of a delivery of a facility that the registry does not know yet."""
    path = make_zip(tmp_path / zip_name(NEW), {"SERVICE.txt": visits(4, NEW)})
    take_in(settings, path)
    return content_hash(path)


def test_the_list_has_what_was_rejected_and_never_accepted(
    command: Command, settings: Settings, tmp_path: Path, nameless: str, unknown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    take_in(settings, make_zip(tmp_path / zip_name()))
    assert command("quarantine", "list", "--json") == 0
    found = told(capfd)
    assert [(one["delivery_id"], one["reason"], one["age_days"]) for one in found] == [
        (nameless, "bad_zip_name", 0),
        (unknown, "unknown_sender", 0),
    ]
    for filters, n in [
        (("--rule", "unknown_sender"), 1),
        (("--hospcode", NEW), 1),
        (("--region", "unknown"), 2),
        (("--region", "01"), 0),
        (("--older-than", "0"), 2),
        (("--older-than", "1"), 0),
    ]:
        assert command("quarantine", "list", *filters, "--json") == 0
        assert len(told(capfd)) == n, filters
    assert command("quarantine", "list") == 0
    shown = capfd.readouterr().out
    assert nameless[:12] in shown
    assert "docs/runbooks/rejected.md#bad_zip_name" in shown
    assert "ชื่อไฟล์ zip ไม่มีรหัสหน่วยบริการ" in shown


def test_what_came_again_under_a_right_name_has_left_quarantine(
    command: Command, settings: Settings, tmp_path: Path, nameless: str, capfd: pytest.CaptureFixture[str]
) -> None:
    take_in(settings, Path(tmp_path / "export.zip").rename(tmp_path / zip_name()))
    assert command("quarantine", "list", "--json") == 0
    assert told(capfd) == []
    assert command("quarantine", "list") == 0
    assert "Nothing is in quarantine." in capfd.readouterr().out
    assert command("quarantine", "release", nameless) == 2
    said = capfd.readouterr().err
    assert "nothing to release" in said
    assert "with a new export alone" in said


def test_rows_that_were_set_aside_are_listed_by_rule_and_place(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [row("SERVICE", SEQ=f"{n}", DATE_SERV="25670101") for n in range(3)] + [row("SERVICE", PID="")]
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", *rows)}))
    assert command("quarantine", "list", "--rows", "--json") == 0
    found = {(one["rule"], one["file"], one["column_name"]): one["n_rows"] for one in told(capfd)}
    assert found == {("be_year", "SERVICE", "DATE_SERV"): 3, ("missing_key", "SERVICE", "PID"): 1}
    assert command("quarantine", "list", "--rows", "--rule", "be_year") == 0
    shown = capfd.readouterr().out
    assert "SERVICE.DATE_SERV" in shown
    assert "missing_key" not in shown


def test_show_says_what_is_wrong_what_is_inside_and_the_right_name(
    command: Command, settings: Settings, nameless: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("quarantine", "show", nameless[:8], "--json") == 0
    one = told(capfd)
    assert one["state"] == "in quarantine"
    assert one["rule"]["rule"] == "bad_zip_name"
    assert one["rule"]["fix"].startswith("Name it F43_")
    assert Path(one["path"]) == stored(settings.data_home.inbox, nameless)
    assert [(member["name"], member["file"]) for member in one["members"]] == [("SERVICE.txt", "SERVICE")]
    assert one["senders_inside"] == {"90101": 3}
    assert one["proposed_names"] == ["F43_90101_20240601120000.zip"]
    assert command("quarantine", "show", nameless[:8]) == 0
    shown = capfd.readouterr().out
    assert f"ruam quarantine release {nameless[:12]} --as F43_90101_20240601120000.zip" in shown
    assert str(stored(settings.data_home.inbox, nameless)) in shown
    assert "ชื่อไฟล์ zip ไม่มีรหัสหน่วยบริการ" in shown


def test_show_names_each_row_that_was_set_aside_by_line_and_masks_its_value(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [row("SERVICE"), row("SERVICE", SEQ="2", HOSPCODE="54321"), row("SERVICE", HOSPCODE=cid(8))]
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", *rows)})
    take_in(settings, path)
    assert command("quarantine", "show", content_hash(path), "--json") == 0
    one = told(capfd)
    assert (one["state"], one["rule"]) == ("accepted", None)
    assert [(found["source_line"], found["column_name"], found["rule"]) for found in one["rejected_rows"]] == [
        (3, "HOSPCODE", "unknown_hospcode"),
        (4, "HOSPCODE", "unknown_hospcode"),
    ]
    assert one["rejected_rows"][0]["masked_value"] == "99999"
    assert command("quarantine", "show", content_hash(path), "--limit", "1") == 0
    shown = capfd.readouterr().out
    assert "Rows set aside (2)" in shown
    assert "and 1 more" in shown


def test_a_zip_that_cannot_be_listed_is_shown_all_the_same(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    junk = tmp_path / zip_name()
    junk.write_bytes(b"junk")
    take_in(settings, junk)
    assert command("quarantine", "show", content_hash(junk)) == 0
    shown = capfd.readouterr().out
    assert "cannot be listed" in shown
    assert "the file is not a zip" in shown


def test_a_prefix_of_two_deliveries_asks_for_more_digits(
    command: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    receipts = history.deliveries(settings.data_home).clear()
    twins = pl.DataFrame({"delivery_id": ["ab" * 31 + "01", "ab" * 31 + "02"]})
    monkeypatch.setattr(history, "deliveries", lambda home: pl.concat([receipts, twins], how="diagonal"))
    assert command("quarantine", "show", "ab" * 8) == 2
    assert "Give more digits" in capfd.readouterr().err


def test_release_after_the_registry_was_loaded(
    command: Command, settings: Settings, tmp_path: Path, unknown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = batches(settings)
    assert command("quarantine", "release", unknown, "--reason", "too early") == 3
    captured = capfd.readouterr()
    assert "still rejected" in captured.out
    assert "unknown_sender" in captured.out
    assert "still broken" in captured.err
    assert batches(settings) == before, "a rejection that is known is not recorded again"

    load_registry(settings, tmp_path, NEW)
    assert command("quarantine", "release", unknown[:10], "--reason", "registry of November") == 0
    assert "4 rows = 4 landed + 0 rejected" in capfd.readouterr().out
    assert landed(settings, "SERVICE").height == 4
    assert_balanced(settings)
    assert command("quarantine", "list", "--region", "01", "--json") == 0
    assert told(capfd) == []

    assert command("quarantine", "show", unknown[:10], "--json") == 0
    tried = told(capfd)["releases"]
    assert [(one["state"], one["rule"], one["why"]) for one in tried] == [
        ("begun", None, "too early"),
        ("rejected", "unknown_sender", "too early"),
        ("begun", None, "registry of November"),
        ("accepted", None, "registry of November"),
    ]
    assert all(one["by"] and one["at"].endswith("Z") for one in tried)
    assert settings.data_home.releases.stat().st_mode & 0o777 == 0o600

    after = batches(settings)
    assert command("quarantine", "release", unknown) == 2
    assert "nothing to release" in capfd.readouterr().err
    assert batches(settings) == after
    take_in(settings, tmp_path / zip_name(NEW))
    assert landed(settings, "SERVICE").height == 4


def test_release_under_the_right_name(
    command: Command, settings: Settings, nameless: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("quarantine", "release", nameless, "--as", zip_name("90101", "20240601120000")) == 0
    receipts = records(settings, "receipts").sort("received_at")
    assert receipts.select("file_name", "hospcode", "outcome", "region").rows() == [
        ("export.zip", None, "rejected", "00"),
        (zip_name("90101", "20240601120000"), "90101", "accepted", "01"),
    ]
    assert receipts["sent_at"].to_list()[1].isoformat() == "2024-06-01T12:00:00"
    assert landed(settings, "SERVICE").height == 3


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("export.zip", "no facility code"),
        ("F43_90101.zip", "bears no time"),
        ("F43_90101_20240601120000.txt", "no name of a zip"),
        ("in/F43_90101_20240601120000.zip", "no name of a zip"),
        ("F43_99999_20240601120000.zip", "not in the registry"),
        ("F43_90102_20240601120000.zip", "none of the rows looked at is of 90102; they are of 90101"),
    ],
)
def test_a_name_that_cannot_be_right_is_refused_before_anything_is_tried(
    command: Command, settings: Settings, nameless: str, capfd: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    before = batches(settings)
    assert command("quarantine", "release", nameless, "--as", name) == 2
    assert why in " ".join(capfd.readouterr().err.split())
    assert batches(settings) == before
    assert not settings.data_home.releases.exists()


def test_release_after_a_limit_was_raised(
    command: Command, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": visits(50)})
    take_in(settings.model_copy(update={"limits": ZipLimits(max_member_bytes=100)}), path)
    monkeypatch.setenv("RUAM_LIMITS__MAX_MEMBER_BYTES", "200")
    assert command("quarantine", "release", content_hash(path)) == 3
    assert landed(settings, "SERVICE").is_empty()
    monkeypatch.setenv("RUAM_LIMITS__MAX_MEMBER_BYTES", "1000000")
    assert command("quarantine", "release", content_hash(path)) == 0
    assert landed(settings, "SERVICE").height == 50
    assert_balanced(settings)


def test_several_are_released_together_and_those_still_broken_are_named(
    command: Command, settings: Settings, tmp_path: Path, unknown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    junk = tmp_path / zip_name(NEW, "20240701000000")
    junk.write_bytes(b"junk")
    take_in(settings, junk)
    load_registry(settings, tmp_path, NEW)
    assert command("quarantine", "release", unknown, content_hash(junk)) == 3
    captured = capfd.readouterr()
    assert f"{unknown[:12]} {zip_name(NEW)}: accepted" in captured.out
    assert f"{content_hash(junk)[:12]} {junk.name}: still rejected" in captured.out
    assert landed(settings, "SERVICE").height == 4
    assert command("quarantine", "release", unknown, content_hash(junk), "--as", zip_name()) == 2


def test_what_is_gone_from_the_inbox_or_changed_there_is_not_released(
    command: Command, settings: Settings, tmp_path: Path, unknown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    load_registry(settings, tmp_path, NEW)
    held = stored(settings.data_home.inbox, unknown)
    content = held.read_bytes()
    held.write_bytes(content + b"x")
    assert command("quarantine", "release", unknown) == 2
    assert "SHA-256 differs" in capfd.readouterr().err
    held.unlink()
    assert command("quarantine", "release", unknown) == 2
    assert "gone from the inbox" in capfd.readouterr().err
    assert command("quarantine", "show", unknown) == 0
    assert landed(settings, "SERVICE").is_empty()


def test_a_busy_region_is_75_and_the_release_may_be_repeated(
    command: Command, settings: Settings, tmp_path: Path, unknown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    load_registry(settings, tmp_path, NEW)
    with locked(settings.data_home.landing / "region=01" / ".lock", "Region 01"):
        assert command("quarantine", "release", unknown) == 75
    assert "docs/runbooks/busy.md" in capfd.readouterr().err
    assert command("quarantine", "release", unknown) == 0
    assert landed(settings, "SERVICE").height == 4


def test_a_reason_names_no_patient(
    command: Command, settings: Settings, unknown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("quarantine", "release", unknown, "--reason", f"asked {cid(5)}") == 2
    assert cid(5) not in capfd.readouterr().err
    assert not settings.data_home.releases.exists()


# Releases a delivery in a process of its own that ends itself by SIGKILL at the named point.
KILLED = """
import os, signal, sys
from ingestion import landing, quarantine
from ruam import cli
point = sys.argv.pop(1)
def dying(real, after):
    def wrapped(*args, **kwargs):
        result = real(*args, **kwargs) if after else None
        os.kill(os.getpid(), signal.SIGKILL)
    return wrapped
if point == "before the batch":
    quarantine.land_received = dying(quarantine.land_received, False)
elif point == "in the batch":
    landing.BatchWriter.commit = dying(landing.BatchWriter.commit, False)
elif point == "after the batch":
    landing.BatchWriter.commit = dying(landing.BatchWriter.commit, True)
cli.main()
"""


@pytest.mark.parametrize("point", ["before the batch", "in the batch", "after the batch"])
def test_a_killed_release_leaves_nothing_half_done(
    command: Command, settings: Settings, tmp_path: Path, unknown: str, point: str, capfd: pytest.CaptureFixture[str]
) -> None:
    load_registry(settings, tmp_path, NEW)
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", KILLED, point, "quarantine", "release", unknown, "--reason", "killed"],
        cwd=PROJECT,
        env=os.environ | {"RUAM_HOME": str(settings.data_home.root)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    with settings.data_home.releases.open("a", encoding="utf-8") as log:
        log.write('{"at": "torn')
    done = point == "after the batch"
    assert landed(settings, "SERVICE").height == (4 if done else 0)
    assert command("quarantine", "release", unknown, "--reason", "again") == (2 if done else 0)
    assert landed(settings, "SERVICE").height == 4
    assert_balanced(settings)
    capfd.readouterr()
    assert command("quarantine", "show", unknown, "--json") == 0
    tried = [(one["state"], one["why"]) for one in told(capfd)["releases"]]
    assert tried == [("begun", "killed"), *([] if done else [("begun", "again"), ("accepted", "again")])]


def test_a_proposed_name_bears_the_time_of_the_newest_member_that_has_one(tmp_path: Path) -> None:
    without = zipfile.ZipInfo("SERVICE.txt")
    without.date_time = (1980, 0, 0, 0, 0, 0)
    received = datetime.fromisoformat("2024-07-01T08:00:00")
    path = zip_of_infos(tmp_path / "a.zip", [(without, b"x")])
    assert proposed_name(path, "90101", received) == "F43_90101_20240701080000.zip"
    members = [(without, b"x"), *((zipfile.ZipInfo(f"{day}.txt", (2024, 6, day, 1, 2, 4)), b"") for day in (3, 1))]
    path = zip_of_infos(tmp_path / "b.zip", members)
    assert proposed_name(path, "90101", received) == "F43_90101_20240603010204.zip"


def test_members_with_thai_names_are_listed_as_they_were_written(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"x.txt": "", "SERVICE.txt": ""})
    path.write_bytes(path.read_bytes().replace(b"x.txt", "ก.txt".encode("cp874")))
    assert [(one.name, one.file) for one in list_members(path)] == [("ก.txt", None), ("SERVICE.txt", "SERVICE")]


def test_codes_are_read_from_the_first_rows_in_any_encoding_and_with_lost_zeros(tmp_path: Path) -> None:
    members = {
        "PERSON.txt": text("PERSON", row("PERSON", "00501", NAME="สมชาย")).encode("cp874"),
        "SERVICE.txt": text("SERVICE", row("SERVICE", HOSPCODE="501"), row("SERVICE", HOSPCODE=cid(3)), header=False),
        "EMPTY_CARD.txt": "",
    }
    assert senders_inside(make_zip(tmp_path / "a.zip", members), ZipLimits()) == {"00501": 2}
    (tmp_path / "b.zip").write_bytes(b"junk")
    assert senders_inside(tmp_path / "b.zip", ZipLimits()) == {}


def test_the_codes_of_another_feed_are_those_of_its_own_columns_and_its_name_bears_its_own_word(
    command: Command, settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sent = {
        "PAT.txt": f16_text("PAT", f16_row("PAT", HN="90102")),
        "OPD.txt": f16_text("OPD", f16_row("OPD", HN="90102")),
        "DRU.dbf": f16_dbf("DRU"),
    }
    path = make_zip(tmp_path / "export.zip", sent)
    take_in(settings, path)
    assert command("quarantine", "show", content_hash(path), "--json") == 0
    one = told(capfd)
    assert one["senders_inside"] == {"90101": 2}
    assert one["proposed_names"] == ["F16_90101_20240601120000.zip"]
    assert command("quarantine", "release", content_hash(path), "--as", "F16_90102_20240601120000.zip") == 2
    assert "none of the rows looked at is of 90102; they are of 90101" in " ".join(capfd.readouterr().err.split())
    assert command("quarantine", "release", content_hash(path), "--as", one["proposed_names"][0]) == 0
    assert landed(settings, "SERVICE").height == 1


def test_a_feed_of_ones_own_is_released_under_its_own_word(
    command: Command, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds = tmp_path / "feeds"
    feeds.mkdir()
    words = {"feed: f16": "feed: claims", "[F16, ECLAIM, CLAIM, FDH]": "[OURCLAIMS]"}
    text_of = (FEEDS / "f16.yml").read_text(encoding="utf-8")
    for old, new in words.items():
        text_of = text_of.replace(old, new)
    (feeds / "claims.yml").write_text(text_of, encoding="utf-8")
    monkeypatch.setenv("RUAM_FEEDS", str(feeds))
    ours = settings.model_copy(update={"feeds": feeds})
    path = make_zip(tmp_path / "OURCLAIMS_export.zip", {"OPD.txt": f16_text("OPD")})
    take_in(ours, path)
    assert command("quarantine", "release", content_hash(path), "--as", "OURCLAIMS_90101_20240601120000.zip") == 0
    assert set(records(settings, "receipt_files")["feed"]) == {"claims"}
