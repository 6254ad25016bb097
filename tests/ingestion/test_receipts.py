"""Receipts against what lies in the landing, and receipts made anew from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from ingestion.compaction import compact
from ingestion.landing import RECORDS
from ingestion.receipts import check, repair
from ruam.errors import BusyError, RuamError
from ruam.files import locked
from ruam.landing import committed_batches, region_of
from ruam.settings import Settings
from tests.ingestion.nodes import state
from tests.ingestion.odd_zips import make_zip, row, text, visits, zip_name
from tests.ingestion.reading import assert_balanced, batches, records, take_in

Command = Callable[..., int]


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    """Several runs: good, flagged, rejected and empty files, an unreadable zip twice, a copy, strangers."""
    folder = tmp_path / "in"
    odd = text(
        "SERVICE",
        row("SERVICE", PRICE="a lot", TYPEIN=""),
        row("SERVICE", SEQ=""),
        row("SERVICE", SEQ="S2", DATE_SERV="25670101"),
    )
    first = make_zip(
        folder / "1" / zip_name(),
        {"SERVICE.txt": odd + "a|short|line\r\n", "PERSON.txt": b"", "DIAGNOSIS_OPD.txt": "what|is|this\n1|2|3\n"},
    )
    (folder / "1" / zip_name("90102")).write_bytes(b"no zip")
    make_zip(folder / "2" / zip_name("90201"), {"SERVICE.txt": visits(4, "90201").encode("utf-8-sig")})
    shutil.copy(folder / "1" / zip_name("90102"), folder / "2")
    shutil.copy(first, folder / "2" / zip_name(sent_at="20240701000000"))
    make_zip(folder / "2" / zip_name("90102", "20240702000000"), {"SERVICE.txt": visits(2, "90102")})
    make_zip(folder / "2" / "extract.zip")
    for day in sorted(folder.iterdir()):
        take_in(settings, day)
    assert_balanced(settings)
    return settings


def told(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """Every record of every kind, with its batch and region."""
    return {name: sorted(records(settings, name).rows(), key=repr) for name in RECORDS}


def folders(settings: Settings, region: str = "01") -> list[Path]:
    return committed_batches(settings.data_home.landing, region)


def test_what_was_just_landed_is_told_as_it_lies_there(filled: Settings) -> None:
    assert check(filled, sent=True) == []
    compact(filled)
    assert check(filled, sent=True) == []
    assert repair(filled) == ([], [])


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    frame = change(pl.read_parquet(path, hive_partitioning=False))
    path.unlink()
    frame.write_parquet(path)


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("service", lambda frame: frame.head(0), "file: told, not found"),
        ("service", lambda frame: pl.concat([frame, frame]), "n_landed=2"),
        ("service", lambda frame: frame.with_columns(row_flags=None), "rule: told, not found"),
        ("rejects", lambda frame: frame.tail(1), "n_rejected=1"),
        ("rejects", lambda frame: frame.with_columns(rule=pl.lit("nul_byte")), "rule=nul_byte"),
        ("receipt_files", lambda frame: frame.with_columns(pl.col("n_rows") + 1), "file: told, not found"),
        ("receipts", lambda frame: frame.with_columns(pl.col("n_flagged") + 1), "delivery: told, not found"),
        ("receipt_rules", lambda frame: frame.head(1), "rule: found, not told"),
    ],
)
def test_each_difference_is_named(
    filled: Settings, table: str, change: Callable[[pl.DataFrame], pl.DataFrame], words: str
) -> None:
    rewrite(folders(filled)[0] / f"{table}.parquet", lambda frame: change(frame).cast(frame.schema))
    problems = check(filled)
    assert {problem.folder for problem in problems} == {folders(filled)[0]}
    assert any(words in problem.what for problem in problems), problems


def test_what_the_inbox_lost_or_holds_otherwise_is_named(filled: Settings) -> None:
    lost, changed = sorted(filled.data_home.inbox.glob("*/*.zip"))[:2]
    lost.unlink()
    changed.write_bytes(bytes(changed.stat().st_size))
    assert {problem.what[:25] for problem in check(filled)} == {"the inbox does not hold d"}
    assert any(changed.stem in problem.what for problem in check(filled, sent=True))


def test_a_delivery_that_landed_twice_is_named(filled: Settings) -> None:
    (folder,) = folders(filled, "02")
    twin = folder.with_name("batch=20240101T000000000000-twin")
    shutil.copytree(folder, twin)
    for path in twin.iterdir():
        rewrite(path, lambda frame: frame.with_columns(batch=pl.lit("20240101T000000000000-twin")))
    assert ["landed in batches" in problem.what for problem in check(filled)] == [True]


@pytest.mark.parametrize("is_compacted", [False, True])
@pytest.mark.parametrize("lost", [("receipts",), ("receipt_files",), ("receipt_rules",), tuple(RECORDS)[:3]])
def test_lost_receipts_are_made_anew_as_they_were(filled: Settings, lost: tuple[str, ...], is_compacted: bool) -> None:
    if is_compacted:
        compact(filled)
    before, before_state, names = told(filled), state(filled), batches(filled)
    hit = [folder for region in ("00", "01", "02") for folder in folders(filled, region) if "schema" not in folder.name]
    for folder in hit:
        for name in lost:
            (folder / f"{name}.parquet").unlink(missing_ok=True)
    assert check(filled) != []
    mended, left = repair(filled)
    assert left == []
    assert mended
    assert told(filled) == before
    assert state(filled) == before_state
    assert len(batches(filled)) == len(names)
    assert check(filled, sent=True) == []
    again = take_in(filled, *filled.data_home.inbox.parent.parent.glob("in/*"))
    assert {one.outcome for one in again.outcomes} == {"duplicate", "rejected"}
    assert told(filled) == before


def test_rows_that_are_lost_are_never_papered_over(filled: Settings) -> None:
    folder = folders(filled)[0]
    rewrite(folder / "service.parquet", lambda frame: frame.head(0))
    with pytest.raises(RuamError, match="Rows are lost, not receipts only"):
        repair(filled)
    assert folder in folders(filled)


def test_what_was_never_announced_cannot_be_made_anew(filled: Settings) -> None:
    shutil.rmtree(filled.data_home.inbox / "arrivals")
    (folders(filled)[0] / "receipts.parquet").unlink()
    with pytest.raises(RuamError, match=r"nothing in .* says what batch"):
        repair(filled)


def test_only_what_is_committed_stays_announced(filled: Settings) -> None:
    held = {batch.removeprefix("batch=") for batch in batches(filled) if "schema" not in batch}
    assert {path.stem for path in (filled.data_home.inbox / "arrivals").rglob("*.parquet")} == held


def test_the_commands_say_what_they_found(
    command: Command, filled: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("landing", "check", "--sent") == 0
    assert "the receipts tell what lies there" in capfd.readouterr().out
    (folders(filled)[0] / "receipts.parquet").unlink()
    assert command("landing", "check") == 1
    assert "1 differences in the landing" in capfd.readouterr().err
    with locked(filled.data_home.landing / "region=01" / ".lock", "Region 01"):
        assert command("landing", "repair") == 75
    assert command("landing", "repair") == 0
    assert "1 batches have new receipts" in capfd.readouterr().out
    assert command("landing", "check") == 0


def test_a_region_in_use_is_not_repaired(filled: Settings) -> None:
    (folders(filled)[0] / "receipts.parquet").unlink()
    with locked(filled.data_home.landing / "region=01" / ".lock", "Region 01"), pytest.raises(BusyError):
        repair(filled)
    assert [region_of(folder) for folder in repair(filled)[0]] == ["01"]
