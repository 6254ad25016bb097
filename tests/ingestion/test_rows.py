"""What happens to a row: each class of the behaviour table, its rule, its line and column, and what is shown of it."""

from __future__ import annotations

import random
import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingestion.checks import landing_schema, load_rules
from ingestion.contract import load_contracts, standard_contracts
from ingestion.landing import contract_tables
from ruam.landing import BATCH, committed_batches
from ruam.settings import Settings
from tests.ingestion.odd_zips import SENDER, cells, cid, edition, make_zip, row, text, visits, zip_name
from tests.ingestion.reading import assert_balanced, flags, landed, records, take_in

FILES = list(standard_contracts())


def one_row(settings: Settings, tmp_path: Path, file: str, **changes: str) -> None:
    """Take in a good row on line 2 and a row with `changes` on line 3, and check the balance."""
    good = row(file, PID="2002") if "PID" in load_contracts()[file].by_name else row(file)
    take_in(settings, make_zip(tmp_path / zip_name(), {f"{file}.txt": text(file, good, row(file, **changes))}))
    assert_balanced(settings)
    files = records(settings, "receipt_files")
    assert files.select("file", "n_rows").rows() == [(file, 2)]


REJECTED = [
    ("SERVICE", {"HOSPCODE": ""}, "HOSPCODE", "missing_key", None),
    ("SERVICE", {"PID": ""}, "PID", "missing_key", None),
    ("SERVICE", {"SEQ": "  "}, "SEQ", "missing_key", None),
    ("SERVICE", {"DATE_SERV": ""}, "DATE_SERV", "missing_key", None),
    ("SERVICE", {"HOSPCODE": "77777"}, "HOSPCODE", "unknown_hospcode", "99999"),
    ("SERVICE", {"HOSPCODE": "90102"}, "HOSPCODE", "hospcode_not_sender", "99999"),
    ("SERVICE", {"DATE_SERV": "20240231"}, "DATE_SERV", "invalid_date", "20240231"),
    ("SERVICE", {"DATE_SERV": "2024-05-01"}, "DATE_SERV", "invalid_date", "2024-05-01"),
    ("SERVICE", {"DATE_SERV": "2024051"}, "DATE_SERV", "invalid_date", "9999999"),
    ("SERVICE", {"DATE_SERV": "202405011"}, "DATE_SERV", "invalid_date", "999999999"),
    ("SERVICE", {"DATE_SERV": "01052024"}, "DATE_SERV", "invalid_date", "99999999"),
    ("SERVICE", {"DATE_SERV": "yesterday"}, "DATE_SERV", "invalid_date", "AAAAAAAAA"),
    ("SERVICE", {"DATE_SERV": "25670501"}, "DATE_SERV", "be_year", "25670501"),
    ("SERVICE", {"DATE_SERV": "00000000"}, "DATE_SERV", "zero_date", "00000000"),
    ("SERVICE", {"DATE_SERV": "20240603"}, "DATE_SERV", "future_date", "20240603"),
    ("SERVICE", {"DATE_SERV": "20990101"}, "DATE_SERV", "future_date", "20990101"),
    ("SERVICE", {"DATE_SERV": cid(7)}, "DATE_SERV", "invalid_date", "9" * 13),
    ("SERVICE", {"DATE_SERV": "2024 5 1"}, "DATE_SERV", "invalid_date", "9999 9 9"),
    ("SERVICE", {"DATE_SERV": "202405 1"}, "DATE_SERV", "invalid_date", "999999 9"),
    ("SERVICE", {"DATE_SERV": "陈小明မောင်ລາວé"}, "DATE_SERV", "invalid_date", "A" * 12),
    ("DIAGNOSIS_OPD", {"DIAGCODE": ""}, "DIAGCODE", "missing_key", None),
    ("DIAGNOSIS_OPD", {"DATE_SERV": "25670501"}, "DATE_SERV", "be_year", "25670501"),
    ("APPOINTMENT", {"DATE_SERV": "20240230"}, "DATE_SERV", "invalid_date", "20240230"),
    ("ADMISSION", {"DATETIME_ADMIT": "25670501083000"}, "DATETIME_ADMIT", "be_year", "25670501083000"),
    ("ADMISSION", {"DATETIME_ADMIT": ""}, "DATETIME_ADMIT", "missing_required", None),
    ("PERSON", {"PID": ""}, "PID", "missing_key", None),
]


