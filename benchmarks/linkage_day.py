"""A day's new records linked against the population of the country, which must not be read whole.

    python -m benchmarks.linkage_day [--populations 2000000 20000000 60000000] [--day 60000] [--folder FOLDER]

The vault is made as the product makes it, encrypted, with the same pages and the same index; the people in it are made
in SQL, a record each, one in twenty without a usable number. The index lies in three runs, as it does after a year of
days. The day has new registrations, of which one in twenty has no number and is one of the people, and beside them
registrations that the vault knew and that changed. It is the same at every size, so that what it reads may be compared:
in bytes that the process read, from the disk or from the page cache. 60 million people take some 20 GB of disk.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Cost, measured
from benchmarks.results import Result, Target, report
from identity.linkage import features
from identity.linkage.link import link
from identity.linkage.model import load
from identity.linkage.names import compared
from identity.sealing import SealKey
from identity.vault import FILE, connected
from ingestion.synthetic.clerks import IN_SYLLABLES
from ruam.settings import Settings

POPULATIONS = (2_000_000, 20_000_000, 60_000_000)
DAY = 60_000
"""New registrations in a day: an assumption."""
WITHOUT_NUMBER = 20
"""One in so many has no usable number: an assumption."""
CHANGED = 20
"""One in so many of a day's registrations was known, and has another phone now: an assumption."""
RUNS = ((0, 79), (80, 95), (96, 99))
"""Hundredths of the population, first and last, in each run of the index."""
KEY = SealKey("benchmark", bytes(32))
LIMITS = Settings(memory_limit="3GB", workers=2)
MAKING = Settings(memory_limit="6GB", workers=2)
"""Of the population, which is made in larger parts than any day has."""
BIRTHS = 30_000
"""Days on which people were born."""
CHUNK, SORTED, PACKED = 5_000_000, 10_000_000, 4
"""People who come at a time, and people whose keys are sorted at a time, so that it stays nearly in memory; features,
which are longer, are sorted in so many times as many parts."""
SHARE, SLOPE, MEBIBYTES = 0.2, 0.6, 6144
"""The most that a day may read of the vault of the largest population, by what power of the population that may grow,
and in what memory."""

_HOSPCODE = f"lpad((10000 + i % {CHUNK} * 9000 // {CHUNK})::varchar, 5, '0')"
"""Where each is registered: records of a facility lie together, as they come."""


def _drawn(people: str) -> str:
    """A query of all that is known of each person; `people` is one of their numbers `i`."""
    return f"""
        select
            i, h, 'p' || i as pid, i % {WITHOUT_NUMBER} = 0 as is_residue,
            case when i % {WITHOUT_NUMBER} > 0 then lpad((i * 7919 % 10000000000000)::varchar, 13, '0') end as number,
            case when i % {WITHOUT_NUMBER} > 0 then lpad(hex(hash(i, 3)) || hex(h), 32, '0') end as person,
            date '1940-01-01' + (h // 7 % {BIRTHS})::int as birth,
            (1 + h % 2)::varchar as sex,
            case when h % 9 = 0 then '048' else '099' end as nation,
            (10 + h // 11 % 77)::varchar as province,
            (100000000 + h % 100000000)::varchar as phone,
            g.name as g_name, g.plain as g_plain, g.roman as g_roman, g.skeleton as g_key,
            s.name || t.name as s_name, s.plain || t.plain as s_plain, s.roman || t.roman as s_roman,
            s.skeleton || t.skeleton as s_key
        from (select i, hash(i, 1) as h from ({people}))
        inner join names as g on g.at = h // 13 % 4000
        inner join names as s on s.at = h // 17 % 4000
        inner join names as t on t.at = h // 19 % 100
    """


def names(connection: duckdb.DuckDBPyConnection) -> None:
    """`names`: at, name, plain, roman, skeleton of 4,000 invented names."""
    made = pl.Series("name", sorted(name for name in IN_SYLLABLES if len(name) > 4)[:4000])
    connection.register("made", pl.DataFrame({"at": range(len(made)), "name": made}).hstack(compared(made)).to_arrow())
    connection.execute("create or replace temp table names as from made")
    connection.unregister("made")


