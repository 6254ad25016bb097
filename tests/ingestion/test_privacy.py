"""Direct identifiers stay in the inbox: planted ones are looked for in every byte and every value of the data home."""

from __future__ import annotations

import hashlib
import hmac
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from identity.keys import load_keys
from ingestion.contract import ColumnType, Landing, load_contracts, standard_contracts
from ingestion.inbox import inbox_key, sealed
from ruam.settings import Settings
from tests.ingestion.odd_zips import cells, cid, edition, make_zip, row, text, zip_name
from tests.ingestion.reading import flags, landed, records, take_in

CITIZEN, MOTHER, FATHER, DAMAGED = cid(5511), cid(5512), cid(5513), cid(5514)
PLANTED = {
    "CID": CITIZEN,
    "MOTHER": MOTHER,
    "FATHER": FATHER,
    "DAMAGED": DAMAGED,
    "NAME": "กานดาวสี",
    "LNAME": "รุ่งเรืองสมมติ",
    "HN": "HN77665544",
    "PHONE": "0899911223",
    "PASSPORT": "ZX9988776",
    "HOUSE": "99/987ซอยสมมติ",
    "FREE_TEXT": "ปวดศีรษะมาสามวันสมมติ",
    "INSID": "INS4433221100",
}


def canary_members() -> dict[str, str]:
    person = row(
        "PERSON",
        CID=CITIZEN,
        MOTHER=MOTHER,
        FATHER=FATHER,
        NAME=PLANTED["NAME"],
        LNAME=PLANTED["LNAME"],
        HN=PLANTED["HN"],
        PASSPORT=PLANTED["PASSPORT"],
        TELEPHONE=PLANTED["PHONE"],
        MOBILE=PLANTED["PHONE"],
    )
    service = row("SERVICE", HN=PLANTED["HN"], CHIEFCOMP=PLANTED["FREE_TEXT"], INSID=PLANTED["INSID"], CID=CITIZEN)
    address = row("ADDRESS", HOUSENO=PLANTED["HOUSE"], ROAD=PLANTED["HOUSE"], CID=CITIZEN)
    old_address = {**address, "TELEPHONE": PLANTED["PHONE"], "MOBILE": PLANTED["PHONE"]}
    broken = [
        {**person, "PID": ""},
        {**person, "D_UPDATE": PLANTED["FREE_TEXT"]},
        {**person, "HOSPCODE": DAMAGED},
        {**person, "CID": CITIZEN[:-1], "SEX": PLANTED["NAME"][:1]},
    ]
    too_short = cells(person, edition("PERSON")).rsplit("|", 2)[0]
    shifted = [{**service, "DATE_SERV": DAMAGED}, {**service, "DATE_SERV": PLANTED["PHONE"]}]
    return {
        "PERSON.txt": text("PERSON", person, *broken) + too_short + "\r\n",
        "SERVICE.txt": text("SERVICE", service, *shifted),
        "ADDRESS.txt": text("ADDRESS", old_address, columns=load_contracts()["ADDRESS"].editions["2016"], header=False),
    }


def everything(home: Path) -> Iterator[tuple[str, bytes]]:
    """Each file outside the inbox: its path, its bytes, and the values of every Parquet as text."""
    for path in sorted(home.rglob("*")):
        yield str(path), str(path.relative_to(home)).encode()
        if path.is_file() and not path.is_relative_to(home / "inbox"):
            yield str(path), path.read_bytes()
            if path.suffix == ".parquet":
                frame = pl.read_parquet(path, hive_partitioning=False)
                yield f"{path} (values)", frame.select(pl.all().cast(pl.String)).write_csv().encode()


def forms(planted: str) -> list[bytes]:
    """What the planted text might have become without being hidden."""
    plain = [planted.encode("utf-8"), planted.encode("utf-16-le"), planted.encode("cp874", errors="replace")]
    return [*plain, hashlib.sha256(planted.encode()).hexdigest().encode(), planted[::-1].encode()]


