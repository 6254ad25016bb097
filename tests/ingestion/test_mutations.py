"""The mutation table of the rules of reading: each has a delivery that breaks it, and one that only looks like it.

All of them are taken in at once. What is found in a delivery is that one rule and no other, or none.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from ingestion.checks import load_rules
from ruam.settings import Settings
from tests.ingestion.f16_zips import f16_dbf, f16_members, f16_name
from tests.ingestion.fhir_sets import (
    ICD9,
    ICD10,
    SNOMED,
    TMT,
    Resource,
    condition,
    dispense,
    encounter,
    fhir_name,
    members,
    ndjson,
    patient,
    procedure,
    resource,
)
from tests.ingestion.hostile import CATALOGUE, GOOD, MIB, service
from tests.ingestion.odd_zips import (
    SENDER,
    Raw,
    cells,
    check_digit,
    cid,
    edition,
    make_zip,
    raw_zip,
    row,
    text,
    zip_name,
)
from tests.ingestion.reading import records, take_in
from tests.ingestion.test_corrections import VISIT, request
from tests.ingestion.test_r7 import text as r7_text

Make = Callable[[Path], object]
HOSTILE = {fixture.name: fixture.make for fixture in CATALOGUE}


@dataclass(frozen=True)
class Sent:
    """A delivery of a feed; `beside` are rules that such a delivery breaks in any case."""

    make: Make
    name: Callable[[str], str] = lambda at: zip_name(sent_at=at)
    beside: frozenset[str] = frozenset()


def f43(contents: Mapping[str, str | bytes], sender: str = SENDER, *beside: str) -> Sent:
    return Sent(
        lambda path: make_zip(path, {f"{name}.txt": content for name, content in contents.items()}),
        lambda at: zip_name(sender, at),
        frozenset(beside),
    )


def of(file: str, sender: str = SENDER, **changes: str) -> Sent:
    """One row of a file."""
    return f43({file: text(file, row(file, sender, **changes))}, sender)


def hostile(name: str, *beside: str) -> Sent:
    return Sent(HOSTILE[name], beside=frozenset(beside))


def raw(*parts: Raw, beside: str = "") -> Sent:
    return Sent(lambda path: raw_zip(path, *parts), beside=frozenset({beside} - {""}))


def line(content: str) -> Sent:
    """A good visit, and a line as it is."""
    good = cells(row("SERVICE"), edition("SERVICE"))
    return f43({"SERVICE": "\r\n".join(["|".join(edition("SERVICE")), good, content, ""])})


def f16(contents: Mapping[str, str | bytes]) -> Sent:
    return Sent(
        lambda path: make_zip(path, contents),
        lambda at: f"{f16_name().rpartition('_')[0]}_{at}.zip",
        frozenset({"missing_required", "unknown_code"}),
    )


def fhir(*resources: Resource, **texts: str) -> Sent:
    """Resources lack columns that the standard requires, whatever is right or wrong with them."""
    contents = members(resources) | {f"{name}.ndjson": content for name, content in texts.items()}
    return Sent(
        lambda path: make_zip(path, contents),
        lambda at: f"{fhir_name(sent_at=at)}.zip",
        frozenset({"missing_required"}),
    )


def conditions(content: str) -> Sent:
    return fhir(encounter("e", "p"), Condition=f"{content}\n")


def r7(*units: str) -> Sent:
    return Sent(
        lambda path: make_zip(path, {"opd.txt": r7_text("OPD", *units)}),
        lambda at: f"R7_{SENDER}_{at}.zip",
        frozenset({"missing_required"}),
    )


def correction(content: object, table: str = "SERVICE", **changes: str) -> Sent:
    return f43({"DATA_CORRECT": text("DATA_CORRECT", request(content, table, **changes))})


BLANKS = Sent(lambda path: make_zip(path, {"SERVICE.txt": GOOD + b"\n" * (8 * MIB)}, zipfile.ZIP_STORED))
"""Large, and nothing but empty lines."""
PACKED = Sent(lambda path: make_zip(path, {"SERVICE.txt": GOOD + b"\n" * (8 * MIB)}))
"""Packed a thousandfold, and small nevertheless."""
CITIZEN, ZERO = cid(77), "001234567890"

MUTATIONS: dict[str, tuple[Sent, Sent]] = {
    "bad_zip_name": (
        Sent(make_zip, lambda at: f"visits of {at}.zip"),
        Sent(make_zip, lambda at: zip_name(sent_at=at).lower()),
    ),
    "unknown_sender": (of("SERVICE", "77777"), of("SERVICE", "00501")),
    "unreadable_zip": (hostile("cut off"), hostile("a zip64")),
    "zip_too_large": (hostile("too many bytes"), BLANKS),
    "too_many_members": (
        hostile("129 members"),
        raw(service(), *(Raw(b"%d.txt" % n) for n in range(127)), beside="ignored_member"),
    ),
    "split_zip": (hostile("one of several disks"), hostile("sizes after the data")),
    "inconsistent_zip": (hostile("another size in its own header"), hostile("sizes after the data")),
    "directory_too_large": (hostile("a million entries told to be one"), hostile("a zip64")),
    "no_known_member": (hostile("nothing known"), raw(Raw(b"OFFICE/SERVICE.txt", GOOD))),
    "duplicate_member": (
        hostile("the same file twice"),
        raw(service(), Raw(b"SERVICE.bak", GOOD), beside="ignored_member"),
    ),
    "overlapping_members": (hostile("two entries of one member"), raw(service(), Raw(b"CARD.txt", b""))),
    "unsafe_member_name": (hostile("a way out"), raw(Raw(b"v..2/SERVICE.txt", GOOD))),
    "member_name_too_long": (hostile("a name of 300 letters"), raw(Raw(b"x" * 200 + b"/SERVICE.txt", GOOD))),
    "link_member": (hostile("a link"), raw(service(attributes=(stat.S_IFREG | 0o777) << 16))),
    "encrypted_member": (hostile("encrypted"), raw(service(flags=0x800))),
    "nested_archive": (hostile("a zip as a member"), of("SERVICE", CHIEFCOMP="PK")),
    "unsupported_compression": (hostile("zstandard"), hostile("an unread member of any method", "ignored_member")),
    "corrupt_member": (hostile("a bit flipped"), hostile("LZMA")),
    "wrong_declared_size": (hostile("less declared than held"), hostile("sizes after the data")),
    "member_too_large": (hostile("a member of 1.1 GB"), BLANKS),
    "delivery_too_large": (hostile("three members of 0.7 GB"), BLANKS),
    "ratio_too_high": (hostile("a bomb"), PACKED),
    "undecodable": (hostile("an encoding of nobody"), f43({"PERSON": text("PERSON").encode("cp874")})),
    "line_too_long": (hostile("8 MB of pipes"), BLANKS),
    "too_many_columns": (
        hostile("a header of 100,000 columns"),
        f43({"SERVICE": text("SERVICE", columns=[*edition("SERVICE"), *(f"OWN{n}" for n in range(50))])}),
    ),
    "unknown_layout": (f43({"SERVICE": "90101|1\r\n"}), f43({"SERVICE": text("SERVICE", header=False)})),
    "wrong_columns": (line("90101|1001"), line("")),
    "nul_byte": (
        line(cells(row("SERVICE", CHIEFCOMP="a\0b"), edition("SERVICE"))),
        line(cells(row("SERVICE", SEQ="S2", CHIEFCOMP="a\u00a0b"), edition("SERVICE"))),
    ),
    "damaged_dbf": (
        f16({"OPD.dbf": f16_dbf("OPD")[:-30], "PAT.dbf": f16_dbf("PAT")}),
        f16(f16_members()),
    ),
    "not_an_object": (conditions("[]"), conditions("")),
    "wrong_resource_type": (conditions("{}"), fhir(encounter("e", "p"), condition("c", "p", "e", (ICD10, "J00")))),
    "missing_id": (
        fhir(encounter("e", "p"), condition(" ", "p", "e", (ICD10, "J00"))),
        fhir(encounter("0", "p")),
    ),
    "modifier_extension": (
        fhir(encounter("e", "p", modifierExtension=[{"url": "x"}])),
        fhir(encounter("e", "p", modifierExtension=[])),
    ),
    "entered_in_error": (
        fhir(encounter("e", "p", "XX", status="entered-in-error")),
        fhir(encounter("e", "p", status="finished")),
    ),
    "unknown_encounter": (
        fhir(encounter("e", "p"), condition("c", "p", "lost", (ICD10, "J00"))),
        fhir(encounter("lost", "p"), condition("c", "p", "lost", (ICD10, "J00"))),
    ),
    "unknown_encounter_class": (fhir(encounter("e", "p", "XX")), fhir(encounter("e", "p", "EMER"))),
    "missing_key": (of("SERVICE", SEQ="  "), of("SERVICE", SEQ="0")),
    "unknown_hospcode": (of("SERVICE", HOSPCODE="77777"), of("SERVICE", "90102")),
    "hospcode_not_sender": (of("SERVICE", HOSPCODE="90102"), of("SERVICE", HOSPCODE=f" {SENDER}")),
    "hospcode_not_in_region": (r7("90201"), r7("90102")),
    "invalid_date": (of("SERVICE", DATE_SERV="20230229"), of("SERVICE", DATE_SERV="20240229")),
    "zero_date": (of("SERVICE", DATE_SERV="00000000"), of("SERVICE", DATE_SERV="20000101")),
    "be_year": (of("SERVICE", DATE_SERV="25670501"), of("SERVICE", DATE_SERV="20240430")),
    "future_date": (of("SERVICE", DATE_SERV="20240603"), of("SERVICE", DATE_SERV="20240602")),
    "invalid_json": (correction("{'PID': 1}"), correction([VISIT])),
    "unknown_table": (correction(VISIT, "VISITS"), correction(VISIT, "service.txt")),
    "wrong_json_form": (correction({**VISIT, "SEQ": ["S1"]}), correction({**VISIT, "SEQ": 1})),
    "correction_with_values": (correction({**VISIT, "PRICE": "0"}), correction({**VISIT, "HOSPCODE": SENDER})),
    "missing_required": (of("SERVICE", TYPEIN=""), of("SERVICE", CHIEFCOMP="")),
    "unknown_code": (of("SERVICE", TYPEIN="9"), of("SERVICE", TYPEIN="2")),
    "unknown_facility": (of("SERVICE", MAIN="77777"), of("SERVICE", MAIN="00501")),
    "too_long": (of("PERSON", NAME="ก" * 51), of("PERSON", NAME="ก" * 50)),
    "not_numeric": (of("SERVICE", PRICE="12,5"), of("SERVICE", PRICE="1,234.5")),
    "invalid_time": (of("SERVICE", TIME_SERV="240100"), of("SERVICE", TIME_SERV="235959")),
    "mojibake": (
        of("PERSON", NAME="สมมติ".encode().decode("cp874", errors="replace")),
        of("PERSON", NAME="เธอ"),
    ),
    "zero_padded": (
        f43({"SERVICE": text("SERVICE", row("SERVICE", "00501", HOSPCODE="501"))}, "00501"),
        of("SERVICE", "00501", SEQ="00501"),
    ),
    "malformed": (of("PERSON", CID="12345"), of("PERSON", CID="")),
    "bad_check_digit": (of("PERSON", CID="1234567890120"), of("PERSON", CID=cid(11))),
    "dummy": (of("PERSON", CID="1111111111119"), of("PERSON", CID=cid(1111111111))),
    "generated": (of("PERSON", CID=ZERO + check_digit(ZERO)), of("PERSON", CID=cid(3))),
    "nationality_mismatch": (of("PERSON", NATION="048", LABOR=""), of("PERSON", NATION="099", PID="48")),
    "is_cid": (of("SERVICE", PID=CITIZEN), of("SERVICE", PID=CITIZEN[:-1])),
    "not_icd10": (
        fhir(encounter("e", "p"), condition("c", "p", "e", (SNOMED, "444814009"))),
        fhir(encounter("e", "p"), condition("c", "p", "e", (SNOMED, "444814009"), (ICD10, "J02.0"))),
    ),
    "not_icd": (
        fhir(encounter("e", "p"), procedure("c", "p", "e", (SNOMED, "430193006"))),
        fhir(encounter("e", "p"), procedure("c", "p", "e", (SNOMED, "430193006"), (ICD9, "96.59"))),
    ),
    "not_tmt": (
        fhir(encounter("e", "p"), dispense("d", "p", "e", (SNOMED, "9"))),
        fhir(encounter("e", "p"), dispense("d", "p", "e", (SNOMED, "9"), (TMT, "227162"))),
    ),
    "unknown_field": (fhir(patient("p", 1, novelField="x")), fhir(patient("p", 2, active=True))),
    "duplicate_id": (
        fhir(encounter("e", "p"), encounter("e", "p")),
        fhir(encounter("e", "p"), encounter("E", "p")),
    ),
    "ignored_member": (
        f43({"SERVICE": GOOD, "diary": "x"}),
        raw(Raw(b"service.TXT", GOOD)),
    ),
    "ignored_resource": (
        fhir(encounter("e", "p"), Bundle=ndjson([resource("Claim", "c")])),
        fhir(encounter("e", "p"), resource("Location", "l")),
    ),
}  # fmt: skip


def named(code: str, n: int) -> str:
    """The delivery's name, of a second that no other has."""
    at = 2 * list(MUTATIONS).index(code) + n
    return MUTATIONS[code][n].name(f"2024060112{at // 60:02d}{at % 60:02d}")


