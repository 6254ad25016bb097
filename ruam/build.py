"""Build the warehouse from what was landed since the last build."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import duckdb
import polars as pl

from ruam import findings, gates, spark
from ruam.dbt import STORAGE_VERSION, Progress, run_dbt
from ruam.errors import BuildError, BusyError
from ruam.files import locked, storage_errors
from ruam.home import DataHome
from ruam.landing import BATCH, holds, is_schema, reading
from ruam.settings import PROJECT, Settings

_log = logging.getLogger(__name__)

_LEDGER = """
create schema if not exists ruam;
create table if not exists ruam.builds (
    build_id varchar primary key, started_at timestamp, finished_at timestamp, status varchar,
    is_full_refresh boolean, n_batches integer, input_digest varchar, project_digest varchar, number integer
);
alter table ruam.builds add column if not exists number integer;
alter table ruam.builds add column if not exists everybody_digest varchar;
create table if not exists ruam.built_batches (batch varchar primary key);
"""
_FORGET_CHANGES = """
delete from ruam.changed_rows;
delete from ruam.changed_persons;
delete from int_data__bounded where build_number < (select max(build_number) from int_data__bounded);
drop schema if exists reached cascade;
"""
"""What every model has taken in is no news for the next build."""


@dataclass(frozen=True)
class Inputs:
    """What a build would read."""

    batches: list[str]
    """Ids of all committed batches, whatever folders they lie in now."""
    new: list[str]
    folders: list[Path]
    """Where the new ones lie, with the columns; all folders for a full refresh."""
    digest: str
    project_digest: str
    everybody_digest: str
    """Of what decides of everybody: the project, reference tables and versions."""
    why_full: str
    """Why everything is built anew; empty for a build of what changed."""
    is_on_spark: bool = False

    @property
    def is_full_refresh(self) -> bool:
        return bool(self.why_full)


@dataclass(frozen=True)
class Built:
    build_id: str
    is_full_refresh: bool
    n_batches: int
    skipped: bool = False


def build(settings: Settings, *, full_refresh: bool = False, progress: Progress = lambda *_: None) -> Built:
    """Build and test the warehouse; only batches not built before are read into staging.

    What follows from them is recomputed for whom they reach alone (docs/decisions/0021-incremental-by-person.md);
    what decides of everybody (models, seeds, contracts, registry, drug map, versions) makes a full build, and the
    log says which. With `settings.spark_master` a Spark cluster makes the tables, and DuckDB tests them. Skips all
    work when neither batches, reference tables nor models changed since the last good build. Killed or failed, it
    leaves the last published file alone, and running it again finishes. Raises
    `BuildError` when a model or a test fails, `BusyError` when another build runs, `SetupError` when Spark is asked
    for and something of it is missing.
    """
    home = settings.data_home
    home.require()
    with (
        locked(home.root / ".build.lock", f"The warehouse {home.warehouse}"),
        storage_errors("The build", home.root),
        reading(home.landing) as folders,
    ):
        on_spark = settings.spark_master is not None
        inputs, last = _inputs(home, folders, full_refresh=full_refresh, on_spark=on_spark)
        if last == inputs.digest and not full_refresh:
            return Built(last_build_id(home), is_full_refresh=False, n_batches=0, skipped=True)
        if inputs.is_full_refresh:
            _log.info("Everything is built anew: %s.", inputs.why_full)
        started = datetime.now(UTC).replace(tzinfo=None)
        build_id = f"{started:%Y%m%dT%H%M%S}-{inputs.digest[:8]}"
        # Where a seed changed everything is built anew, so that a build of what changed finds them as they are.
        apart = ["--full-refresh"] if inputs.is_full_refresh else ["--exclude-resource-type", "seed"]
        try:
            if settings.spark_master:
                # The warehouse stays as it is until all of Spark's tables stand.
                spark.build(home, settings.spark_master, threads=settings.workers, progress=progress)
            _record(home, build_id, started, "running", inputs)
            if on_spark:
                spark.show(home)
                apart += ["--resource-type", "test"]
            run_dbt(
                ["build", "--exclude-resource-type", "unit_test", *apart],
                home,
                threads=settings.workers,
                memory_limit=settings.memory_limit,
                batches=None if inputs.is_full_refresh else inputs.new,
                folders=inputs.folders,
                progress=progress,
            )
        except BuildError as error:
            gates.record(home, build_id, gates.of_build(error))
            raise
        _note_findings(home, build_id)
        _record(home, build_id, started, "succeeded", inputs)
        return Built(build_id, inputs.is_full_refresh, len(inputs.new))


def _note_findings(home: DataHome, build_id: str) -> None:
    """Keep what this build saw of findings. Before the build counts as good: one that sees it again notes nothing."""
    with _open(home, read_only=True) as connection:
        events = connection.execute(f"select {', '.join(findings.EVENTS)} from fct_finding_events").pl()
    if n := findings.note(home, build_id, events):
        _log.info("Findings changed.", extra={"events": n})


def last_build_id(home: DataHome) -> str:
    """Id of the last build that succeeded, or an empty text."""
    if not home.warehouse.exists():
        return ""
    with _open(home, read_only=True) as connection:
        if not _has_ledger(connection):
            return ""
        row = connection.execute(
            "select build_id from ruam.builds where status = 'succeeded' order by number desc nulls last limit 1"
        ).fetchone()
    return str(row[0]) if row else ""


def is_sound(home: DataHome) -> bool:
    """Whether the newest build that was begun also succeeded: only then may the warehouse be published."""
    if not home.warehouse.exists():
        return False
    with _open(home, read_only=True) as connection:
        if not _has_ledger(connection):
            return False
        row = connection.execute("select status from ruam.builds order by number desc nulls last limit 1").fetchone()
    return row is not None and row[0] == "succeeded"


def built_project(home: DataHome) -> str | None:
    """`project_digest` of what the last good build ran, None when there was none. Raises `BusyError` while one runs."""
    if not home.warehouse.exists():
        return None
    with _open(home, read_only=True) as connection:
        if not _has_ledger(connection):
            return None
        row = connection.execute("""
            select project_digest from ruam.builds
            where status = 'succeeded' order by number desc nulls last limit 1
        """).fetchone()
    return row[0] if row else None


def column_types(home: DataHome) -> dict[str, dict[str, str]] | None:
    """Type of each column by table of the warehouse; None when there is none, or a build has it open."""
    if not home.warehouse.exists():
        return None
    try:
        with _open(home, read_only=True) as connection:
            rows = connection.execute("""
                select table_name, column_name, data_type from information_schema.columns
                where table_schema = 'main' order by table_name, ordinal_position
            """).fetchall()
    except BusyError:
        return None
    found: dict[str, dict[str, str]] = {}
    for table, column, data_type in rows:
        found.setdefault(table, {})[column] = data_type
    return found


def built_batches(home: DataHome) -> set[str]:
    """Ids of the batches that the last good build has read. Raises `BusyError` while a build runs."""
    if not home.warehouse.exists():
        return set()
    with _open(home, read_only=True) as connection:
        if not _has_ledger(connection):
            return set()
        return {row[0] for row in connection.execute("select batch from ruam.built_batches").fetchall()}


def waiting_since(home: DataHome) -> datetime | None:
    """When the oldest delivery came (UTC) that no good build has read; None when none waits."""
    built = built_batches(home)
    with reading(home.landing) as folders:
        late = [folder for folder in folders if not any(map(is_schema, holds(folder))) and not holds(folder) <= built]
        is_built = pl.col(BATCH).is_in(pl.Series(list(built), dtype=pl.String).implode())
        found = _receipts(late).filter(~is_built).select(pl.col("received_at").min()).collect().item()
    return found if isinstance(found, datetime) else None


def _open(home: DataHome, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Raises `BusyError` when another process stands in the way: one writer, or many readers."""
    try:
        return duckdb.connect(
            str(home.warehouse), read_only=read_only, config={"storage_compatibility_version": STORAGE_VERSION}
        )
    except duckdb.IOException as error:
        raise BusyError(f"{home.warehouse} is open in another process. Wait for it to end, then try again.") from error


