"""Keys are changed under a whole landing: every join stays, no old pseudonym does, and a kill leaves one state."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from identity import audit
from identity.hashing import hmac_sha256
from identity.intake import Intake
from identity.keys import KEY_BYTES, FileKeys, MissingKeyError, keys_of, load_keys
from identity.pseudonym import PSEUDONYM_BYTES
from identity.vault import opened
from ingestion.compaction import compact
from ingestion.inbox import stored
from ingestion.job import ingest
from ingestion.landing import key_ids, region_locked
from ingestion.receipts import check, repair
from ingestion.rotation import PSEUDONYM, rotate_analysis, rotate_linkage
from ruam import faults
from ruam.build import build
from ruam.errors import BusyError, RuamError, SetupError, StorageError
from ruam.files import locked
from ruam.landing import BATCH, ROTATION, SCHEMA, committed_batches, committed_ids, holds, is_schema, reading
from ruam.settings import Settings
from tests.ingestion.nodes import process
from tests.ingestion.odd_zips import cid, make_zip, row, text, zip_name
from tests.ingestion.reading import assert_balanced, records, take_in

pytestmark = pytest.mark.slow

PEOPLE = range(1, 9)
KEYS = ("analysis", "linkage")


def deliveries(folder: Path) -> list[Path]:
    """Of one region: people known to both facilities, mothers, a PID that is a citizen number, a correction, a
    withdrawal, a copy, rows set aside, and zips that cannot be read."""

    def members(hospcode: str, people: range, day: int) -> dict[str, str]:
        stamp = {"D_UPDATE": f"202405{day:02d}080000"}
        persons = [row("PERSON", hospcode, PID=f"{n}", CID=cid(n), MOTHER=cid(n % 3 + 1), **stamp) for n in people]
        persons += [row("PERSON", hospcode, PID=cid(7), CID=cid(7), MOTHER="", **stamp)]
        persons += [row("PERSON", hospcode, PID="N", CID="", MOTHER=cid(2), **stamp), row("PERSON", hospcode, PID="")]
        visits = [row("SERVICE", hospcode, PID=f"{n}", SEQ=f"S{n}", **stamp) for n in people]
        visits += [row("SERVICE", hospcode, PID=cid(7), SEQ="S0", **stamp)]
        return {"PERSON.txt": text("PERSON", *persons), "SERVICE.txt": text("SERVICE", *visits)}

    paths = [
        make_zip(folder / zip_name("90101", "20240601000000"), members("90101", range(1, 5), 1)),
        make_zip(folder / zip_name("90101", "20240602000000"), members("90101", range(2, 4), 9)),
        make_zip(folder / zip_name("90102", "20240601000000"), members("90102", range(3, 7), 2)),
        make_zip(folder / zip_name("90102", "20240603000000"), members("90102", range(5, 9), 3)),
        make_zip(
            folder / zip_name("90101", "20240603000000"),
            {"DATA_CORRECT.txt": text("DATA_CORRECT", row("DATA_CORRECT", DATA_CORRECT='{"PID": "4"}'))},
        ),
    ]
    copy = Path(shutil.copy(paths[0], folder / zip_name("90101", "20240604000000")))
    paths += [copy, folder / zip_name("90102", "20240605000000"), folder / zip_name("99999", "20240605000000")]
    for junk in paths[-2:]:
        junk.write_bytes(f"no zip {junk.name}".encode())
    return paths


@pytest.fixture(scope="module")
def landed_home(ready_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several batches, the first of them compacted. Copied for each test."""
    folder = tmp_path_factory.mktemp("landed")
    settings = Settings(home=Path(shutil.copytree(ready_home, folder / "home")), workers=1)
    paths = deliveries(folder / "sent")
    for path in paths[:3]:
        take_in(settings, path)
    compact(settings)
    for path in paths[3:]:
        take_in(settings, path)
    home = settings.data_home
    known = pseudonyms(settings)
    pl.DataFrame({"hospcode": "90101", "person_key": known, "wide_person_key": [None, *known[1:]]}).write_parquet(
        home.links
    )
    home.warehouse.write_bytes(b"a warehouse of old pseudonyms")
    return home.root


@pytest.fixture
def home(landed_home: Path, tmp_path: Path) -> Settings:
    return Settings(home=Path(shutil.copytree(landed_home, tmp_path / "landed")), workers=1)


