"""Linkage: growth from 10 k to 1 M records without a number, and a day's new records against 60 million people.

    python -m benchmarks.linkage [--population 60000000] [--folder FOLDER]

A smaller population stands for the larger one when as small a part of it comes in a day: `--population 6000000
--day 6000`.

The people are made in SQL (two records each, a quarter of the names with a slip), for inventing a million of them by
`ingestion.synthetic` takes longer than linking them. The index of the population is made in SQL too. Growth is told in
seconds of CPU, which others on the machine disturb less.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
from rich.console import Console

from benchmarks.measuring import Target, measured, show_costs, show_targets
from identity.linkage import features
from identity.linkage.link import _TABLES, Linked, link
from identity.linkage.model import load
from identity.linkage.names import compared
from identity.sealing import SealKey
from identity.vault import _attach, _prepare
from ingestion.synthetic.clerks import _IN_SYLLABLES
from ruam.settings import Settings

SIZES = (10_000, 100_000, 1_000_000)
DAY = 60_000
"""New registrations in a day, of which one in twenty has no number: assumptions."""
SECONDS, MEBIBYTES = 600, 8192
CHUNK = 5_000_000


def _names(connection: duckdb.DuckDBPyConnection) -> None:
    """`names`: at, name, plain, roman, skeleton of 4,000 invented names."""
    import polars as pl

    names = pl.Series("name", sorted(name for name in _IN_SYLLABLES if len(name) > 4)[:4000])
    frame = pl.DataFrame({"at": range(len(names)), "name": names}).hstack(compared(names))
    connection.register("given_names", frame)
    connection.execute("create table names as from given_names")


def _people(first: int, n: int, numbered: bool) -> str:
    """A query of records: two for each person, with slips in a quarter of the second ones."""
    return f"""
        with drawn as (
            select i, (i // 2)::ubigint as person, hash(i) as slip, hash(i // 2, 1) as h
            from range({first}, {first + n}) t(i)
        )

        select
            lpad((10000 + hash(i, 2) % 9000)::varchar, 5, '0') as hospcode,
            i::varchar as pid,
            {"lpad((person * 7919 % 10000000000000)::varchar, 13, '0')" if numbered else "null::varchar"} as cid,
            '{"valid" if numbered else "missing"}' as cid_class,
            {"md5(person::varchar)" if numbered else "null::varchar"} as linkage_pseudonym,
            '003' as prename,
            case when i % 2 = 1 and slip % 4 = 0 then left(g.name, -1) else g.name end as given,
            s.name || t.name as surname,
            date '1940-01-01' + (h // 7 % 30000)::int + (i % 2 = 1 and slip % 16 = 1)::int as birth_date,
            (1 + h % 2)::varchar as sex,
            case when h % 3 = 0 then '048' else '099' end as nation,
            null::varchar as labor,
            lpad((10 + h // 11 % 77)::varchar, 2, '0') as province_code,
            null::varchar as mother_cid,
            null::varchar as telephone,
            case when slip % 2 = 0 then '0000' || lpad((person % 1000000)::varchar, 6, '0') end as mobile,
            null::varchar as passport,
            null::varchar as hn,
            timestamp '2025-01-01' + to_days((slip % 360)::int) as d_update,
            'd' || (i // 1000)::varchar as delivery_id
        from drawn
        inner join names as g on g.at = h // 13 % 4000
        inner join names as s on s.at = h // 17 % 4000
        inner join names as t on t.at = h // 19 % 4000
    """


@contextmanager
def _vault(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A file laid out as the vault is, which is encrypted too, within the limits of the benchmark."""
    with duckdb.connect() as connection:
        _prepare(connection, Settings(memory_limit="6GB", workers=2), path.parent)
        _attach(connection, path, SealKey("benchmark", bytes(32)), "vault")
        connection.execute("set enable_progress_bar = false; use vault")
        yield connection


def _grow(n: int, folder: Path) -> int:
    """Link `n` records without a number, beside half as many with one, in a vault of its own."""
    path = folder / f"{n}.duckdb"
    with _vault(path) as connection:
        _names(connection)
        connection.execute(f"create table records as {_people(0, n, numbered=False)}")
        connection.execute(f"insert into records {_people(2 * n, n // 2, numbered=True)}")
        done = link(connection, load())
    path.unlink()
    return done.n_residue


def _index(connection: duckdb.DuckDBPyConnection, population: int, day: int) -> None:
    """`linkage.*` as it is after so many people with a number, a record each; their `records` have nothing
    but whose they are and the delivery. Those of the day: who has no number is one of the people, others are new."""
    features.create(connection)
    connection.execute(_TABLES)
    _names(connection)
    for first in range(0, population, CHUNK):
        n = min(CHUNK, population - first)
        connection.execute(f"""
            insert into linkage.features
            select
                i + 1, lpad((10000 + hash(i, 2) % 9000)::varchar, 5, '0'), 'p' || i, false, md5(i::varchar),
                lpad((i * 7919 % 10000000000000)::varchar, 13, '0'), g.plain, g.roman, g.skeleton,
                s.plain || t.plain, s.roman || t.roman, s.skeleton || t.skeleton,
                g.roman || s.roman || t.roman, g.skeleton || s.skeleton || t.skeleton,
                date '1940-01-01' + (h // 7 % 30000)::int, (1 + h % 2)::varchar, '099',
                lpad((10 + h // 11 % 77)::varchar, 2, '0'), null, lpad((h % 100000000)::varchar, 9, '0'),
                null, null, date '2024-05-01'
            from (select i, hash(i, 1) as h from range({first}, {first + n}) r(i))
            inner join names as g on g.at = h // 13 % 4000
            inner join names as s on s.at = h // 17 % 4000
            inner join names as t on t.at = h // 19 % 4000
            order by i
        """)
    connection.execute(f"""
        insert into linkage.blocks
        select is_residue, key, record, birth from ({features._keys_of("linkage.features")}) order by is_residue, key;
        insert into linkage.in_order select count(*) from linkage.blocks;
        insert into linkage.frequencies
        select 'surname', surname, count(*) from linkage.features group by surname;
        insert into linkage.frequencies
        select 'given', given, count(*) from linkage.features group by given;
        create table records as {_people(0, day // 20, numbered=False)};
        insert into records by name
        select hospcode, pid, 'valid' as cid_class, 'p' || (record // 1000) as delivery_id from linkage.features;
        insert into linkage.seen select distinct delivery_id from records where starts_with(delivery_id, 'p');
        insert into records {_people(2 * population, day - day // 20, numbered=True)};
    """)


def _read() -> int:
    """Bytes that this process has read so far, from the disk or from the page cache."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"])


@dataclass(frozen=True)
class _Day:
    cpu: float
    wall: float
    megabytes: float
    linked: Linked


def _day(path: Path) -> _Day:
    """One day's link."""
    with _vault(path) as connection:
        began, spent, before = time.perf_counter(), time.process_time(), _read()
        done = link(connection, load())
        return _Day(time.process_time() - spent, time.perf_counter() - began, (_read() - before) / 2**20, done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--population", type=int, default=60_000_000)
    parser.add_argument("--day", type=int, default=DAY)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", type=Path, help="where the vaults of the benchmark go; some 20 GB for 60 million")
    arguments = parser.parse_args()
    targets = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        costs = {f"{n:,} records": measured(partial(_grow, n, folder)) for n in arguments.sizes}
        if costs:
            show_costs("Linkage of records without a number", costs, 1)
        if len(costs) > 1:
            (small, first), *_, (large, last) = zip(arguments.sizes, costs.values(), strict=True)
            slope = math.log(last.cpu / first.cpu) / math.log(large / small)
            targets += [
                Target(f"slope of CPU seconds over records, {small:,} to {large:,}", slope, 1.2),
                Target(f"seconds of {large:,} records over {SECONDS}", last.wall / SECONDS, 1.0),
                Target(f"memory of {large:,} records over 8 GiB", last.memory / MEBIBYTES, 1.0),
            ]
        if arguments.population:
            path = folder / "population.duckdb"
            with _vault(path) as connection:
                _index(connection, arguments.population, arguments.day)
                n_keys = connection.execute("select count(*) from linkage.blocks").fetchone()
            size = path.stat().st_size / 2**20
            day = _day(path)
            Console().print(
                f"A day of {day.linked.n_new:,} records, {day.linked.n_residue:,} without a number, against "
                f"{arguments.population:,} people ({n_keys[0] if n_keys else 0:,} keys): {day.linked.n_candidates:,} "
                f"candidates, {day.linked.n_linked:,} linked, {day.cpu:,.0f} CPU s, {day.wall:,.0f} s, "
                f"{day.megabytes:,.0f} MiB read of {size:,.0f} MiB"
            )
            targets.append(Target("bytes that a day reads over those of the vault", day.megabytes / size, 0.5))
    show_targets(targets)


if __name__ == "__main__":
    main()