def _has_ledger(connection: duckdb.DuckDBPyConnection) -> bool:
    found = connection.execute(
        "select count(*) from information_schema.tables where table_schema = 'ruam' and table_name = 'builds'"
    ).fetchone()
    return found is not None and found[0] > 0


def _inputs(home: DataHome, folders: list[Path], *, full_refresh: bool, on_spark: bool) -> tuple[Inputs, str | None]:
    """What to build, and the digest of what the last good build read."""
    held = {folder: holds(folder) for folder in folders}
    batches = sorted(frozenset[str]().union(*held.values()))
    references = sorted(f"{path.parent.name}/{path.name}" for path in home.reference.glob("*/*.parquet"))
    project = project_digest()
    everybody = _digest([project, *references, *_versions(), *(["spark"] if on_spark else [])])
    links = [hashlib.sha256(home.links.read_bytes()).hexdigest()] if home.links.exists() else []
    digest = _digest([everybody, *batches, *links])
    built, last_digest, last_everybody, is_half_full = _ledger(home)
    new = [batch for batch in batches if batch not in built]
    reasons = {
        "it was asked for": full_refresh,
        "every build on Spark is": on_spark,
        "nothing was built before": not built,
        "the last full build did not end": is_half_full,
        "the contracts changed": any(is_schema(batch) for batch in new),
        "models, seeds, reference tables or versions changed": last_everybody != everybody,
    }
    why = next((reason for reason, holds_true in reasons.items() if holds_true), "")
    if not why and _times_changed(folders, built):
        why = "a delivery came again under an earlier name"
    wanted = folders if why else [one for one in folders if not held[one] <= built or any(map(is_schema, held[one]))]
    return Inputs(batches, new, wanted, digest, project, everybody, why, on_spark), last_digest


