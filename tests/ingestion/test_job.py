"""The ingestion job: order of arrival, repetition, kills, locks, and regions side by side."""

from __future__ import annotations

import gc
import itertools
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from polars.exceptions import PanicException

from identity.intake import Intake
from identity.keys import KEY_BYTES, NAMES, FileKeys, load_keys
from identity.sealing import Sealed
from ingestion import batch
from ingestion.archive import Archive
from ingestion.delivery import DeliveryZip
from ingestion.job import Progress, ingest
from ingestion.landing import BatchWriter, utc_now
from ruam.errors import SetupError
from ruam.files import locked
from ruam.home import DataHome
from ruam.landing import committed_batches, region_folder
from ruam.settings import Settings
from tests.ingestion.odd_zips import good_members, make_zip, row, text, visits, zip_name
from tests.ingestion.reading import assert_balanced, batches, landed, records, take_in

FILES = ("PERSON", "SERVICE", "DIAGNOSIS_OPD")


def three_days(folder: Path) -> list[Path]:
    """A child before its parent, a correction of it, a copy, a row to set aside, and a zip that cannot be read."""
    late = make_zip(folder / zip_name("90101", "20240603000000"), {"SERVICE.txt": visits(3)})
    paths = [
        make_zip(folder / zip_name("90101", "20240601000000"), {"DIAGNOSIS_OPD.txt": text("DIAGNOSIS_OPD")}),
        make_zip(folder / zip_name("90101", "20240602000000")),
        late,
        make_zip(
            folder / zip_name("90102", "20240602000000"),
            {"SERVICE.txt": text("SERVICE", row("SERVICE", "90102"), row("SERVICE", "90102", PID=""))},
        ),
        Path(shutil.copy(late, folder / zip_name("90101", "20240604000000"))),
        folder / zip_name("90102", "20240605000000"),
    ]
    paths[-1].write_bytes(b"no zip")
    return paths


def landed_rows(settings: Settings) -> set[tuple[object, ...]]:
    rows: set[tuple[object, ...]] = set()
    for file in FILES:
        frame = landed(settings, file)
        found = frame.select(pl.lit(file), "delivery_id", "source_line", pl.struct(pl.exclude("delivery_id"))).rows()
        assert len(found) == len({row[:3] for row in found}), "a row landed twice"
        rows.update((*row[:3], repr(row[3])) for row in found)
    return rows


def accepted(settings: Settings) -> set[tuple[str, str]]:
    receipts = records(settings, "receipts").filter(pl.col("outcome").str.starts_with("accepted"))
    return set(receipts.select("delivery_id", "outcome").rows())


def earliest(settings: Settings) -> set[tuple[object, ...]]:
    receipts = records(settings, "receipts").filter(pl.col("outcome") != "rejected")
    return set(receipts.group_by("delivery_id").agg(pl.col("sent_at").min()).rows())


@pytest.fixture(scope="module")
def at_once(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Settings]:
    """The deliveries, and a home that took them in together."""
    folder = tmp_path_factory.mktemp("at_once")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), batch_zips=1000)
    paths = three_days(folder / "in")
    take_in(settings, folder / "in")
    return paths, settings


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1, 0), (2, 4, 0, 1, 5, 3), (4, 2, 5, 0, 3, 1), (0, 1, 2, 3, 4, 5)])
def test_order_of_arrival_does_not_matter(
    settings: Settings, at_once: tuple[list[Path], Settings], order: tuple[int, ...]
) -> None:
    paths, together = at_once
    for index in order:
        take_in(settings, paths[index])
        assert_balanced(settings)
    assert landed_rows(settings) == landed_rows(together)
    assert len(landed_rows(settings)) > 5
    assert accepted(settings) == accepted(together)
    assert earliest(settings) == earliest(together)
    before = batches(settings)
    for index in itertools.chain(order, reversed(order)):
        take_in(settings, paths[index])
    take_in(settings, *paths)
    assert batches(settings) == before


