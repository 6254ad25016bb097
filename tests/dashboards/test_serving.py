"""The way to the published file, and how tightly it is held."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from dashboards.queries import reads
from dashboards.queries.figures import CROSS_PROVINCE
from dashboards.queries.scope import UnscopedTableError
from dashboards.queries.serving import Serving, ServingFileError, connection, current_serving, fetch
from ruam.access import NATION
from tests.dashboards.serving_factory import write_serving


def current(home: Path) -> Serving:
    serving = current_serving(home / "serving", NATION)
    assert serving is not None
    return serving


def write_pointer(home: Path, **changes: object) -> Path:
    folder = home / "serving"
    folder.mkdir(parents=True)
    pointer = {"file": "ruam_1.duckdb", "run_id": "1", "published_at": "2025-04-09T20:30:00+00:00"} | changes
    (folder / "current.json").write_text(json.dumps(pointer), encoding="utf-8")
    return folder


def test_nothing_published_is_a_state_and_no_error(tmp_path: Path) -> None:
    assert current_serving(tmp_path / "serving", NATION) is None


@pytest.mark.parametrize("file", ["../warehouse.duckdb", "/etc/passwd", "ruam_1.duckdb/../x", "other.duckdb"])
def test_the_pointer_never_leads_out_of_its_folder(tmp_path: Path, file: str) -> None:
    folder = write_pointer(tmp_path, file=file)
    with pytest.raises(ServingFileError, match=r"current\.json"):
        current_serving(folder, NATION)


def test_a_pointer_without_its_file_is_named(tmp_path: Path) -> None:
    folder = write_pointer(tmp_path)
    with pytest.raises(ServingFileError, match=r"ruam_1\.duckdb"):
        current_serving(folder, NATION)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = write_pointer(tmp_path)
    (folder / "ruam_1.duckdb").write_bytes(b"not a database" * 1000)
    serving = current(tmp_path)
    with pytest.raises(ServingFileError, match=r"ruam_1\.duckdb"):
        reads.publication(serving)


@pytest.mark.parametrize(
    "statement",
    [
        "create table other (a integer)",
        "delete from publication",
        "select * from read_csv('/etc/passwd')",
        "attach '/tmp/other.duckdb'",
        "copy publication to '/tmp/out.csv'",
        "set memory_limit = '8GB'",
        "set enable_external_access = true",
        "install httpfs",
    ],
)
def test_the_connection_reads_its_own_file_and_nothing_else(published_home: Path, statement: str) -> None:
    serving = current(published_home)
    with pytest.raises(UnscopedTableError):
        fetch(serving, statement)
    # And past the query layer, the connection itself refuses.
    reads.publication(serving)
    with connection(str(serving.path)).cursor() as cursor, pytest.raises(duckdb.Error):
        cursor.execute(statement)


def test_values_are_parameters(published_home: Path) -> None:
    hostile = "RED-01' or '1' = '1"
    assert reads.definition(current(published_home), hostile) is None
    assert reads.definition(current(published_home), "RED-01") is not None


def test_a_new_publication_is_read_at_once(tmp_path: Path) -> None:
    write_serving(tmp_path, "20260101T000000")
    before = current(tmp_path)
    assert reads.publication(before).run_id == "20260101T000000"
    write_serving(tmp_path, "20260201T000000")
    after = current(tmp_path)
    assert reads.publication(after).run_id == "20260201T000000"
    # A page that is still being drawn goes on with the version it began with.
    assert reads.publication(before).run_id == "20260101T000000"


def test_months_that_were_not_sent_are_rows_without_numbers(published_home: Path) -> None:
    area = reads.Area(area_level="region", area_code="13")
    rows = reads.figure_by_month(current(published_home), CROSS_PROVINCE, area)
    assert rows.height == 12
    silent = rows.filter(rows["numerator_status"] == "missing")
    assert silent.height == 10
    assert silent["numerator"].null_count() == 10
    assert "below_10" in set(rows["numerator_status"])


def test_the_day_of_publication_is_thai(published_home: Path) -> None:
    publication = reads.publication(current(published_home))
    assert publication.published_at.hour == 20
    assert publication.published_on.isoformat() == "2025-04-10"