def _ledger(home: DataHome) -> tuple[set[str], str | None, str | None, bool]:
    """Batches built; digests of inputs and of what decides of everybody, of the last good build; whether a full build
    stopped half-way."""
    if not home.warehouse.exists():
        return set(), None, None, False
    with _open(home, read_only=False) as connection:
        connection.execute(_LEDGER)
        built = {row[0] for row in connection.execute("select batch from ruam.built_batches").fetchall()}
        row = connection.execute("""
            select input_digest, everybody_digest from ruam.builds
            where status = 'succeeded' order by number desc nulls last limit 1
        """).fetchone()
        newest = connection.execute(
            "select status = 'succeeded' from ruam.builds order by number desc nulls last limit 1"
        ).fetchone()
        # Staging may hold rows of which nobody was told: only a full build that ends makes that good.
        half_full = connection.execute("""
            select count(*) from ruam.builds
            where is_full_refresh and status <> 'succeeded' and number > (
                select coalesce(max(number), 0) from ruam.builds where is_full_refresh and status = 'succeeded'
            )
        """).fetchone()
    is_half_full = bool(half_full and half_full[0])
    if row is None:
        return built, None, None, is_half_full
    return built, row[0] if newest and newest[0] else None, row[1], is_half_full


def _times_changed(folders: list[Path], built: set[str]) -> bool:
    """Whether a delivery already built came again under an earlier name.

    Its rows then lose ties they had won against rows that staging no longer holds: only a full refresh is right.
    """
    is_built = pl.col(BATCH).is_in(pl.Series(list(built), dtype=pl.String).implode())
    by_delivery = _receipts([one for one in folders if not holds(one) <= built]).filter(~is_built)
    new = by_delivery.group_by("delivery_id").agg(pl.col("sent_at").min()).collect(engine="streaming")
    # Of millions built before, no more are held than those that came again.
    is_again = pl.col("delivery_id").is_in(new["delivery_id"].implode())
    before = _receipts(folders).filter(is_again, is_built).group_by("delivery_id").agg(pl.col("sent_at").min())
    times = before.collect(engine="streaming").join(new, on="delivery_id", suffix="_now")
    return times.filter(pl.col("sent_at_now") < pl.col("sent_at")).height > 0


def _receipts(folders: list[Path]) -> pl.LazyFrame:
    """Columns `delivery_id, sent_at, received_at, batch` of the receipts in some folders."""
    moment = pl.Datetime("us")
    schema = {"delivery_id": pl.String(), "sent_at": moment, "received_at": moment, BATCH: pl.String()}
    paths = [path for folder in folders if (path := folder / "receipts.parquet").exists()]
    found = pl.scan_parquet(paths, hive_partitioning=False) if paths else pl.LazyFrame(schema=schema)
    return found.select(*schema)


def project_digest() -> str:
    """Of everything that decides what the SQL does."""
    files = [PROJECT / "dbt_project.yml"]
    for folder in ("models", "macros", "seeds"):
        files += sorted(path for path in (PROJECT / folder).rglob("*") if path.suffix in (".sql", ".csv"))
    return _digest(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)


def _versions() -> list[str]:
    """Of what runs the SQL."""
    return [f"{package} {version(package)}" for package in ("dbt-core", "dbt-duckdb", "duckdb")]


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _record(home: DataHome, build_id: str, started: datetime, status: str, inputs: Inputs) -> None:
    finished = None if status == "running" else datetime.now(UTC).replace(tzinfo=None)
    with _open(home, read_only=False) as connection:
        connection.execute(_LEDGER)
        connection.execute("begin")
        connection.execute(
            # By number, not by time: a clock that was set back must not bring an older build to the front.
            """
            insert or replace into ruam.builds by name
            select
                ? as build_id, ? as started_at, ? as finished_at, ? as status, ? as is_full_refresh, ? as n_batches,
                ? as input_digest, ? as project_digest, ? as everybody_digest,
                (select coalesce(max(number), 0) + 1 from ruam.builds where build_id <> ?) as number
            """,
            [
                build_id,
                started,
                finished,
                status,
                inputs.is_full_refresh,
                len(inputs.new),
                inputs.digest,
                inputs.project_digest,
                inputs.everybody_digest,
                build_id,
            ],
        )
        if status == "succeeded":
            connection.execute("delete from ruam.built_batches")
            connection.execute("insert into ruam.built_batches select unnest(?)", [inputs.batches])
            if not inputs.is_on_spark:
                connection.execute(_FORGET_CHANGES)
        connection.execute("commit")
