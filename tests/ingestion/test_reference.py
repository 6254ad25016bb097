"""Reference tables: the defects of the facility registry, versions, and the drug map."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ingestion.reference import DRUGS, REGISTRY, Loaded, current_registry, load, versions
from ruam.errors import SetupError, UsageError
from ruam.settings import Settings
from tests.ingestion.odd_zips import make_zip, visits, zip_name
from tests.ingestion.reading import take_in

DAY = date(2024, 10, 1)
HEADER = ",".join(REGISTRY)
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


def test_repairs_are_told(settings: Settings) -> None:
    lines = [GOOD.replace("90901,", "501,"), GOOD.replace("2010-10-01", "2548-03-11"), GOOD.replace(",05,30,", ",05,,")]
    repaired = " ".join(load_text(settings, "\n".join([HEADER, *lines, ""])).repaired)
    assert "1 facility codes had lost their leading zeros." in repaired
    assert "1 registration dates were of the Buddhist Era." in repaired
    assert "1 provinces are unknown." in repaired
    assert "1 facilities stood twice" in repaired


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
    ],
    ids=["no usable row", "no row", "empty", "no text", "more cells than columns"],
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
    assert loaded.rejected == ["Line 7: didstd is empty."]
    assert " ".join(loaded.repaired).startswith("2 drugs have no usable units_per_day")
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