@pytest.mark.parametrize(
    ("file", "changes", "column", "rule", "shown"), REJECTED, ids=lambda value: str(value) if value else "-"
)
def test_a_row_that_cannot_be_placed_is_set_aside_with_its_reason(
    settings: Settings, tmp_path: Path, file: str, changes: dict[str, str], column: str, rule: str, shown: str | None
) -> None:
    one_row(settings, tmp_path, file, **changes)
    assert landed(settings, file).select("source_line", "row_flags").rows() == [(2, None)]
    (reject,) = records(settings, "rejects").iter_rows(named=True)
    assert (reject["hospcode"], reject["file"], reject["member"]) == (SENDER, file, f"{file}.txt")
    assert (reject["source_line"], reject["column_name"], reject["rule"]) == (3, column, rule)
    assert reject["masked_value"] == shown
    (receipt,) = records(settings, "receipts").iter_rows(named=True)
    assert (receipt["outcome"], receipt["n_landed"], receipt["n_rejected"]) == ("accepted_with_rejects", 1, 1)
    (found,) = records(settings, "receipt_rules").iter_rows(named=True)
    assert (found["file"], found["rule"], found["column_name"], found["level"], found["n_rows"]) == (
        file,
        rule,
        column,
        "row",
        1,
    )
    assert load_rules()[rule].level in ("row", "both", "warning")


FLAGGED = [
    (
        "PERSON",
        {"CID": "1234567890120"},
        "cid:bad_check_digit",
        {"cid_pseudonym": None, "cid_class": "bad_check_digit"},
    ),
    ("PERSON", {"CID": "12345"}, "cid:malformed", {"cid_pseudonym": None, "cid_class": "malformed"}),
    ("PERSON", {"CID": "1111111111119"}, "cid:dummy", {"cid_pseudonym": None, "cid_class": "dummy"}),
    ("PERSON", {"NAME": "ก" * 51}, "name:too_long", {}),
    ("PERSON", {"NAME": "สมมติ".encode().decode("cp874", errors="replace")}, "name:mojibake", {}),
    ("PERSON", {"BIRTH": "25230215"}, "birth:be_year", {"birth_month": None}),
    ("PERSON", {"BIRTH": "19800230"}, "birth:invalid_date", {"birth_month": None}),
    ("PERSON", {"BIRTH": "20300101"}, "birth:future_date", {}),
    ("PERSON", {"D_UPDATE": "25670501083000"}, "d_update:be_year", {"d_update": None}),
    ("PERSON", {"D_UPDATE": "2024 5 1083000"}, "d_update:invalid_date", {"d_update": None}),
    ("PERSON", {"D_UPDATE": "21240501083000"}, "d_update:future_date", {"d_update": None}),
    ("SERVICE", {"INSTYPE": "ZZZZ"}, "instype:unknown_code", {"instype": "ZZZZ"}),
    ("SERVICE", {"INSTYPE": "01"}, "instype:unknown_code", {"instype": "01"}),
    ("SERVICE", {"TYPEIN": "9"}, "typein:unknown_code", {"typein": "9"}),
    ("SERVICE", {"TYPEIN": ""}, "typein:missing_required", {"typein": None}),
    ("SERVICE", {"SBP": "120/80"}, "sbp:not_numeric", {"sbp": None}),
    ("SERVICE", {"SBP": "NaN"}, "sbp:not_numeric", {"sbp": None}),
    ("SERVICE", {"PRICE": "free"}, "price:not_numeric", {"price": None}),
    ("SERVICE", {"PRICE": "12,5"}, "price:not_numeric", {"price": None}),
    ("SERVICE", {"PRICE": "1,2,3"}, "price:not_numeric", {"price": None}),
    ("SERVICE", {"MAIN": "77777"}, "main:unknown_facility", {"main": "77777"}),
    ("SERVICE", {"TIME_SERV": "256100"}, "time_serv:invalid_time", {"time_serv": None}),
    ("SERVICE", {"HOSPCODE9": "EA00901011"}, "hospcode9:too_long", {"hospcode9": "EA00901011"}),
    ("CARD", {"EXPIREDATE": "00000000"}, "expiredate:zero_date", {"expiredate": None}),
    ("CARD", {"STARTDATE": "25660101"}, "startdate:be_year", {"startdate": None}),
    ("APPOINTMENT", {"APDATE": "00000000"}, "apdate:zero_date", {"apdate": None}),
]


