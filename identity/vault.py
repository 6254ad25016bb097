"""The vault: who people are. One encrypted DuckDB file, held by one process at a time, each opening in the audit log.

* `records` has the columns of `identity.intake.RECORD` and the facility's `province_code`: one row for each (hospcode,
  pid) as it stands by the rule of staging (decision 2): newest `d_update`, then the delivery sent later, then the
  greater delivery id, then the later line. For linkage it has the number of the batch since which it tells the same
  (`arrived`, which counts up), and whether an earlier row of it stood or was withdrawn (`is_known`).
* `numbers` has the linkage pseudonym `p1` (16 bytes) of every number that a landed pseudonym was made from.
* `withdrawals` has (hospcode, pid) and up to which `d_update` a row was withdrawn, `batches` what was taken in,
  `forgotten` the `p1` of people who must not be taken in again, `audit_head` the newest line of the audit log.

The database engine reaches no file but the vault and its spill, whose pages are encrypted as well. The key is handed
over as a parameter of a prepared statement, so that it is in no SQL text, no error and no log.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import polars as pl
import pyarrow.parquet as pq

from identity import audit
from identity.intake import KIND, NUMBER, PERSON, RECORD, WITHDRAWAL, Intake
from identity.keys import Keys, keys_of, load_keys
from identity.linkage import features
from identity.pseudonym import Pseudonymiser
from identity.sealing import SealKey
from ruam.errors import BusyError, RuamError, SetupError
from ruam.faults import point
from ruam.files import locked_within, storage_errors, sync_file, sync_folder
from ruam.home import DataHome
from ruam.settings import Settings

FILE = "vault.duckdb"
RUNBOOK = "docs/runbooks/vault.md"
ROWS_READ = 1 << 17
BLOCK, ROW_GROUP = 32_768, 2_048
"""Bytes of a page and rows of a row group: the fewest rows there are, and the fewest bytes in which the engine still
packs numbers of four bytes. So a key that is looked up costs a page, not a share of the vault. A vault made with other
pages keeps them until it is written anew."""
FEW_KEYS = 100_000
"""Keys of one look-up up to which the engine passes over row groups that can hold none of them."""

Pair = tuple[str, str]
"""HOSPCODE and PID."""

_TYPES: dict[pl.DataType, str] = {
    pl.String(): "varchar",
    pl.Binary(): "blob",
    pl.Date(): "date",
    pl.Datetime("us"): "timestamp",
    pl.Int32(): "integer",
}
_COLUMNS = ", ".join(f"{name} {_TYPES[dtype]}" for name, dtype in RECORD.items())
_TABLES = f"""
create table if not exists records ({_COLUMNS}, province_code varchar, arrived bigint, is_known boolean);
alter table records add column if not exists arrived bigint default 0;
alter table records add column if not exists is_known boolean default false;
create table if not exists numbers (p1 blob);
create table if not exists withdrawals (hospcode varchar, pid varchar, withdrawn_at timestamp);
create table if not exists batches (batch varchar);
create table if not exists forgotten (p1 blob);
create table if not exists audit_head (seq bigint, hash varchar);
create table if not exists erasures (happened timestamp);
"""
_UNMENTION = """
update {table} set mother_cid = null, mother_linkage_pseudonym = null
where unhex(mother_linkage_pseudonym) in (from {numbers})
"""
_SAME = "one.hospcode = other.hospcode and one.pid = other.pid"


@dataclass(frozen=True)
class Counts:
    """How much the vault holds; nothing of anybody."""

    records: int
    people_with_a_usable_number: int
    records_without_one: int
    numbers: int
    forgotten: int
    batches: int


@dataclass(frozen=True)
class Taken:
    """What was taken in."""

    batches: int
    records: int
    numbers: int


@dataclass(frozen=True)
class Forgotten:
    """What was removed: records, numbers, and mentions of the person as somebody's mother."""

    pairs: list[Pair]
    records: int
    numbers: int
    mentions: int