def populate(connection: duckdb.DuckDBPyConnection, population: int) -> None:
    """`records` and `linkage.*` as they are after so many people came, a record each."""
    features.create(connection)
    names(connection)
    for first in range(0, population, CHUNK):
        some = _drawn(f"select range as i from range({first}, {min(first + CHUNK, population)})")
        connection.execute(f"""
            insert into records by name
            select
                {_HOSPCODE} as hospcode, pid, number as cid,
                case when is_residue then 'missing' else 'valid' end as cid_class,
                person as linkage_pseudonym, g_name as given, s_name as surname, birth as birth_date, sex, nation,
                phone as mobile, timestamp '2024-05-01' as d_update, province as province_code,
                hospcode || '-1' as delivery_id, 1 as arrived, false as is_known
            from ({some})
            order by i
        """)
    everybody = f"select range as i from range({population})"
    for run, (least, most) in enumerate(RUNS):
        for is_residue in (False, True):
            some = (
                f"{everybody} where hash(range, 9) % 100 between {least} and {most} "
                f"and (range % {WITHOUT_NUMBER} = 0) = {is_residue}"
            )
            n = (most - least + 1) * population // 100 // (WITHOUT_NUMBER if is_residue else 1)
            _lay(connection, run, some, max(n // SORTED, 1))
    connection.execute(f"""
        insert into linkage.runs
        select 'packed', run, count(*) from linkage.packed group by run
        union all
        select 'blocks', run, count(*) from linkage.blocks group by run;
        insert into linkage.frequencies
        select kind, name, count(*) from (
            unpivot (select g_plain as given, s_plain as surname from ({_drawn(everybody)}))
            on given, surname into name kind value name
        ) group by all;
        insert into linkage.persons
        select record, hospcode, pid, concat('person:', hospcode, ':', pid), false, null
        from ({_indexed(f"{everybody} where range % {WITHOUT_NUMBER} = 0")})
        order by record;
        update linkage.progress set arrived = 1, n_numbered = {population + 1};
    """)


def _indexed(people: str) -> str:
    """A query of the features of people."""
    return f"""
        select
            ((birth - {features.FIRST_BIRTH})::ubigint << 32) + i + 1 as record, {_HOSPCODE} as hospcode,
            pid, is_residue, person, number, g_plain as given, g_roman as given_roman, g_key as given_key,
            s_plain as surname, s_roman as surname_roman, s_key as surname_key, g_roman || s_roman as whole_roman,
            g_key || s_key as whole_key, birth, sex, nation, province, null::varchar as mother, phone,
            null::varchar as passport, null::varchar as hn, date '2024-05-01' as month
        from ({_drawn(people)})
    """


def _lay(connection: duckdb.DuckDBPyConnection, run: int, people: str, parts: int) -> None:
    """Lay the features and keys of people as a run, so many parts of the order one after the other."""
    days = BIRTHS // (PACKED * parts) + 1
    for at in range(PACKED * parts):
        first = f"date '1940-01-01' + {at * days}"
        some = f"(select * from ({_indexed(people)}) where birth >= {first} and birth < {first} + {days})"
        connection.execute(f"""
            insert into linkage.packed select *, {run} from ({features.packed(some)}) order by day, n
        """)
    width = 2**32 // parts + 1
    for at in range(parts):
        connection.execute(f"""
            insert into linkage.blocks
            select *, {run} from ({features.index_of(f"({_indexed(people)})")})
            where key between {at * width} and {(at + 1) * width - 1}
            order by key
        """)


def arrive(connection: duckdb.DuckDBPyConnection, population: int, day: int) -> None:
    """New registrations, where who has no number is somebody of the population who has one; and changed ones."""
    names(connection)
    step = max(population // day, 1)
    them = _drawn(f"select range * {step} // {WITHOUT_NUMBER} * {WITHOUT_NUMBER} + 1 as i from range({day})")
    connection.execute(f"""
        create or replace temp table came as
        select
            case when is_changed then {_HOSPCODE} else lpad((10000 + hash(i, 3) % 9000)::varchar, 5, '0') end
                as hospcode,
            case when is_changed then pid else 'n' || i end as pid,
            case when is_known then number end as cid, case when is_known then 'valid' else 'missing' end as cid_class,
            case when is_known then person end as linkage_pseudonym, g_name as given, s_name as surname,
            birth as birth_date, sex, nation, phone as mobile, timestamp '2025-05-01' as d_update,
            province as province_code, 'today' as delivery_id, 2 as arrived, is_changed as is_known
        from (
            select
                * replace (case when hash(i, 7) % {CHANGED} = 0 then left(phone, -1) || '0' else phone end as phone),
                hash(i, 7) % {CHANGED} = 0 as is_changed,
                is_changed or hash(i, 5) % {WITHOUT_NUMBER} > 0 as is_known
            from ({them})
        );

        delete from records using came
        where came.is_known and records.hospcode = came.hospcode and records.pid = came.pid;
        insert into records by name from came;
        drop table came;
    """)


@dataclass(frozen=True)
class Day:
    """What one day's link took and found."""

    population: int
    cost: Cost
    read: float
    """Mebibytes."""
    size: float
    """Mebibytes of the vault."""
    told: str


def _read() -> int:
    """Bytes that this process has read so far."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"])


def linked(folder: Path) -> int:
    """One day's link; what it read and found goes to a file beside the vault."""
    with connected(LIMITS, folder, KEY) as connection:
        before = _read()
        done = link(connection, load())
        told = (
            f"{done.n_new:,} new, {done.n_residue:,} without a number, "
            f"{done.n_candidates:,} candidates, {done.n_linked:,} linked"
        )
        (folder / "told").write_text(f"{_read() - before}\n{told}")
    return done.n_new


def day_of(population: int, day: int, folder: Path) -> Day:
    """Make the vault of a population, link a day, and remove it."""
    folder.mkdir()
    with connected(MAKING, folder, KEY) as connection:
        populate(connection, population)
        arrive(connection, population, day)
    size = (folder / FILE).stat().st_size
    cost = measured(partial(linked, folder))
    read, told = (folder / "told").read_text().splitlines()
    (folder / FILE).unlink()
    return Day(population, cost, int(read) / 2**20, size / 2**20, told)


def show(days: list[Day]) -> None:
    shown = Table("people", "vault MiB", "read MiB", "share", "CPU s", "s", "memory MiB", "found")
    for one in days:
        figures = (one.size, one.read, one.read / one.size * 100, one.cost.cpu, one.cost.wall, one.cost.memory)
        vault, read, share, *others = (f"{figure:,.0f}" for figure in figures)
        shown.add_row(f"{one.population:,}", vault, read, f"{share} %", *others, one.told)
    Console().print(shown)


def targets(days: list[Day]) -> list[Target]:
    first, last = days[0], days[-1]
    made = [
        Target("read of the vault ÷ the vault", last.read, SHARE, last.size, "MiB"),
        Target("peak memory", max(one.cost.memory for one in days), MEBIBYTES, unit="MiB"),
    ]
    if len(days) > 1:
        grown = math.log(last.population / first.population)
        made += [
            Target("power of the population by which bytes read grow", math.log(last.read / first.read) / grown, SLOPE),
            Target(
                "power of the population by which CPU grows", math.log(last.cost.cpu / first.cost.cpu) / grown, SLOPE
            ),
        ]
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, nargs="+", default=POPULATIONS)
    parser.add_argument("--day", type=int, default=DAY)
    parser.add_argument("--folder", type=Path, help="where the vaults of the benchmark go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        days: list[Day] = []
        for population in arguments.populations:
            days.append(day_of(population, arguments.day, Path(name) / str(population)))
            show(days)  # The next one may take hours.
    people = ", ".join(f"{one:,}" for one in arguments.populations)
    report(Result("linkage_day", f"{arguments.day:,} in a day, {people} people", targets(days)))


if __name__ == "__main__":
    main()
