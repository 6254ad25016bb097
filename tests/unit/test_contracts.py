"""The contracts of the 52 files: the facts of the standard, and what must never leave the inbox."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ingestion.contract import (
    CONTRACTS,
    ColumnType,
    Contract,
    FileClass,
    Landing,
    Version,
    load_contracts,
    standard_contracts,
)

ROOT = Path(__file__).parents[2]
CODE_VALUES = ROOT / "seeds" / "terminology" / "code_values.csv"

# File: columns of edition 2.4.1, columns of the 2016 schema (0: the file did not exist), row key.
FACTS = {
    "PERSON": (34, 31, "HOSPCODE PID"),
    "ADDRESS": (19, 19, "HOSPCODE PID ADDRESSTYPE"),
    "DEATH": (19, 16, "HOSPCODE PID"),
    "CHRONIC": (13, 9, "HOSPCODE PID DATE_DIAG CHRONIC"),
    "CARD": (14, 10, "HOSPCODE PID INSTYPE_NEW"),
    "HOME": (39, 38, "HOSPCODE HID"),
    "VILLAGE": (37, 36, "HOSPCODE VID"),
    "DISABILITY": (11, 9, "HOSPCODE PID DISABTYPE"),
    "PROVIDER": (18, 16, "HOSPCODE PROVIDER"),
    "WOMEN": (11, 9, "HOSPCODE PID"),
    "DRUGALLERGY": (15, 11, "HOSPCODE PID DRUGALLERGY"),
    "FUNCTIONAL": (11, 9, "HOSPCODE PID SEQ FUNCTIONAL_TEST"),
    "ICF": (11, 9, "HOSPCODE PID SEQ ICF"),
    "SERVICE": (36, 29, "HOSPCODE PID SEQ DATE_SERV"),
    "DIAGNOSIS_OPD": (11, 9, "HOSPCODE PID SEQ DATE_SERV DIAGCODE"),
    "DRUG_OPD": (16, 14, "HOSPCODE PID SEQ DATE_SERV DIDSTD"),
    "PROCEDURE_OPD": (11, 9, "HOSPCODE PID SEQ DATE_SERV PROCEDCODE"),
    "CHARGE_OPD": (15, 13, "HOSPCODE PID SEQ DATE_SERV CHARGEITEM CHARGELIST INSTYPE"),
    "SURVEILLANCE": (27, 25, "HOSPCODE PID SEQ DIAGCODE"),
    "ACCIDENT": (25, 23, "HOSPCODE PID SEQ DATETIME_SERV"),
    "LABFU": (11, 7, "HOSPCODE PID DATE_SERV LABTEST"),
    "CHRONICFU": (16, 13, "HOSPCODE PID DATE_SERV"),
    "ADMISSION": (35, 24, "HOSPCODE PID AN DATETIME_DISCH"),
    "DIAGNOSIS_IPD": (11, 9, "HOSPCODE PID AN DATETIME_ADMIT DIAGCODE"),
    "DRUG_IPD": (19, 17, "HOSPCODE PID AN DATETIME_ADMIT TYPEDRUG DIDSTD"),
    "PROCEDURE_IPD": (13, 11, "HOSPCODE PID AN DATETIME_ADMIT PROCEDCODE TIMESTART"),
    "CHARGE_IPD": (15, 13, "HOSPCODE PID AN DATETIME_ADMIT CHARGEITEM CHARGELIST INSTYPE"),
    "APPOINTMENT": (13, 11, "HOSPCODE PID SEQ DATE_SERV APTYPE"),
    "DENTAL": (32, 30, "HOSPCODE PID SEQ DATE_SERV"),
    "REHABILITATION": (17, 14, "HOSPCODE PID DATE_SERV REHABCODE"),
    "NCDSCREEN": (24, 21, "HOSPCODE PID DATE_SERV"),
    "FP": (11, 8, "HOSPCODE PID DATE_SERV FPTYPE"),
    "PRENATAL": (16, 12, "HOSPCODE PID GRAVIDA"),
    "ANC": (15, 11, "HOSPCODE PID DATE_SERV"),
    "LABOR": (17, 14, "HOSPCODE PID GRAVIDA BDATE"),
    "POSTNATAL": (13, 10, "HOSPCODE PID GRAVIDA PPCARE"),
    "NEWBORN": (23, 18, "HOSPCODE PID BDATE"),
    "NEWBORNCARE": (13, 10, "HOSPCODE PID BCARE"),
    "EPI": (11, 8, "HOSPCODE PID DATE_SERV VACCINETYPE"),
    "NUTRITION": (16, 13, "HOSPCODE PID DATE_SERV"),
    "SPECIALPP": (12, 9, "HOSPCODE PID DATE_SERV PPSPECIAL"),
    "COMMUNITY_ACTIVITY": (8, 7, "HOSPCODE VID DATE_START COMACTIVITY"),
    "COMMUNITY_SERVICE": (9, 7, "HOSPCODE PID SEQ COMSERVICE"),
    "CARE_REFER": (6, 5, "HOSPCODE REFERID CARETYPE"),
    "CLINICAL_REFER": (10, 9, "HOSPCODE REFERID DATETIME_ASSESS CLINICALCODE"),
    "DRUG_REFER": (10, 9, "HOSPCODE REFERID DATETIME_DSTART DIDSTD"),
    "INVESTIGATION_REFER": (11, 10, "HOSPCODE REFERID DATETIME_INVEST INVESTCODE"),
    "PROCEDURE_REFER": (12, 11, "HOSPCODE REFERID TIMESTART PROCEDCODE"),
    "REFER_HISTORY": (28, 25, "HOSPCODE REFERID"),
    "REFER_RESULT": (12, 10, "HOSPCODE REFERID_SOURCE HOSP_SOURCE"),
    "DATA_CORRECT": (5, 0, "HOSPCODE TABLENAME D_UPDATE"),
    "POLICY": (6, 0, "HOSPCODE POLICY_ID POLICY_YEAR D_UPDATE"),
}

CLASSES = {
    FileClass.REGISTER: "PERSON CHRONIC CARD HOME VILLAGE DISABILITY PROVIDER WOMEN DRUGALLERGY PRENATAL",
    FileClass.SEMI_SURVEY: "ADDRESS DEATH LABFU CHRONICFU REHABILITATION NCDSCREEN FP ANC LABOR POSTNATAL "
    "NEWBORN NEWBORNCARE EPI NUTRITION SPECIALPP",
    FileClass.CORRECTION: "DATA_CORRECT",
    FileClass.POLICY: "POLICY",
}

# In any file these name a person, a telephone or a house, or are free text that may.
# HID does so in PERSON only; in HOME it is the key.
NEVER_KEPT = (
    "CID FATHER MOTHER COUPLE PRENAME NAME LNAME HN PASSPORT INSID DISABID REGISTERNO HEADID VHVID BIRTH "
    "TELEPHONE MOBILE HOUSE_ID ROOMNO CONDO HOUSENO HOUSE SOISUB SOIMAIN ROAD VILLANAME ILLHOUSE "
    "LATITUDE LONGITUDE CHIEFCOMP PHYSICALEXAM DIAGFIRST DIAGLAST PSTATUS REQUEST REASON CLINICALRESULT "
    "INVESTRESULT DDESCRIPTION PDESCRIPTION PROCEDRESULT DATA_CORRECT POLICY_DATA"
)

NO_EVENT_DATE = {"ADDRESS", "CARE_REFER", "REFER_RESULT"}

FACT_TYPES = {
    "C": {ColumnType.TEXT, ColumnType.DATE, ColumnType.DATETIME, ColumnType.TIME},
    "N": {ColumnType.INTEGER, ColumnType.DECIMAL},
    "D": {ColumnType.DATE, ColumnType.INTEGER},
    "DT": {ColumnType.DATETIME},
    "JSON": {ColumnType.JSON},
}


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    """Those of the standard and our own."""
    return load_contracts()


@pytest.fixture(scope="module")
def numbered() -> dict[str, Contract]:
    """Those of the standard alone."""
    return standard_contracts()


@pytest.fixture(scope="module")
def code_values() -> list[dict[str, str]]:
    with CODE_VALUES.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def standard() -> dict[str, list[dict[str, str]]]:
    """Rows of the reference table of the standard by file; it is kept beside the project, not in it."""
    path = ROOT.parent / "shared" / "data" / "f43_columns.csv"
    if not path.exists():
        pytest.skip("the reference table of the standard is not beside the project")
    files: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            files.setdefault(row["file"], []).append(row)
    return files


def test_the_standard_is_complete_and_numbered_in_order(numbered: dict[str, Contract]) -> None:
    by_number = sorted(numbered.values(), key=lambda contract: contract.number)
    assert [contract.file for contract in by_number] == list(FACTS)
    assert [contract.number for contract in by_number] == list(range(1, 53))
    assert sum(len(contract.columns) for contract in by_number) == 863


@pytest.mark.parametrize("file", FACTS)
def test_columns_and_key_are_those_of_the_standard(contracts: dict[str, Contract], file: str) -> None:
    contract = contracts[file]
    n_newest, n_2016, key = FACTS[file]
    assert len(contract.columns) == n_newest
    assert len(contract.editions[Version.V2_4_1]) == n_newest
    assert len(contract.editions.get(Version.V2016, [])) == n_2016
    assert contract.key == key.split()
    assert "HOSPCODE9" not in contract.key


def test_classes_are_those_of_the_standard(numbered: dict[str, Contract]) -> None:
    classes = {file: file_class for file_class, files in CLASSES.items() for file in files.split()}
    assert {file: contract.file_class for file, contract in numbered.items()} == {
        file: classes.get(file, FileClass.SERVICE) for file in FACTS
    }


@pytest.mark.parametrize("file", FACTS)
def test_a_newer_edition_only_appends(contracts: dict[str, Contract], file: str) -> None:
    contract = contracts[file]
    order = list(Version)
    ages = [order.index(column.since) for column in contract.columns]
    assert ages == sorted(ages)
    assert set(contract.layouts) <= {Version.V2016}
    for (old_version, old), (_, new) in pairwise(contract.editions.items()):
        if old_version not in contract.layouts:
            assert new[: len(old)] == old


def test_the_nine_character_codes_came_last(numbered: dict[str, Contract]) -> None:
    columns = [column for contract in numbered.values() for column in contract.columns]
    newest = {column.name for column in columns if column.since is Version.V2_4_1}
    assert newest == {column.name for column in columns if "9" in column.name}
    assert {column.width for column in columns if column.since is Version.V2_4_1} == {9}
    assert all("HOSPCODE9" in contract.by_name for contract in numbered.values())


def test_only_address_was_laid_out_otherwise_in_2016(contracts: dict[str, Contract]) -> None:
    assert [file for file, contract in contracts.items() if contract.layouts] == ["ADDRESS"]
    old = contracts["ADDRESS"].editions[Version.V2016]
    placeholders = [name for name in old if name not in contracts["ADDRESS"].by_name]
    assert placeholders == ["TELEPHONE", "MOBILE"]
    assert [name for name in old if name not in placeholders] == [
        column.name for column in contracts["ADDRESS"].columns if column.since is Version.V2016
    ]


def test_a_file_of_our_own_holds_what_the_standard_has_no_file_for(contracts: dict[str, Contract]) -> None:
    ours = contracts.keys() - standard_contracts()
    assert ours == {"ADP_OPD", "ADP_IPD"}
    assert all("D_UPDATE" in contracts[file].by_name for file in ours), "staging takes the newest row by it"


def test_events_have_a_date_and_registers_have_none(contracts: dict[str, Contract]) -> None:
    for file, contract in contracts.items():
        is_event = contract.file_class in (FileClass.SERVICE, FileClass.SEMI_SURVEY)
        assert (contract.event_date is not None) == (is_event and file not in NO_EVENT_DATE), file
        if contract.event_date:
            column = contract.by_name[contract.event_date]
            assert column.type in (ColumnType.DATE, ColumnType.DATETIME), file
            assert column.required, file
            assert column.landing is Landing.KEEP, file


def test_every_key_column_is_required_and_lands(contracts: dict[str, Contract]) -> None:
    for file, contract in contracts.items():
        for name in contract.key:
            assert contract.by_name[name].required, f"{file}.{name}"
            assert contract.by_name[name].landing is Landing.KEEP, f"{file}.{name}"


def test_every_dropped_column_has_a_known_reason(contracts: dict[str, Contract]) -> None:
    reasons = {"direct_identifier", "contact", "address", "free_text"}
    for file, contract in contracts.items():
        for column in contract.columns:
            assert (column.why_dropped in reasons) == (column.landing is Landing.DROP), f"{file}.{column.name}"


def test_the_list_of_what_is_never_kept_names_real_columns(contracts: dict[str, Contract]) -> None:
    names = {column.name for contract in contracts.values() for column in contract.columns}
    assert set(NEVER_KEPT.split()) <= names


def test_nothing_that_identifies_is_kept(contracts: dict[str, Contract]) -> None:
    kept = {
        column.name for contract in contracts.values() for column in contract.columns if column.landing is Landing.KEEP
    }
    assert not kept & set(NEVER_KEPT.split())
    assert contracts["PERSON"].by_name["HID"].landing is Landing.DROP


def test_only_these_columns_land_changed(contracts: dict[str, Contract]) -> None:
    changed = {
        f"{file}.{column.name}": column.landing
        for file, contract in contracts.items()
        for column in contract.columns
        if column.landing in (Landing.PSEUDONYM, Landing.MONTH)
    }
    assert changed == {
        "PERSON.CID": Landing.PSEUDONYM,
        "PERSON.MOTHER": Landing.PSEUDONYM,
        "SERVICE.CID": Landing.PSEUDONYM,
        "ADMISSION.CID": Landing.PSEUDONYM,
        "PERSON.BIRTH": Landing.MONTH,
    }


def test_code_lists_and_contracts_name_each_other(
    contracts: dict[str, Contract], code_values: list[dict[str, str]]
) -> None:
    used = {column.codes for contract in contracts.values() for column in contract.columns if column.codes}
    assert used == {row["list"] for row in code_values}


def test_code_lists_are_short_distinct_and_labelled(code_values: list[dict[str, str]]) -> None:
    assert list(code_values[0]) == ["list", "code", "label_th", "label_en", "source"]
    pairs = [(row["list"], row["code"]) for row in code_values]
    assert len(set(pairs)) == len(pairs)
    assert all(all(value.strip() == value != "" for value in row.values()) for row in code_values)
    sizes = [sum(name == other for other, _ in pairs) for name in {name for name, _ in pairs}]
    assert max(sizes) <= 20


def test_a_code_fits_the_column_that_uses_it(contracts: dict[str, Contract], code_values: list[dict[str, str]]) -> None:
    widths: dict[str, set[int]] = {}
    for row in code_values:
        widths.setdefault(row["list"], set()).add(len(row["code"]))
    for file, contract in contracts.items():
        for column in contract.columns:
            if column.codes:
                assert column.type is ColumnType.TEXT, f"{file}.{column.name}"
                assert widths[column.codes] == {column.width}, f"{file}.{column.name}"


def test_telemedicine_is_a_way_to_come_to_a_visit_but_not_to_an_admission(
    contracts: dict[str, Contract], code_values: list[dict[str, str]]
) -> None:
    def codes(file: str) -> set[str]:
        name = contracts[file].by_name["TYPEIN"].codes
        return {row["code"] for row in code_values if row["list"] == name}

    assert codes("SERVICE") == {"1", "2", "3", "4", "5"}
    assert codes("ADMISSION") == {"1", "2", "3", "4"}


def test_everything_is_described_in_both_languages(contracts: dict[str, Contract]) -> None:
    for file, contract in contracts.items():
        texts = [(file, contract.label_th, contract.description)]
        texts += [(f"{file}.{c.name}", c.label_th, c.description) for c in contract.columns]
        for name, label_th, description in texts:
            assert any("ก" <= letter <= "๛" for letter in label_th), name
            assert description.endswith("."), name
            assert description.isascii(), name


def test_a_yaml_under_another_name_is_refused(tmp_path: Path) -> None:
    contract = (CONTRACTS / "service.yml").read_text(encoding="utf-8")
    (tmp_path / "visit.yml").write_text(contract, encoding="utf-8")
    with pytest.raises(ValueError, match=r"visit\.yml.*SERVICE.*service\.yml"):
        load_contracts(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": ["HOSPCODE", "VN"]}, "VN"),
        ({"event_date": "DATE_VISIT"}, "DATE_VISIT"),
        ({"owner": "x"}, "owner"),
        ({"columns": [{"name": "HN", "landing": "drop"}]}, "columns"),
    ],
)
def test_a_contract_that_does_not_fit_the_schema_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    contract = yaml.safe_load((CONTRACTS / "service.yml").read_text(encoding="utf-8"))
    (tmp_path / "service.yml").write_text(yaml.safe_dump(contract | change), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"service\.yml(?s:.*){message}"):
        load_contracts(tmp_path)


@pytest.mark.parametrize("file", FACTS)
def test_names_order_and_form_agree_with_the_reference(
    contracts: dict[str, Contract], standard: dict[str, list[dict[str, str]]], file: str
) -> None:
    columns = contracts[file].columns
    facts = standard[file]
    assert [column.name for column in columns] == [fact["column"] for fact in facts]
    for column, fact in zip(columns, facts, strict=True):
        assert column.required == (fact["required"] == "Y"), column.name
        assert column.width == (int(fact["width"]) if fact["width"] else None), column.name
        assert column.type in FACT_TYPES[fact["type"]], column.name
        assert (column.since is Version.V2016) == (fact["in_2016_ddl"] == "Y"), column.name
