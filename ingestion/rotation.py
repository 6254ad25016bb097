"""Changing a key: the whole landing is written anew beside itself, then takes the old one's place batch by batch.

Why it is done as it is: docs/decisions/0012-changing-a-key.md.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from identity.intake import Intake
from identity.keys import KEY_BYTES, NEXT, Keys, KeySource, MissingKeyError, id_of, keys_of, load_keys
from identity.rekeying import Rekeying, UnknownPseudonymError
from ingestion.batch import Delivery, Outcome
from ingestion.inbox import announce, inbox_key, stored
from ingestion.job import Failure, Job, Means, batches_of, delivery_in_inbox, land_jobs, open_receipts, ready
from ingestion.landing import (
    NO_REGION,
    RECEIPTS,
    ROTATING,
    BatchWriter,
    batch_id,
    ensure_schema_batch,
    key_ids,
    read_records,
    region_alone,
    require_fitting,
    to_arrow,
    utc_now,
)
from ruam.errors import RuamError, SetupError
from ruam.faults import point
from ruam.files import alone, locked, replacing, storage_errors, sync_folder
from ruam.home import DataHome
from ruam.landing import PREFIX, READERS, ROTATION, reading, region_folder, region_of
from ruam.settings import REGIONS, Settings

PSEUDONYM = "_pseudonym"
"""Ends the name of each column that holds pseudonyms."""

LINKED = ("person_key", "wide_person_key")
"""Columns of pseudonyms in the links."""

_BESIDE, _ASIDE = ".next", ".before"
_PLAN = "plan.json"
_CLEARING, _FILLING = "clearing", "filling"

Follow = Callable[[int, int], None]
"""Called with how many batches are written, and how many there are."""


class People(Protocol):
    """What a change of the linkage key needs of the vault (`identity.vault.Vault`)."""

    def require_no_tombstones(self) -> None:
        """Raises `RuamError` when people were forgotten who would come back under another key."""

    def begin_anew(self) -> None:
        """Forget all that was taken in."""


Vault = Callable[[], AbstractContextManager[People]]
"""Opens the vault."""

Write = Callable[[Path, Keys, Keys, list[int]], None]
"""Writes the landing anew: where, with the keys before, for the keys to come, and who holds its regions."""


@dataclass(frozen=True)
class Rotated:
    """The key that was changed, and the id of the keys now."""

    name: str
    key_id: str


def rotate_analysis(
    settings: Settings,
    linkage_pseudonyms: Callable[[], Iterable[pl.DataFrame]],
    follow: Follow = lambda *_: None,
) -> Rotated:
    """Make a new analysis key (k2), and turn every pseudonym in the landing and the links into that under the new key.

    `linkage_pseudonyms` gives every p1 that pseudonyms were made of, as frames with the column `p1` (16 bytes). The
    inbox is not read. Afterwards the warehouse is gone: it held the old pseudonyms, and is built anew.

    Killed while it writes, all is as before, and the same call again goes on with what is written. Killed while it
    swaps, nobody may read the landing until the same call has ended that. Raises `BusyError` when somebody lands,
    builds or publishes, `RuamError` when a pseudonym is of no known p1 (nothing is changed then), `SetupError` when
    the keys do not fit the landing, and `StorageError`.
    """
    home = settings.data_home

    def write(beside: Path, before: Keys, coming: Keys, _: list[int]) -> None:
        rekeying = Rekeying(before.analysis, coming.analysis, linkage_pseudonyms())
        _rekey(home.landing, beside, rekeying, coming.key_id, follow)
        if home.links.exists():
            _rekey_links(home.links, beside / home.links.name, rekeying)

    return _rotate(settings, "analysis", write)


def rotate_linkage(settings: Settings, vault: Vault, follow: Follow = lambda *_: None) -> Rotated:
    """Make a new linkage key (k1), and land every delivery again from the inbox under the new key.

    Names and times of receipt stay, receipts of what was not landed too; batches have new ids. The links are gone
    afterwards, and the warehouse: both are made anew. Killed, it behaves as `rotate_analysis`. Raises as that does, and
    `RuamError` when the inbox does not hold each delivery that was landed, when fewer of its rows would land now, or
    when the vault keeps tombstones. What the vault holds comes again with the next take-in.
    """

    def write(beside: Path, _: Keys, coming: Keys, held: list[int]) -> None:
        with vault() as people:
            people.require_no_tombstones()
        _land_again(settings, beside, coming, held, follow)

    def forget() -> None:
        with vault() as people:
            people.begin_anew()
        Intake.of(settings.data_home).clear()

    return _rotate(settings, "linkage", write, forget)


def _rotate(settings: Settings, name: str, write: Write, forget: Callable[[], None] = lambda: None) -> Rotated:
    home = settings.data_home
    home.require()
    source = keys_of(home)
    with storage_errors(f"Changing the {name} key", home.landing), _alone(home) as held:
        before = load_keys(source)
        stopped = _swapping(home.landing)
        if stopped and stopped[0] != name:
            raise SetupError(
                f"A change of the {stopped[0]} key was stopped: run `ruam keys rotate {stopped[0]}` first."
            )
        if not stopped:
            require_fitting(home.landing, before, key_ids(home.landing))
            _write_beside(home.landing, source, name, before, lambda beside, keys: write(beside, before, keys, held))
        with alone(home.landing / READERS, wait=True):
            _swap(home, source, name, forget)
    return Rotated(name, load_keys(source).key_id)


@contextmanager
def _alone(home: DataHome) -> Iterator[list[int]]:
    """Keep everybody else from landing, compacting, building and publishing; yields the descriptors of the regions."""
    with (
        locked(home.landing / ROTATING, f"The keys of {home.root}"),
        locked(home.root / ".build.lock", f"The warehouse {home.warehouse}"),
        ExitStack() as regions,
    ):
        yield [regions.enter_context(region_alone(home.landing, region)) for region in (NO_REGION, *REGIONS)]


def _swapping(landing: Path) -> tuple[str, str] | None:
    """The key whose change was stopped while the landing was swapped, and how far that had come."""
    path = landing / ROTATION
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    return told["key"], told["stage"]


def _write_beside(
    landing: Path, source: KeySource, name: str, before: Keys, write: Callable[[Path, Keys], None]
) -> None:
    """Write the landing anew under a new key, which waits as `<name>.next`; what a killed process left is used.

    Nothing is left when it fails.
    """
    beside = landing / _BESIDE
    plan = beside / _PLAN
    try:
        key = source.read(name + NEXT)
    except MissingKeyError:
        key = None
    if (
        key is None
        or not plan.exists()
        or json.loads(plan.read_text(encoding="utf-8")) != {"key": name, "to": id_of(key)}
    ):
        shutil.rmtree(beside, ignore_errors=True)
        for other in ("linkage", "analysis"):
            source.discard(other + NEXT)
        key = secrets.token_bytes(KEY_BYTES)
        source.add(name + NEXT, key)
        beside.mkdir(mode=0o700)
        plan.write_text(json.dumps({"key": name, "to": id_of(key)}), encoding="utf-8")
    shutil.rmtree(landing / _ASIDE, ignore_errors=True)
    for left in beside.glob("region=*/.incoming-*"):
        shutil.rmtree(left)
    point("rotate.begun")
    try:
        write(beside, replace(before, **{name: key}))
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        source.discard(name + NEXT)
        raise
    point("rotate.written")


def _rekey(landing: Path, beside: Path, rekeying: Rekeying, key_id: str, follow: Follow) -> None:
    """Write each batch as it stands, its pseudonyms and the key's id changed and nothing else."""
    with reading(landing) as folders:
        standing = {(region_of(folder), folder.name) for folder in folders}
        for written in list(beside.glob(f"region=*/{PREFIX}*")):
            if (region_of(written), written.name) not in standing:
                shutil.rmtree(written)
        for n_done, folder in enumerate(folders):
            follow(n_done, len(folders))
            region = region_of(folder)
            if not (region_folder(beside, region) / folder.name).exists():
                with BatchWriter(beside, region, folder.name.removeprefix(PREFIX)) as writer:
                    for path in sorted(folder.iterdir()):
                        _rekey_file(path, writer, rekeying, key_id)
                    writer.commit()
        follow(len(folders), len(folders))


