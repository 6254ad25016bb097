"""The 16 files of NHSO: every table into the standard's files, and every way in which exporters write them."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from identity.keys import load_keys
from identity.pseudonym import Pseudonymiser
from ingestion import batch, mapping
from ingestion.delivery import sender_of
from ingestion.spool import HASH, Spool
from ruam.settings import Settings
from tests.ingestion.f16_zips import HN, TABLES, f16_dbf, f16_members, f16_name, f16_row, f16_text, layout
from tests.ingestion.odd_zips import SENDER, cells, cid, make_zip
from tests.ingestion.reading import assert_balanced, flags, landed, records, take_in

INPATIENT = {"AN": "A1", "SEQ": ""}


def stand_in(settings: Settings, number: str = HN) -> str:
    return Pseudonymiser(load_keys(settings.data_home.keys)).local_number(number)


def send(settings: Settings, folder: Path, name: str | None = None, **tables: str | bytes) -> None:
    """Take in one zip of these tables; `OPD="..."` is the member OPD.txt, bytes are OPD.dbf."""
    members = {f"{table}{'.dbf' if isinstance(text, bytes) else '.txt'}": text for table, text in tables.items()}
    (outcome,) = take_in(settings, make_zip(folder / (name or f16_name()), members)).outcomes
    assert outcome.outcome.startswith("accepted"), outcome
    assert_balanced(settings)


def rejects(settings: Settings) -> list[tuple[str, int, str, str]]:
    return (
        records(settings, "rejects")
        .select("file", "source_line", "column_name", "rule")
        .sort("file", "source_line")
        .rows()
    )


@pytest.fixture(scope="module", params=[".txt", ".dbf"])
def whole(request: pytest.FixtureRequest, ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One good row of each table, and an inpatient's row of those that serve both."""
    folder = tmp_path_factory.mktemp("whole")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")))
    make = f16_text if request.param == ".txt" else f16_dbf
    members = f16_members(request.param)
    both = {
        "INS": f16_row("INS", INSCL="OFC", **INPATIENT),
        "CHT": f16_row("CHT", TOTAL="9000.00", **INPATIENT),
        "CHA": f16_row("CHA", CHRGITEM="B2", AMOUNT="70", **INPATIENT),
        "ADP": f16_row("ADP", TYPE="2", CODE="8607", **INPATIENT),
        "DRU": f16_row("DRU", USE_STATUS="2", **INPATIENT),
    }
    members |= {f"{table}{request.param}": make(table, f16_row(table), row) for table, row in both.items()}
    (outcome,) = take_in(settings, make_zip(folder / f16_name(), members)).outcomes
    assert (outcome.outcome, outcome.n_rejected) == ("accepted", 0)
    assert_balanced(settings)
    return settings


def values(settings: Settings, file: str, *columns: str) -> list[tuple[object, ...]]:
    return landed(settings, file).sort("source_line").select(columns).rows()


def test_a_visit_takes_its_right_its_person_and_its_price_from_other_tables(whole: Settings) -> None:
    columns = (
        "hospcode",
        "pid",
        "seq",
        "date_serv",
        "time_serv",
        "instype",
        "main",
        "hsub",
        "price",
        "actualpay",
        "d_update",
    )
    assert values(whole, "SERVICE", *columns) == [
        (
            SENDER,
            stand_in(whole),
            "S1",
            date(2024, 5, 1),
            "083000",
            "0100",
            SENDER,
            SENDER,
            Decimal(1250),
            Decimal(0),
            None,
        )
    ]
    assert values(whole, "SERVICE", "cid_class") == [("valid",)]
    assert landed(whole, "SERVICE")["cid_pseudonym"].to_list() == landed(whole, "PERSON")["cid_pseudonym"].to_list()


