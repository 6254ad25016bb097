"""The full build of warehouse and measures: how it grows, what it holds, and what dbt adds to the bare statements.

    python -m benchmarks.build [--visits 100000 200000 400000] [--of-one 150000] [--memory-limit 4GB] [--home HOME]
        [--peers-up-to 1000000000]

for the whole proof `--visits 1000000 5000000 20000000 --memory-limit 5GB --peers-up-to 5000000` (hours, and some
60 GB of disk, by what a million takes).

One country of the smallest size is landed (or that of `--home` is taken, read-only) and copied until it has the visits
asked for: of each copy every facility has another code, and every person another pseudonym, so that copies never meet
and each is as the first. Then, at each size, in a process of its own:

* *dbt build*: every seed, model and data test, as `ruam build --full-refresh` runs them;
* *dbt run*: the models alone;
* *bare*: the compiled statements of the same models in the same order, on one connection with the same settings.

The last two only up to the size that `--peers-up-to` names. The first is run twice at the smallest size: every table
must be the same, bit for bit, but for the time of the build; and the bare statements must give the same tables too.
Last, at the smallest size, one number is given to so many registrations that it bears `--of-one` visits, as a dummy
number does: no model may cost many times more for it.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import linear_regression

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks.country import START
from benchmarks.measuring import Cost, measured, show_costs
from benchmarks.results import Result, Target, cpu, report
from identity.keys import create_keys
from identity.linkage.links import ensure_links
from ingestion.job import ingest
from ingestion.landing import ensure_schema_batch
from ingestion.reference import ensure_schemas, load
from ingestion.synthetic import generate
from ruam.dbt import block_memory, manifest, run_dbt
from ruam.home import DataHome
from ruam.landing import committed_batches, holds, is_schema, region_of
from ruam.settings import Settings

SLOPE, RATIO, MEMORY_MIB, SKEW = 1.05, 1.25, 8 * 1024, 5.0
THREADS = 2

VOLATILE = {"publication": {"built_at"}}
"""Columns that tell when a build was, by table."""

FACILITY = {"main", "sub", "hsub", "hoscode", "movefrom", "moveto", "hosp_dx", "hosp_rx", "hospdeath"} | {
    f"{stem}{end}" for stem in ("hospcode", "referinhosp", "referouthosp") for end in ("", "_origin")
}
"""Columns of the landing and of the registry that hold a facility's code; also `hosp_destination`."""

VISITS_OF_SCALE = 1_376_000
"""Rows of SERVICE in a country of 60 facilities, 12 months and scale 1."""
SMALL, LARGEST = 55_000, 1_100_000
"""Visits of the country that is copied."""

FIRST_CODE = 10_000
DUMMY = "d" * 32


def land_country(folder: Path, visits: int = SMALL) -> DataHome:
    """A country of 60 facilities and 12 months, with about as many visits, landed.

    At most 1.1 million: its facilities are then of the nation's size (300 million visits a year at 14,000).
    """
    scale = min(visits, LARGEST) / VISITS_OF_SCALE
    generate(folder / "country", facilities=60, months=12, scale=scale, seed=1, start=START)
    settings = Settings(home=folder / "home", workers=THREADS)
    home = settings.data_home
    home.create()
    create_keys(home.keys)
    load(home, "registry", folder / "country" / "registry.csv", START)
    load(home, "drugs", folder / "country" / "drugs.csv", START)
    ensure_links(home.links)
    ingest(settings, [folder / "country" / "deliveries"])
    return home


def visits_of(home: DataHome) -> int:
    """Rows of SERVICE in the landing: what a visit is, before corrections."""
    with duckdb.connect() as connection:
        row = connection.execute(f"select count(*) from {rows_of(_files(home, 'service'))}").fetchone()
    assert row
    return int(row[0])


