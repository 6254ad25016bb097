"""Reference tables: the defects of the facility registry, versions, and the drug map."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ingestion.reference import DRUGS, REGISTRY, Loaded, current_registry, load, read_receipt, versions
from ingestion.reference_rows import load_reference_contracts, load_reference_rules
from ruam.errors import SetupError, UsageError
from ruam.settings import Settings
from tests.ingestion.odd_zips import make_zip, visits, zip_name
from tests.ingestion.reading import take_in

DAY = date(2024, 10, 1)
HEADER = (
    "hoscode,hosname,hostype,provcode,distcode,subdistcode,hoscodenew,bed,mcode,zone_code,status,"
    "register_date,close_date"
)
EXPORT = [
    *("hoscode", "hosname", "hostype", "address", "road", "mu", "subdistcode", "distcode", "provcode", "postcode"),
    *("hoscodenew", "bed", "level_service", "bedhos", "hdc_regist", "dep", "hmain_sent", "register_date", "mcode"),
    *("status", "m_name", "dep_name", "zone_code", "zone_name", "chw_code", "chw_name", "amp_code", "amp_name"),
    *("tmb_code", "tmb_name", "bed_cmi", "note", "hostype_new", "close_date"),
]
"""The columns of the ministry's export, in its order."""
GOOD = "90901,โรงพยาบาลสมมติ,05,30,01,01,EA0090901,120,21002,09,1,2010-10-01,"


def load_text(settings: Settings, content: str | bytes, table: str = "registry", as_of: date = DAY) -> Loaded:
    source = settings.data_home.root.parent / f"{table}.csv"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    return load(settings.data_home, table, source, as_of)


def one(settings: Settings, line: str, header: str = HEADER) -> dict[str, object]:
    """The registry's row that `line` becomes."""
    load_text(settings, f"{header}\n{line}\n")
    (row,) = current_registry(settings.data_home).iter_rows(named=True)
    return row


def test_a_good_registry_is_typed_versioned_and_dated(settings: Settings) -> None:
    loaded = load_text(settings, f"{HEADER}\n{GOOD}\n")
    assert (loaded.n_rows, loaded.rejected, loaded.repaired, loaded.unchanged) == (1, [], [], False)
    frame = current_registry(settings.data_home)
    assert dict(frame.schema) == REGISTRY | {"version": pl.String(), "as_of_date": pl.Date()}
    (row,) = frame.iter_rows(named=True)
    assert row == {
        "hoscode": "90901",
        "hosname": "โรงพยาบาลสมมติ",
        "hostype": "05",
        "provcode": "30",
        "distcode": "01",
        "subdistcode": "01",
        "hoscodenew": "EA0090901",
        "bed": 120,
        "mcode": "21002",
        "zone_code": "09",
        "status": "1",
        "register_date": date(2010, 10, 1),
        "close_date": None,
        "hostype_new": None,
        "dep": None,
        "is_cancelled": False,
        "version": loaded.version,
        "as_of_date": DAY,
    }


@pytest.mark.parametrize(
    ("line", "column", "value"),
    [
        (GOOD.replace("90901,โรง", " 90901 ,  โรง"), "hosname", "โรงพยาบาลสมมติ"),
        (GOOD.replace("90901,โรง", " 90901 ,  โรง"), "hoscode", "90901"),
        (GOOD.replace("90901,โรง", "501,โรง"), "hoscode", "00501"),
        (GOOD.replace(",05,30,", ",5,30,"), "hostype", "05"),
        (GOOD.replace(",09,1,", ",9,1,"), "zone_code", "09"),
        (GOOD.replace("2010-10-01", "2548-03-11"), "register_date", date(2005, 3, 11)),
        (GOOD.replace("2010-10-01", "25480311"), "register_date", date(2005, 3, 11)),
        (GOOD.replace("2010-10-01", "2567-02-29 00:00:00"), "register_date", date(2024, 2, 29)),
        (GOOD.replace("2010-10-01", "0000-00-00"), "register_date", None),
        (GOOD.replace("2010-10-01", "01/10/2553"), "register_date", None),
        (GOOD + "2566-12-31", "close_date", date(2023, 12, 31)),
        (GOOD.replace(",120,", ",120.0,"), "bed", 120),
        (GOOD.replace(",120,", ",many,"), "bed", None),
        (GOOD.replace(",05,30,", ",05,00,"), "provcode", "99"),
        (GOOD.replace(",05,30,", ",05,,"), "provcode", "99"),
        (GOOD.replace(",05,30,", ",05,xx,"), "provcode", "99"),
        (GOOD.replace("โรงพยาบาลสมมติ", '"โรงพยาบาล, สมมติ ""ก"""'), "hosname", 'โรงพยาบาล, สมมติ "ก"'),
        (GOOD.replace("โรงพยาบาลสมมติ", '"โรงพยาบาล\r\nสมมติ"'), "hosname", "โรงพยาบาล สมมติ"),
    ],
)
def test_a_defect_is_repaired_or_left_empty(settings: Settings, line: str, column: str, value: object) -> None:
    assert one(settings, line)[column] == value