def test_the_person_and_the_rights_land(whole: Settings) -> None:
    assert values(whole, "PERSON", "hospcode", "pid", "sex", "birth_month", "nation", "cid_class") == [
        (SENDER, stand_in(whole), "1", date(1980, 2, 1), "099", "valid")
    ]
    assert values(whole, "CARD", "instype_new", "main", "sub") == [("0100", SENDER, SENDER), ("1100", SENDER, SENDER)]


def test_what_was_done_at_a_visit_lands_under_its_number_and_day(whole: Settings) -> None:
    visit = (stand_in(whole), "S1", date(2024, 5, 1))
    key = ("pid", "seq", "date_serv")
    assert values(whole, "DIAGNOSIS_OPD", *key, "diagcode", "diagtype", "clinic") == [(*visit, "J00", "1", "00100")]
    assert values(whole, "PROCEDURE_OPD", *key, "procedcode") == [(*visit, "8954")]
    assert values(whole, "DRUG_OPD", *key, "didstd", "amount", "drugprice") == [(*visit, "1" * 24, 20, Decimal("1.5"))]
    assert values(whole, "CHARGE_OPD", *key, "chargeitem", "chargelist", "instype", "price", "payprice", "clinic") == [
        (*visit, "03", "31", "0100", 250, 0, "00100")
    ]
    assert values(whole, "LABFU", *key, "labtest", "labresult") == [(*visit, "0531101", "98")]
    assert values(whole, "ADP_OPD", *key, "type", "code") == [(*visit, "5", "WALKIN")]
    assert values(whole, "ACCIDENT", "pid", "seq", "datetime_serv", "datetime_ae") == [
        (visit[0], "S1", datetime(2024, 5, 1), datetime(2024, 5, 1, 8))  # noqa: DTZ001
    ]


def test_what_was_done_in_hospital_finds_its_admission_by_an(whole: Settings) -> None:
    stay = (stand_in(whole), "A1", datetime(2024, 5, 1, 9, 15))  # noqa: DTZ001
    key = ("pid", "an", "datetime_admit")
    assert values(whole, "ADMISSION", *key, "seq", "instype", "dischstatus", "dischtype", "admitweight", "price") == [
        (*stay, "S1", "1100", "2", "1", Decimal("61.5"), 9000)
    ]
    assert values(whole, "DIAGNOSIS_IPD", *key, "diagcode") == [(*stay, "J180")]
    assert values(whole, "PROCEDURE_IPD", *key, "procedcode", "timestart") == [
        (*stay, "9604", datetime(2024, 5, 1, 9, 30))  # noqa: DTZ001
    ]
    assert values(whole, "CHARGE_IPD", *key, "chargeitem", "chargelist", "price", "payprice") == [
        (*stay, "11", "B2", 70, 70)
    ]
    assert values(whole, "DRUG_IPD", *key, "typedrug", "datestart") == [(*stay, "2", date(2024, 5, 1))]
    assert values(whole, "ADP_IPD", *key, "type", "code") == [(*stay, "2", "8607")]


def test_rows_without_a_place_in_the_standard_are_counted(whole: Settings) -> None:
    files = records(whole, "receipt_files").filter(pl.col("n_out_of_scope") > 0)
    assert dict(files.select("file", "n_out_of_scope").rows()) == {"ORF": 1, "IRF": 1, "LVD": 1, "CHT": 2}
    assert files["n_rows"].sum() == 0


def test_each_receipt_says_feed_and_layout(whole: Settings) -> None:
    files = records(whole, "receipt_files")
    assert set(files["feed"]) == {"f16"}
    assert dict(files.filter(file="SERVICE").select("file", "layout").rows()) == {"SERVICE": "FDH"}


