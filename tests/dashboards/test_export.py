"""A table as it leaves the pages."""

from __future__ import annotations

import polars as pl

from dashboards.components.export import csv_of


def test_a_spreadsheet_reads_thai_and_runs_nothing() -> None:
    table = pl.DataFrame({"พื้นที่": ["แพร่", "=1+1", "+5", "-5", "@x", "\tx", "a=b", None], "n": [-1, 2, 3, 4, 5, 6, 7, 8]})
    content = csv_of(table)
    assert content.startswith(b"\xef\xbb\xbf")
    lines = content.decode("utf-8-sig").splitlines()
    assert lines == ["พื้นที่,n", "แพร่,-1", "'=1+1,2", "'+5,3", "'-5,4", "'@x,5", "'\tx,6", "a=b,7", ",8"]
