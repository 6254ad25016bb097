"""Linkage: growth from 10 k to 1 M records without a number. `linkage_day` has what a day reads of a whole population.

    python -m benchmarks.linkage [--sizes 10000 100000 1000000] [--folder FOLDER]

The people are made in SQL (two records each, a quarter of the names with a slip), for inventing a million of them by
`ingestion.synthetic` takes longer than linking them. Growth is told in seconds of CPU, which others on the machine
disturb less.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.linkage_day import KEY, names
from benchmarks.measuring import measured, show_costs
from benchmarks.results import Result, Target, report
from identity.linkage.link import link
from identity.linkage.model import load
from identity.vault import connected
from ruam.settings import Settings

SIZES = (10_000, 100_000, 1_000_000)
SECONDS, MEBIBYTES = 600, 8192
LIMITS = Settings(memory_limit="6GB", workers=2)


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
            'd' || (i // 1000)::varchar as delivery_id,
            1 as arrived,
            false as is_known
        from drawn
        inner join names as g on g.at = h // 13 % 4000
        inner join names as s on s.at = h // 17 % 4000
        inner join names as t on t.at = h // 19 % 4000
    """


def _grow(n: int, folder: Path) -> int:
    """Link `n` records without a number, beside half as many with one, in a vault of its own."""
    place = folder / str(n)
    place.mkdir()
    with connected(LIMITS, place, KEY) as connection:
        names(connection)
        connection.execute(f"insert into records by name {_people(0, n, numbered=False)}")
        connection.execute(f"insert into records by name {_people(2 * n, n // 2, numbered=True)}")
        return link(connection, load()).n_residue


def compare(sizes: Sequence[int], folder: Path) -> Result:
    costs = {n: measured(partial(_grow, n, folder)) for n in sizes}
    show_costs("Linkage of records without a number", {f"{n:,} records": cost for n, cost in costs.items()}, 1)
    small, large = min(sizes), max(sizes)
    first, last = costs[small], costs[large]
    is_whole = large >= SIZES[-1]
    lines = [
        Target("time of the most records", last.wall, SECONDS if is_whole else None, unit="s"),
        Target("memory of the most records", last.memory, MEBIBYTES, unit="MiB"),
    ]
    if small < large:
        slope = math.log(last.cpu / first.cpu) / math.log(large / small)
        lines.append(Target("slope of CPU over records, log-log ÷ linear", slope, 1.2, 1))
    return Result("linkage", f"{', '.join(f'{n:,}' for n in sizes)} records", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--folder", type=Path, help="where the vaults of the benchmark go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        report(compare(arguments.sizes, Path(name)))


if __name__ == "__main__":
    main()