SECRETS = {
    "INS": {"PERMITNO": "PP1234567890", "DOCNO": "DOC998877", "OWNRPID": cid(77), "OWNRNAME": "นายเจ้าของ สิทธิ"},
    "PAT": {"NAMEPAT": "สมหญิง ทดสอบ", "TITLE": "นางสาว", "FNAME": "สมหญิง", "LNAME": "ทดสอบ"},
    "OPD": {"DETAIL": "ปวดหัวมากเมื่อคืน"},
    "ADP": {"SERIALNO": "SER-5566778899"},
    "CHT": {"INVOICE_NO": "INV5544332211", "OPD_MEMO": "จดหมายส่วนตัว"},
    "DRU": {"SIGTEXT": "กินหลังอาหารเช้าเย็น", "DRUGREMARK": "แพ้ยาเดิม", "PROVIDER": "W99887766"},
    "LAB": {"REMARK": "เจาะเลือดที่บ้าน"},
    "ODX": {"DRDX": "W11223344"},
}


@pytest.mark.parametrize("make", [f16_text, f16_dbf])
def test_neither_hn_nor_names_numbers_and_free_text_land(settings: Settings, tmp_path: Path, make: object) -> None:
    tables = {table: make(table, f16_row(table, HN="HN-7654321", **words)) for table, words in SECRETS.items()}  # type: ignore[operator]
    send(settings, tmp_path, **tables)
    kept = b"".join(path.read_bytes() for path in settings.data_home.landing.rglob("*.parquet"))
    for frame in (pl.read_parquet(path) for path in settings.data_home.landing.rglob("region=01/*/*.parquet")):
        kept += frame.write_csv().encode()
    assert landed(settings, "SERVICE")["pid"].to_list() == [stand_in(settings, "HN-7654321")]
    for secret in ["HN-7654321", cid(1), *(word for words in SECRETS.values() for word in words.values())]:
        assert secret.encode() not in kept, secret


@pytest.mark.parametrize(
    "name",
    ["F16_90101_20240601120000.zip", "eclaim_90101_20240601.zip", "e-Claim-90101.zip", "FDH_90101_20240601120000.zip"],
)
def test_the_words_of_the_claim_programs_announce_the_feed(settings: Settings, tmp_path: Path, name: str) -> None:
    send(settings, tmp_path, name, OPD=f16_text("OPD"))
    assert records(settings, "receipt_files")["feed"].to_list() == ["f16"]


@pytest.mark.parametrize(
    ("name", "feed"),
    [
        ("claim_F43_90101_20240601.zip", "f43"),
        ("F43_F16_90101_20240601.zip", "f16"),
        ("eclaim-out 90101.zip", "f16"),
        ("90101_FDH.zip", "f16"),
        ("PROGRAM_90101_20240601.zip", None),
    ],
)
def test_of_two_words_the_one_before_the_facility_counts(name: str, feed: str | None) -> None:
    assert sender_of(name).feed == feed


def test_a_delivery_without_a_word_is_known_by_its_members(settings: Settings, tmp_path: Path) -> None:
    members = {f"90101/{table.lower()}.TXT": f16_text(table) for table in ("INS", "PAT", "OPD", "ODX")}
    take_in(settings, make_zip(tmp_path / "90101_20240601120000.zip", members))
    assert set(records(settings, "receipt_files")["feed"]) == {"f16"}
    assert landed(settings, "SERVICE").height == 1


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in TABLES for name in TABLES[table].layouts])
def test_each_layout_is_known_with_and_without_a_header(
    settings: Settings, tmp_path: Path, table: str, name: str
) -> None:
    order = layout(table, name)
    send(settings, tmp_path, **{table: f16_text(table, columns=order)})
    send(settings, tmp_path, f16_name("FDH"), **{table: f16_text(table, columns=order, header=False, eol="\n")})
    files = records(settings, "receipt_files").filter(pl.col("member") == f"{table}.txt")
    with_header = files.filter("header")["layout"].unique().to_list()
    same_width = [one for one, columns in TABLES[table].layouts.items() if len(columns) == len(order)]
    assert with_header == [name]
    assert files.filter(~pl.col("header"))["layout"].unique().to_list() == [same_width[-1]]