class Vault:
    """An open vault. `connection` is for linkage; its SQL must hold no value of a person."""

    known: audit.Head
    """The newest line of the audit log that the vault had seen before it was opened."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, p1_of: Callable[[str], bytes], note: _Note) -> None:
        self.connection = connection
        self._p1_of = p1_of
        self._note = note
        self.known = self.head()

    def tell(self, **told: object) -> None:
        """Add to the audit log what came of this opening: counts, never a value."""
        self._note(told)

    def counts(self) -> Counts:
        one = self._one
        return Counts(
            records=one("select count(*) from records"),
            people_with_a_usable_number=one("select count(distinct linkage_pseudonym) from records"),
            records_without_one=one("select count(*) from records where linkage_pseudonym is null"),
            numbers=one("select count(*) from numbers"),
            forgotten=one("select count(*) from forgotten"),
            batches=one("select count(*) from batches"),
        )

    def head(self) -> audit.Head:
        row = self.connection.execute("select seq, hash from audit_head").fetchone()
        return audit.Head(*row) if row else audit.Head(0, audit.BEGINNING)

    def take_in(self, intake: Intake, committed: Collection[str], provinces: Mapping[str, str]) -> Taken:
        """Move what waits of committed batches in, each in one transaction, and remove its file.

        `provinces` has that of each HOSPCODE.

        Killed at any point, the next call does the rest: a batch is remembered by the transaction that took it in.
        """
        before = self._sizes()
        batches = 0
        for region, batch in list(intake.waiting()):
            if batch not in committed:
                continue
            if not self._one("select count(*) from batches where batch = ?", batch):
                self._take_in(intake, region, batch, provinces)
                batches += 1
            intake.sealed(region, batch).path.unlink()
            point("vault.removed")
        after = self._sizes()
        return Taken(batches, after[0] - before[0], after[1] - before[1])

    def _sizes(self) -> tuple[int, int]:
        return self._one("select count(*) from records"), self._one("select count(*) from numbers")

    def _take_in(self, intake: Intake, region: str, batch: str, provinces: Mapping[str, str]) -> None:
        run = self.connection.execute
        run(f"create or replace temp table incoming ({KIND} varchar, {_COLUMNS}, p1 blob)")
        with intake.sealed(region, batch).open() as file:
            for rows in pq.ParquetFile(file).iter_batches(ROWS_READ):
                self.connection.register("arriving", rows)
                run("insert into incoming by name from arriving")
                self.connection.unregister("arriving")
        known = pl.DataFrame({"hospcode": list(provinces), "province_code": list(provinces.values())})
        self.connection.register("provinces", known.to_arrow())
        run("begin")
        try:
            self._leave_out_the_forgotten()
            self._merge()
            run("insert into batches values (?)", [batch])
            point("vault.filled")
        except BaseException:
            run("rollback")
            raise
        run("commit")
        point("vault.taken")
        run("drop table incoming")
        self.connection.unregister("provinces")

    def _leave_out_the_forgotten(self) -> None:
        if not self._one("select count(*) from forgotten"):
            return
        run = self.connection.execute
        pairs = run(f"select distinct hospcode, pid from incoming where {KIND} = '{PERSON}'").fetchall()
        names = pl.DataFrame(
            [(*pair, self._name(pair)) for pair in pairs],
            schema={"hospcode": pl.String, "pid": pl.String, "p1": pl.Binary},
            orient="row",
        )
        self.connection.register("names", names.to_arrow())
        run("delete from incoming where p1 in (from forgotten) or unhex(linkage_pseudonym) in (from forgotten)")
        run(f"""
            delete from incoming as one
            where one.{KIND} = '{PERSON}' and exists (
                from names as other where {_SAME} and other.p1 in (from forgotten)
            )
        """)
        run(_UNMENTION.format(table="incoming", numbers="forgotten"))
        self.connection.unregister("names")

    def _merge(self) -> None:
        run = self.connection.execute
        codes = [row[0] for row in run("select distinct hospcode from incoming where hospcode is not null").fetchall()]
        # Records of one facility lie together: named as constants, the codes keep the engine from reading all others.
        near = f"hospcode in ({', '.join('?' * len(codes))})" if codes else "false"
        run(f"""
            insert into numbers
            select distinct p1 from incoming
            where {KIND} = '{NUMBER}' and p1 not in (select p1 from numbers semi join incoming using (p1))
        """)
        arrived = self._one("select count(*) from batches") + 1
        run(
            f"""
            create or replace temp table standing as
            with told as (
                select
                    * exclude ({KIND}, p1),
                    {arrived} as arrived,
                    exists (from withdrawals as other where {_SAME}) as is_known
                from incoming as one left join provinces using (hospcode)
                where {KIND} = '{PERSON}'
                union all by name
                select * from records as one
                where {near} and exists (from incoming as other where {_SAME} and other.{KIND} = '{PERSON}')
            ),

            ranked as (
                select
                    *,
                    hash({", ".join(features.COMPARED)}) as person,
                    min(arrived) over registration as before,
                    min_by(person, arrived) over registration as person_before,
                    row_number() over (
                        registration
                        order by d_update desc nulls last, sent_at desc nulls last, delivery_id desc, source_line desc
                    ) as recency
                from told
                window registration as (partition by hospcode, pid)
            )

            select * exclude (person, before, person_before, recency) replace (
                -- Who sends again what stood has nothing new for linkage.
                case when before < {arrived} and person = person_before then before else arrived end as arrived,
                is_known or before < {arrived} as is_known
            )
            from ranked
            where recency = 1
        """,
            codes,
        )
        run(f"delete from records as one where {near} and exists (from standing as other where {_SAME})", codes)
        run("insert into records by name from standing")
        run(f"""
            insert into withdrawals
            select hospcode, pid, max(d_update) from incoming where {KIND} = '{WITHDRAWAL}' group by all
        """)
        run(
            f"""
            delete from records as one
            where {near} and exists (
                from withdrawals as other
                where {_SAME} and (one.d_update is null or one.d_update <= other.withdrawn_at)
            )
            """,
            codes,
        )
        run("drop table standing")

    def linkage_pseudonyms(self) -> Iterator[pl.DataFrame]:
        """Every p1 that pseudonyms outside of the vault were made of: frames with the column `p1` (16 bytes).

        The landed rows of who was forgotten stay, so that their pseudonyms are put under a new key as all others are.
        """
        rows = self.connection.execute("select p1 from numbers union all select p1 from forgotten").to_arrow_reader(
            ROWS_READ
        )
        for batch in rows:
            yield pl.DataFrame({"p1": pl.from_arrow(batch.column(0))})
        if self._one("select count(*) from duckdb_tables() where schema_name = 'linkage' and table_name = 'persons'"):
            names = self.connection.execute(
                "select distinct person from linkage.persons where person like 'person:%'"
            ).fetchall()
            yield pl.DataFrame({"p1": [self._p1_of(name) for (name,) in names]}, schema={"p1": pl.Binary})

    def begin_anew(self) -> None:
        """Forget all that was taken in: it comes again, under another linkage key. The audit log goes on."""
        run = self.connection.execute
        run("begin")
        for table in ("records", "numbers", "withdrawals", "batches"):
            run(f"delete from {table}")
        run("drop schema if exists linkage cascade")
        run("insert into erasures values (now()::timestamp)")
        run("commit")

    def require_no_tombstones(self) -> None:
        """Raises `RuamError` when people were forgotten: under another linkage key they would come back."""
        if n := self._one("select count(*) from forgotten"):
            raise RuamError(
                f"The vault keeps {n:,} tombstones of people who must not come back. They hold under the linkage key "
                "in force alone, so that it cannot be changed. Nothing was changed."
            )

    def pairs_of_number(self, number: str) -> list[Pair]:
        """Where a person with this citizen number, normalised, is registered."""
        return self._pairs(
            "select hospcode, pid from records where linkage_pseudonym = lower(hex(?::blob))", self._p1_of(number)
        )

    def is_known(self, pair: Pair) -> bool:
        return bool(self._pairs("select hospcode, pid from records where (hospcode, pid) = (?, ?)", *pair))

    def forget(self, pairs: Collection[Pair], number: str | None = None) -> Forgotten:
        """Remove the person of these records, everywhere the same number is registered, and let nobody bring it back.

        What remains is a tombstone: the p1 of each number and of each record's name, from which no person follows.
        """
        run = self.connection.execute
        run("begin")
        try:
            run("create or replace temp table gone (hospcode varchar, pid varchar)")
            for pair in pairs:
                run("insert into gone values (?, ?)", list(pair))
            run("""
                create or replace temp table gone_numbers as
                select distinct unhex(linkage_pseudonym) as p1 from records semi join gone using (hospcode, pid)
                where linkage_pseudonym is not null
            """)
            if number is not None:
                run("insert into gone_numbers values (?)", [self._p1_of(number)])
            run("""
                insert into gone
                select hospcode, pid from records where unhex(linkage_pseudonym) in (from gone_numbers)
            """)
            found = sorted(self._pairs("select distinct hospcode, pid from gone"))
            features.forget(
                self.connection,
                "from gone",
                """
                    select hospcode, pid from records
                    where unhex(mother_linkage_pseudonym) in (select p1 from gone_numbers)
                """,
            )
            records = self._changed(f"delete from records as one where exists (from gone as other where {_SAME})")
            numbers = self._changed("delete from numbers where p1 in (from gone_numbers)")
            mentions = self._changed(_UNMENTION.format(table="records", numbers="gone_numbers"))
            run("insert into forgotten select distinct p1 from gone_numbers where p1 not in (from forgotten)")
            for pair in found:
                name = self._name(pair)
                run("insert into forgotten select ? where ? not in (from forgotten)", [name, name])
            run("drop table gone; drop table gone_numbers")
            run("insert into erasures values (now()::timestamp)")
            point("vault.forgotten")
        except BaseException:
            run("rollback")
            raise
        run("commit")
        return Forgotten(found, records, numbers, mentions)

    def has_erased(self) -> bool:
        """Whether pages that no row needs any more still hold people who were forgotten."""
        return bool(self._one("select count(*) from erasures"))

    def _name(self, pair: Pair) -> bytes:
        """p1 of the name that the vault gives to who has no usable number (decision 11)."""
        return self._p1_of(":".join(("person", *pair)))

    def _pairs(self, sql: str, *values: object) -> list[Pair]:
        return [(row[0], row[1]) for row in self.connection.execute(sql, list(values)).fetchall()]

    def _changed(self, sql: str) -> int:
        row = self.connection.execute(sql).fetchone()
        return int(row[0]) if row else 0

    def _one(self, sql: str, *values: object) -> int:
        row = self.connection.execute(sql, list(values)).fetchone()
        return int(row[0]) if row else 0


_Note = Callable[[dict[str, object]], None]


@contextmanager
def opened(
    settings: Settings, command: str, purpose: str, waiting: Callable[[str], None] = lambda _: None
) -> Iterator[Vault]:
    """Open the vault for a command and a purpose, which are written to the audit log first.

    While another process has it, `waiting` is told once, and it is waited for `vault_wait_seconds`. Raises `BusyError`
    after that, `SetupError` when a key is missing or another, and `StorageError` as a disk does.
    """
    home = settings.data_home
    home.require()
    keys = load_keys(keys_of(home))
    key = Intake.of(home).key
    home.vault.mkdir(mode=0o700, exist_ok=True)
    with (
        storage_errors("Opening the vault", home.vault),
        locked_within(home.vault / ".lock", f"The vault {home.vault}", settings.vault_wait_seconds, waiting),
    ):
        connection = connected(settings, home.vault, key)
        try:
            vault = _opened(connection, home, keys, command, purpose)
            yield vault
            has_erased = vault.has_erased()
        finally:
            connection.close()
            shutil.rmtree(home.vault / "spill", ignore_errors=True)
        if has_erased:
            _rewrite(settings, home.vault, key)


def _opened(connection: duckdb.DuckDBPyConnection, home: DataHome, keys: Keys, command: str, purpose: str) -> Vault:
    pseudonymiser = Pseudonymiser(keys)

    def note(told: dict[str, object]) -> None:
        head = audit.append(audit.log_of(home), vault.head(), command, purpose, told)
        connection.execute("begin; delete from audit_head")
        connection.execute("insert into audit_head values (?, ?)", [head.seq, head.hash])
        connection.execute("commit")

    vault = Vault(connection, lambda text: bytes.fromhex(pseudonymiser.linkage_pseudonym(text)), note)
    note({"event": "opened"})
    return vault


def connected(settings: Settings, folder: Path, key: SealKey) -> duckdb.DuckDBPyConnection:
    """A connection to the vault that reaches nothing else."""
    shutil.rmtree(folder / "spill", ignore_errors=True)  # Of a killed process; nobody else has the vault now.
    connection = duckdb.connect(":memory:")
    try:
        _prepare(connection, settings, folder)
        _attach(connection, folder / FILE, key, "vault")
        connection.execute("use vault")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        connection.execute(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def _rewrite(settings: Settings, folder: Path, key: SealKey) -> None:
    """Put a copy in the vault's place that holds its rows and no page of any that were removed."""
    fresh = folder / f".fresh-{FILE}"
    for left in folder.glob(f"{fresh.name}*"):
        left.unlink()
    with duckdb.connect(":memory:") as connection:
        _prepare(connection, settings, folder)
        _attach(connection, folder / FILE, key, "vault")
        _attach(connection, fresh, key, "fresh")
        connection.execute("copy from database vault to fresh")
        connection.execute("delete from fresh.erasures")
        connection.execute("checkpoint fresh")
    shutil.rmtree(folder / "spill", ignore_errors=True)
    sync_file(fresh)
    point("vault.copied")
    fresh.replace(folder / FILE)
    sync_folder(folder)