def _rekey_file(path: Path, writer: BatchWriter, rekeying: Rekeying, key_id: str) -> None:
    file = pq.ParquetFile(path) if path.suffix == ".parquet" else None
    names = [name for name in (file.schema_arrow.names if file else ()) if name.endswith(PSEUDONYM)]
    if file is None or not (names or path.stem == "receipts"):
        writer.copy(path)
        return
    for at in range(file.num_row_groups):
        rows = file.read_row_group(at)
        for name in names:
            rows = _replaced(rows, name, _rekeyed(_column(rows, name), rekeying, path))
        if path.stem == "receipts":
            told = _column(rows, "key_id")
            rows = _replaced(rows, "key_id", pl.select(pl.when(told.is_not_null()).then(pl.lit(key_id))).to_series())
        writer.write(path.stem, rows)
    if not file.num_row_groups:
        writer.write(path.stem, file.schema_arrow.empty_table())


def _column(rows: pa.Table, name: str) -> pl.Series:
    column = pl.from_arrow(rows.column(name))
    assert isinstance(column, pl.Series)
    return column


def _replaced(rows: pa.Table, name: str, values: pl.Series) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(
        at, rows.schema.field(at), to_arrow(values.to_frame(name)).column(0).cast(rows.schema.field(at).type)
    )