@pytest.mark.parametrize("table", ["DRUG", "drug", "DRU"])
def test_tables_go_by_either_of_their_names(settings: Settings, tmp_path: Path, table: str) -> None:
    send(settings, tmp_path, **{table: f16_text("DRU"), "LDV": f16_text("LVD")})
    assert landed(settings, "DRUG_OPD").height == 1
    assert records(settings, "receipt_files").filter(file="LVD")["n_out_of_scope"].to_list() == [1]


def test_other_spellings_of_a_column_are_known(settings: Settings, tmp_path: Path) -> None:
    order = [{"DRUGPRC": "DRUGPRICE"}.get(name, name) for name in layout("DRU")]
    text = f16_text("DRU").replace("|".join(layout("DRU")), "|".join(order))
    ins = f16_text("INS", columns=layout("INS", "19 columns, HCODE")).replace("OWNRNAME", "ownname")
    send(settings, tmp_path, DRU=text, INS=ins)
    assert landed(settings, "DRUG_OPD")["drugprice"].to_list() == [Decimal("1.5")]
    assert records(settings, "receipt_files").filter(file="CARD").select("layout", "unknown_columns").rows() == [
        ("19 columns, HCODE", None)
    ]


def test_the_fifth_column_of_ins_may_be_the_start_of_the_right(settings: Settings, tmp_path: Path) -> None:
    row = f16_row("INS", DATEIN="20240101", DATEEXP="20241231")
    send(settings, tmp_path, INS=f16_text("INS", row, header=False))
    assert values(settings, "CARD", "startdate", "expiredate") == [(date(2024, 1, 1), date(2024, 12, 31))]


def test_a_facility_code_in_its_place_loses_no_row(settings: Settings, tmp_path: Path) -> None:
    order = layout("INS", "19 columns, HCODE")
    send(settings, tmp_path, INS=f16_text("INS", f16_row("INS", HCODE=SENDER), columns=order, header=False))
    assert values(settings, "CARD", "hospcode", "startdate", "main") == [(SENDER, None, SENDER)]
    assert flags(landed(settings, "CARD")) == [["startdate:invalid_date"]]


@pytest.mark.parametrize(
    ("inscl", "instype"),
    [
        ("UCS", "0100"),
        ("wel", "0100"),
        ("Dis", "0100"),
        ("OFC", "1100"),
        ("SSS", "4200"),
        ("LGO", "2201"),
        ("PVT", "PVT"),
    ],
)
def test_the_right_becomes_an_instype_and_what_has_none_is_kept_and_flagged(
    settings: Settings, tmp_path: Path, inscl: str, instype: str
) -> None:
    send(settings, tmp_path, INS=f16_text("INS", f16_row("INS", INSCL=inscl)), OPD=f16_text("OPD"))
    assert landed(settings, "SERVICE")["instype"].to_list() == [instype]
    assert ("instype:unknown_code" in flags(landed(settings, "SERVICE"))[0]) == (inscl == "PVT")


def test_two_rights_of_one_visit_give_none(settings: Settings, tmp_path: Path) -> None:
    ins = f16_text("INS", f16_row("INS", INSCL="UCS"), f16_row("INS", INSCL="SSS"))
    send(settings, tmp_path, INS=ins, OPD=f16_text("OPD"))
    assert values(settings, "SERVICE", "instype", "main") == [(None, SENDER)]
    assert "instype:missing_required" in flags(landed(settings, "SERVICE"))[0]


def test_without_seq_the_only_visit_of_that_patient_and_day_is_meant(settings: Settings, tmp_path: Path) -> None:
    opd = f16_text(
        "OPD", f16_row("OPD"), f16_row("OPD", HN="77", SEQ="S2"), f16_row("OPD", DATEOPD="20240502", SEQ="S3")
    )
    without = [name for name in layout("ODX") if name not in ("SEQ", "PERSON_ID")]
    send(
        settings,
        tmp_path,
        OPD=opd,
        ODX=f16_text("ODX", columns=without, header=False),
        OOP=f16_text("OOP", f16_row("OOP", SEQ="")),
        DRU=f16_text("DRU", f16_row("DRU", SEQ="", HN="77")),
        ADP=f16_text("ADP", f16_row("ADP", SEQ="", DATEOPD="20240502")),
    )
    found = {
        file: landed(settings, file)["seq"].to_list()
        for file in ("DIAGNOSIS_OPD", "PROCEDURE_OPD", "DRUG_OPD", "ADP_OPD")
    }
    assert found == {"DIAGNOSIS_OPD": ["S1"], "PROCEDURE_OPD": ["S1"], "DRUG_OPD": ["S2"], "ADP_OPD": ["S3"]}