def known_numbers(settings: Settings) -> Iterator[pl.DataFrame]:
    """As the vault gives them: p1 of everybody, in two frames that overlap."""
    first = hmac_sha256(load_keys(keys_of(settings.data_home)).linkage)
    p1 = [first(cid(n).encode())[:PSEUDONYM_BYTES] for n in PEOPLE]
    yield pl.DataFrame({"p1": p1[:5]})
    yield pl.DataFrame({"p1": p1[3:]})


def rotate(settings: Settings, name: str) -> None:
    if name == "linkage":
        rotate_linkage(settings, lambda: opened(settings, "keys rotate linkage", "a test"))
    else:
        rotate_analysis(settings, lambda: known_numbers(settings))


def frames(settings: Settings) -> dict[str, pl.DataFrame]:
    """All that is landed, by table."""
    found: dict[str, list[pl.DataFrame]] = {}
    with reading(settings.data_home.landing) as folders:
        for folder in folders:
            for path in folder.glob("*.parquet") if not any(map(is_schema, holds(folder))) else ():
                found.setdefault(path.stem, []).append(pl.read_parquet(path, hive_partitioning=False))
    return {table: pl.concat(frames, how="diagonal") for table, frames in found.items()}


def pseudonyms(settings: Settings) -> list[str]:
    """Every pseudonym that is landed."""
    columns = [frame[name] for frame in frames(settings).values() for name in frame.columns if name.endswith(PSEUDONYM)]
    return pl.concat(columns).drop_nulls().unique().sort().to_list()


def shape(settings: Settings) -> dict[str, list[tuple[object, ...]]]:
    """What is landed with each pseudonym and stand-in as the first place where it stands: which rows join which.

    Batches and the key's id are left out.
    """
    places: dict[object, str] = {}
    told = {}
    for table, frame in sorted(frames(settings).items()):
        frame = frame.drop(BATCH, *(["key_id"] if "key_id" in frame.columns else []))
        hidden = [name for name in frame.columns if name.endswith(PSEUDONYM) or name in ("pid", "mpid")]
        plain = frame.select(pl.exclude(hidden)).columns
        order = [
            name for name in ("delivery_id", "file_name", "hospcode", "file", "source_line", "rule") if name in plain
        ]
        frame = frame.sort(*order, maintain_order=True)
        told[table] = [
            tuple(
                places.setdefault(value, f"{table} {at} {name}")
                if name in hidden and value is not None and len(str(value)) > 10
                else value
                for name, value in record.items()
            )
            for at, record in enumerate(frame.iter_rows(named=True))
        ]
    return told


@dataclass(frozen=True)
class Before:
    shape: dict[str, list[tuple[object, ...]]]
    pseudonyms: list[str]
    key_id: str

    @classmethod
    def of(cls, settings: Settings) -> Before:
        return cls(shape(settings), pseudonyms(settings), load_keys(keys_of(settings.data_home)).key_id)

    def assert_untouched(self, settings: Settings) -> None:
        assert (shape(settings), pseudonyms(settings)) == (self.shape, self.pseudonyms)
        assert {load_keys(keys_of(settings.data_home)).key_id} == key_ids(settings.data_home.landing) == {self.key_id}

    def assert_rotated(self, settings: Settings, name: str) -> None:
        """The same rows, joined alike, and nothing under the old key."""
        home = settings.data_home
        assert shape(settings) == self.shape
        assert len(pseudonyms(settings)) == len(self.pseudonyms) > 5
        assert not set(pseudonyms(settings)) & set(self.pseudonyms)
        now = load_keys(keys_of(home)).key_id
        assert key_ids(home.landing) == {now}
        assert [a == b for a, b in zip(now.split("."), self.key_id.split("."), strict=True)] == [
            name != "linkage",
            name != "analysis",
        ]
        assert_balanced(settings)
        left = [path.name for path in home.landing.iterdir() if not path.name.startswith("region=")]
        assert set(left) <= {".readers", ".rotating"}
        assert not home.warehouse.exists()
        for path in home.root.rglob("*"):
            if path.suffix == ".parquet" and not path.is_relative_to(home.inbox) and SCHEMA not in path.parent.name:
                values = pl.read_parquet(path, hive_partitioning=False).select(pl.all().cast(pl.String)).write_csv()
                assert not any(old in values for old in self.pseudonyms), path
        with pytest.raises(MissingKeyError):
            keys_of(home).read(f"{name}.next")


