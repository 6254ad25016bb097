"""A table as it leaves the pages."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import polars as pl
import pyarrow.parquet as pq
import pytest

from dashboards.components.export import PARQUET_KEY, csv_of, csv_package, excel_of, parquet_package
from ruam.audit import AuditLog
from ruam.home import DataHome
from tests.dashboards.people import signed_in
from tests.dashboards.test_pages import open_page

HOSTILE = ["แพร่", "=1+1", "+5", "-5", "@x", "\tx", "a=b", None]
TABLE = pl.DataFrame({"พื้นที่": HOSTILE, "n": [-1, 2, 3, 4, 5, 6, 7, 8], "value": [0.5, None, *[1.0] * 6]})
ABOUT = {
    "title": "=cmd()",
    "measure": {"id": "RED-01", "name_th": "ซ้ำ"},
    "published_at": "2025-04-09T20:30:00+00:00",
    "filters": {"พื้นที่": "ทั้งประเทศ"},
}
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def test_a_spreadsheet_reads_thai_and_runs_nothing() -> None:
    content = csv_of(TABLE.drop("value"))
    assert content.startswith(b"\xef\xbb\xbf")
    lines = content.decode("utf-8-sig").splitlines()
    assert lines == ["พื้นที่,n", "แพร่,-1", "'=1+1,2", "'+5,3", "'-5,4", "'@x,5", "'\tx,6", "a=b,7", ",8"]


def test_a_workbook_holds_texts_numbers_and_gaps_and_no_formula() -> None:
    with ZipFile(BytesIO(excel_of(TABLE, ABOUT, ("ข้อมูล", "คำอธิบาย")))) as book:
        sheets = [ElementTree.fromstring(book.read(f"xl/worksheets/sheet{n}.xml")) for n in (1, 2)]  # noqa: S314
        strings = [
            "".join(part.text or "" for part in one.iter(f"{SHEET}t"))
            for one in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314
        ]
    assert not [cell for sheet in sheets for cell in sheet.iter(f"{SHEET}f")]
    assert {text for text in HOSTILE if text} <= set(strings)
    assert {"title", "=cmd()", "measure.name_th", "ซ้ำ", "filters.พื้นที่", "ทั้งประเทศ"} <= set(strings)
    cells = {cell.get("r"): cell for cell in sheets[0].iter(f"{SHEET}c")}
    assert "C3" not in cells, "what has no value is an empty cell, and no 0"
    assert (cells["B2"].get("t"), cells["B2"].findtext(f"{SHEET}v")) == (None, "-1")


@pytest.mark.parametrize(("package", "data"), [(csv_package, "data.csv"), (parquet_package, "data.parquet")])
def test_a_package_is_the_table_and_what_it_is_and_the_same_twice(package, data) -> None:  # type: ignore[no-untyped-def]
    content = package(TABLE, ABOUT)
    assert content == package(TABLE, ABOUT)
    with ZipFile(BytesIO(content)) as archive:
        assert archive.namelist() == [data, "metadata.json"]
        assert json.loads(archive.read("metadata.json")) == ABOUT
        if data == "data.parquet":
            told = pq.read_table(BytesIO(archive.read(data)))
            assert pl.from_arrow(told).equals(TABLE)  # type: ignore[union-attr,arg-type]
            assert json.loads(told.schema.metadata[PARQUET_KEY]) == ABOUT


def test_a_download_says_what_it_is_and_is_recorded(published_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a real page, made as a press of a button makes them."""
    import streamlit as st

    monkeypatch.setenv("RUAM_HOME", str(published_home))
    made = {}
    monkeypatch.setattr(st, "download_button", lambda _, make, name, *__, **___: made.update({name: make}))
    open_page("utilization", lang="en", area="R04", period="fy2567", figure="visits")
    assert {name for name in made if name.startswith("ruam-trend")} == {
        "ruam-trend.csv.zip",
        "ruam-trend.xlsx",
        "ruam-trend.parquet.zip",
    }
    content = made["ruam-trend.csv.zip"]()
    with ZipFile(BytesIO(content)) as archive:
        about = json.loads(archive.read("metadata.json"))
        header = archive.read("data.csv").decode("utf-8-sig").splitlines()[0]
    assert header == "Area,Month,Value,Value as a number"
    assert about["filters"] == {
        "Figure": "Visits",
        "Area": "Health Region 4",
        "Period": "Fiscal year BE 2567",
        "Broken down by": "facility type",
    }
    assert (about["measure"]["id"], about["measure"]["version"]) == ("UT-00", "1")
    assert about["data_to"] == "2025-03-31"
    assert "shown as <10" in about["disclosure"]
    assert "reports" in about["completeness"]
    (entry,) = AuditLog(DataHome(published_home)).newest(1)
    assert (entry["event"], entry["table"]) == ("export", "trend.csv.zip")
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()


def test_who_has_signed_out_gets_no_file(published_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit as st

    from ruam.sessions import Sessions
    from tests.dashboards import test_pages

    monkeypatch.setenv("RUAM_HOME", str(published_home))
    user = signed_in(published_home, sub="leaver")
    monkeypatch.setattr(test_pages, "signed_in", lambda _: user)
    made = {}
    monkeypatch.setattr(st, "download_button", lambda _, make, name, *__, **___: made.update({name: make}))
    open_page("utilization")
    Sessions.of(DataHome(published_home)).end(user["session"])
    with pytest.raises(PermissionError):
        made["ruam-trend.xlsx"]()