@pytest.mark.parametrize(("file", "changes", "flag", "values"), FLAGGED, ids=lambda value: str(value)[:60])
def test_a_row_that_can_be_placed_is_kept_and_flagged(
    settings: Settings, tmp_path: Path, file: str, changes: dict[str, str], flag: str, values: dict[str, object]
) -> None:
    one_row(settings, tmp_path, file, **changes)
    assert records(settings, "rejects").is_empty()
    frame = landed(settings, file)
    assert flags(frame) == [[], [flag]]
    assert {name: frame[name][1] for name in values} == values
    (receipt,) = records(settings, "receipts").iter_rows(named=True)
    assert (receipt["outcome"], receipt["n_landed"], receipt["n_flagged"]) == ("accepted", 2, 1)
    column, rule = flag.split(":")
    (found,) = records(settings, "receipt_rules").iter_rows(named=True)
    assert (found["rule"], found["column_name"], found["level"]) == (rule, column.upper(), "warning")
    assert load_rules()[rule].level in ("warning", "both")


@pytest.mark.parametrize(
    ("file", "changes", "values"),
    [
        ("APPOINTMENT", {"APDATE": "20301231"}, {"apdate": date(2030, 12, 31)}),
        ("SERVICE", {"DATE_SERV": "20240602"}, {"date_serv": date(2024, 6, 2)}),
        ("SERVICE", {"MAIN": "", "HSUB": ""}, {"main": None}),
        ("SERVICE", {"TIME_SERV": "930"}, {"time_serv": "093000"}),
        ("SERVICE", {"TIME_SERV": "0930"}, {"time_serv": "093000"}),
        ("SERVICE", {"TIME_SERV": "15305"}, {"time_serv": "015305"}),
        ("SERVICE", {"TIME_SERV": "235959"}, {"time_serv": "235959"}),
        ("SERVICE", {"PRICE": "1,234.5"}, {"price": Decimal("1234.5000")}),
        ("SERVICE", {"PRICE": "0"}, {"price": Decimal(0)}),
        ("SERVICE", {"BTEMP": "36.65"}, {"btemp": Decimal("36.6500")}),
        ("SERVICE", {"SBP": "120.0"}, {"sbp": 120}),
        ("SERVICE", {"D_UPDATE": "20240501"}, {"d_update": datetime.fromisoformat("2024-05-01 00:00")}),
        ("SERVICE", {"D_UPDATE": "202405010830"}, {"d_update": datetime.fromisoformat("2024-05-01 08:30")}),
        ("PERSON", {"CID": ""}, {"cid_pseudonym": None, "cid_class": "missing"}),
        ("PERSON", {"BIRTH": "19800229"}, {"birth_month": date(1980, 2, 1)}),
        ("PERSON", {"NAME": "ก" * 50}, {}),
        ("DIAGNOSIS_OPD", {"SEQ": "no such visit"}, {"seq": "no such visit"}),
    ],
    ids=lambda value: str(value)[:50],
)
def test_nothing_is_wrong_with_these(
    settings: Settings, tmp_path: Path, file: str, changes: dict[str, str], values: dict[str, object]
) -> None:
    one_row(settings, tmp_path, file, **changes)
    assert records(settings, "rejects").is_empty()
    frame = landed(settings, file)
    assert flags(frame) == [[], []]
    assert {name: frame[name][1] for name in values} == values


@pytest.mark.parametrize(
    ("line", "rule", "lines"),
    [
        ("90101|1001", "wrong_columns", [3]),
        (cells(row("SERVICE"), edition("SERVICE")) + "|", "wrong_columns", [3]),
        (cells(row("SERVICE", CHIEFCOMP="two\r\nlines"), edition("SERVICE")), "wrong_columns", [3, 4]),
        (cells(row("SERVICE", CHIEFCOMP="a\rb"), edition("SERVICE")), "wrong_columns", [3, 4]),
        (cells(row("SERVICE", CHIEFCOMP="a|b"), edition("SERVICE")), "wrong_columns", [3]),
        (cells(row("SERVICE", CHIEFCOMP="a\0b"), edition("SERVICE")), "nul_byte", [3]),
    ],
    ids=["short", "long", "embedded crlf", "embedded cr", "pipe", "nul"],
)
def test_a_line_that_does_not_fit_shifts_nothing(
    settings: Settings, tmp_path: Path, line: str, rule: str, lines: list[int]
) -> None:
    good = [cells(row("SERVICE", SEQ=seq), edition("SERVICE")) for seq in ("before", "after")]
    content = "\r\n".join(["|".join(edition("SERVICE")), good[0], line, good[1], ""])
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": content}))
    assert_balanced(settings)
    frame = landed(settings, "SERVICE")
    assert frame.select("seq", "typeout", "row_flags").rows() == [
        ("before", row("SERVICE")["TYPEOUT"], None),
        ("after", row("SERVICE")["TYPEOUT"], None),
    ]
    assert frame["source_line"].to_list() == [2, lines[-1] + 1]
    rejects = records(settings, "rejects").sort("source_line")
    assert rejects.select("source_line", "rule").rows() == [(number, rule) for number in lines]
    assert rejects["column_name"].null_count() == len(lines)
    assert rejects["masked_value"].null_count() == len(lines)


