"""The same care, sent by another feed, is the same care in the warehouse; and sent by two feeds it is there once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from identity.keys import load_keys
from identity.pseudonym import Pseudonymiser
from ruam.dbt import run_dbt
from ruam.settings import Settings
from tests.ingestion.f16_zips import f16_dbf, f16_row, f16_text
from tests.ingestion.odd_zips import cid, make_zip, row, text
from tests.ingestion.reading import take_in

BY_F43, BY_TEXT, BY_DBF, BY_BOTH = "90101", "90201", "90301", "90102"

VISITS = [
    ("1", "20240501", "083000", "120", "0100"),
    ("2", "20240501", "0905", "131", "4200"),
    ("3", "20240502", "", "", "0100"),
]
DIAGNOSES = [("1", "20240501", "J06.9", "1"), ("1", "20240501", "i10", "4"), ("3", "20240502", "E119", "1")]
DRUGS = [
    ("1", "20240501", "1" * 24, "20", "1.50"),
    ("1", "20240501", "2" * 24, "10", "1,200.00"),
    ("3", "20240502", "OWN-1", "5", "2"),
]
RIGHTS = {"0100": "UCS", "4200": "SSS"}


def f43(hospcode: str) -> dict[str, str | bytes]:
    """Of each visit a patient of its own, whose PID is his HN."""
    services = [
        row(
            "SERVICE",
            hospcode,
            PID=f"7{seq}",
            SEQ=seq,
            DATE_SERV=day,
            TIME_SERV=time,
            SBP=sbp,
            INSTYPE=right,
            PRICE="300",
            ACTUALPAY="0",
        )
        for seq, day, time, sbp, right in VISITS
    ]
    diagnoses = [
        row(
            "DIAGNOSIS_OPD",
            hospcode,
            PID=f"7{seq}",
            SEQ=seq,
            DATE_SERV=day,
            DIAGCODE=code,
            DIAGTYPE=kind,
            CLINIC="00100",
        )
        for seq, day, code, kind in DIAGNOSES
    ]
    drugs = [
        row(
            "DRUG_OPD",
            hospcode,
            PID=f"7{seq}",
            SEQ=seq,
            DATE_SERV=day,
            DIDSTD=code,
            AMOUNT=n,
            DRUGPRICE=price,
            DRUGCOST="1",
            CLINIC="00100",
            UNIT="TAB",
        )
        for seq, day, code, n, price in DRUGS
    ]
    persons = [row("PERSON", hospcode, PID=f"7{seq}", CID=cid(int(seq))) for seq, *_ in VISITS]
    files = {"PERSON": persons, "SERVICE": services, "DIAGNOSIS_OPD": diagnoses, "DRUG_OPD": drugs}
    return {f"{file}.txt": text(file, *rows) for file, rows in files.items()}


def f16(hospcode: str, make: Callable[..., str | bytes], suffix: str) -> dict[str, str | bytes]:
    vitals = {"BTEMP": "12.50", "DBP": "5", "PR": "5", "RR": "5", "TYPEIN": "1", "TYPEOUT": "1"}
    rows = {
        "PAT": [f16_row("PAT", HCODE=hospcode, HN=f"7{seq}", PERSON_ID=cid(int(seq))) for seq, *_ in VISITS],
        "INS": [
            f16_row("INS", HN=f"7{seq}", SEQ=seq, INSCL=RIGHTS[right], HOSPMAIN=hospcode, HOSPSUB=hospcode)
            for seq, *_, right in VISITS
        ],
        "OPD": [
            f16_row("OPD", HN=f"7{seq}", SEQ=seq, DATEOPD=day, TIMEOPD=time[:4], SBP=sbp, **vitals)
            for seq, day, time, sbp, _ in VISITS
        ],
        "CHT": [f16_row("CHT", HN=f"7{seq}", SEQ=seq, TOTAL="300.00") for seq, *_ in VISITS],
        "ODX": [
            f16_row("ODX", HN=f"7{seq}", SEQ=seq, DATEDX=day, DIAG=code, DXTYPE=kind)
            for seq, day, code, kind in DIAGNOSES
        ],
        "DRU": [
            f16_row("DRU", HCODE=hospcode, HN=f"7{seq}", SEQ=seq, DATE_SERV=day, DIDSTD=code, AMOUNT=n, DRUGPRC=price)
            for seq, day, code, n, price in DRUGS
        ],
        "ADP": [
            f16_row("ADP", HN="71", SEQ="1", CODE="walkin", TYPE="05"),
            f16_row("ADP", HN="72", SEQ="2", TYPE="4", CODE="30001"),
        ],
    }
    return {f"{table}{suffix}": make(table, *ones) for table, ones in rows.items()}


@pytest.fixture(scope="module")
def settings(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("feeds")
    active = Settings(home=Path(shutil.copytree(ready_home, folder / "home")))
    report = take_in(
        active,
        make_zip(folder / f"F43_{BY_F43}_20240601120000.zip", f43(BY_F43)),
        make_zip(folder / f"F16_{BY_TEXT}_20240601120000.zip", f16(BY_TEXT, f16_text, ".txt")),
        make_zip(folder / f"F16_{BY_DBF}_20240601120000.zip", f16(BY_DBF, f16_dbf, ".dbf")),
        make_zip(folder / f"F43_{BY_BOTH}_20240601120000.zip", f43(BY_BOTH)),
        make_zip(folder / f"F16_{BY_BOTH}_20240615120000.zip", f16(BY_BOTH, f16_text, ".txt")),
    )
    assert [outcome.outcome for outcome in report.outcomes] == ["accepted"] * 5
    selection = ["--select", "+fct_visits", "stg_f43__drug_opd", "--indirect-selection", "cautious"]
    run_dbt(["build", *selection, "--exclude-resource-type", "unit_test"], active.data_home)
    return active


@pytest.fixture(scope="module")
def warehouse(settings: Settings) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(settings.data_home.warehouse), read_only=True)


VISIT = (
    "seq, date_serv, time_serv, instype, typein, typeout, btemp, sbp, dbp, pr, rr, price, actualpay, "
    "main = hospcode, hsub = hospcode"
)


@pytest.mark.parametrize(
    ("model", "columns", "n"),
    [
        ("stg_f43__service", VISIT, 3),
        ("stg_f43__diagnosis_opd", "seq, date_serv, diagnosis_code, diagtype, clinic", 3),
        ("stg_f43__drug_opd", "seq, date_serv, didstd, amount, unit, drugprice, drugcost, clinic", 3),
        ("stg_f43__person", "cid_pseudonym, cid_class, sex, birth_month", 3),
    ],
)
def test_the_same_care_gives_the_same_rows_by_whichever_feed(
    warehouse: duckdb.DuckDBPyConnection, model: str, columns: str, n: int
) -> None:
    def of(hospcode: str) -> list[tuple[object, ...]]:
        return warehouse.execute(
            f"select {columns} from {model} where hospcode = ? order by all", [hospcode]
        ).fetchall()

    assert len(of(BY_F43)) == n
    assert of(BY_TEXT) == of(BY_F43)
    assert of(BY_DBF) == of(BY_F43)


def test_persons_differ_by_the_stand_in_of_their_hospital_number_alone(
    warehouse: duckdb.DuckDBPyConnection, settings: Settings
) -> None:
    pseudonymiser = Pseudonymiser(load_keys(settings.data_home.keys))
    for hospcode, pid_of in (
        (BY_F43, str),
        (BY_TEXT, pseudonymiser.local_number),
        (BY_DBF, pseudonymiser.local_number),
    ):
        pids = warehouse.execute("select seq, pid from stg_f43__service where hospcode = ?", [hospcode]).fetchall()
        assert dict(pids) == {seq: pid_of(f"7{seq}") for seq, *_ in VISITS}
    keys = "select count(distinct person_key), min(person_tier), max(person_tier) from fct_visits"
    assert warehouse.execute(keys).fetchone() == (3, "A", "A")


def test_of_a_visit_sent_by_both_feeds_the_43_files_count_and_nothing_counts_twice(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    rows = warehouse.execute(
        """
        select visits.seq, visits.pid, visits.n_diagnoses, count(drugs.didstd), count(visits.updated_at)
        from fct_visits as visits
        left join stg_f43__drug_opd as drugs using (hospcode, seq, date_serv)
        where visits.hospcode = ? group by all order by all
    """,
        [BY_BOTH],
    ).fetchall()
    assert rows == [("1", "71", 2, 2, 2), ("2", "72", 0, 0, 1), ("3", "73", 1, 1, 1)]


@pytest.mark.parametrize(
    ("hospcode", "expected"),
    [
        (BY_F43, [None] * 3),
        (BY_TEXT, [True, False, False]),
        (BY_DBF, [True, False, False]),
        (BY_BOTH, [True, False, False]),
    ],
)
def test_the_walk_in_code_reaches_the_visit(
    warehouse: duckdb.DuckDBPyConnection, hospcode: str, expected: list[bool | None]
) -> None:
    """And is not known where the facility sent no claims."""
    query = "select has_walkin_code from fct_visits where hospcode = ? order by seq"
    assert [flag for (flag,) in warehouse.execute(query, [hospcode]).fetchall()] == expected