def grow(source: DataHome, folder: Path, visits: int) -> DataHome:
    """A home whose landing, registry and links hold as many copies of those of `source` as make up the visits."""
    copies = max(1, round(visits / visits_of(source)))
    home = DataHome(folder)
    home.create()
    ensure_schema_batch(home.landing)
    ensure_schemas(home)
    ensure_links(home.links)
    with duckdb.connect(config={"threads": THREADS, "memory_limit": "2GB"}) as connection:
        registry = [str(path) for path in source.reference.glob("registry/2*.parquet")]
        codes = connection.execute(f"select distinct hoscode from read_parquet({registry}) order by 1").fetchall()
        shift = partial(_shifted, connection, [str(row[0]) for row in codes], copies)
        for kind in ("registry", "drugs"):
            for path in source.reference.glob(f"{kind}/2*"):
                if path.suffix == ".parquet" and kind == "registry":
                    shift([path], home.reference / kind / path.name)
                else:
                    shutil.copy(path, home.reference / kind / path.name)
        shift([source.links], home.links)
        with_rows = batches_with_rows(source)
        for region in sorted({region_of(one) for one in with_rows}):
            batches = [one for one in with_rows if region_of(one) == region]
            target = home.landing / f"region={region}" / f"batch=20250601T0000000000{region}-grown"
            for table in sorted({path.name for batch in batches for path in batch.glob("*.parquet")}):
                target.mkdir(parents=True, exist_ok=True)
                found = [batch / table for batch in batches if (batch / table).exists()]
                shift(found, target / table, batch=target.name.removeprefix("batch="))
    return home


def _shifted(
    connection: duckdb.DuckDBPyConnection,
    codes: list[str],
    copies: int,
    sources: list[Path],
    target: Path,
    batch: str | None = None,
) -> None:
    """Write the rows of some files once for each copy, with the facilities and people of that copy."""
    source = rows_of(map(str, sources))
    columns = [str(row[0]) for row in connection.execute(f"describe from {source}").fetchall()]
    place = 'list_position($codes, "{0}")'
    moved = f'case when {place} > 0 then ({FIRST_CODE} + copy * {len(codes)} + {place})::varchar else "{{0}}" end'
    replaced = {}
    for name in columns:
        if name in FACILITY or name == "hosp_destination":
            replaced[name] = moved.format(name)
        elif name.endswith("_pseudonym") or name in ("person_key", "wide_person_key"):
            replaced[name] = f'case when copy = 0 then "{name}" else md5("{name}" || copy) end'
        elif name == "delivery_id":
            replaced[name] = f'case when copy = 0 then "{name}" else sha256("{name}" || copy) end'
        elif name == "batch" and batch:
            replaced[name] = f"'{batch}'"
    shown = ", ".join(f'{replaced[name]} as "{name}"' if name in replaced else f'"{name}"' for name in columns)
    connection.execute(
        f"copy (select {shown} from {source}, range({copies}) as copies (copy)) to '{target}' (format parquet)",
        {"codes": codes} if any("$codes" in one for one in replaced.values()) else {},
    )


def skew(source: DataHome, folder: Path, visits: int) -> DataHome:
    """A copy of a home in which one number, and one birth month, belong to so many people that they bear the visits.

    The registrations are taken in an order of their own kind, so that they come from all facilities.
    """
    home = DataHome(folder)
    shutil.copytree(source.root, home.root, ignore=shutil.ignore_patterns("warehouse.duckdb*", "dbt", "bare"))
    home.create()
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute(
            f"""
            create table bearers as
            select hospcode, pid
            from (
                select hospcode, pid, sum(count(*)) over (order by md5(hospcode || pid)) as n
                from {rows_of(_files(home, "service"))} group by hospcode, pid
            )
            where n <= $visits
            """,
            {"visits": visits},
        )
        for path in _files(home, "person"):
            connection.execute(f"""
                copy (
                    select person.* replace (
                        if(bearers.pid is null, person.cid_pseudonym, '{DUMMY}') as cid_pseudonym,
                        if(bearers.pid is null, person.cid_class, 'valid') as cid_class,
                        if(bearers.pid is null, person.birth_month, date '1970-01-01') as birth_month
                    )
                    from {rows_of([path])} as person
                    left join bearers on person.hospcode = bearers.hospcode and person.pid = bearers.pid
                ) to '{path}.new' (format parquet)
            """)
            Path(f"{path}.new").replace(path)
    return home


def batches_with_rows(home: DataHome) -> list[Path]:
    """Committed batches but that of the schema, which holds columns alone."""
    return [one for one in committed_batches(home.landing) if not any(map(is_schema, holds(one)))]


def _files(home: DataHome, table: str) -> list[str]:
    return [str(path) for one in committed_batches(home.landing) if (path := one / f"{table}.parquet").exists()]