def test_exact_copies_of_a_row_are_both_kept(settings: Settings, tmp_path: Path) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", row("SERVICE"), row("SERVICE"))}))
    frame = landed(settings, "SERVICE")
    assert frame.height == 2
    assert frame.drop("source_line").is_duplicated().all()
    assert records(settings, "rejects").is_empty()


def test_a_lost_leading_zero_is_put_back_and_flagged(settings: Settings, tmp_path: Path) -> None:
    rows = [row("SERVICE", "00501"), row("SERVICE", "00501", SEQ="S2", HOSPCODE="501")]
    take_in(settings, make_zip(tmp_path / zip_name("00501"), {"SERVICE.txt": text("SERVICE", *rows)}))
    frame = landed(settings, "SERVICE")
    assert frame["hospcode"].to_list() == ["00501", "00501"]
    assert flags(frame) == [[], ["hospcode:zero_padded"]]
    assert records(settings, "receipts")["region"].to_list() == ["05"]


def test_all_that_is_wrong_with_a_row_is_said(settings: Settings, tmp_path: Path) -> None:
    one_row(settings, tmp_path, "SERVICE", SBP="high", TYPEIN="9", INSTYPE="x", MAIN="77777", TIME_SERV="late")
    assert set(flags(landed(settings, "SERVICE"))[1]) == {
        "sbp:not_numeric",
        "typein:unknown_code",
        "instype:unknown_code",
        "main:unknown_facility",
        "time_serv:invalid_time",
    }
    assert records(settings, "receipt_rules")["n_rows"].to_list() == [1] * 5


def test_a_missing_key_column_sets_its_rows_aside(settings: Settings, tmp_path: Path) -> None:
    order = [name for name in edition("SERVICE") if name != "SEQ"]
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": text("SERVICE", columns=order)}))
    assert records(settings, "rejects").select("column_name", "rule").rows() == [("SEQ", "missing_key")]
    assert_balanced(settings)


IDENTIFIERS = {"HN": "66012345", "CID": cid(99), "PHONE": "0812345678", "PASSPORT": "AB1234567", "NAME": "สมหญิง"}


@pytest.mark.parametrize("value", IDENTIFIERS.values(), ids=IDENTIFIERS)
@pytest.mark.parametrize("column", ["HOSPCODE", "DATE_SERV"])
def test_an_identifier_in_the_wrong_column_is_never_shown(
    settings: Settings, tmp_path: Path, column: str, value: str
) -> None:
    one_row(settings, tmp_path, "SERVICE", **{column: value})
    (reject,) = records(settings, "rejects").iter_rows(named=True)
    assert len(reject["masked_value"]) == len(value)
    assert not any(letter in reject["masked_value"] for letter in value if letter not in "9Aก")


@pytest.mark.parametrize("file", FILES)
def test_a_good_row_of_each_file_lands_clean_and_typed(all_files: Settings, file: str) -> None:
    contract = load_contracts()[file]
    (batch,) = [path for path in committed_batches(all_files.data_home.landing) if "schema" not in path.name]
    frame = pl.read_parquet(batch / f"{contract.table}.parquet", hive_partitioning=False)
    assert dict(frame.schema) == landing_schema(contract) | {BATCH: pl.String}
    assert frame[BATCH].to_list() == [batch.name.removeprefix("batch=")]
    assert frame.select("source_line", "row_flags").rows() == [(2, None)]
    (values,) = frame.iter_rows(named=True)
    assert all(values[name.lower()] is not None for name in contract.key if name.lower() in values)
    assert sum(value is not None for value in values.values()) == len(values) - 1  # all but row_flags