@pytest.mark.parametrize(
    ("line", "column", "rule"),
    [
        (GOOD.replace("โรงพยาบาลสมมติ", '"โรงพยาบาล\r\nสมมติ"'), "hosname", "line_break"),
        (GOOD.replace("90901,โรง", "90901,  โรง"), "hosname", "blanks"),
        (GOOD.replace("โรงพยาบาลสมมติ", "โรงพยาบาลสมมติ (ยกเลิก)"), "hosname", "cancelled_name"),
        (GOOD.replace("90901,โรง", "501,โรง").replace("EA0090901", "EA0000501"), "hoscode", "lost_zeros"),
        (GOOD.replace(",05,30,", ",5,30,"), "hostype", "lost_zeros"),
        (GOOD.replace(",05,30,", ",55,30,"), "hostype", "unknown_code"),
        (GOOD.replace(",05,30,", ",5x,30,"), "hostype", "invalid_code"),
        (GOOD.replace(",05,30,", ",05,00,"), "provcode", "invalid_code"),
        (GOOD.replace(",05,30,", ",05,,"), "provcode", "missing_code"),
        (GOOD.replace("EA0090901", "EA0090902"), "hoscodenew", "code9_mismatch"),
        (GOOD.replace(",120,", ",many,"), "bed", "not_numeric"),
        (GOOD.replace(",120,", ",NaN,"), "bed", "not_numeric"),
        (GOOD.replace(",120,", ",-1,"), "bed", "out_of_range"),
        (GOOD.replace(",21002,", ",99999,"), "mcode", "unknown_code"),
        (GOOD.replace(",09,1,", ",09,0,"), "status", "closed"),
        (GOOD.replace(",09,1,", ",09,open,"), "status", "invalid_code"),
        (GOOD.replace("2010-10-01", "2548-03-11"), "register_date", "be_year"),
        (GOOD.replace("2010-10-01", "0000-00-00"), "register_date", "zero_date"),
        (GOOD.replace("2010-10-01", "2010-02-30"), "register_date", "invalid_date"),
        (f"90902{GOOD[5:]}\n{GOOD}".replace("EA0090901", ""), "hoscode", "out_of_order"),
        (f"{GOOD}\n{GOOD}", "hoscode", "duplicate_key"),
    ],
    ids=lambda value: value if value.isascii() and len(value) < 20 else "",
)
def test_each_defect_has_its_rule_and_line_in_the_receipt(
    settings: Settings, line: str, column: str, rule: str
) -> None:
    loaded = load_text(settings, f"{HEADER}\n{line}\n")
    found = [(one.column, one.rule, one.n_rows) for one in loaded.receipt.findings]
    assert found == [(column, rule, 1)]
    assert loaded.receipt.findings[0].lines == [3 if rule == "out_of_order" else 2]
    assert read_receipt(versions(settings.data_home, "registry")[-1]) == loaded.receipt
    assert rule in load_reference_rules()
    assert f"[{rule}]" in loaded.repaired[0]


def test_a_cancelled_facility_is_kept_with_the_evidence(settings: Settings) -> None:
    row = one(settings, GOOD.replace("โรงพยาบาลสมมติ", "( ยกเลิก 2555 ) โรงพยาบาล สมมติ"))
    assert (row["hosname"], row["is_cancelled"], row["status"]) == ("โรงพยาบาล สมมติ", True, "1")
    assert one(settings, GOOD.replace("โรงพยาบาลสมมติ", "(ยกเลิก)"))["hosname"] == "(ยกเลิก)"


