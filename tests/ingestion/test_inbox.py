"""The inbox: sealed, emptied after its time, and no worse remembered for that."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.compaction import compact
from ingestion.inbox import deliveries_in, inbox_key, sealed, stored
from ingestion.landing import RECORDS
from ingestion.receipts import check, repair
from ingestion.retention import purge
from ruam.errors import StorageError
from ruam.landing import committed_batches
from ruam.settings import Settings
from tests.ingestion.nodes import run, state
from tests.ingestion.odd_zips import make_zip, row, text, visits, zip_name
from tests.ingestion.reading import batches, records, take_in

Command = Callable[..., int]
DAY = 86_400


@pytest.fixture(scope="module")
def one_filled(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home and what it took in: an accepted delivery, one with a row to set aside, one that cannot be read."""
    folder = tmp_path_factory.mktemp("filled")
    make_zip(folder / "in" / zip_name("90101"))
    rows = text("SERVICE", row("SERVICE", "90102"), row("SERVICE", "90102", PID=""))
    make_zip(folder / "in" / zip_name("90102"), {"SERVICE.txt": rows})
    (folder / "in" / zip_name("90102", "20240701000000")).write_bytes(b"no zip")
    for path in (folder / "in").iterdir():
        os.utime(path, (1, 1))  # A file that changed this moment is fetched again anyway.
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    take_in(settings, folder / "in")
    make_old(settings, 401)
    return settings.home, folder / "in"


@pytest.fixture
def filled(settings: Settings, one_filled: tuple[Path, Path]) -> Settings:
    """Its zips are long in the inbox."""
    shutil.rmtree(settings.home)
    shutil.copytree(one_filled[0], settings.home)
    return settings


@pytest.fixture
def sent(one_filled: tuple[Path, Path]) -> Path:
    return one_filled[1]


def make_old(settings: Settings, days: int) -> None:
    then = time.time() - days * DAY
    for path in deliveries_in(settings.data_home.inbox):
        os.utime(path, (then, then))


def held(settings: Settings) -> set[str]:
    return {path.stem for path in deliveries_in(settings.data_home.inbox)}


def told(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    return {table: sorted(records(settings, table).rows(), key=repr) for table in RECORDS}


def test_what_was_received_and_what_lies_there_is_the_same_but_sealed(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name())
    take_in(settings, path)
    (delivery_id,) = held(settings)
    inbox = settings.data_home.inbox
    with sealed(inbox, inbox_key(settings.data_home), delivery_id).open() as opened:
        assert opened.read() == path.read_bytes()
    assert b"PERSON" not in stored(inbox, delivery_id).read_bytes()


def test_a_delivery_damaged_in_the_inbox_stops_with_a_disk_error_that_names_it(
    settings: Settings, tmp_path: Path
) -> None:
    path = make_zip(tmp_path / zip_name("99999"))
    take_in(settings, path)
    (delivery_id,) = held(settings)
    lying = stored(settings.data_home.inbox, delivery_id)
    content = lying.read_bytes()
    lying.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # Another byte, whatever the last one was.
    again = make_zip(tmp_path / "again" / zip_name("90101"))
    with pytest.raises(StorageError, match=str(lying)):
        take_in(settings, again)
    lying.unlink()
    assert take_in(settings, again).count("accepted") == 1


def test_after_its_time_a_zip_with_a_receipt_goes_and_a_younger_one_stays(filled: Settings, command: Command) -> None:
    make_old(filled, 399)
    assert purge(filled) == []
    assert len(held(filled)) == 3
    make_old(filled, 401)
    assert command("inbox", "purge") == 0
    assert held(filled) == set()
    assert purge(filled) == []


def test_a_zip_that_has_no_receipt_yet_stays(settings: Settings, tmp_path: Path) -> None:
    code, said = run(settings.home, "ingest", make_zip(tmp_path / zip_name()), fault="ingest.received:kill")
    assert code == -signal.SIGKILL, said
    make_old(settings, 1000)
    assert purge(settings) == []
    assert len(held(settings)) == 1


def test_the_same_zip_is_still_a_duplicate_and_is_not_even_fetched_again(
    filled: Settings, sent: Path, tmp_path: Path
) -> None:
    purge(filled)
    before, n_batches = state(filled), len(batches(filled))
    report = take_in(filled, sent)
    assert (report.count("duplicate"), report.count("rejected")) == (2, 1)
    assert len(held(filled)) == 1, "only what was rejected is looked at again"
    assert (state(filled), len(batches(filled))) == (before, n_batches)
    other = Path(shutil.copy(sent / zip_name("90101"), tmp_path / zip_name("90101", "20240701000000")))
    assert [one.outcome for one in take_in(filled, other).outcomes] == ["duplicate"]


def test_a_zip_that_came_again_is_young_again(filled: Settings, sent: Path, tmp_path: Path) -> None:
    take_in(filled, Path(shutil.copy(sent / zip_name("90101"), tmp_path / zip_name("90101", "20240901000000"))))
    assert len(purge(filled)) == 2
    assert len(held(filled)) == 1


@pytest.mark.parametrize("is_compacted", [False, True])
def test_receipts_of_purged_zips_are_checked_and_made_anew_as_they_were(filled: Settings, is_compacted: bool) -> None:
    purge(filled)
    if is_compacted:
        compact(filled)
    assert check(filled, sent=True) == []
    before = told(filled)
    for folder in committed_batches(filled.data_home.landing):
        if "schema" not in folder.name:
            for name in tuple(RECORDS)[:3]:
                (folder / f"{name}.parquet").unlink(missing_ok=True)
    mended, left = repair(filled)
    assert mended
    assert left == []
    assert told(filled) == before


@pytest.mark.parametrize("point", ["purge.recorded", "purge.removed"])
def test_a_purge_that_is_killed_may_be_repeated(filled: Settings, point: str) -> None:
    before = state(filled)
    code, said = run(filled.home, "inbox", "purge", fault=f"{point}:kill")
    assert code == -signal.SIGKILL, said
    assert check(filled, sent=True) == []
    assert run(filled.home, "inbox", "purge")[0] == 0
    assert held(filled) == set()
    assert check(filled, sent=True) == []
    assert state(filled) == before


def test_a_second_purge_at_the_same_time_is_told_to_wait(filled: Settings, command: Command) -> None:
    from ruam.files import locked

    with locked(filled.data_home.inbox / ".purging", "Emptying"):
        assert command("inbox", "purge") == 75


def test_without_the_key_of_the_inbox_nothing_is_taken_in_and_it_is_named(
    settings: Settings, tmp_path: Path, command: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_zip(tmp_path / zip_name(), {"SERVICE.txt": visits(1)})
    key = settings.data_home.keys / "inbox.key"
    content = key.read_bytes()
    key.unlink()
    assert command("ingest", path) == 4
    assert "inbox.key is missing" in capfd.readouterr().err
    key.write_bytes(content)
    key.chmod(0o400)
    assert command("ingest", path) == 0
