"""Supplies of one substance from two facilities (RED-06): three formulations on the same rows, in one run.

* *two windows*: the model as it is compiled (`macros/overlapping_cover.sql`).
* *pairs*: each dispensing joined to every earlier one of another facility, the furthest kept.
* *facilities*: each dispensing once for every other facility of its person and substance, a running maximum over each.

First people as they are, then one number (such as a dummy that many patients share) with all the rows. The three must
name the same overlaps.

    python -m benchmarks.overlaps [--rows 4000000] [--runs 3] [--of-one 5000 10000 20000 150000]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.measuring import RUNS, measured_in_turn, show_costs
from ruam.dbt import run_dbt
from ruam.home import DataHome
from tests.warehouse.landing_factory import make_home

COVERED = "int_dispensings__covered"

PEOPLE = """
with people as (select range as person, (1 + hash(range, 'n') % 2)::bigint as n_substances from range($rows // 12))
select
    md5(person || '-' || substance || '-' || refill) as dispensing_key,
    md5(person::varchar) as person_key,
    md5(person::varchar) as wide_person_key,
    'A' as person_tier,
    'C10AA0' || substance as substance,
    -- Six of seven refills come from the person's own facility.
    (
        10000 + case when hash(person, refill, 'f') % 7 = 0 then hash(person, refill, 'g') else hash(person) end % 9000
    )::varchar as hospcode,
    '54' as treatment_province_code,
    date '2025-01-01' + (refill * 45 + hash(person, substance, refill, 'd') % 20)::integer as dispensed_date,
    '090000' as time_serv,
    date '2025-01-01' + (refill * 45 + hash(person, substance, refill, 'd') % 20 + 59)::integer as cover_end,
    case
        when hash(person, refill, 's') % 3 > 0 then (5 * (1 + hash(person, refill, 's') % 3))::decimal(18, 4)
    end as strength,
    true as is_chronic, true as is_oral_or_inhaled, false as is_referred_out, 30.00::decimal(18, 4) as price
from people, range(n_substances) as s (substance), range(8) as r (refill)
"""

ONE_NUMBER = """
select
    md5(range::varchar) as dispensing_key, 'dummy' as person_key, 'dummy' as wide_person_key, 'A' as person_tier,
    'C08CA01' as substance,
    (10000 + hash(range) % 900)::varchar as hospcode, '54' as treatment_province_code,
    date '2024-01-01' + (hash(range, 'd') % 720)::integer as dispensed_date,
    lpad((hash(range, 't') % 240000)::varchar, 6, '0') as time_serv,
    date '2024-01-01' + (hash(range, 'd') % 720 + 14 + hash(range, 'l') % 60)::integer as cover_end,
    null::decimal(18, 4) as strength,
    true as is_chronic, true as is_oral_or_inhaled, false as is_referred_out, 30.00::decimal(18, 4) as price
from range($rows)
"""

COMPARABLE = """
comparable as (
    select
        *,
        cover_end::varchar || lpad(hospcode, 9, ' ') || coalesce(lpad(strength::varchar, 20, ' '), '') as own_cover,
        dispensed_date::varchar || coalesce(time_serv, '~') || hospcode || dispensing_key as place
    from int_dispensings__covered
    join (
        select person_key, substance from int_dispensings__covered group by all having min(hospcode) <> max(hospcode)
    ) using (person_key, substance)
)
"""

PAIRS = f"""
with {COMPARABLE},
furthest as (
    select later.dispensing_key, max(earlier.own_cover) as cover
    from comparable as later
    join comparable as earlier
        on later.person_key = earlier.person_key and later.substance = earlier.substance
        and later.hospcode <> earlier.hospcode and earlier.place < later.place
    group by all
)
select dispensing_key, substr(cover, 1, 10)::date as other_cover_end from furthest
"""

FACILITIES = f"""
with {COMPARABLE},
facilities as (select distinct person_key, substance, hospcode as other_hospcode from comparable),
lined as (
    select comparable.*, facilities.other_hospcode
    from comparable join facilities using (person_key, substance)
),
framed as (
    select
        dispensing_key,
        hospcode = other_hospcode as is_own,
        max(case when hospcode = other_hospcode then own_cover end) over (
            partition by person_key, substance, other_hospcode order by place
            rows between unbounded preceding and 1 preceding
        ) as cover
    from lined
)
select dispensing_key, substr(max(cover), 1, 10)::date as other_cover_end
from framed where not is_own group by all having max(cover) is not null
"""


def compiled_windows(folder: Path) -> str:
    """The model's own SQL up to the overlaps of persons, reading a table of this connection."""
    home: DataHome = make_home(folder / "home")
    run_dbt(["seed", "--select", "measure_parameters"], home)
    run_dbt(["compile", "--select", "msr_red_06"], home)
    sql = (home.dbt / "target/compiled/ruam/models/measures/msr_red_06.sql").read_text(encoding="utf-8")
    chain = sql[: sql.index("by_wide_person_key_comparable as (")].rstrip().removesuffix(",")
    chain = chain.replace(f'"warehouse"."main"."{COVERED}"', COVERED)
    return f"{chain} select dispensing_key, other_cover_end from by_person_key"


def make(rows: str, n: int, file: Path) -> None:
    with duckdb.connect(config={"threads": 2, "memory_limit": "4GB"}) as connection:
        connection.execute(f"copy ({rows.replace('$rows', str(n))}) to '{file}' (format parquet)")


def run(sql: str, file: Path, n: int) -> int:
    """Run one formulation and hold what it found against what the others found.

    Raises `RuntimeError` when they differ.
    """
    with duckdb.connect(config={"threads": 2, "memory_limit": "4GB"}) as connection:
        connection.execute(f"create view {COVERED} as from '{file}'")
        found = connection.execute(
            f"select count(*) || '/' || bit_xor(hash(dispensing_key, other_cover_end)) from ({sql})"
        ).fetchone()
    assert found
    check = file.with_suffix(".found")
    if check.exists() and check.read_text(encoding="utf-8") != found[0]:
        raise RuntimeError("The formulations differ.")
    check.write_text(found[0], encoding="utf-8")
    return n


def prepared(sql: str, file: Path, n: int, _: int) -> Callable[[], int]:
    return partial(run, sql, file, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--of-one", type=int, nargs="+", default=[5_000, 10_000, 20_000, 150_000])
    parser.add_argument("--others-up-to", type=int, default=20_000, help="rows of one number")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        windows = compiled_windows(Path(folder))
        for title, rows, n in [
            ("people", PEOPLE, chosen.rows),
            *(("one number", ONE_NUMBER, n) for n in chosen.of_one),
        ]:
            file = Path(folder) / f"{title}-{n}.parquet"
            make(rows, n, file)
            ways = {"two windows": windows}
            if rows == PEOPLE or n <= chosen.others_up_to:
                ways |= {"facilities": FACILITIES, "pairs": PAIRS}
            works = {name: partial(prepared, sql, file, n) for name, sql in ways.items()}
            show_costs(f"{title}, {n:,} rows", measured_in_turn(works, chosen.runs), chosen.runs)


if __name__ == "__main__":
    main()
