"""The same care sent as 43 files and as FHIR is the same care in staging, but for what resources do not hold."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from identity.keys import load_keys
from identity.pseudonym import Pseudonymiser
from ruam.dbt import run_dbt
from ruam.settings import Settings
from tests.ingestion.fhir_sets import fhir_name, members, thai_set
from tests.ingestion.odd_zips import SENDER, cid, make_zip, row, text, zip_name
from tests.ingestion.reading import take_in

pytestmark = pytest.mark.slow

FACILITY_OF_FILES = "90102"
UPDATED = "20240502083000"

COMPARED = {
    "person": "pid, sex, birth_month, mstatus, nation, cid_pseudonym, cid_class, d_update",
    "service": "pid, seq, date_serv, time_serv, typein, typeout, d_update",
    "admission": "pid, an, datetime_admit, datetime_disch, dischstatus, dischtype, d_update",
    "diagnosis_opd": "pid, seq, date_serv, diagtype, diagnosis_code, d_update",
    "diagnosis_ipd": "pid, an, datetime_admit, diagtype, diagnosis_code, d_update",
    "procedure_opd": "pid, seq, date_serv, procedcode, d_update",
    "drug_opd": "pid, seq, date_serv, didstd, amount, d_update",
    "card": "pid, instype_new, startdate, expiredate, d_update",
}
"""Columns that a resource can hold, by staging model."""


def as_files(settings: Settings) -> dict[str, str]:
    """The care of `thai_set` as a facility would write it, under the numbers that the resources' ids become."""
    number = Pseudonymiser(load_keys(settings.data_home.keys)).local_number
    who = {"PID": number("p-1"), "D_UPDATE": UPDATED}
    visit = who | {"SEQ": number("e-1"), "DATE_SERV": "20240501"}
    stay = who | {"AN": number("e-3"), "DATETIME_ADMIT": "20240511030000"}
    at = {"TIME_SERV": "083000"}
    rows = {
        "PERSON": [who | {"CID": cid(1), "SEX": "2", "BIRTH": "19800215", "MSTATUS": "2", "NATION": "099"}],
        "SERVICE": [
            visit | at | {"TYPEIN": "", "TYPEOUT": "1"},
            visit | at | {"SEQ": number("e-2"), "TYPEIN": "5", "TYPEOUT": ""},
        ],
        "ADMISSION": [stay | {"DATETIME_DISCH": "20240513100000", "DISCHSTATUS": "2", "DISCHTYPE": "1"}],
        "DIAGNOSIS_OPD": [
            visit | {"DIAGCODE": "J020", "DIAGTYPE": "1"},
            visit | {"DIAGCODE": "E119", "DIAGTYPE": "2"},
        ],
        "DIAGNOSIS_IPD": [stay | {"DIAGCODE": "I10", "DIAGTYPE": ""}],
        "PROCEDURE_OPD": [visit | {"PROCEDCODE": "96.59"}],
        "DRUG_OPD": [visit | {"DIDSTD": "227162", "AMOUNT": "20"}],
        "CARD": [who | {"INSTYPE_NEW": "0100", "STARTDATE": "20240101", "EXPIREDATE": "20241231"}],
    }
    return {
        f"{file}.txt": text(file, *(row(file, FACILITY_OF_FILES, **one) for one in found))
        for file, found in rows.items()
    }


def test_the_same_visits_as_43_files_and_as_fhir_are_the_same_in_staging(settings: Settings, tmp_path: Path) -> None:
    resources = make_zip(tmp_path / f"{fhir_name()}.zip", members(thai_set()))
    files = make_zip(tmp_path / zip_name(FACILITY_OF_FILES), as_files(settings))
    assert {one.outcome for one in take_in(settings, resources, files).outcomes} == {"accepted"}
    home = settings.data_home
    run_dbt(["run", "--select", *(f"+stg_f43__{model}" for model in COMPARED)], home)
    with duckdb.connect(str(home.warehouse), read_only=True) as warehouse:
        for model, columns in COMPARED.items():
            found = {
                hospcode: warehouse.execute(
                    f"select {columns} from {_schema(warehouse)}.stg_f43__{model} where hospcode = ? order by all",
                    [hospcode],
                ).fetchall()
                for hospcode in (SENDER, FACILITY_OF_FILES)
            }
            assert found[SENDER], model
            assert found[SENDER] == found[FACILITY_OF_FILES], model


def _schema(warehouse: duckdb.DuckDBPyConnection) -> str:
    found = warehouse.execute(
        "select table_schema from information_schema.tables where table_name = 'stg_f43__service'"
    )
    return str(found.fetchall()[0][0])
