"""Compaction: fewer folders, the same rows, and at no moment one row too many or too few."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from ingestion.compaction import compact, compact_region
from ingestion.landing import BatchWriter, region_locked
from ruam.errors import BusyError, RuamError
from ruam.files import locked
from ruam.landing import BATCH, committed_batches, holds, reading, superseded
from ruam.settings import Settings
from tests.ingestion.nodes import PATIENCE, read_again_and_again, run, state
from tests.ingestion.odd_zips import make_zip, visits, zip_name
from tests.ingestion.reading import assert_balanced, batches, landed, records, take_in

POINTS = ("region.locked", "region.swept", "batch.begun", "batch.closed", "batch.synced", "batch.renamed")
AFTER = ("batch.committed", "compact.hidden", "compact.removed")


@pytest.fixture
def many(settings: Settings, tmp_path: Path) -> Settings:
    """Seven batches of two regions, one of them with a zip that cannot be read."""
    for day in range(1, 6):
        take_in(settings, make_zip(tmp_path / zip_name("90101", f"2024060{day}000000"), {"SERVICE.txt": visits(day)}))
    (tmp_path / zip_name("90102")).write_bytes(b"no zip")
    take_in(settings, tmp_path / zip_name("90102"))
    take_in(settings, make_zip(tmp_path / zip_name("90201"), {"SERVICE.txt": visits(3, "90201")}))
    return settings


def rows_of(folders: list[Path], table: str = "service") -> Counter[tuple[object, ...]]:
    paths = [path for folder in folders if (path := folder / f"{table}.parquet").exists()]
    frames = [pl.read_parquet(path, hive_partitioning=False) for path in paths]
    return Counter(row for frame in frames for row in frame.select(BATCH, "delivery_id", "source_line").rows())


def ids(settings: Settings) -> set[str]:
    return {id_ for folder in committed_batches(settings.data_home.landing) for id_ in holds(folder)}


def test_fewer_folders_hold_the_same_rows_and_receipts(many: Settings) -> None:
    landing = many.data_home.landing
    before, told, known = state(many), rows_of(committed_batches(landing)), ids(many)
    with_batch = records(many, "receipts").sort(pl.all())
    done = {one.region: (one.n_before, one.n_after) for one in compact(many)}
    assert done == {"00": (0, 0), "01": (6, 1), "02": (1, 1)}
    assert state(many) == before
    assert rows_of(committed_batches(landing)) == told
    assert records(many, "receipts").sort(pl.all()).equals(with_batch), "a row changed its batch"
    assert ids(many) == known
    assert len(list(landing.glob("region=*/batch=*"))) == 3
    assert_balanced(many)
    names = batches(many)
    compact(many)
    assert batches(many) == names, "one large folder was compacted again"


def test_what_was_compacted_is_compacted_again_with_what_came_since(many: Settings, tmp_path: Path) -> None:
    compact(many)
    take_in(many, make_zip(tmp_path / zip_name("90101", "20240610000000"), {"SERVICE.txt": visits(2, prefix="T")}))
    before, known = state(many), ids(many)
    compact(many)
    assert len(committed_batches(many.data_home.landing, "01")) == 1
    assert (state(many), ids(many)) == (before, known)


def test_large_folders_are_left_alone_and_small_ones_fill_the_target(settings: Settings, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    for n in range(8):
        with BatchWriter(landing, "01", f"b{n}") as writer:
            writer.append("service", pl.DataFrame({"a": [n]}))
            writer.commit()
    size = sum(path.stat().st_size for path in (landing / "region=01/batch=b0").iterdir())
    with region_locked(landing, "01"):
        assert compact_region(landing, "01", 2 * size).n_after == 8
        done = compact_region(landing, "01", 4 * size)
    assert (done.n_before, done.n_after) == (8, 2)
    assert sum(rows.height for rows in frames(landing)) == 8


def frames(landing: Path) -> list[pl.DataFrame]:
    return [pl.read_parquet(folder / "service.parquet") for folder in committed_batches(landing)]


def test_a_column_that_came_later_is_empty_before_and_one_of_another_type_stays_apart(tmp_path: Path) -> None:
    kinds = {"b0": {"a": [1]}, "b1": {"a": [2], "b": ["x"]}, "b2": {"a": ["text"]}, "b3": {"a": ["more"]}}
    for batch, columns in kinds.items():
        with BatchWriter(tmp_path, "01", batch) as writer:
            writer.append("service", pl.DataFrame(columns))
            writer.commit()
    with region_locked(tmp_path, "01"):
        compact_region(tmp_path, "01", 1 << 20)
    found = [frame.select("batch", "a").rows() for frame in frames(tmp_path)]
    assert found == [[("b0", 1), ("b1", 2)], [("b2", "text"), ("b3", "more")]]
    assert frames(tmp_path)[0]["b"].to_list() == [None, "x"]


def test_an_ingest_compacts_its_own_region_when_it_has_many_batches(settings: Settings, tmp_path: Path) -> None:
    eager = settings.model_copy(update={"compact_batches": 3})
    for day in range(1, 9):
        for hospcode in ("90101", "90201") if day == 1 else ("90101",):
            path = tmp_path / zip_name(hospcode, f"2024060{day}000000")
            take_in(eager, make_zip(path, {"SERVICE.txt": visits(day, hospcode)}))
        assert len(committed_batches(settings.data_home.landing, "01")) <= 3
    assert landed(settings, "SERVICE").height == 37
    assert_balanced(settings)
    assert len(committed_batches(settings.data_home.landing, "02")) == 1


@pytest.mark.parametrize("point", [*POINTS, *AFTER])
def test_a_kill_at_any_point_of_a_compaction_changes_no_row(many: Settings, point: str) -> None:
    before = state(many)
    code, said = run(many.home, "compact", fault=f"{point}:kill:{2 if point in POINTS[:2] else 1}")
    assert code == -signal.SIGKILL, said
    assert len(committed_batches(many.data_home.landing, "01")) == (1 if point in (*POINTS[5:], *AFTER) else 6)
    assert state(many) == before
    assert all(one.is_clean for one in compact(many))
    assert state(many) == before
    left = [path.name for path in many.data_home.landing.glob("region=01/*") if path.name != ".lock"]
    assert len(left) == 1, "something was left behind"


@pytest.mark.parametrize("point", ["batch.closed", "batch.synced", "batch.renamed", "compact.hidden"])
def test_a_full_disk_during_a_compaction_is_told_and_changes_no_row(many: Settings, point: str) -> None:
    before = state(many)
    code, said = run(many.home, "compact", fault=f"{point}:ENOSPC")
    assert (code, "Traceback" in said) == (74, False), said
    assert "Compacting region 01 stopped: No space left on device" in said
    assert state(many) == before
    compact(many)
    assert state(many) == before


def test_folders_stay_as_long_as_somebody_reads_them(many: Settings) -> None:
    landing = many.data_home.landing
    with reading(landing) as folders:
        before = rows_of(folders)
        assert [one.is_clean for one in compact(many) if one.region == "01"] == [False]
        assert rows_of(folders) == before, "a folder went away under its reader"
        assert rows_of(committed_batches(landing)) == before
        assert len(superseded(landing, "01")) == 6
    assert [one.is_clean for one in compact(many) if one.region == "01"] == [True]
    assert superseded(landing, "01") == []
    assert rows_of(committed_batches(landing)) == before


def test_readers_see_each_row_once_while_it_is_compacted_again_and_again(many: Settings, tmp_path: Path) -> None:
    """Two processes read without a pause; folders are merged two by two until one is left."""
    landing = many.data_home.landing
    expected = sorted(rows_of(committed_batches(landing)))
    with read_again_and_again(landing, tmp_path, n_readers=2) as seen:
        seen.wait_for_more(PATIENCE)
        for more_than in range(6):
            sizes = sorted(
                sum(path.stat().st_size for path in folder.glob("*.parquet"))
                for folder in committed_batches(landing, "01")
            )
            if len(sizes) == 1:
                break
            with region_locked(landing, "01"):
                compact_region(landing, "01", 2 * sizes[1] + 1)
            seen.wait_for_more(PATIENCE)
            assert more_than < 5
    assert len(committed_batches(landing, "01")) == 1
    assert all(rows == expected for rows in seen.rows), "a reader saw a row twice or not at all"
    assert len(seen.folder_sets) > 2


def test_a_region_in_use_is_left_and_the_others_are_done(many: Settings, tmp_path: Path) -> None:
    with (
        locked(many.data_home.landing / "region=02" / ".lock", "Region 02"),
        pytest.raises(BusyError, match=r"Region 02 of .* is in use; the others are compacted"),
    ):
        compact(many)
    assert len(committed_batches(many.data_home.landing, "01")) == 1


def test_a_file_that_cannot_be_read_is_named_and_nothing_is_lost(many: Settings) -> None:
    folder = committed_batches(many.data_home.landing, "01")[0]
    (folder / "service.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(RuamError, match=r"service\.parquet cannot be read .* landing check"):
        compact(many)
    assert len(committed_batches(many.data_home.landing, "01")) == 6


@pytest.mark.slow
def test_thirty_days_of_small_batches_end_with_no_more_files_than_the_same_rows_at_once(tmp_path: Path) -> None:
    """A node that lands every zip by itself: 40 a day over 30 days, against batches of 50."""

    def land(landing: Path, batch: str, deliveries: range) -> None:
        with BatchWriter(landing, "01", batch) as writer:
            rows = [(f"d{one}", line) for one in deliveries for line in range(20)]
            frame = pl.DataFrame(rows, schema=["delivery_id", "source_line"], orient="row")
            for table in ("service", "person", "diagnosis_opd"):
                writer.append(table, frame)
            writer.commit()

    for first in range(0, 1200, 50):
        land(tmp_path / "fresh", f"{first:05d}", range(first, first + 50))
    for one in range(1200):
        land(tmp_path / "daily", f"{one:05d}", range(one, one + 1))
        if one % 40 == 39:
            with region_locked(tmp_path / "daily", "01"):
                compact_region(tmp_path / "daily", "01", 256 << 20, more_than=20)
    files = {name: len(list((tmp_path / name).rglob("*.parquet"))) for name in ("fresh", "daily")}
    assert files["daily"] <= 1.5 * files["fresh"]
    assert rows_of(committed_batches(tmp_path / "daily")).total() == 24_000