def rows_of(paths: Iterable[str]) -> str:
    return f"read_parquet({list(paths)}, union_by_name = true, hive_partitioning = false)"


def by_dbt(home: DataHome, command: str, memory_limit: str, visits: int) -> int:
    """Run one command of dbt, `build` or `run`, from nothing but the landing (and seeds, for `run`)."""
    arguments = ["build", "--exclude-resource-type", "unit_test"] if command == "build" else ["run"]
    run_dbt([*arguments, "--full-refresh"], home, threads=THREADS, memory_limit=memory_limit)
    return visits


def prepare(home: DataHome) -> None:
    """Compile the project for a home and lay its seeds beside, for the bare statements."""
    run_dbt(["seed"], home)
    run_dbt(["compile"], home)
    (home.root / "bare").mkdir(exist_ok=True)
    # A database bears the name of its file, and the compiled statements name the database.
    shutil.copy(home.warehouse, home.root / "bare" / "warehouse.duckdb")


def bare(home: DataHome, memory_limit: str, visits: int, model: str | None = None) -> int:
    """Run the compiled statements of all models, or of one and what it is made of, each after those it reads.

    CPU seconds of each go to `bare/cpu.json`.
    """
    spent = {}
    spill = str(home.root / "bare" / "spill")
    with duckdb.connect(
        str(home.root / "bare" / "warehouse.duckdb"),
        config={
            "threads": THREADS,
            "memory_limit": memory_limit,
            "block_allocator_memory": block_memory(memory_limit),
            "temp_directory": spill,
            "preserve_insertion_order": False,
        },
    ) as connection:
        connection.execute("set TimeZone = 'UTC'; set enable_progress_bar = false")
        for name, kind, sql in statements(home, model):
            before = _cpu()
            connection.execute(f'create or replace {kind} "warehouse"."main"."{name}" as {sql}')
            spent[name] = _cpu() - before
    (home.root / "bare" / "cpu.json").write_text(json.dumps(spent), encoding="utf-8")
    return visits


def statements(home: DataHome, model: str | None = None) -> list[tuple[str, str, str]]:
    """Name, `table` or `view`, and compiled SQL of every model that is kept, each after those it reads; with `model`,
    of that and of what it is made of."""
    models = {key: node for key, node in manifest(home)["nodes"].items() if node["resource_type"] == "model"}
    ordered: dict[str, tuple[str, str, str]] = {}
    seen: set[str] = set()

    def place(key: str) -> None:
        if key in models and key not in seen:
            seen.add(key)
            for parent in models[key]["depends_on"]["nodes"]:
                place(parent)
            kept = models[key]["config"]["materialized"]
            if kept != "ephemeral":
                ordered[key] = (
                    models[key]["name"],
                    "view" if kept == "view" else "table",
                    models[key]["compiled_code"],
                )

    for key in sorted(models):
        if model in (None, models[key]["name"]):
            place(key)
    return list(ordered.values())


def fingerprints_in(warehouse: Path, names: Iterable[str]) -> dict[str, str]:
    with duckdb.connect(str(warehouse), read_only=True, config={"threads": THREADS}) as connection:
        return fingerprints(connection, names)


def fingerprints(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> dict[str, str]:
    """Rows and a hash of all rows of each table of the database in use, whatever their order."""
    found = {}
    for name in names:
        left_out = VOLATILE.get(name)
        columns = f"* exclude ({', '.join(sorted(left_out))})" if left_out else "*"
        rows = f'(select {columns} from main."{name}") as t'
        row = connection.execute(f"select count(*), bit_xor(hash(t)), sum(hash(t)::hugeint) from {rows}").fetchone()
        found[name] = str(row)
    return found


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    return sorted(name for name in one if one[name] != other.get(name))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def slope(costs: Mapping[int, Cost]) -> float:
    """Of CPU seconds over visits on a log-log plot; 1 is linear."""
    sizes = sorted(costs)
    return linear_regression([math.log(n) for n in sizes], [math.log(costs[n].cpu) for n in sizes]).slope


def show_models(title: str, spent: Mapping[str, Mapping[str, float]], n_shown: int = 12) -> None:
    """CPU seconds of the models that cost most in the last of the columns."""
    names = list(spent)
    table = Table("model", *(f"{name}, CPU s" for name in names), title=title)
    for model in sorted(spent[names[-1]], key=lambda one: -spent[names[-1]][one])[:n_shown]:
        table.add_row(model, *(f"{spent[name][model]:.2f}" for name in names))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, nargs="+", default=[100_000, 200_000, 400_000])
    parser.add_argument("--of-one", type=int, default=150_000, help="visits of one number; 0 leaves it out")
    parser.add_argument("--memory-limit", default="4GB")
    parser.add_argument("--peers-up-to", type=int, default=10**9, help="visits beyond which dbt build alone is run")
    parser.add_argument("--home", type=Path, help="a data home whose landing is copied; default: one is generated")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as made:
        sizes = ", ".join(f"{visits:,}" for visits in chosen.visits)
        report(Result("build", f"{sizes} visits", list(prove(Path(made), chosen))))


