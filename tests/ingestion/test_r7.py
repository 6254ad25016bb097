"""The tables of Health Region 7, by their YAML alone: rows of every facility of the region in one delivery."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from identity.keys import load_keys
from identity.pseudonym import Pseudonymiser
from ingestion.feed import load_feeds
from ruam.settings import Settings
from tests.ingestion.odd_zips import cells, cid, make_zip
from tests.ingestion.reading import assert_balanced, landed, records, take_in

FEED = load_feeds()["r7"]
UNIT, STAMP = "90101", "20240531120000"

GOOD = {
    "PERSON": {
        "CID": cid(1),
        "TITLE": "003",
        "FNAME": "สมชาย",
        "LNAME": "ใจดี",
        "BIRTH": "19800215",
        "SEX": "1",
        "NATION": "099",
        "TYPEAREA": "1",
    },
    "OPD": {
        **{"CLINIC": "00100", "DATE_SERV": "20240501", "TIME_SERV": "083000", "SEQ": "S1", "CHIEFCOMP": "ปวดหัว"},
        **{
            "SBP": "120",
            "TYPEIN": "1",
            "TYPEOUT": "1",
            "INS_TYPE": "0100",
            "INS_NUMBER": cid(1),
            "INS_HOSPMAIN": "90102",
        },
    },
    "OPDX": {"SEQ": "S1", "DATEDX": "20240501", "DIAG": "J00", "DXTYPE": "1", "PROVIDER": "P1"},
    "OPOP": {"SEQ": "S1", "DATEOP": "20240501", "OPER": "8954", "SERVPRICE": "50"},
    "OPDRUG": {"SEQ": "S1", "DID": "1" * 24, "AMOUNT": "20", "DRUGPRICE": "1.5"},
    "IPD": {
        **{"AN": "A1", "DATEADM": "20240501", "TIMEADM": "0915", "DATEDSC": "20240503", "TIMEDSC": "1000"},
        **{"DISCHS": "2", "DISCHT": "1", "WARDDSC": "W1", "ADM_W": "61.5"},
    },
    "IPDX": {"AN": "A1", "DIAG": "J180", "DXTYPE": "1"},
    "IPOP": {
        "AN": "A1",
        "OPER": "9604",
        "DATEIN": "20240501",
        "TIMEIN": "093000",
        "DATEOUT": "20240501",
        "TIMEOUT": "094500",
    },
    "IPDRUG": {"AN": "A1", "DID": "1" * 24, "AMOUNT": "3"},
    "LAB": {"SEQ": "S1", "LABTEST": "0531101", "LABRESULT": "98"},
    "APPOINT": {"SEQ": "S1", "APPOINT_DATE": "20240601", "REMARK": "งดอาหาร"},
    "CHRONIC": {"DATE_DIAG": "20200101", "CHRONIC": "I10"},
}


def text(table: str, *units: str, **changes: str) -> str:
    order = FEED.tables[table].layouts["2024"]
    row = {"HN": "0007", "D_UPDATE": STAMP, **GOOD[table], **changes}
    lines = [cells({"HOSPCODE": unit, **row}, order) for unit in units or (UNIT,)]
    return "\n".join(["|".join(order), *lines, ""])


def send(settings: Settings, folder: Path, members: dict[str, str]) -> None:
    take_in(settings, make_zip(folder / f"R7_{UNIT}_20240601120000.zip", members))
    assert_balanced(settings)


def test_every_table_becomes_a_file_of_the_standard(settings: Settings, tmp_path: Path) -> None:
    assert FEED.tables.keys() == GOOD.keys()
    send(settings, tmp_path, {f"{table.lower()}.txt": text(table) for table in GOOD})
    assert records(settings, "rejects").is_empty()
    assert records(settings, "receipt_files")["n_out_of_scope"].sum() == 0
    pid = Pseudonymiser(load_keys(settings.data_home.keys)).local_number("0007")
    visit, stay = (pid, "S1", date(2024, 5, 1)), (pid, "A1", datetime(2024, 5, 1, 9, 15))  # noqa: DTZ001
    expected = {
        "PERSON": (("pid", "cid_class", "birth_month", "typearea"), (pid, "valid", date(1980, 2, 1), "1")),
        "SERVICE": (
            ("pid", "seq", "date_serv", "instype", "main", "sbp", "cid_class"),
            (*visit, "0100", "90102", 120, "valid"),
        ),
        "DIAGNOSIS_OPD": (("pid", "seq", "date_serv", "diagcode", "clinic"), (*visit, "J00", "00100")),
        "PROCEDURE_OPD": (("pid", "seq", "date_serv", "procedcode", "serviceprice"), (*visit, "8954", 50)),
        "DRUG_OPD": (("pid", "seq", "date_serv", "didstd", "drugprice"), (*visit, "1" * 24, Decimal("1.5"))),
        "LABFU": (("pid", "seq", "date_serv", "labtest", "labresult"), (*visit, "0531101", "98")),
        "APPOINTMENT": (("pid", "seq", "date_serv", "apdate", "aptype"), (*visit, date(2024, 6, 1), "-")),
        "ADMISSION": (("pid", "an", "datetime_admit", "dischtype", "cid_class"), (*stay, "1", "valid")),
        "DIAGNOSIS_IPD": (("pid", "an", "datetime_admit", "diagcode"), (*stay, "J180")),
        "PROCEDURE_IPD": (("pid", "an", "datetime_admit", "procedcode"), (*stay, "9604")),
        "DRUG_IPD": (
            ("pid", "an", "datetime_admit", "didstd", "row_flags"),
            (*stay, "1" * 24, "typedrug:unknown_code"),
        ),
        "CHRONIC": (("pid", "chronic", "date_diag"), (pid, "I10", date(2020, 1, 1))),
    }
    for file, (columns, row) in expected.items():
        frame = landed(settings, file)
        assert frame.select(columns).rows() == [row], file
        assert frame["d_update"].to_list() == [datetime(2024, 5, 31, 12)], file  # noqa: DTZ001
        assert file == "DRUG_IPD" or frame["row_flags"].to_list() == [None], file


def test_a_region_sends_for_its_own_facilities_alone(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, {"opd.txt": text("OPD", UNIT, "90102", "90201", "77777")})
    assert landed(settings, "SERVICE")["hospcode"].to_list() == [UNIT, "90102"]
    assert records(settings, "rejects").select("source_line", "rule").rows() == [
        (4, "hospcode_not_in_region"),
        (5, "unknown_hospcode"),
    ]


def test_a_visit_number_is_only_looked_up_within_its_facility(settings: Settings, tmp_path: Path) -> None:
    later = text("OPD", "90102", DATE_SERV="20240502").splitlines()[1] + "\n"
    send(settings, tmp_path, {"opd.txt": text("OPD") + later, "opdrug.txt": text("OPDRUG", UNIT, "90102")})
    assert landed(settings, "DRUG_OPD").select("hospcode", "date_serv").rows() == [
        (UNIT, date(2024, 5, 1)),
        ("90102", date(2024, 5, 2)),
    ]


@pytest.mark.parametrize("table", ["OPDRUG", "LAB", "APPOINT", "IPDX"])
def test_what_has_no_day_of_its_own_needs_its_visit(settings: Settings, tmp_path: Path, table: str) -> None:
    send(settings, tmp_path, {f"{table}.txt": text(table)})
    assert records(settings, "rejects")["rule"].to_list() == ["missing_key"]


def test_neither_names_nor_numbers_nor_words_land(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, {f"{table}.txt": text(table) for table in GOOD})
    for file in (path for path in settings.data_home.landing.rglob("*.parquet")):
        content = file.read_bytes()
        assert not any(word.encode() in content for word in (cid(1), "สมชาย", "ใจดี", "ปวดหัว", "งดอาหาร")), file