def test_the_ministrys_export_of_34_columns_is_read_and_its_defects_are_counted(settings: Settings) -> None:
    """Columns in the export's own order; addresses, remarks and names of areas are checked but not kept."""
    assert set(EXPORT) == set(load_reference_contracts()["registry"].by_name)
    values = {"hosname": "หน่วยสมมติ", "hostype": "18", "provcode": "65", "status": "1", "mcode": "75000"}
    odd: list[dict[str, str]] = [
        {"hoscode": "07002", "address": '"9\r\nถนนสมมติ"', "mu": "nu", "hostype_new": "21", "dep": "00000"},
        {"hoscode": "07001", "mu": "0-", "hostype_new": "5", "register_date": "2548-03-11", "note": "ลับเฉพาะ"},
    ]
    lines = [",".join(EXPORT), *(",".join((values | one).get(name, "") for name in EXPORT) for one in odd), ""]
    loaded = load_text(settings, "\r\n".join(lines))
    frame = current_registry(settings.data_home)
    assert frame.select("hoscode", "hostype", "hostype_new", "mcode", "dep").rows() == [
        ("07001", "18", "05", "75000", None),
        ("07002", "18", "21", "75000", "00000"),
    ]
    assert list(frame.columns) == [*REGISTRY, "version", "as_of_date"]
    assert not {"address", "road", "mu", "postcode", "note"} & set(frame.columns)
    assert "ลับเฉพาะ" not in frame.write_csv() + loaded.receipt.model_dump_json()
    assert sorted((one.column, one.rule, one.lines) for one in loaded.receipt.findings) == [
        ("address", "line_break", [2]),
        ("hoscode", "out_of_order", [4]),
        ("hostype_new", "lost_zeros", [4]),
        ("mu", "invalid_code", [2, 4]),
        ("register_date", "be_year", [4]),
    ]
    assert loaded.receipt.missing_columns == loaded.receipt.unknown_columns == []


@pytest.mark.parametrize("separator", [",", "|", "\t", ";"])
def test_columns_may_be_separated_by_comma_pipe_tab_or_semicolon(settings: Settings, separator: str) -> None:
    loaded = load_text(settings, f"{HEADER}\n{GOOD}\n".replace(",", separator))
    assert (loaded.n_rows, loaded.receipt.separator) == (1, separator)
    assert current_registry(settings.data_home)["bed"].to_list() == [120]


def test_a_row_cut_apart_by_a_line_break_without_quotes_is_joined(settings: Settings) -> None:
    cut = GOOD.replace("โรงพยาบาลสมมติ", "โรงพยาบาล\r\n\r\nสมมติ")
    loaded = load_text(settings, "\n".join([HEADER, cut, GOOD.replace("90901", "90902"), ""]))
    assert current_registry(settings.data_home)["hosname"].to_list() == ["โรงพยาบาล สมมติ", "โรงพยาบาลสมมติ"]
    assert ("", "joined_lines", [2]) in [(one.column, one.rule, one.lines) for one in loaded.receipt.findings]


@pytest.mark.parametrize(
    ("lines", "set_aside"),
    [
        ([GOOD[:-1], GOOD], [2]),
        ([GOOD + ",x", GOOD], [2]),
        # Together they have the right number of cells, but both begin with a code: two facilities, not one.
        (["90902,x", "90903" + ",x" * 11, GOOD], [2, 3]),
        ([GOOD, "90902,x"], [3]),
        (["ไม่มีรหัส,x", GOOD], [2]),
    ],
)
def test_a_line_of_another_width_is_set_aside_by_its_line(
    settings: Settings, lines: list[str], set_aside: list[int]
) -> None:
    loaded = load_text(settings, "\n".join([HEADER, *lines, ""]))
    assert [(one.line, one.rule) for one in loaded.receipt.rejected] == [(n, "wrong_columns") for n in set_aside]
    assert current_registry(settings.data_home)["hoscode"].to_list() == ["90901"]
    receipt = loaded.receipt
    assert receipt.n_rows == receipt.n_kept + receipt.n_replaced + receipt.n_rejected == len(lines)


def test_lines_are_counted_as_they_stand_in_the_file(settings: Settings) -> None:
    quoted = GOOD.replace("โรงพยาบาลสมมติ", '"โรงพยาบาล\r\n\r\nสมมติ"')
    loaded = load_text(settings, "\r\n".join([HEADER, quoted, "", GOOD.replace("90901,โรง", "ABC,โรง"), ""]))
    assert [one.line for one in loaded.receipt.rejected] == [6]


def test_a_quote_is_a_letter_where_pipes_separate(settings: Settings) -> None:
    line = GOOD.replace(",", "|").replace("โรงพยาบาลสมมติ", '"โรงพยาบาล" สมมติ')
    assert one(settings, line, HEADER.replace(",", "|"))["hosname"] == '"โรงพยาบาล" สมมติ'