def _rekeyed(pseudonyms: pl.Series, rekeying: Rekeying, path: Path) -> pl.Series:
    try:
        return rekeying.column(pseudonyms)
    except UnknownPseudonymError as error:
        raise RuamError(
            f"{path}: {error.n:,} pseudonyms are of numbers that the vault does not know, so that they cannot be put "
            "under a new key. Nothing was changed. Run `ruam identity take-in`, then try again."
        ) from error


def _rekey_links(links: Path, target: Path, rekeying: Rekeying) -> None:
    frame = pl.read_parquet(links)
    names = [name for name in LINKED if name in frame.columns]
    frame.with_columns(_rekeyed(frame[name], rekeying, links).alias(name) for name in names).write_parquet(target)


def _land_again(settings: Settings, beside: Path, keys: Keys, held: list[int], follow: Follow) -> None:
    """Land what was accepted, in the same regions; other receipts are kept under the id of the new key."""
    landing = settings.data_home.landing
    _, regions = ready(settings)
    ensure_schema_batch(beside)
    receipts = read_records(landing, "receipts")
    is_accepted = pl.col("outcome").str.starts_with("accepted")
    accepted = receipts.filter(is_accepted)
    _require_inbox(settings.data_home, accepted)
    written = read_records(beside, "receipts")
    for (region,), rows in receipts.filter(~is_accepted).group_by("region", maintain_order=True):
        if written.filter(~is_accepted, pl.col("region") == region).is_empty():
            with BatchWriter(beside, str(region), batch_id(utc_now())) as writer:
                writer.append("receipts", rows.select(*RECEIPTS).with_columns(key_id=pl.lit(keys.key_id)))
                writer.commit()
    content = ["delivery_id", "hospcode"]
    waiting = accepted.join(written.filter(is_accepted), on=content, how="anti", maintain_order="left")
    told = {(row["delivery_id"], row["hospcode"]): row for row in waiting.iter_rows(named=True)}
    new: dict[str, list[Delivery]] = defaultdict(list)
    for row in told.values():
        new[row["region"]].append(_as_received(settings, row))
    jobs: list[Job] = [
        (region, batch_id(utc_now()), batch)
        for region, deliveries in sorted(new.items())
        for batch in batches_of(deliveries, settings.batch_zips, settings.batch_bytes)
    ]
    for region, name, batch in jobs:
        announce(settings.data_home.inbox, region, name, open_receipts(batch, keys))
    people = _intake_beside(settings.data_home, beside)
    registry, spill = tuple(regions.items()), settings.data_home.spill
    means = Means(registry, keys, settings.limits, spill, frozenset(), settings.feeds)
    results = land_jobs(settings, beside, people, jobs, means, held)
    try:
        for n_done, ((_, _, batch), outcomes) in enumerate(results, start=1):
            if isinstance(outcomes, Failure):
                raise RuamError(f"{outcomes.words}. Nothing was changed.")
            for delivery, outcome in zip(batch, outcomes, strict=True):
                _require_no_fewer(delivery, outcome, told[delivery.delivery_id, delivery.hospcode]["n_landed"])
            follow(n_done, len(jobs))
    except BrokenProcessPool as error:
        raise RuamError(
            "A process that landed a batch was killed, perhaps for want of memory. What was written stays: run the "
            "same command again, with fewer RUAM_WORKERS if it happens again."
        ) from error


