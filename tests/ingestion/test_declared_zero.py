"""A file with a header and no row says that there was nothing; a file without even that says nothing."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ruam.settings import Settings
from tests.ingestion.odd_zips import make_zip, text, visits, zip_name
from tests.ingestion.reading import records, take_in


def test_a_header_without_rows_is_told_as_a_file_of_no_rows(settings: Settings, tmp_path: Path) -> None:
    members = {
        "SERVICE.txt": visits(2, "90101"),
        "ACCIDENT.txt": text("ACCIDENT").splitlines(keepends=True)[0],
        "PERSON.txt": b"",
    }
    make_zip(tmp_path / "in" / zip_name(), members)
    take_in(settings, tmp_path / "in")
    files = records(settings, "receipt_files").select("file", "header", "n_rows", "n_landed")
    told = {row["file"]: row for row in files.iter_rows(named=True)}
    assert (told["ACCIDENT"]["header"], told["ACCIDENT"]["n_rows"]) == (True, 0)
    assert told["PERSON"]["header"] is not True
    assert files.filter(pl.col("file") == "SERVICE")["n_rows"].item() == 2
