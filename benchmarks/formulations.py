"""RED-02, NEC-01 and RED-09, each as its model puts it against an obvious other way, on the same rows in one run.

    python -m benchmarks.formulations [--warehouse FILE] [--measures RED-09] [--runs 3] [--of-one 5000 20000 150000]

FILE is a built warehouse, read only; without it a small country is landed and built. Both ways must flag the same
events of the variant `main`, and of people as they are the very events that the model's table flags. Then one number,
such as a dummy that many patients share, is given so many rows of the model's input.

RED-06 has a benchmark of its own (`benchmarks.overlaps`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.build import bare, land_country, prepare, visits_of
from benchmarks.measuring import RUNS, measured_in_turn, show_costs

DUMMY = "dummy"
CONFIG = {"threads": 2, "memory_limit": "4GB"}

COMPARABLE = """
    select
        visit_key, person_key, condition_code, hospcode, date_serv, date_serv - date '1970-01-01' as day_number,
        is_eligible as is_denominator, is_eligible and coalesce(typeout, '') in ('1', '7', '8') as is_index
    from int_visits__qualified
    where visit_class in ('OP', 'TELE') and condition_code is not null and person_tier = 'A' and is_eligible
"""

RED_02_WINDOWS = f"""
with comparable as ({COMPARABLE}),
several as (select person_key, condition_code from comparable group by all having min(hospcode) <> max(hospcode)),
compared as (
    select
        visit_key, hospcode, is_denominator,
        min(case when is_index then hospcode end) over earlier as lowest,
        max(case when is_index then hospcode end) over earlier as highest
    from comparable inner join several using (person_key, condition_code)
    window earlier as (
        partition by person_key, condition_code order by day_number range between 7 preceding and 1 preceding
    )
)
select visit_key as event from compared where is_denominator and (lowest <> hospcode or highest <> hospcode)
"""

RED_02_PAIRS = f"""
with comparable as ({COMPARABLE})
select distinct later.visit_key as event
from comparable as later
inner join comparable as earlier
    on later.person_key = earlier.person_key and later.condition_code = earlier.condition_code
    and later.hospcode <> earlier.hospcode
    and earlier.date_serv between later.date_serv - 7 and later.date_serv - 1
where later.is_denominator and earlier.is_index
"""

EPISODES = """
    with code_classes as (
        select
            codes.code, true as is_excluded
        from (select distinct first_principal_diagnosis as code from int_episodes__summarized) as codes
        inner join code_sets on set_id = 'readmission_index_excluded' and regexp_matches(code, pattern)
        group by codes.code
    ),
    episodes as (
        select
            episode_key, person_key, started_at, ended_at, is_planned,
            coalesce(last_discharge_type, '') in ('1', '5')
            and coalesce(last_discharge_status, '') not in ('8', '9') and not coalesce(is_excluded, false)
            and ended_at::date <= (select max(ended_at)::date - 30 from int_episodes__summarized) as is_index
        from int_episodes__summarized
        left join code_classes on first_principal_diagnosis = code
        where linkage = 'number'
    )
"""

NEC_01_LEAD = f"""
{EPISODES},
followed as (
    select
        *,
        lead(started_at) over after as next_started_at,
        lead(is_planned) over after as is_next_planned
    from episodes
    window after as (partition by person_key order by started_at, episode_key)
)
select episode_key as event
from followed
where is_index and not is_next_planned and next_started_at::date - ended_at::date between 1 and 30
"""

NEC_01_PAIRS = f"""
{EPISODES},
following as (
    select
        episodes.episode_key, episodes.ended_at,
        arg_min(later.is_planned, later.started_at::varchar || later.episode_key) as is_next_planned,
        min(later.started_at) as next_started_at
    from episodes
    inner join episodes as later
        on episodes.person_key = later.person_key
        and (later.started_at, later.episode_key) > (episodes.started_at, episodes.episode_key)
    where episodes.is_index
    group by episodes.episode_key, episodes.ended_at
)
select episode_key as event
from following
where not is_next_planned and next_started_at::date - ended_at::date between 1 and 30
"""

YEARS = "select distinct month_start, period_end from bridge_months_periods where period_type <> 'month'"

RED_09_INDEX = """
select person_key || period_end as event
from (
    select
        person_key, period_end,
        (sum(n_visits * n_visits) - sum(n_visits)) / (sum(n_visits) * (sum(n_visits) - 1)) as coc,
        min(person_tier) in ('A', 'B') as is_linkable
    from facilities
    group by all
    having sum(n_visits) >= 4
)
where is_linkable and coc < 0.7
"""

RED_09_MONTHS_FIRST = f"""
with years as ({YEARS}),
monthly as (
    select
        person_key, hospcode, date_trunc('month', date_serv)::date as month_start, min(person_tier) as person_tier,
        count(*) as n_visits
    from int_visits__qualified where visit_class = 'OP' group by all
),
facilities as (
    select
        period_end, person_key, hospcode, min(person_tier) as person_tier, sum(n_visits)::double as n_visits
    from monthly inner join years using (month_start) group by all
)
{RED_09_INDEX}
"""

RED_09_VISITS = f"""
with years as ({YEARS}),
facilities as (
    select period_end, person_key, hospcode, min(person_tier) as person_tier, count(*)::double as n_visits
    from int_visits__qualified
    inner join years on date_trunc('month', date_serv)::date = month_start
    where visit_class = 'OP'
    group by all
)
{RED_09_INDEX}
"""


@dataclass(frozen=True)
class Question:
    measure: str
    kept: str
    other: str
    ways: dict[str, str]
    input: str
    """The table whose rows one number is given."""
    event: str
    """Expression of the event in the model's own table."""