@pytest.mark.parametrize(
    "others",
    [
        [{"SEQ": "S2"}],
        [{"SEQ": "S2"}, {"SEQ": "S3"}],
        [{"SEQ": ""}],
        [{"SEQ": "S1"}, {"SEQ": "S2"}],
    ],
)
def test_of_two_visits_on_a_day_none_is_guessed(
    settings: Settings, tmp_path: Path, others: list[dict[str, str]]
) -> None:
    opd = f16_text("OPD", f16_row("OPD"), *(f16_row("OPD", **changes) for changes in others))
    send(settings, tmp_path, OPD=opd, ODX=f16_text("ODX", f16_row("ODX", SEQ=""), f16_row("ODX", DIAG="I10")))
    assert ("DIAGNOSIS_OPD", 2, "SEQ", "missing_key") in rejects(settings)
    assert values(settings, "DIAGNOSIS_OPD", "seq", "diagcode") == [("S1", "I10")]


def test_a_visit_sent_twice_is_still_one_visit(settings: Settings, tmp_path: Path) -> None:
    send(
        settings,
        tmp_path,
        OPD=f16_text("OPD", f16_row("OPD"), f16_row("OPD")),
        ODX=f16_text("ODX", f16_row("ODX", SEQ="")),
    )
    assert landed(settings, "DIAGNOSIS_OPD")["seq"].to_list() == ["S1"]


def test_an_inpatient_row_without_its_admission_is_rejected(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, IPD=f16_text("IPD"), IDX=f16_text("IDX", f16_row("IDX", AN="A9"), f16_row("IDX")))
    assert rejects(settings) == [("DIAGNOSIS_IPD", 2, "PID", "missing_key")]
    assert landed(settings, "DIAGNOSIS_IPD")["an"].to_list() == ["A1"]


@pytest.mark.parametrize(
    ("written", "rule"),
    [("25670501", "be_year"), ("01/05/2024", "invalid_date"), ("00000000", "zero_date"), ("20240701", "future_date")],
)
@pytest.mark.parametrize("make", [f16_text, f16_dbf])
def test_a_day_that_is_none_rejects_the_row(
    settings: Settings, tmp_path: Path, make: object, written: str, rule: str
) -> None:
    send(settings, tmp_path, OPD=make("OPD", f16_row("OPD", DATEOPD=written), f16_row("OPD")))  # type: ignore[operator]
    assert rejects(settings) == [("SERVICE", 2, "DATE_SERV", rule)]
    assert landed(settings, "SERVICE").height == 1


@pytest.mark.parametrize(
    ("written", "read"), [("0830", "083000"), ("830", "083000"), ("5", "000500"), ("083015", "083015"), ("2460", None)]
)
def test_a_time_of_day_may_lack_its_zeros(settings: Settings, tmp_path: Path, written: str, read: str | None) -> None:
    ipd = f16_row("IPD", TIMEADM=written) if read else f16_row("IPD")
    send(settings, tmp_path, OPD=f16_text("OPD", f16_row("OPD", TIMEOPD=written)), IPD=f16_text("IPD", ipd))
    assert landed(settings, "SERVICE")["time_serv"].to_list() == [read]
    if read:
        assert f"{landed(settings, 'ADMISSION')['datetime_admit'][0]:%H%M%S}" == read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp874"])