@pytest.mark.parametrize("bad", ['"ไม่ปิด', '"โรงพยาบาล" สมมติ'])
def test_a_stray_quote_between_commas_is_named_by_its_line(settings: Settings, bad: str) -> None:
    with pytest.raises(UsageError, match=r"registry\.csv: Line 3 .*quote"):
        load_text(settings, "\n".join([HEADER, GOOD, GOOD.replace("โรงพยาบาลสมมติ", bad), GOOD, ""]))


def test_a_column_goes_by_its_other_names_too_but_not_twice(settings: Settings) -> None:
    row = one(settings, "90901,ก,05,30,EA0090901", "HOSPCODE,hospname,hostype,changwatcode,hcode9")
    assert (row["hoscode"], row["hosname"], row["provcode"], row["hoscodenew"]) == ("90901", "ก", "30", "EA0090901")
    with pytest.raises(UsageError, match="hosname stands twice"):
        load_text(settings, "hoscode,hosname,HosName,hostype,provcode\n90901,a,b,05,30\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp874"])
def test_the_registry_is_read_in_each_encoding(settings: Settings, encoding: str) -> None:
    load_text(settings, f"{HEADER}\r\n{GOOD}\r\n".encode(encoding))
    assert current_registry(settings.data_home)["hosname"].to_list() == ["โรงพยาบาลสมมติ"]


def test_more_columns_in_another_order_and_case_do_not_matter(settings: Settings) -> None:
    header = " ProvCode ,ADDRESS,HosName,HOSCODE,hostype"
    row = one(settings, '30,"1 หมู่ 2\r\nตำบลสมมติ",ก,90901,05', header)
    assert (row["hoscode"], row["provcode"], row["bed"], row["register_date"]) == ("90901", "30", None, None)
    assert "address" not in row


def test_of_a_code_that_stands_twice_the_later_line_counts(settings: Settings) -> None:
    loaded = load_text(settings, f"{HEADER}\n{GOOD}\n{GOOD.replace('สมมติ', 'ใหม่')}\n")
    assert loaded.n_rows == 1
    assert current_registry(settings.data_home)["hosname"].to_list() == ["โรงพยาบาลใหม่"]


def test_a_line_without_a_code_or_name_is_rejected_by_its_line(settings: Settings) -> None:
    bad = [GOOD.replace("90901,โรง", "ABC,โรง"), GOOD.replace("โรงพยาบาลสมมติ", ""), GOOD.replace("90901,โรง", ",โรง")]
    loaded = load_text(settings, "\n".join([HEADER, bad[0], GOOD, bad[1], bad[2], ""]))
    assert loaded.n_rows == 1
    assert [sentence.split(":")[0] for sentence in loaded.rejected] == ["Line 2", "Line 4", "Line 5"]


def test_a_missing_column_is_named_and_the_old_version_stays(settings: Settings) -> None:
    before = current_registry(settings.data_home)
    with pytest.raises(UsageError, match="provcode is missing"):
        load_text(settings, "hoscode,hosname,hostype\n90901,x,05\n")
    assert current_registry(settings.data_home).equals(before)


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\nABC,x,05,30,,,,,,,,,\n",
        f"{HEADER}\n",
        "",
        "\xff\xfe\x00".encode("latin-1"),
        f"{HEADER}\n{GOOD},x,y\n",
        f"{HEADER}\n{GOOD}\n".encode("utf-16"),
    ],
    ids=["no usable row", "no row", "empty", "no text", "more cells than columns", "utf-16"],
)
def test_a_file_that_cannot_be_used_changes_nothing(settings: Settings, content: str | bytes) -> None:
    before = versions(settings.data_home, "registry")
    with pytest.raises(UsageError):
        load_text(settings, content)
    assert versions(settings.data_home, "registry") == before


def test_a_file_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.csv does not exist"):
        load(settings.data_home, "registry", tmp_path / "nowhere.csv", DAY)


def test_a_home_comes_first(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="ruam init"):
        load(Settings(home=tmp_path / "nowhere").data_home, "registry", tmp_path / "x.csv", DAY)


def test_the_same_file_again_is_no_new_version(settings: Settings) -> None:
    first = load_text(settings, f"{HEADER}\n{GOOD}\n")
    again = load_text(settings, f"{HEADER}\r\n{GOOD}\r\n")
    assert again.unchanged
    assert again.version == first.version
    later = load_text(settings, f"{HEADER}\n{GOOD}\n", as_of=date(2025, 10, 1))
    assert not later.unchanged
    assert versions(settings.data_home, "registry")[-1].stem == later.version
    assert len(versions(settings.data_home, "registry")) == 3