def _prepare(connection: duckdb.DuckDBPyConnection, settings: Settings, folder: Path) -> None:
    extensions = Path(duckdb_extension_httpfs.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    connection.execute(f"load '{extensions / 'httpfs.duckdb_extension'}'")
    connection.execute("set enable_progress_bar = false")
    connection.execute("set temp_file_encryption = true")
    connection.execute("set temp_directory = ?", [str(folder / "spill")])
    connection.execute("set memory_limit = ?", [settings.memory_limit])
    connection.execute("set threads = ?", [settings.workers])
    connection.execute("set preserve_insertion_order = false")
    connection.execute("set dynamic_or_filter_threshold = ?", [FEW_KEYS])


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, key: SealKey, name: str) -> None:
    secret = base64.b64encode(key.secret).decode()
    place = str(path).replace("'", "''")
    try:
        layout = f"row_group_size {ROW_GROUP}" + ("" if path.exists() else f", block_size {BLOCK}")
        connection.execute(
            f"attach '{place}' as {name} (encryption_key ?, encryption_cipher 'GCM', {layout})", [secret]
        )
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        raise BusyError(
            f"{path} is open in another program. Close it there, then try again ({RUNBOOK}#vault_is_locked)."
        ) from None
    except (duckdb.InvalidInputException, duckdb.CatalogException) as error:
        raise SetupError(
            f"{path} does not open with the key `vault` in force ({key.key_id}). Bring back the key that it was made "
            f"with ({RUNBOOK}#key_does_not_fit)."
        ) from error