@pytest.mark.parametrize("eol", ["\r\n", "\n", "before"])
@pytest.mark.parametrize("header", [True, False])
def test_the_same_text_is_read_however_it_is_laid_out(
    settings: Settings, tmp_path: Path, encoding: str, eol: str, header: bool
) -> None:
    rows = [f16_row("PAT", HN=f"{n:07d}", FNAME="สมชาย", LNAME="ใจดี") for n in range(3)]
    text = f16_text("PAT", *rows, header=header, eol="\n" if eol == "before" else eol)
    if eol == "before":
        text = "\r\n" + text.removesuffix("\n").replace("\n", "\r\n")
    members = {"PAT.txt": (text.lower() if header else text).encode(encoding)}
    take_in(settings, make_zip(tmp_path / f16_name(), members))
    assert_balanced(settings)
    assert landed(settings, "PERSON")["pid"].to_list() == [stand_in(settings, f"{n:07d}") for n in range(3)]


def test_codes_may_be_in_lower_case_and_with_a_dot(settings: Settings, tmp_path: Path) -> None:
    """They land as sent; staging makes them one."""
    send(settings, tmp_path, ODX=f16_text("ODX", f16_row("ODX", DIAG="j18.0")))
    assert landed(settings, "DIAGNOSIS_OPD")["diagcode"].to_list() == ["j18.0"]


@pytest.mark.parametrize(
    ("ucae", "n_accidents", "typein"), [("A", 1, None), ("e", 1, None), ("O", 0, "3"), ("I", 0, "3"), ("", 0, None)]
)
def test_only_an_accident_or_an_emergency_makes_one_and_a_referral_is_told(
    settings: Settings, tmp_path: Path, ucae: str, n_accidents: int, typein: str | None
) -> None:
    send(settings, tmp_path, OPD=f16_text("OPD"), AER=f16_text("AER", f16_row("AER", UCAE=ucae)))
    assert landed(settings, "ACCIDENT").height == n_accidents
    assert landed(settings, "SERVICE")["typein"].to_list() == [typein]


def test_how_the_patient_came_is_what_fdh_says(settings: Settings, tmp_path: Path) -> None:
    send(
        settings,
        tmp_path,
        OPD=f16_text("OPD", f16_row("OPD", TYPEIN="1")),
        AER=f16_text("AER", f16_row("AER", UCAE="O")),
    )
    assert landed(settings, "SERVICE")["typein"].to_list() == ["1"]


def test_a_column_that_no_table_brings_is_not_flagged_row_by_row(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, OPD=f16_text("OPD", columns=layout("OPD", "e-Claim")), INS=f16_text("INS"))
    assert flags(landed(settings, "SERVICE")) == [[]]
    missing = records(settings, "receipt_files").filter(file="SERVICE")["missing_columns"][0]
    assert {"TYPEIN", "TYPEOUT"} <= set(missing.split(","))


def test_the_same_charge_claimed_and_in_excess_stays_two_rows(settings: Settings, tmp_path: Path) -> None:
    charges = [
        f16_row("CHA", CHRGITEM=item, AMOUNT=amount) for item, amount in (("31", "100"), ("32", "20"), ("a1", "1,000"))
    ]
    send(settings, tmp_path, CHA=f16_text("CHA", *charges), INS=f16_text("INS"))
    assert values(settings, "CHARGE_OPD", "chargeitem", "chargelist", "price", "payprice") == [
        ("03", "31", 100, 0),
        ("03", "32", 20, 20),
        ("10", "a1", 1000, 0),
    ]


def test_another_facility_cannot_send_through_the_columns_that_name_one(settings: Settings, tmp_path: Path) -> None:
    send(settings, tmp_path, PAT=f16_text("PAT", f16_row("PAT", HCODE="90102"), f16_row("PAT", HCODE="")))
    assert rejects(settings) == [("PERSON", 2, "HOSPCODE", "hospcode_not_sender")]
    assert landed(settings, "PERSON")["hospcode"].to_list() == [SENDER]