def prove(folder: Path, chosen: argparse.Namespace) -> Iterable[Target]:
    source = DataHome(chosen.home.absolute()) if chosen.home else land_country(folder, min(chosen.visits))
    sizes = sorted(chosen.visits)
    if sizes[0] > chosen.peers_up_to:
        raise SystemExit("--peers-up-to must reach the smallest of --visits: builds are compared there.")
    costs: dict[str, dict[int, Cost]] = {"dbt build": {}, "dbt run": {}, "bare": {}}
    spent: dict[str, dict[str, float]] = {}
    problems: list[str] = []
    for size in sizes:
        home = grow(source, folder / str(size), size)
        visits = visits_of(home)
        costs["dbt build"][size] = measured(partial(by_dbt, home, "build", chosen.memory_limit, visits))
        if size > chosen.peers_up_to:
            show_costs(f"{visits:,} visits", {"dbt build": costs["dbt build"][size]}, 1)
            shutil.rmtree(home.root)
            continue
        names = [name for name, _, _ in statements(home)]
        built = fingerprints_in(home.warehouse, names)
        if size == sizes[0]:
            measured(partial(by_dbt, home, "build", chosen.memory_limit, visits))
            problems += [f"built twice: {name}" for name in differing(built, fingerprints_in(home.warehouse, names))]
        home.warehouse.unlink()
        prepare(home)
        costs["bare"][size] = measured(partial(bare, home, chosen.memory_limit, visits))
        spent[f"{visits:,}"] = json.loads((home.root / "bare" / "cpu.json").read_text(encoding="utf-8"))
        if size == sizes[0]:
            plain = fingerprints_in(home.root / "bare" / "warehouse.duckdb", names)
            problems += [f"bare: {name}" for name in differing(built, plain)]
        (home.root / "bare" / "warehouse.duckdb").unlink()
        costs["dbt run"][size] = measured(partial(by_dbt, home, "run", chosen.memory_limit, visits))
        show_costs(f"{visits:,} visits", {name: ones[size] for name, ones in costs.items()}, 1)
        if size == sizes[0] and chosen.of_one:
            plain_cpu = spent[f"{visits:,}"]
            dummy = skew(home, folder / "skewed", chosen.of_one)
            prepare(dummy)
            costs["one number"] = {size: measured(partial(bare, dummy, chosen.memory_limit, visits))}
            skewed = json.loads((dummy.root / "bare" / "cpu.json").read_text(encoding="utf-8"))
            show_models(f"one number bears {chosen.of_one:,} visits", {"as it is": plain_cpu, "skewed": skewed})
            shutil.rmtree(dummy.root)
        shutil.rmtree(home.root)
    show_models("CPU of the bare statements", spent)
    for problem in problems:
        Console().print(f"[bold red]differs:[/] {problem}")
    yield Target("tables that differ between equal builds", len(problems), 0)
    for name, told in {"dbt build": "dbt build over visits, log-log", "bare": "the bare statements"}.items():
        if len(costs[name]) > 1:
            yield Target(f"slope of {told}", slope(costs[name]), SLOPE)
    peak = max(cost.memory for cost in costs["dbt build"].values())
    yield Target("peak memory of dbt build", peak, MEMORY_MIB, unit="MiB")
    largest = max(costs["bare"])
    yield cpu("CPU of dbt run ÷ its statements alone", costs["dbt run"][largest], costs["bare"][largest], RATIO)
    if "one number" in costs:
        one, none = costs["one number"][sizes[0]], costs["bare"][sizes[0]]
        yield cpu("CPU with one number for many visits ÷ none", one, none, SKEW)


if __name__ == "__main__":
    main()