def test_all_regions_land_side_by_side(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for region in range(1, 14):
        hospcode = f"9{region:02d}01"
        make_zip(folder / zip_name(hospcode), {"SERVICE.txt": visits(region, hospcode)})
    make_zip(folder / zip_name("99999"))
    seen: list[Progress] = []
    report = ingest(settings, [folder], seen.append)
    assert (report.count("accepted"), report.count("rejected")) == (13, 1)
    assert sorted(path.parent.name for path in committed_batches(settings.data_home.landing)) == [
        "region=00",
        *(f"region={region:02d}" for region in range(14)),
    ]
    by_region = dict(records(settings, "receipts").select("region", "n_landed").iter_rows())
    assert by_region == {"00": 0} | {f"{region:02d}": region for region in range(1, 14)}
    assert landed(settings, "SERVICE").height == 91
    assert_steps(seen, {"receive": 14, "land": 13})
    assert (seen[-1].n_files, seen[-1].n_rows, seen[-1].n_rejected) == (13, 91, 0)
    assert_balanced(settings)


def assert_steps(seen: list[Progress], n_zips: dict[str, int]) -> None:
    """Each step is told from nothing to all of it, and never goes back."""
    assert list(dict.fromkeys(one.step for one in seen)) == list(n_zips)
    for step, n in n_zips.items():
        told = [one for one in seen if one.step == step]
        assert (told[0].n_zips, told[0].done, told[0].all_zips) == (0, 0, n)
        assert (told[-1].n_zips, told[-1].n_bytes) == (n, told[-1].all_bytes)
        assert told[-1].done == told[-1].total
        for before, after in itertools.pairwise(told):
            assert after.done > before.done
            assert after.seconds >= before.seconds


def test_a_long_batch_is_followed_while_it_is_read(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for day in range(1, 4):
        make_zip(
            folder / zip_name(sent_at=f"2024060{day}000000"), {"SERVICE.txt": visits(day), "PERSON.txt": text("PERSON")}
        )
    with patch.object(batch, "TELL_SECONDS", 0.0):
        seen: list[Progress] = []
        ingest(settings, [folder], seen.append)
    told = [one for one in seen if one.step == "land"]
    assert [one.n_zips for one in told[:-1]] == [0, 0, 0, 1, 1, 2, 2]
    assert (told[-1].n_zips, told[-1].n_rows, told[-1].n_rejected) == (3, 9, 0)
    assert_steps(seen, {"receive": 3, "land": 3})


def test_time_left_goes_by_bytes_not_by_zips(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    make_zip(folder / zip_name("90101"), {"SERVICE.txt": visits(5000)}, zipfile.ZIP_STORED)
    make_zip(folder / zip_name("90201"), {"SERVICE.txt": visits(1, "90201")})
    seen: list[Progress] = []
    ingest(settings.model_copy(update={"workers": 1}), [folder], seen.append)
    first = next(one for one in seen if one.step == "land" and one.n_zips == 1)
    assert first.n_rows == 5000
    assert first.done / first.total > 0.99


def test_a_batch_closes_when_it_is_full(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for day in range(1, 6):
        make_zip(folder / zip_name(sent_at=f"2024060{day}000000"), {"SERVICE.txt": visits(day)})
    report = take_in(settings.model_copy(update={"batch_zips": 2}), folder)
    assert len(report.batches) == 3
    assert sorted(path.name.removeprefix("batch=") for path in region_batches(settings)) == sorted(report.batches)
    assert landed(settings, "SERVICE").height == 15
    assert_balanced(settings)


def region_batches(settings: Settings) -> list[Path]:
    return list(region_folder(settings.data_home.landing, "01").glob("batch=*"))


def test_what_is_of_a_busy_region_waits_and_holds_up_no_other(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    here = make_zip(folder / zip_name("90101"))
    make_zip(folder / zip_name("90201"), {"SERVICE.txt": visits(1, "90201")})
    make_zip(folder / zip_name("99999"))
    with locked(region_folder(settings.data_home.landing, "01") / ".lock", "Region 01"):
        report = take_in(settings, folder)
    assert [(one.file_name, one.outcome) for one in report.outcomes] == [
        (zip_name("90201"), "accepted"),
        (zip_name("99999"), "rejected"),
    ]
    (left,) = report.not_taken
    assert (left.address, left.outcome) == (str(here), "waiting")
    assert re.match("Region 01 of .* is in use by process", left.detail)
    again = take_in(settings, folder)
    assert [one.outcome for one in again.outcomes if one.file_name == here.name] == ["accepted"]
    assert again.not_taken == []
    assert_balanced(settings)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, type[BaseException]], None]:
    """Let our own code fail on deliveries with a word in their names."""

    def fail_on(word: str, kind: type[BaseException]) -> None:
        class Failing(DeliveryZip):
            def __init__(self, source: Sealed, *rest: Any) -> None:
                with source.open() as file:
                    if word.encode() in file.read():
                        raise kind("1234567890123")
                super().__init__(source, *rest)

        monkeypatch.setattr("ingestion.batch.DeliveryZip", Failing)

    return fail_on


@pytest.mark.parametrize("kind", [KeyError, PanicException])
def test_a_delivery_on_which_our_own_code_fails_holds_up_no_other(
    settings: Settings,
    tmp_path: Path,
    failing: Callable[[str, type[BaseException]], None],
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    """One of seven of a region fails, and so does a copy of it; both come in when our code is mended."""
    folder = tmp_path / "in"
    for day in range(1, 8):
        make_zip(folder / zip_name(sent_at=f"2024060{day}000000"), {f"SERVICE{'_odd' * (day == 5)}.txt": visits(day)})
    shutil.copy(folder / zip_name(sent_at="20240605000000"), folder / zip_name(sent_at="20240609000000"))
    failing("SERVICE_odd", kind)
    report = take_in(settings, folder)
    assert [one.outcome for one in report.outcomes] == ["accepted"] * 6
    bad = [str(folder / zip_name(sent_at=f"2024060{day}000000")) for day in (5, 9)]
    assert [(one.address, one.outcome) for one in report.not_taken] == [(address, "failed") for address in bad]
    assert all(f"{kind.__name__} at ingestion/batch.py:" in one.detail for one in report.not_taken)
    assert "1234567890123" not in str(report)
    assert landed(settings, "SERVICE").height == 1 + 2 + 3 + 4 + 6 + 7
    assert_balanced(settings)
    assert announced(settings) == set(report.batches)
    monkeypatch.undo()
    again = take_in(settings, folder)
    assert sorted(one.outcome for one in again.outcomes) == ["accepted", *["duplicate"] * 7]
    assert landed(settings, "SERVICE").height == 28
    assert_balanced(settings)


def announced(settings: Settings) -> set[str]:
    return {path.stem for path in (settings.data_home.inbox / "arrivals").rglob("*.parquet")}


def test_what_fails_after_the_commit_is_not_landed_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(self: BatchWriter, *rest: Any, really: Callable[..., Path] = BatchWriter.commit) -> Path:
        really(self, *rest)
        raise KeyError("on the way out")

    folder = tmp_path / "in"
    for day in (1, 2):
        make_zip(folder / zip_name(sent_at=f"2024060{day}000000"), {"SERVICE.txt": visits(day)})
    with monkeypatch.context() as patched:
        patched.setattr(BatchWriter, "commit", commit)
        with pytest.raises(KeyError):
            take_in(settings, folder)
    assert take_in(settings, folder).count("duplicate") == 2
    assert landed(settings, "SERVICE").height == 3


@pytest.mark.parametrize("name", ["linkage", "analysis"])
def test_nothing_is_taken_in_without_its_keys(settings: Settings, tmp_path: Path, name: str) -> None:
    (settings.data_home.keys / f"{name}.key").unlink()
    with pytest.raises(SetupError, match=f"{name}.key"):
        take_in(settings, make_zip(tmp_path / zip_name()))
    assert region_batches(settings) == []
    assert not list(settings.data_home.inbox.rglob("*.sealed"))


def test_nothing_is_taken_in_without_a_home_or_a_registry(settings: Settings, tmp_path: Path) -> None:
    path = make_zip(tmp_path / zip_name())
    with pytest.raises(SetupError, match="ruam init"):
        take_in(Settings(home=tmp_path / "nowhere"), path)
    for version in (settings.data_home.reference / "registry").glob("2*.parquet"):
        version.unlink()
    with pytest.raises(SetupError, match="reference load registry"):
        take_in(settings, path)


def test_leaving_a_batch_without_commit_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with BatchWriter(tmp_path, "01", "b") as writer:
            writer.append("service", pl.DataFrame({"a": [1]}))
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        write_half()
    assert list((tmp_path / "region=01").iterdir()) == []


def test_only_its_owner_may_enter_a_new_home(tmp_path: Path) -> None:
    home = DataHome(tmp_path / "home")
    home.create()
    folders = [home.root, home.keys, home.inbox, home.landing, home.reference, home.serving, home.dbt, home.logs]
    assert {oct(folder.stat().st_mode & 0o777) for folder in folders} == {"0o700"}
    home.create()
    home.require()


def test_good_members_are_good(settings: Settings, tmp_path: Path) -> None:
    (outcome,) = take_in(settings, make_zip(tmp_path / zip_name(), good_members())).outcomes
    assert (outcome.outcome, outcome.n_rows, outcome.n_flagged) == ("accepted", 5, 0)


def test_a_name_of_a_time_to_come_lets_no_care_to_come_in(settings: Settings, tmp_path: Path) -> None:
    rows = [row("SERVICE", SEQ="S1"), row("SERVICE", SEQ="S2", DATE_SERV="23000101")]
    take_in(settings, make_zip(tmp_path / zip_name(sent_at="23991231120000"), {"SERVICE.txt": text("SERVICE", *rows)}))
    assert landed(settings, "SERVICE")["seq"].to_list() == ["S1"]
    assert records(settings, "rejects")["rule"].to_list() == ["future_date"]
    assert records(settings, "receipts")["sent_at"].to_list() == [None]


@pytest.mark.parametrize("name", ["linkage", "analysis"])
def test_nothing_is_taken_in_with_another_key_than_the_landing_was_made_with(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    take_in(settings, make_zip(tmp_path / zip_name()))
    path = settings.data_home.keys / f"{name}.key"
    right = path.rename(tmp_path / "right.key")
    FileKeys(settings.data_home.keys).add(name, bytes(KEY_BYTES))
    late = make_zip(tmp_path / zip_name(sent_at="20240602000000"), {"SERVICE.txt": visits(2)})
    n_batches, n_zips = len(region_batches(settings)), len(list(settings.data_home.inbox.rglob("*.zip")))
    with pytest.raises(SetupError, match=rf"the {name} key is [0-9a-f]{{8}}, was [0-9a-f]{{8}} when .*keys rotate"):
        take_in(settings, late)
    assert len(region_batches(settings)) == n_batches
    assert len(list(settings.data_home.inbox.rglob("*.zip"))) == n_zips
    path.unlink()
    right.rename(path)
    assert [one.outcome for one in take_in(settings, late).outcomes] == ["accepted"]


def test_init_makes_no_new_key_for_a_landing_that_was_made_with_the_lost_one(
    settings: Settings, tmp_path: Path, command: Callable[..., int]
) -> None:
    (settings.data_home.keys / "analysis.key").unlink()
    assert command("init") == 0, "nothing was landed yet"
    take_in(settings, make_zip(tmp_path / zip_name()))
    (settings.data_home.keys / "analysis.key").unlink()
    assert command("init") == 4
    assert not (settings.data_home.keys / "analysis.key").exists()


def test_keys_may_lie_apart_from_the_data(
    settings: Settings, tmp_path: Path, command: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = tmp_path / "apart" / "keys"
    monkeypatch.setenv("RUAM_KEYS", str(apart))
    monkeypatch.setenv("RUAM_HOME", str(tmp_path / "new home"))
    assert command("init") == 0
    home = Settings().data_home
    assert not (home.root / "keys").exists()
    assert {path.name for path in apart.iterdir()} == {f"{name}.key" for name in NAMES}
    assert home.keys == apart


def test_nothing_that_was_read_of_a_rejected_delivery_is_kept(settings: Settings, tmp_path: Path) -> None:
    """Of two thousand in a batch each may have held 32 MB when it was found to be damaged."""
    deliveries = []
    for day in range(1, 4):
        path = make_zip(tmp_path / zip_name("90101", f"2024060{day}000000"))
        path.write_bytes(path.read_bytes()[:-1])
        deliveries.append(batch.Delivery(f"{day:064x}", path, path.name, "90101", None, utc_now(), 1))
    home, kept = settings.data_home, []
    outcome = batch._outcome

    def archives() -> set[int]:
        return {id(one) for one in gc.get_objects() if isinstance(one, Archive)}

    def counted(*arguments: Any) -> batch.Outcome:
        kept.append(len(archives() - before))
        return outcome(*arguments)

    before = archives()  # Other tests may have left some.

    with patch.object(batch, "_outcome", counted):
        outcomes = batch.land_batch(
            home.landing, Intake.of(home), "05", "one", deliveries, (("90101", "05"),), load_keys(home.keys),
            settings.limits, home.spill,
        )  # fmt: skip
    assert [one.outcome for one in outcomes] == ["rejected"] * 3
    assert kept == [0] * 3