QUESTIONS = [
    Question(
        "RED-02",
        "windows",
        "pairs",
        {"windows": RED_02_WINDOWS, "pairs": RED_02_PAIRS},
        "int_visits__qualified",
        "event_key",
    ),
    Question(
        "NEC-01",
        "the next by lead",
        "pairs",
        {"the next by lead": NEC_01_LEAD, "pairs": NEC_01_PAIRS},
        "int_episodes__summarized",
        "event_key",
    ),
    Question(
        "RED-09",
        "visits by years",
        "months first",
        {"months first": RED_09_MONTHS_FIRST, "visits by years": RED_09_VISITS},
        "int_visits__qualified",
        "person_key || event_date",
    ),
]
NEEDED = ("int_visits__qualified", "int_episodes__summarized", "bridge_months_periods", "code_sets")


def built_warehouse(folder: Path) -> Path:
    """A small country, landed and built by the bare statements."""
    home = land_country(folder)
    prepare(home)
    bare(home, "4GB", visits_of(home))
    return home.root / "bare" / "warehouse.duckdb"


def copy_inputs(warehouse: Path, target: Path, question: Question, of_one: int) -> int:
    """The tables that the ways read, with `of_one` rows of the input given to one number; rows of the input.

    The table `flagged` holds the events that the model flags, which one number would change.
    """
    measure = "msr_" + question.measure.lower().replace("-", "_")
    with duckdb.connect(str(target), config=CONFIG) as connection:
        connection.execute(f"set enable_progress_bar = false; attach '{warehouse}' as built (read_only)")
        for table in NEEDED:
            connection.execute(f"create table {table} as from built.main.{table}")
        if of_one:
            connection.execute(f"""
                update {question.input} set person_key = '{DUMMY}', person_tier = 'A'
                where rowid in (select rowid from {question.input} order by hash(rowid) limit {of_one})
            """)
            if question.input == "int_visits__qualified":
                # The worst that a number can be: everybody with the same condition.
                worst = f"set condition_code = 'J06', is_eligible = true where person_key = '{DUMMY}'"
                connection.execute(f"update {question.input} {worst}")
        else:
            connection.execute(
                f"create table flagged as select {question.event} as event from built.main.{measure} "
                "where variant = 'main' and is_numerator"
            )
        row = connection.execute(f"select count(*) from {question.input}").fetchone()
    assert row
    return int(row[0])


def run(sql: str, file: Path, n: int) -> int:
    """Run one way and hold what it flags against the model, and against what the other way flagged.

    Raises `RuntimeError` when they differ.
    """
    with duckdb.connect(str(file), read_only=True, config=CONFIG) as connection:
        connection.execute("set enable_progress_bar = false")
        count = "select count(*) || '/' || coalesce(bit_xor(hash(event)), 0)"
        found = connection.execute(f"{count} from ({sql})").fetchone()
        has_model = connection.execute("select count(*) from duckdb_tables() where table_name = 'flagged'").fetchone()
        wanted = connection.execute(f"{count} from flagged").fetchone() if has_model == (1,) else None
    assert found
    check = file.with_suffix(".found")
    known = [wanted[0]] if wanted else [check.read_text(encoding="utf-8")] if check.exists() else []
    if known and known != [found[0]]:
        raise RuntimeError(f"The formulations differ: {found[0]} against {known[0]}.")
    check.write_text(str(found[0]), encoding="utf-8")
    return n


def prepared(sql: str, file: Path, n: int, _: int) -> Callable[[], int]:
    return partial(run, sql, file, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warehouse", type=Path)
    parser.add_argument("--measures", nargs="+", default=[one.measure for one in QUESTIONS])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--of-one", type=int, nargs="*", default=[5_000, 20_000, 150_000])
    parser.add_argument("--others-up-to", type=int, default=20_000, help="rows of one number")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = (chosen.warehouse or built_warehouse(Path(folder))).absolute()
        for question in (one for one in QUESTIONS if one.measure in chosen.measures):
            for of_one in (0, *chosen.of_one):
                file = Path(folder) / f"{question.measure}-{of_one}.duckdb"
                n = copy_inputs(warehouse, file, question, of_one)
                ways = question.ways
                if of_one > chosen.others_up_to:
                    ways = {question.kept: question.ways[question.kept]}
                title = f"{question.measure}, {f'one number with {of_one:,} rows' if of_one else 'people as they are'}"
                works = {name: partial(prepared, sql, file, n) for name, sql in ways.items()}
                show_costs(title, measured_in_turn(works, chosen.runs), chosen.runs)
                file.unlink()


if __name__ == "__main__":
    main()