def _intake_beside(home: DataHome, beside: Path) -> Intake:
    """Where people wait for the vault under a linkage key to come."""
    return replace(Intake.of(home), folder=beside / "intake")


def _as_received(settings: Settings, row: dict[str, object]) -> Delivery:
    """A delivery of the inbox as its receipt tells of it."""
    known = {name: row[name] for name in ("hospcode", "sent_at", "received_at")}
    key = inbox_key(settings.data_home)
    found = delivery_in_inbox(settings, key, str(row["delivery_id"]), str(row["file_name"]))
    return replace(found, **known)  # type: ignore[arg-type]


def _require_inbox(home: DataHome, accepted: pl.DataFrame) -> None:
    gone = [name for id_, name in accepted.select("delivery_id", "file_name").iter_rows() if not _is_there(home, id_)]
    if gone:
        more = f" and {len(gone) - 5:,} more" if len(gone) > 5 else ""
        raise RuamError(
            f"The inbox {home.inbox} no longer holds {len(gone):,} of {accepted.height:,} deliveries that were landed "
            f"({', '.join(sorted(gone)[:5])}{more}), and the linkage key is changed by landing them again. Nothing was "
            "changed. Bring them back from the backup; or change the analysis key, which needs no inbox."
        )


def _is_there(home: DataHome, delivery_id: str) -> bool:
    return stored(home.inbox, delivery_id).exists()


def _require_no_fewer(delivery: Delivery, outcome: Outcome, n_landed: int) -> None:
    if outcome.n_landed < n_landed:
        raise RuamError(
            f"{delivery.file_name}: {n_landed:,} rows were landed, {outcome.n_landed:,} would be now"
            f"{f' ({outcome.detail})' if outcome.detail else ''}. Nothing was changed. Bring back the registry and the "
            "feeds that were in force then, then try again."
        )


def _swap(home: DataHome, source: KeySource, name: str, forget: Callable[[], None]) -> None:
    """Put what was written in the place of what was there. Each step may be done again by who goes on with it.

    Nobody reads. First all old batches go, then all new ones come, so that what lies there tells how far it is.
    """
    landing, marker = home.landing, home.landing / ROTATION
    beside, aside = landing / _BESIDE, landing / _ASIDE
    _, stage = _swapping(landing) or (name, "")
    if not stage:
        _mark(marker, name, _CLEARING)
        point("rotate.clearing")
    if stage != _FILLING:
        for _ in _moved(landing, aside):
            point("rotate.cleared")
        forget()
        _mark(marker, name, _FILLING)
        point("rotate.filling")
    for _ in _moved(beside, landing):
        point("rotate.filled")
    Intake.of(home).move(_intake_beside(home, beside))
    if (beside / home.links.name).exists():
        (beside / home.links.name).replace(home.links)
        sync_folder(home.links.parent)
    elif name == "linkage":
        home.links.unlink(missing_ok=True)
    source.promote(name)
    point("rotate.promoted")
    # It holds the old pseudonyms, and no build could bring both together.
    for left in home.root.glob(f"{home.warehouse.name}*"):
        left.unlink()
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(beside, ignore_errors=True)
    sync_folder(home.root)
    point("rotate.forgotten")
    marker.unlink()
    sync_folder(landing)
    point("rotate.finished")


def _mark(marker: Path, name: str, stage: str) -> None:
    with replacing(marker) as temporary:
        temporary.write_text(json.dumps({"key": name, "stage": stage}), encoding="utf-8")


def _moved(source: Path, target: Path) -> Iterator[Path]:
    """Move every batch of one landing into another, one at each step, and make that durable."""
    regions = {path.parent for path in source.glob(f"region=*/{PREFIX}*")}
    for region in sorted(regions):
        (target / region.name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(region.glob(f"{PREFIX}*")):
            yield path.rename(target / region.name / path.name)
        sync_folder(target / region.name)
        sync_folder(region)