def test_an_older_registry_may_come_back_in_force(settings: Settings) -> None:
    first = load_text(settings, f"{HEADER}\n{GOOD}\n")
    load_text(settings, f"{HEADER}\n{GOOD.replace('สมมติ', 'ใหม่')}\n")
    back = load_text(settings, f"{HEADER}\n{GOOD}\n")
    assert not back.unchanged
    assert back.version > first.version
    assert current_registry(settings.data_home)["hosname"].to_list() == ["โรงพยาบาลสมมติ"]


def test_the_registry_of_the_latest_day_is_in_force_whatever_is_loaded_last(settings: Settings) -> None:
    newest = load_text(settings, f"{HEADER}\n{GOOD}\n", as_of=date(2025, 6, 1))
    older = load_text(settings, f"{HEADER}\n{GOOD.replace('สมมติ', 'เก่า')}\n", as_of=date(2025, 1, 1))
    assert (newest.in_force, older.in_force) == (True, False)
    assert current_registry(settings.data_home)["version"].unique().to_list() == [newest.version]
    again = load_text(settings, f"{HEADER}\n{GOOD.replace('สมมติ', 'เก่า')}\n", as_of=date(2025, 1, 1))
    assert (again.unchanged, again.version) == (True, older.version)
    corrected = load_text(settings, f"{HEADER}\n{GOOD.replace('สมมติ', 'ใหม่')}\n", as_of=date(2025, 6, 1))
    assert current_registry(settings.data_home)["version"].unique().to_list() == [corrected.version]


def test_a_version_made_without_a_load_has_no_receipt(settings: Settings) -> None:
    loaded = load_text(settings, f"{HEADER}\n{GOOD}\n")
    path = settings.data_home.reference / "registry" / f"{loaded.version}.json"
    path.unlink()
    with pytest.raises(SetupError, match="load the table again"):
        read_receipt(path.with_suffix(".parquet"))


def test_a_sender_is_known_from_the_registry_in_force(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name("90901"), {"SERVICE.txt": visits(1, "90901")})
    load_text(settings, f"{HEADER}\n{GOOD.replace('90901,', '90902,')}\n")
    assert [one.reason for one in take_in(settings, path).outcomes] == ["unknown_sender"]
    load_text(settings, f"{HEADER}\n{GOOD}\n")
    assert [one.outcome for one in take_in(settings, path).outcomes] == ["accepted"]


def test_a_sender_of_an_unknown_province_is_of_no_region(settings: Settings, tmp_path: Path) -> None:
    load_text(settings, f"{HEADER}\n{GOOD.replace(',05,30,', ',05,,')}\n")
    path = make_zip(tmp_path / zip_name("90901"), {"SERVICE.txt": visits(1, "90901")})
    assert [one.outcome for one in take_in(settings, path).outcomes] == ["accepted"]
    assert [folder.parent.name for folder in settings.data_home.landing.glob("region=*/batch=2*")] == ["region=00"]


def test_drugs_are_typed_and_what_has_no_days_is_told(settings: Settings) -> None:
    content = (
        "DIDSTD,dname,atc,route,units_per_day,chronic\n"
        "100000000000000000000001,ยาสมมติ,m01ab05,O,3,0\n"
        "100000000000000000000002,x,C09AA02,O,0.5,1\n"
        "100000000000000000000003,x,C09AA03,O,0,Y\n"
        "100000000000000000000004,x,,O,often,\n"
        "100000000000000000000002,y,C09AA02,O,1,1\n"
        ",no code,A01,O,1,1\n"
    )
    loaded = load_text(settings, content, "drugs")
    assert [(one.line, one.column, one.rule) for one in loaded.receipt.rejected] == [(7, "didstd", "missing_key")]
    assert "Line 7" in loaded.rejected[0]
    assert {(one.column, one.rule, *one.lines) for one in loaded.receipt.findings} == {
        ("units_per_day", "out_of_range", 4),
        ("units_per_day", "not_numeric", 5),
        ("didstd", "duplicate_key", 3),
        ("didstd", "out_of_order", 6),
    }
    frame = pl.read_parquet(versions(settings.data_home, "drugs")[-1])
    assert dict(frame.schema) == DRUGS | {"version": pl.String(), "as_of_date": pl.Date()}
    assert frame.select("atc", "units_per_day", "chronic", "dname").rows() == [
        ("M01AB05", 3.0, False, "ยาสมมติ"),
        ("C09AA02", 1.0, True, "y"),
        ("C09AA03", None, True, "x"),
        (None, None, False, "x"),
    ]


def test_a_drug_map_needs_its_columns(settings: Settings) -> None:
    with pytest.raises(UsageError, match="atc, units_per_day is missing"):
        load_text(settings, "didstd\n1\n", "drugs")
