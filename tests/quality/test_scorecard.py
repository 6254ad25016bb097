"""A scorecard as a file: the same figures as on the page, whole, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path

import duckdb
import pytest

from quality.scorecard import parse_area, write_scorecard
from ruam.errors import PublishError, UsageError
from ruam.home import DataHome
from tests.dashboards.serving_factory import write_serving

TABLES = (
    "agg_scorecards", "agg_rule_results", "agg_finding_changes", "agg_facility_reports", "agg_submissions", "dim_areas",
    "dim_measures", "publication",
)  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    root = tmp_path_factory.mktemp("scorecards")
    with duckdb.connect(str(write_serving(root, only=TABLES))) as connection:
        connection.execute("update agg_facility_reports set missing_files = '=1+1' where state = 'partial'")
        connection.execute("update dim_areas set name_th = '=HYPERLINK(\"http://x\")' where area_code = '10674'")
    return DataHome(root)


def parts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as book:
        return {name: book.read(name).decode() for name in book.namelist()}


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("TH", ("nation", "TH")), ("R04", ("region", "04")), ("P50", ("province", "50")),
        ("D5001", ("district", "5001")), ("10713", ("facility", "10713")),
    ],
)  # fmt: skip
def test_an_area_is_named_as_in_addresses(text: str, area: tuple[str, str]) -> None:
    assert parse_area(text) == area


@pytest.mark.parametrize("text", ["", "R4", "1071", "th", "P50 ", "../x"])
def test_what_names_no_area_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no area"):
        parse_area(text)


def test_a_workbook_has_the_axes_the_months_the_rules_and_the_reports(home: DataHome, tmp_path: Path) -> None:
    path = tmp_path / "card.xlsx"
    assert write_scorecard(home, "10713", path) == 12
    found = parts(path)
    names = re.findall(r'<sheet name="([^"]+)"', found["xl/workbook.xml"])
    assert names == ["สรุป", "รายเดือน", "กฎที่ควรแก้ก่อน", "การส่งครั้งล่าสุด", "การส่งข้อมูล", "คำอธิบาย"]
    texts = found["xl/sharedStrings.xml"]
    assert all(text in texts for text in ("ต่ำกว่าช่วงควบคุม", "visit_without_diagnosis", "บันทึกการวินิจฉัยใน", "&lt;10"))
    assert "<v>80</v>" in found["xl/worksheets/sheet1.xml"]
    assert "wrong_columns" in texts, "rows that reading set aside cost too"
    assert "<v>900</v><v>45</v>" in re.sub(r"</?c[^>]*>", "", found["xl/worksheets/sheet2.xml"]), "as those rows do"
    assert "<v>60</v>" in found["xl/worksheets/sheet4.xml"], "what the newest delivery fixed"


def test_no_cell_is_a_formula_whatever_names_hold(home: DataHome, tmp_path: Path) -> None:
    path = tmp_path / "card.xlsx"
    write_scorecard(home, "10674", path)
    found = parts(path)
    assert "=HYPERLINK" in found["xl/sharedStrings.xml"]
    assert "=1+1" in found["xl/sharedStrings.xml"]
    assert not [name for name, text in found.items() if name.startswith("xl/worksheets/") and "<f>" in text]


def test_a_csv_has_the_months_and_an_empty_cell_where_there_is_no_score(home: DataHome, tmp_path: Path) -> None:
    path = tmp_path / "card.csv"
    write_scorecard(home, "R13", path)
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    assert len(rows) == 48
    assert {row["คะแนน"] for row in rows} == {""}
    assert {row["แถวที่ผิด"] for row in rows} == {"<10"}
    assert rows[0]["เดือน"] == "04/2567"


def test_an_area_without_scorecard_and_another_ending_write_nothing(home: DataHome, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no scorecard of 99999"):
        write_scorecard(home, "99999", tmp_path / "card.xlsx")
    with pytest.raises(UsageError, match=r"\.xlsx or \.csv"):
        write_scorecard(home, "TH", tmp_path / "card.pdf")
    assert list(tmp_path.iterdir()) == []


def test_before_the_first_publication_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="Nothing is published"):
        write_scorecard(DataHome(tmp_path), "TH", tmp_path / "card.xlsx")