@pytest.mark.parametrize("name", KEYS)
def test_a_new_key_leaves_every_join_and_no_old_pseudonym(home: Settings, name: str, tmp_path: Path) -> None:
    with_another_region = make_zip(
        tmp_path / zip_name("90201", "20240601000000"),
        {"PERSON.txt": text("PERSON", *(row("PERSON", "90201", PID=f"{n}", CID=cid(n)) for n in PEOPLE))},
    )
    take_in(home, with_another_region)
    before = Before.of(home)
    assert any("replaces" in path.read_text() for path in home.data_home.landing.rglob("compacted.json"))
    rotate(home, name)
    before.assert_rotated(home, name)
    assert check(home) == []
    late = make_zip(
        tmp_path / zip_name("90201", "20240701000000"),
        {"PERSON.txt": text("PERSON", row("PERSON", "90201", PID="1", CID=cid(1)))},
    )
    assert [one.outcome for one in take_in(home, late).outcomes] == ["accepted"]
    assert len(pseudonyms(home)) == len(before.pseudonyms), "a person came who had a pseudonym, and has it still"
    assert {one.outcome for one in take_in(home, *deliveries(tmp_path / "again")).outcomes} == {"duplicate", "rejected"}


def test_analysis_needs_no_inbox_and_takes_the_links_along(home: Settings) -> None:
    before = Before.of(home)
    shutil.rmtree(home.data_home.inbox)
    order = pl.read_parquet(home.data_home.links)["person_key"].to_list()
    ids = {path.name for path in committed_batches(home.data_home.landing)}
    rotate(home, "analysis")
    before.assert_rotated(home, "analysis")
    links = pl.read_parquet(home.data_home.links)
    assert set(links["person_key"]) == set(pseudonyms(home))
    assert links["wide_person_key"].to_list() == [None, *links["person_key"][1:]]
    assert order == before.pseudonyms
    assert {path.name for path in committed_batches(home.data_home.landing)} == ids


def test_linkage_lands_again_with_the_names_and_times_of_then(home: Settings) -> None:
    columns = ["delivery_id", "file_name", "hospcode", "sent_at", "received_at", "outcome", "reason", "n_landed"]
    before, state = records(home, "receipts").select(columns).sort(columns), Before.of(home)
    rotate(home, "linkage")
    assert records(home, "receipts").select(columns).sort(columns).equals(before)
    assert not home.data_home.links.exists(), "they name people by the old key"
    state.assert_rotated(home, "linkage")


def test_linkage_refuses_when_the_inbox_no_longer_holds_every_delivery(home: Settings) -> None:
    before = Before.of(home)
    accepted = records(home, "receipts").filter(pl.col("outcome").str.starts_with("accepted"))
    gone = accepted.row(0, named=True)
    stored(home.data_home.inbox, gone["delivery_id"]).unlink()
    with pytest.raises(RuamError, match=rf"no longer holds 1 of {accepted.height} .*{gone['file_name']}"):
        rotate(home, "linkage")
    before.assert_untouched(home)
    assert not (home.data_home.landing / ".next").exists()


def test_analysis_refuses_when_the_vault_does_not_know_a_number(home: Settings) -> None:
    before = Before.of(home)
    with pytest.raises(RuamError, match=r"[1-9] pseudonyms are of numbers that the vault does not know.*take-in"):
        rotate_analysis(home, lambda: [next(iter(known_numbers(home)))])
    before.assert_untouched(home)
    rotate(home, "analysis")
    before.assert_rotated(home, "analysis")


@pytest.mark.parametrize("name", KEYS)
def test_keys_that_do_not_fit_the_landing_are_not_changed(home: Settings, name: str) -> None:
    source = FileKeys(home.data_home.keys)
    (source.folder / "analysis.key").unlink()
    source.add("analysis", bytes(KEY_BYTES))
    with pytest.raises(SetupError, match="do not fit the landing"):
        rotate(home, name)


