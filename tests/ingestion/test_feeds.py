"""A new sender is a YAML: how one is written, what is refused, and that nothing else is needed to take it in."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from ingestion import mapping
from ingestion.contract import load_contracts
from ingestion.feed import JSON, Feed, FeedError, Route, Table, load_feeds, read_feed
from ingestion.mapping import Lookups, plan
from ingestion.readers import READERS
from ruam.errors import SetupError
from ruam.settings import PROJECT, Settings
from tests.ingestion.odd_zips import cid, make_zip
from tests.ingestion.reading import assert_balanced, landed, records, take_in

R99 = """\
feed: r99
label_th: ชุดข้อมูลเขตสมมติ
label_en: an invented region
description: Visits with their patient in one table, diagnoses in another.
name_tokens: [R99]
rows_of: sender
tables:
  CARE:
    members: [CARE, VISIT]
    layouts:
      first: [UNIT, PATIENT, CITIZEN, VISIT, DAY, RIGHT, WHO]
    aliases: {PATIENT_NO: PATIENT}
  ILLNESS:
    layouts:
      first: [VISIT, CODE, KIND, REMARK]
routes:
  - table: CARE
    file: SERVICE
    columns:
      HOSPCODE: {first: [UNIT], sender: true}
      PID: {first: [PATIENT], form: local_number}
      SEQ: VISIT
      DATE_SERV: {first: [DAY], form: date}
      CID: CITIZEN
      INSTYPE: {first: [RIGHT], map: right}
      TYPEIN: {value: "1"}
  - table: CARE
    file: PERSON
    also: true
    columns:
      HOSPCODE: {first: [UNIT], sender: true}
      PID: {first: [PATIENT], form: local_number}
      CID: CITIZEN
  - table: ILLNESS
    file: DIAGNOSIS_OPD
    where:
      - {column: KIND, is_not: [note]}
    lookups:
      CARE: {VISIT: VISIT}
    columns:
      HOSPCODE: {first: [CARE.UNIT], sender: true}
      PID: {first: [CARE.PATIENT], form: local_number}
      SEQ: VISIT
      DATE_SERV: {first: [CARE.DAY], form: date}
      DIAGCODE: CODE
      DIAGTYPE: {first: [KIND], map: kind}
maps:
  right: {gold: "0100", blue: "4200"}
  kind: {main: "1", other: "4"}