@pytest.fixture(scope="module")
def found(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """By name of the delivery: the rules that it was found to break."""
    folder = tmp_path_factory.mktemp("mutations")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), workers=1)
    (folder / "in").mkdir()
    for code, sent in MUTATIONS.items():
        for n, one in enumerate(sent):
            one.make(folder / "in" / named(code, n))
    take_in(settings, folder / "in")
    receipts = records(settings, "receipts")
    rules = dict(records(settings, "receipt_rules").group_by("delivery_id").agg(pl.col("rule").unique()).iter_rows())
    return {
        one["file_name"]: {*rules.get(one["delivery_id"], []), *([one["reason"]] if one["reason"] else [])}
        for one in receipts.iter_rows(named=True)
    }


def test_every_rule_of_reading_has_its_two_deliveries() -> None:
    assert set(MUTATIONS) == set(load_rules())


@pytest.mark.parametrize("code", MUTATIONS)
def test_a_break_is_found_and_nothing_else_is(found: dict[str, set[str]], code: str) -> None:
    assert found[named(code, 0)] - (MUTATIONS[code][0].beside - {code}) == {code}


@pytest.mark.parametrize("code", MUTATIONS)
def test_what_only_looks_like_a_break_is_none(found: dict[str, set[str]], code: str) -> None:
    beside = MUTATIONS[code][1].beside - {code}
    assert found[named(code, 1)] - beside == set()