def test_a_rotation_waits_for_nobody_and_nobody_lands_or_builds_meanwhile(
    home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    landing = home.data_home.landing
    for path, what in ((landing / "region=02" / ".lock", "Region 02"), (home.home / ".build.lock", "The warehouse")):
        with locked(path, what), pytest.raises(BusyError, match=what):
            rotate(home, "analysis")
    refused = []

    def while_it_writes() -> Iterator[pl.DataFrame]:
        for attempt in (
            lambda: ingest(home, [make_zip(tmp_path / zip_name("99999", "20240801000000"))]),
            lambda: compact(home),
            lambda: build(home),
            lambda: rotate(home, "linkage"),
        ):
            with pytest.raises(BusyError) as caught:
                attempt()
            refused.append(caught.value.exit_code)
        late = ingest(home, [make_zip(tmp_path / zip_name("90101", "20240801000000"))])
        assert [one.outcome for one in late.not_taken] == ["waiting"]
        records(home, "receipts")
        yield from known_numbers(home)

    rotate_analysis(home, while_it_writes)
    assert refused == [75] * 4


def turn(home: str, name: str) -> None:
    """In a process of its own, which may be killed."""
    rotate(Settings(home=Path(home), workers=1), name)


WHILE_WRITING = ("rotate.begun", "batch.closed:5", "batch.renamed:3", "rotate.written")
WHILE_SWAPPING = (
    "rotate.clearing",
    "rotate.cleared",
    "rotate.cleared:3",
    "rotate.filling",
    "rotate.filled:2",
    "rotate.promoted",
    "rotate.forgotten",
)


EVERYWHERE = [(name, point) for name in KEYS for point in (*WHILE_WRITING, *WHILE_SWAPPING, "rotate.finished")]
SOME = [
    ("analysis", "batch.renamed:3"),
    ("analysis", "rotate.cleared:3"),
    ("analysis", "rotate.filled:2"),
    ("analysis", "rotate.promoted"),
    ("linkage", "rotate.written"),
    ("linkage", "rotate.filling"),
]
"""The others are killed by `make proof`: after either key is written, what swaps it is the same."""


@pytest.mark.parametrize(("name", "point"), EVERYWHERE if os.environ.get("RUAM_TEST_KILLS") else SOME)
def test_a_kill_leaves_the_old_state_or_the_new_or_one_that_says_what_to_do(
    home: Settings, name: str, point: str, tmp_path: Path
) -> None:
    before = Before.of(home)
    where, _, nth = point.partition(":")
    code, said = process(turn, (str(home.home), name), f"{where}:kill:{nth or 1}", tmp_path / "said")
    assert code == -signal.SIGKILL, said
    if point in WHILE_WRITING:
        before.assert_untouched(home)
    elif point in WHILE_SWAPPING:
        other = next(one for one in KEYS if one != name)
        for attempt in (
            lambda: shape(home),
            lambda: ingest(home, []),
            lambda: build(home),
            lambda: region_locked(home.data_home.landing, "01").__enter__(),
            lambda: rotate(home, other),
        ):
            with pytest.raises(SetupError, match=rf"ruam keys rotate {name}`"):
                attempt()
    if point != "rotate.finished":
        rotate(home, name)
    before.assert_rotated(home, name)
    assert check(home) == []


def test_what_a_killed_rotation_wrote_is_used_unless_it_stands_no_more(home: Settings, tmp_path: Path) -> None:
    landing = home.data_home.landing
    code, said = process(turn, (str(home.home), "analysis"), "rotate.written:kill", tmp_path / "said")
    assert code == -signal.SIGKILL, said
    coming = keys_of(home.data_home).read("analysis.next")
    written = {path: path.stat().st_ino for path in landing.glob(".next/region=*/batch=*")}
    late = make_zip(
        tmp_path / zip_name("90201", "20240701000000"),
        {"PERSON.txt": text("PERSON", row("PERSON", "90201", PID="1", CID=cid(1)))},
    )
    assert [one.outcome for one in take_in(home, late).outcomes] == ["accepted"]
    compact(home)
    before = Before.of(home)
    rotate(home, "analysis")
    before.assert_rotated(home, "analysis")
    assert keys_of(home.data_home).read("analysis") == coming
    kept = {path.stat().st_ino for path in committed_batches(landing)}
    assert kept & set(written.values()), "the schema batch at least was not written again"


@pytest.mark.parametrize("point", ["batch.synced:2", "replace.written", "rotate.filled:2"])
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    home: Settings, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    before = Before.of(home)
    where, _, nth = point.partition(":")
    faults.forget()
    monkeypatch.setenv(faults.VARIABLE, f"{where}:ENOSPC:{nth or 1}")
    with pytest.raises(StorageError, match=os.strerror(errno.ENOSPC)):
        rotate(home, "analysis")
    monkeypatch.delenv(faults.VARIABLE)
    assert (home.data_home.landing / ROTATION).exists() == (where == "rotate.filled")
    if where == "batch.synced":
        before.assert_untouched(home)
    rotate(home, "analysis")
    before.assert_rotated(home, "analysis")


def taken_in(settings: Settings) -> tuple[list[tuple[object, ...]], set[bytes]]:
    """What the vault holds of people when all that waits is taken in: records but for what the key made and when they
    came, and p1."""
    home = settings.data_home
    with opened(settings, "test", "to look") as vault:
        vault.take_in(Intake.of(home), committed_ids(home.landing), {})
        records = vault.connection.execute("""
            select * exclude (linkage_pseudonym, mother_linkage_pseudonym, arrived, is_known)
                replace (if(length(pid) = 15, 'a stand-in', pid) as pid)
            from records order by hospcode, cid, mother_cid
        """).fetchall()
        return records, {p1 for (p1,) in vault.connection.execute("select p1 from numbers").fetchall()}


def test_people_come_to_the_vault_anew_under_a_new_linkage_key(home: Settings) -> None:
    people, numbers = taken_in(home)
    rotate(home, "linkage")
    with opened(home, "test", "to look") as vault:
        assert (vault.counts().records, vault.counts().numbers) == (0, 0)
    people_now, numbers_now = taken_in(home)
    assert people_now == people
    assert len(numbers_now) == len(numbers) > 5
    assert not numbers_now & numbers
    assert next(Intake.of(home.data_home).waiting(), None) is None
    log = audit.log_of(home.data_home)
    with opened(home, "test", "to look") as vault:
        assert audit.problems(log, vault.known) == []


def test_the_linkage_key_stays_while_somebody_is_forgotten_under_it(home: Settings) -> None:
    taken_in(home)
    with opened(home, "test", "to forget") as vault:
        vault.forget([("90101", "1")])
    before = Before.of(home)
    with pytest.raises(RuamError, match=r"keeps \d+ tombstones"):
        rotate(home, "linkage")
    before.assert_untouched(home)


def test_the_analysis_key_is_changed_by_what_the_vault_knows_the_forgotten_included(home: Settings) -> None:
    taken_in(home)
    with opened(home, "test", "to forget") as vault:
        assert vault.forget([("90101", "1")]).numbers == 1
    before = Before.of(home)
    with opened(home, "test", "to change the key") as vault:
        rotate_analysis(home, vault.linkage_pseudonyms)
    before.assert_rotated(home, "analysis")


def test_receipts_made_anew_afterwards_name_the_new_key(home: Settings) -> None:
    rotate(home, "analysis")
    (committed_batches(home.data_home.landing, "01")[0] / "receipts.parquet").unlink()
    repair(home)
    assert key_ids(home.data_home.landing) == {load_keys(keys_of(home.data_home)).key_id}
    assert check(home) == []


def test_the_command_line_shows_ids_and_changes_a_key(
    home: Settings,
    tmp_path: Path,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(home.home))
    before, first = Before.of(home), load_keys(keys_of(home.data_home))
    assert command("keys", "show") == 0
    shown = capfd.readouterr().out
    assert all(one in shown for one in ("linkage", "analysis", "vault", "inbox", *first.key_id.split(".")))
    assert "They fit the landing." in shown
    assert command("keys", "rotate", "analysis") == 0
    before.assert_rotated(home, "analysis")
    second = load_keys(keys_of(home.data_home))
    said = "".join(capfd.readouterr())
    assert second.key_id in said
    log = (home.data_home.logs / "ruam.jsonl").read_text(encoding="utf-8")
    for keys in (first, second):
        for key in (keys.linkage, keys.analysis):
            assert key.hex() not in shown + said + log
    assert command("keys", "rotate", "linkage") == 0
    assert shape(home) == before.shape
    stored(home.data_home.inbox, records(home, "receipts").sort("n_landed")["delivery_id"][-1]).unlink()
    assert command("keys", "rotate", "linkage") == 1
    assert "no longer holds 1 of" in capfd.readouterr().err
    (home.data_home.keys / "vault.key").unlink()
    assert command("keys", "show") == 4
    assert "vault.key is missing" in " ".join(capfd.readouterr().err.split())