@pytest.fixture(scope="module")
def all_files(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One delivery with one good row of each file."""
    folder = tmp_path_factory.mktemp("all")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")))
    take_in(settings, make_zip(folder / zip_name(), {f"{file}.txt": text(file) for file in FILES}))
    assert_balanced(settings)
    return settings


def test_the_schema_batch_gives_every_table_its_columns(settings: Settings) -> None:
    (schema,) = committed_batches(settings.data_home.landing)
    for table, contract in contract_tables().items():
        frame = pl.read_parquet(schema / f"{table}.parquet", hive_partitioning=False)
        assert (frame.height, dict(frame.schema)) == (0, landing_schema(contract) | {BATCH: pl.String})
    for table in ("receipts", "receipt_files", "receipt_rules", "rejects"):
        assert pl.read_parquet(schema / f"{table}.parquet", hive_partitioning=False).height == 0


def test_every_rule_has_its_words() -> None:
    for code, rule in load_rules().items():
        assert rule.code == code
        assert rule.th
        assert rule.en.endswith(".")
        assert rule.fix_en.endswith(".")


KINDS = ("good", "good", "flagged", "no_key", "be_year", "short", "long", "nul", "blank", "alien")


def line_of(kind: str, number: int) -> str:
    changes = {
        "flagged": {"SBP": "x"},
        "no_key": {"PID": ""},
        "be_year": {"DATE_SERV": "25670101"},
        "nul": {"TYPEIN": "\0"},
        "alien": {"HOSPCODE": "77777"},
    }
    line = cells(row("SERVICE", SEQ=f"S{number}", **changes.get(kind, {})), edition("SERVICE"))
    return {"short": "90101|x", "long": f"{line}|x", "blank": ""}.get(kind, line)


@given(st.lists(st.sampled_from(KINDS), max_size=40), st.sampled_from(["\r\n", "\n"]))
@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_line_is_accounted_for_exactly_once(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory, kinds: list[str], eol: str
) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    lines = ["|".join(edition("SERVICE")), *(line_of(kind, number) for number, kind in enumerate(kinds, start=2))]
    seed = random.Random(repr((kinds, eol))).randrange(10**9)  # noqa: S311
    path = make_zip(folder / zip_name(), {"SERVICE.txt": eol.join(lines) + eol, "OFFICE.txt": str(seed)})
    (outcome,) = take_in(settings, path).outcomes
    if outcome.outcome == "duplicate":
        return
    (receipt,) = records(settings, "receipts").filter(pl.col("file_name") == path.name)[-1:].iter_rows(named=True)
    is_this = pl.col("delivery_id") == receipt["delivery_id"]
    kept = landed(settings, "SERVICE").filter(is_this)
    set_aside = records(settings, "rejects").filter(is_this)
    good = [n for n, kind in enumerate(kinds, start=2) if kind in ("good", "flagged")]
    bad = [n for n, kind in enumerate(kinds, start=2) if kind not in ("good", "flagged", "blank")]
    assert sorted(kept["source_line"]) == good
    assert kept.sort("source_line")["seq"].to_list() == [f"S{n}" for n in good]
    assert sorted(set_aside["source_line"]) == bad
    assert receipt["n_rows"] == len(good) + len(bad)
    assert (receipt["n_landed"], receipt["n_rejected"]) == (len(good), len(bad))
    assert receipt["n_flagged"] == kinds.count("flagged")
    assert receipt["outcome"] == ("accepted_with_rejects" if bad else "accepted")


def test_each_member_of_many_keeps_its_own_lines(settings: Settings, tmp_path: Path) -> None:
    """Rows of all senders are checked together; each comes back to its own delivery and line."""
    folder = tmp_path / "in"
    for hospcode, n in (("90101", 3), ("90102", 5)):
        bad = text("SERVICE", row("SERVICE", hospcode, PID=""), header=False)
        make_zip(folder / zip_name(hospcode), {"SERVICE.txt": visits(n, hospcode) + bad})
    take_in(settings, folder)
    assert_balanced(settings)
    found = landed(settings, "SERVICE").group_by("hospcode").agg(pl.col("source_line").sort(), pl.col("delivery_id"))
    assert {code: lines for code, lines, _ in found.iter_rows()} == {"90101": [2, 3, 4], "90102": [2, 3, 4, 5, 6]}
    assert all(len(set(ids)) == 1 for _, _, ids in found.iter_rows())
    assert records(settings, "rejects").sort("hospcode").select("hospcode", "source_line").rows() == [
        ("90101", 5),
        ("90102", 7),
    ]