"""


@pytest.fixture
def feeds(tmp_path: Path) -> Path:
    folder = tmp_path / "feeds"
    folder.mkdir()
    (folder / "r99.yml").write_text(R99, encoding="utf-8")
    return folder


def delivery(folder: Path, sender: str) -> Path:
    members = {
        "visit.txt": f"UNIT|PATIENT_NO|CITIZEN|VISIT|DAY|RIGHT|WHO\n|7|{cid(1)}|V1|2024-05-01|GOLD|ผู้ป่วยของ {sender}\n",
        "illness.txt": "VISIT|CODE|KIND|REMARK\nV1|J00|main|ข้อความ\nV1|I10|other|\nV1|x|Note|\nV2|J00|main|\n",
    }
    return make_zip(folder / f"R99_{sender}_20240601120000.zip", members)


def test_a_new_sender_is_a_yaml(settings: Settings, feeds: Path, tmp_path: Path) -> None:
    """In processes of their own too, one for each region."""
    settings = settings.model_copy(update={"feeds": feeds})
    report = take_in(settings, delivery(tmp_path, "90101"), delivery(tmp_path, "90201"))
    assert [outcome.outcome for outcome in report.outcomes] == ["accepted_with_rejects"] * 2
    assert_balanced(settings)
    visits = landed(settings, "SERVICE").sort("hospcode")
    assert visits.select("hospcode", "seq", "date_serv", "instype", "typein", "cid_class").rows() == [
        (sender, "V1", date(2024, 5, 1), "0100", "1", "valid") for sender in ("90101", "90201")
    ]
    assert visits["pid"].str.starts_with("x").all()
    assert landed(settings, "PERSON")["pid"].to_list() == visits["pid"].to_list()
    codes = landed(settings, "DIAGNOSIS_OPD").filter(hospcode="90101")
    assert codes.select("diagcode", "diagtype", "date_serv").rows() == [
        ("J00", "1", date(2024, 5, 1)),
        ("I10", "4", date(2024, 5, 1)),
    ]
    files = records(settings, "receipt_files")
    assert set(files["feed"]) == {"r99"}
    assert files["n_out_of_scope"].sum() == 2, "the note of each"
    assert records(settings, "rejects").select("source_line", "rule").unique().rows() == [(5, "missing_key")]


def test_without_its_yaml_the_same_delivery_is_of_no_known_feed(settings: Settings, tmp_path: Path) -> None:
    (outcome,) = take_in(settings, delivery(tmp_path, "90101")).outcomes
    assert (outcome.outcome, outcome.reason) == ("rejected", "no_known_member")


def changed(folder: Path, old: str, new: str) -> Path:
    assert old in R99
    path = folder / "r99.yml"
    path.write_text(R99.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("label_en: an", "label_eng: an", 3, "label_eng"),
        ("[R99]", "[]", 5, "name_tokens"),
        ("[R99]", "[R-99]", 5, "name_tokens"),
        ("feed: r99", "feed: r98", 1, "r98.yml"),
        ("rows_of: sender", "rows_of: country", 6, "rows_of"),
        ("RIGHT, WHO]", "RIGHT, UNIT]", 11, "UNIT stands twice"),
        ("PATIENT_NO: PATIENT", "PATIENT_NO: PERSON", 12, "no column PERSON"),
        ("table: CARE", "table: CURE", 17, "no table CURE"),
        ("file: SERVICE", "file: VISITS", 18, "VISITS is no file"),
        ("SEQ: VISIT", "SEQ: VISITS", 22, "VISITS is no column"),
        ("      SEQ: VISIT\n", "", 19, "SEQ of SERVICE must come from somewhere"),
        ("TYPEIN:", "TYPE_IN:", 26, "SERVICE has no column TYPE_IN"),
        ("map: right", "map: rights", 25, "no map rights"),
        ("first: [DAY], form: date", "first: [DAY], form: day", 23, "form"),
        ("first: [DAY], form: date", "first: [DAY], value: x", 23, "exactly one of"),
        ("column: KIND, is_not: [note]", "column: KIND", 37, "exactly one of"),
        ("column: KIND", "column: SORT", 37, "SORT is no column"),
        ("CARE: {VISIT: VISIT}", "CARE: {VISITS: VISIT}", 39, "CARE has no column VISITS"),
        ("CARE: {VISIT: VISIT}", "CARE: {VISIT: SEQ}", 39, "SEQ is no column"),
        ("CARE: {VISIT: VISIT}", "CARE: {}", 39, "no columns to join by"),
        ("CARE: {VISIT: VISIT}", "CURE: {VISIT: VISIT}", 39, "no such table"),
        ("CARE: {VISIT: VISIT}", "ILLNESS: {VISIT: VISIT}", 39, "looks itself up"),
        ("blue:", "GOLD:", 48, "in case alone"),
        ("DIAGCODE: CODE", "DIAGCODE: CODE\n      DIAGCODE: KIND", 45, "stands twice"),
        ("maps:", "maps", 48, "YAML"),
    ],
)
def test_what_is_wrong_in_a_yaml_is_told_by_line_and_field(
    feeds: Path, old: str, new: str, line: int, told: str
) -> None:
    path = changed(feeds, old, new)
    with pytest.raises(FeedError) as error:
        read_feed(path)
    assert any(text.startswith(f"{path}:{line}:") and told in text for text in str(error.value).splitlines()), (
        error.value
    )


def test_all_that_is_wrong_is_told_at_once(feeds: Path) -> None:
    path = changed(feeds, "SEQ: VISIT", "SEQ: VISITS")
    path.write_text(path.read_text(encoding="utf-8").replace("DIAGCODE: CODE", "DIAGCODE: KODE"), encoding="utf-8")
    with pytest.raises(FeedError) as error:
        read_feed(path)
    assert len(str(error.value).splitlines()) == 2


def test_tables_that_look_each_other_up_are_refused(feeds: Path) -> None:
    path = changed(feeds, "    file: SERVICE\n", "    file: SERVICE\n    lookups: {ILLNESS: {VISIT: VISIT}}\n")
    with pytest.raises(FeedError, match="look each other up"):
        read_feed(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"[]", b"a: [", b"- x"])
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.yml").write_bytes(content)
    with pytest.raises(FeedError, match=r"x\.yml"):
        read_feed(tmp_path / "x.yml")


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("r99.yml", "[R99]", "[r7]", "R7 is claimed"),
        ("r7.yml", "feed: r99", "feed: r7", "a feed r7 already"),
    ],
)
def test_two_feeds_cannot_be_told_apart_by_one_name(feeds: Path, name: str, old: str, new: str, told: str) -> None:
    changed(feeds, old, new).rename(feeds / name)
    with pytest.raises(FeedError, match=told):
        load_feeds(feeds)


def test_with_a_feed_that_does_not_fit_nothing_is_taken_in(settings: Settings, feeds: Path, tmp_path: Path) -> None:
    changed(feeds, "file: SERVICE", "file: VISITS")
    with pytest.raises(SetupError, match=r"r99\.yml:18"):
        take_in(settings.model_copy(update={"feeds": feeds}), delivery(tmp_path, "90101"))
    assert records(settings, "receipts").is_empty()


def test_the_commands_list_the_feeds_and_check_a_new_one(
    command: Callable[..., int], feeds: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("feeds") == 0
    assert "r99" not in capsys.readouterr().out
    monkeypatch.setenv("RUAM_FEEDS", str(feeds))
    assert command("feeds") == 0
    listed = capsys.readouterr().out
    assert all(word in listed for word in ("f43", "F16, ECLAIM", "ILLNESS → DIAGNOSIS_OPD", "CARE → SERVICE, PERSON"))
    assert command("feeds", "check", feeds / "r99.yml") == 0
    assert command("feeds", "check", changed(feeds, "file: SERVICE", "file: VISITS")) == 2
    assert "r99.yml:18: routes.0.file: VISITS is no file" in capsys.readouterr().err
    assert command("feeds", "check", feeds / "none.yml") == 2
    monkeypatch.setenv("RUAM_FEEDS", str(feeds / "none"))
    assert command("feeds") == 4
    assert "is no folder" in capsys.readouterr().err


def test_every_suffix_that_a_feed_may_name_has_its_reader() -> None:
    (suffix,) = get_args(Feed.model_fields["suffixes"].annotation)
    assert set(get_args(suffix)) == READERS.keys() | JSON


def test_every_built_in_feed_fills_files_that_exist_and_no_column_that_goes_nowhere() -> None:
    for feed in load_feeds().values():
        for route in (one for one in feed.routes if one.file):
            contract = load_contracts()[route.file]
            nowhere = {name for name in route.columns if contract.by_name[name].landing == "drop"} - {
                name.upper() for name in contract.vault
            }
            assert not nowhere, f"{feed.feed}: {route.table} maps {nowhere}, which go nowhere"


FHIR = (PROJECT / "ingestion" / "feeds" / "fhir.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"code.coding[].code"', '"code.coding[.code"', "no step of a path"),
        ("value~five_digits", "value~six_digits", "no pattern six_digits"),
        ("five_digits: '^[0-9]{5}$'", "five_digits: '^[0-9'", "no regular expression"),
        ("of: MedicationRequest", "of: Bundle", "no table Bundle of JSON resources"),
        ("    of: Encounter\n", "", "beside `of` only"),
        ("suffix: .json", "suffix: .txt", "none of the feed's suffixes"),
        ("suffixes: [.ndjson, .json]", "suffixes: [.txt]", "can hold"),
        ("    bundle: true\n", "", "neither layouts nor fields"),
        ("      ID: id\n      CID", "      CID", "has a column ID"),
        ("reject: unknown_encounter_class", "file: SERVICE\n    reject: x", "either file or reject"),
        ("[ENCOUNTER, EncounterDiagnosis.ENCOUNTER]", "[ENCOUNTER, EncounterDiagnosis.ENCOUNTERS]", "no column of"),
        ("[ENCOUNTER, EncounterDiagnosis.ENCOUNTER]", "[]", "no column to join by"),
        ("{first: [DISPOSITION], map: typeout}", "{first: [DISPOSITION], map: typeouts}", "no map typeouts"),
        ("{first: [CODE], flag: not_icd10}", "{first: [CODES], flag: not_icd10}", "CODES is no column"),
    ],
)
def test_what_is_wrong_in_a_yaml_of_resources_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in FHIR
    path = tmp_path / "fhir.yml"
    path.write_text(FHIR.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(FeedError, match=re.escape(told)):
        read_feed(path)


@pytest.mark.parametrize("most_bytes", [mapping.LOOKUP_BYTES, 0])
def test_a_look_up_gives_only_what_all_rows_of_the_key_agree_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(mapping, "LOOKUP_BYTES", most_bytes)
    own, other = Table(layouts={"": ["K"]}), Table(layouts={"": ["K", "A", "B"]})
    columns = {"PID": "T.A", "SEQ": "T.B"}
    route = Route.model_validate({"table": "S", "file": "SERVICE", "lookups": {"T": {"K": "K"}}, "columns": columns})
    feed = load_feeds()["f16"].model_copy(update={"tables": {"S": own, "T": other}, "routes": [route]})
    rows = pl.DataFrame(
        {"K": ["1", "1", "2", "2", "3", "3", None, "4"], "A": ["x", "y", "x", "x", "x", None, "x", "z"], "B": ["b"] * 8}
    )
    lookups = Lookups(feed, tmp_path)
    for part in (rows[:3], rows[3:5], rows[5:]):
        lookups.add("T", part)
    asking = pl.DataFrame({"K": ["4", "3", "2", "1", None, "0"]})
    way = plan(feed, "S")
    joined = pl.concat(lookups.join(iter([asking]), way.steps))
    found = {row["K"]: (row[way.views[0]["T.A"]], row[way.views[0]["T.B"]]) for row in joined.iter_rows(named=True)}
    assert joined.height == asking.height
    assert found == {
        "1": (None, "b"),
        "2": ("x", "b"),
        "3": (None, "b"),
        "4": ("z", "b"),
        None: (None, None),
        "0": (None, None),
    }


def how_to_feed(folder: Path) -> Path:
    """Write the example of the how-to, a feed named R99 in names of zips."""
    page = (PROJECT / "docs" / "how-to" / "add-a-feed.md").read_text(encoding="utf-8")
    folder.mkdir(exist_ok=True)
    (folder / "r99.yml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    return folder


def test_an_unknown_sender_of_a_feed_of_ones_own_is_named_as_its_name_is_read(
    settings: Settings, tmp_path: Path
) -> None:
    """The code after the feed's word is the sender's, whatever digits stand before."""
    own = settings.model_copy(update={"feeds": how_to_feed(tmp_path / "feeds")})
    (outcome,) = take_in(own, make_zip(tmp_path / "12345_R99_99999_20240601.zip")).outcomes
    assert (outcome.reason, outcome.hospcode) == ("unknown_sender", "99999")
    assert outcome.detail == "facility 99999 is not in the registry in force"


def test_the_example_of_the_how_to_is_a_feed(tmp_path: Path) -> None:
    how_to_feed(tmp_path)
    assert [route.file for route in read_feed(tmp_path / "r99.yml").routes] == ["SERVICE", "PERSON", "DIAGNOSIS_OPD"]