def test_planted_identifiers_are_in_the_inbox_and_nowhere_else(
    settings: Settings, tmp_path: Path, command: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    home = settings.data_home.root
    assert command("ingest", make_zip(tmp_path / zip_name(), canary_members())) == 0
    assert landed(settings, "PERSON").height >= 2
    assert landed(settings, "SERVICE").height == 1
    assert landed(settings, "ADDRESS").height == 1
    assert records(settings, "rejects").height >= 4

    (stored,) = (home / "inbox").rglob("*.sealed")
    held = sealed(home / "inbox", inbox_key(settings.data_home), stored.stem)
    with held.open() as file, zipfile.ZipFile(file) as archive:
        inflated = b"".join(archive.read(name) for name in archive.namelist())
    assert {name for name, planted in PLANTED.items() if planted.encode() in inflated} == set(PLANTED)

    printed = capfd.readouterr()
    places = [*everything(home), ("stdout", printed.out.encode()), ("stderr", printed.err.encode())]
    assert any(name.endswith("ruam.jsonl") for name, _ in places)
    found = {
        (label, where)
        for label, planted in PLANTED.items()
        for where, content in places
        if any(form in content for form in forms(planted))
    }
    assert not found


def test_no_key_is_in_a_file_but_its_own(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name()))
    keys = load_keys(settings.data_home.keys)
    for where, content in everything(settings.data_home.root):
        if "/keys/" not in where:
            for key in (keys.linkage, keys.analysis):
                assert key not in content, where
                assert key.hex().encode() not in content, where


def test_dropped_columns_are_no_columns_of_the_landing(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {f"{file}.txt": text(file) for file in standard_contracts()}))
    for file, contract in standard_contracts().items():
        columns = landed(settings, file).columns
        gone = {column.name.lower() for column in contract.columns if column.landing is not Landing.KEEP}
        assert not gone.intersection(columns), file


@pytest.mark.parametrize(
    "sent", [CITIZEN, f"{CITIZEN[0]}-{CITIZEN[1:5]}-{CITIZEN[5:10]}-{CITIZEN[10:12]}-{CITIZEN[12]}"]
)
def test_a_person_number_that_is_a_citizen_number_is_replaced_everywhere(
    settings: Settings, tmp_path: Path, sent: str
) -> None:
    """Whichever column it stands in, so that joins hold."""
    members = {
        "PERSON.txt": text("PERSON", row("PERSON", PID=sent, CID=CITIZEN), row("PERSON", PID="7")),
        "SERVICE.txt": text("SERVICE", row("SERVICE", PID=sent), row("SERVICE", PID="7")),
        "NEWBORN.txt": text("NEWBORN", row("NEWBORN", MPID=sent)),
        "REFER_RESULT.txt": text("REFER_RESULT", row("REFER_RESULT", PID_IN=sent)),
        "DIAGNOSIS_OPD.txt": text("DIAGNOSIS_OPD", row("DIAGNOSIS_OPD", PROVIDER=sent)),
    }
    take_in(settings, make_zip(tmp_path / zip_name(), members))
    person, service = landed(settings, "PERSON"), landed(settings, "SERVICE")
    replaced = person["pid"][0]
    assert replaced.startswith("x")
    assert len(replaced) == 15
    assert replaced != f"x{person['cid_pseudonym'][0][:14]}", "the number of a facility's own must not tell the person"
    assert service["pid"].to_list() == person["pid"].to_list() == [replaced, "7"]
    assert landed(settings, "NEWBORN")["mpid"].to_list() == [replaced]
    assert landed(settings, "REFER_RESULT")["pid_in"].to_list() == [replaced]
    assert landed(settings, "DIAGNOSIS_OPD")["provider"].to_list() == [replaced]
    assert flags(service) == [["pid:is_cid"], []]
    assert not any(CITIZEN.encode() in content for _, content in everything(settings.data_home.root))


def test_pseudonyms_are_those_of_the_two_keys(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {"PERSON.txt": text("PERSON", row("PERSON", CID=CITIZEN))}))
    keys = load_keys(settings.data_home.keys)
    first = hmac.new(keys.linkage, CITIZEN.encode(), hashlib.sha256).digest()[:16]
    expected = hmac.new(keys.analysis, first, hashlib.sha256).digest()[:16].hex()
    assert landed(settings, "PERSON").select("cid_pseudonym", "cid_class").rows() == [(expected, "valid")]
    assert records(settings, "receipts")["key_id"].to_list() == [keys.key_id]


def test_of_a_birth_date_the_month_is_kept(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {"PERSON.txt": text("PERSON", row("PERSON", BIRTH="19800229"))}))
    frame = landed(settings, "PERSON")
    assert str(frame["birth_month"][0]) == "1980-02-01"
    assert "birth" not in frame.columns
    months = [
        column.name
        for contract in load_contracts().values()
        for column in contract.columns
        if column.landing is Landing.MONTH
    ]
    assert all(name.startswith("B") for name in months)
    assert all(
        column.type is ColumnType.DATE
        for contract in load_contracts().values()
        for column in contract.columns
        if column.landing is Landing.MONTH
    )