CELL = st.text(st.characters(blacklist_characters="|\r\n", blacklist_categories=["Cs"]), max_size=12)


@pytest.mark.slow
@limits(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_any_text_in_any_column_lands_or_is_rejected(settings: Settings, tmp_path: Path, data: st.DataObject) -> None:
    members = {}
    for table in data.draw(st.lists(st.sampled_from(sorted(TABLES)), min_size=1, max_size=5, unique=True)):
        order = data.draw(st.sampled_from(list(TABLES[table].layouts.values())))
        row = st.fixed_dictionaries({name: CELL | st.just(f16_row(table).get(name, "")) for name in order})
        rows = data.draw(st.lists(row, min_size=1, max_size=4))
        members[f"{table}.txt"] = "\r\n".join(["|".join(order), *(cells(one, order) for one in rows)])
    number = len(list(tmp_path.glob("*.zip")))
    path = make_zip(tmp_path / f"F16_{SENDER}_{20240601120000 + number}.zip", members)
    report = take_in(settings, path)
    assert all(outcome.outcome != "rejected" for outcome in report.outcomes)
    assert_balanced(settings)


# ── more than memory holds ──────────────────────────────────────────────────────────────────────────────────────────


def one_hash(key: list[pl.Expr]) -> pl.Expr:
    return (key[0].hash() * 0).alias(HASH)


@pytest.mark.parametrize("case", ["all is spilled", "all hashes are one", "all is spilled to one bucket"])
def test_what_memory_does_not_hold_lands_as_if_it_did(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    people, files = range(200), ["PERSON", "SERVICE", "DIAGNOSIS_OPD", "CHARGE_OPD", "CHARGE_IPD", "ADMISSION"]

    def table(name: str, key: str) -> str:
        rows = [f16_row(name, HN=f"{n:07d}", **{key: f"{key}{n}"}) for n in people]
        return f16_text(name, *rows, f16_row(name, HN="7777777", **{key: ""}))

    sent = {name: table(name, "SEQ") for name in ("INS", "OPD", "ODX", "CHT", "AER", "CHA")}
    sent["PAT"] = f16_text("PAT", *(f16_row("PAT", HN=f"{n:07d}", PERSON_ID=cid(n + 1)) for n in people))
    # Two rights of one patient and visit: neither is taken.
    sent["INS"] += f16_text("INS", f16_row("INS", HN="0000003", SEQ="SEQ3", INSCL="SSS"), header=False)
    sent["IPD"] = table("IPD", "AN")

    def land() -> dict[str, pl.DataFrame]:
        home = Settings(home=shutil.copytree(settings.home, tmp_path / f"home-{len(list(tmp_path.iterdir()))}"))
        path = make_zip(tmp_path / f16_name(), {f"{name}.txt": text for name, text in sent.items()})
        assert take_in(home, path).outcomes[0].n_landed > 1000
        assert_balanced(home)
        return {file: landed(home, file).sort(pl.all()) for file in files}

    expected = land()
    if "hash" in case or "bucket" in case:
        monkeypatch.setattr(mapping, "_hash", one_hash)
    if "spilled" in case:
        for name in ("LOOKUP_BYTES", "JOINED_BYTES"):
            monkeypatch.setattr(mapping, name, 0)
        monkeypatch.setattr(batch, "IDS_BYTES", 0)
    found = land()
    for file in files:
        assert found[file].equals(expected[file]), file
    assert expected["SERVICE"]["instype"].null_count() == 1


def test_what_is_spilled_is_sealed_and_has_no_name(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 0)
    frame = pl.DataFrame({"cid": [cid(n) for n in range(100)]})
    piece = spool.put(frame)
    open_now = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    (file,) = [path for path in open_now if path.readlink().is_relative_to(tmp_path)]
    assert not list(tmp_path.iterdir())
    assert cid(5).encode() not in file.read_bytes()
    assert spool.get(piece).equals(frame)
