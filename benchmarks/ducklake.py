"""The warehouse in DuckLake on PostgreSQL against the same in a file of DuckDB's, each built in full from one landing.

    python -m benchmarks.ducklake [--home HOME] [--memory-limit 4GB]

Needs the packages of `make bench-tools` and PostgreSQL's server (Debian's `postgresql`), which this starts for itself
behind a socket in a temporary folder. The project is the same, model for model; a profile alone says where tables lie.
Every table must be equal, bit for bit. DuckLake is built with one statement at a time, and then again with two, in a
process of its own, since that is where it did not hold (docs/decisions/0034).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

import duckdb
from rich.console import Console

from benchmarks.build import fingerprints, land_country, statements, visits_of
from benchmarks.measuring import measured, show_costs
from benchmarks.results import Result, cpu, memory, report
from ingestion.reference import ensure_schemas
from ruam.dbt import run_dbt
from ruam.home import DataHome
from ruam.settings import PROJECT
from tests.postgres import DATABASE, USER, postgres, programs

FILE, LAKE = "a file", "DuckLake"
THREADS = 2
EXTENSIONS = ("ducklake", "postgres_scanner")
PROFILE = """
ruam:
  target: duckdb
  outputs:
    duckdb:
      type: duckdb
      path: ":memory:"
      database: lake
      threads: "{{{{ env_var('RUAM_THREADS') | int }}}}"
      attach:
        - {{path: "{lake}", alias: lake, options: {{data_path: "{data}"}}}}
      config_options:
        memory_limit: "{{{{ env_var('RUAM_MEMORY_LIMIT') }}}}"
        temp_directory: "{{{{ env_var('RUAM_SPILL') }}}}"
        extension_directory: "{extensions}"
        threads: "2"
        preserve_insertion_order: false
      settings: {{TimeZone: UTC}}
"""


def install(extensions: Path) -> None:
    """Put the extensions of the pinned packages where DuckDB looks for them: nothing is downloaded."""
    import duckdb_extension_ducklake
    import duckdb_extension_postgres_scanner

    packages = (duckdb_extension_ducklake, duckdb_extension_postgres_scanner)
    with duckdb.connect(config={"extension_directory": str(extensions)}) as connection:
        for name, package in zip(EXTENSIONS, packages, strict=True):
            folder = Path(str(package.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
            connection.execute(f"install '{folder / name}.duckdb_extension'")


def built(home: DataHome, profiles: Path, threads: int, memory_limit: str, visits: int) -> int:
    """Every seed and model, by the profile in a folder, so many statements at once."""
    for command in (["seed"], ["run", "--full-refresh"]):
        run_dbt(command, home, threads=threads, memory_limit=memory_limit, profiles=profiles)
    return visits


def compare(folder: Path, home: DataHome, memory_limit: str) -> Result:
    """Raises `SystemExit` when a table differs, or PostgreSQL's server is not installed."""
    if (server := programs()) is None:
        sys.exit("PostgreSQL's server is not installed: install Debian's postgresql.")
    visits, extensions = visits_of(home), folder / "extensions"
    install(extensions)
    costs = {FILE: measured(partial(built, home, PROJECT, THREADS, memory_limit, visits))}
    names = [name for name, _, _ in statements(home)]
    with duckdb.connect(str(home.warehouse), read_only=True) as connection:
        expected = fingerprints(connection, names)
    with postgres(server) as socket:
        lake = f"ducklake:postgres:host={socket} user={USER} dbname={DATABASE}"
        profile = PROFILE.format(lake=lake, data=folder / "data", extensions=extensions)
        (folder / "profiles.yml").write_text(profile, encoding="utf-8")
        costs[LAKE] = measured(partial(built, home, folder, 1, memory_limit, visits))
        with duckdb.connect(config={"extension_directory": str(extensions)}) as connection:
            connection.execute(f"load ducklake; load postgres_scanner; attach '{lake}' as lake; use lake")
            found = fingerprints(connection, names)
        try:
            at_once = f"held ({measured(partial(built, home, folder, THREADS, memory_limit, visits)).wall:.0f} s)"
        except (EOFError, ConnectionResetError):
            at_once = "failed (see above)"
    if wrong := sorted(name for name in names if found[name] != expected[name]):
        sys.exit(f"{len(wrong)} of {len(names)} tables differ: {', '.join(wrong)}")
    show_costs("The warehouse", costs, 1)
    console = Console()
    console.print(f"All {len(names)} tables and views are equal. Two statements at once {at_once} in DuckLake.")
    ours, peer = costs[LAKE], costs[FILE]
    lines = [
        cpu("CPU of dbt run in DuckLake ÷ in a file", ours, peer),
        memory("memory of dbt run in DuckLake ÷ in a file", ours, peer),
    ]
    return Result("ducklake", f"{visits:,} visits", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a data home whose landing is built; default: one is generated")
    parser.add_argument("--memory-limit", default="4GB")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        source = DataHome(chosen.home.absolute()) if chosen.home else land_country(folder)
        home = DataHome(folder / "built")
        left_out = shutil.ignore_patterns("warehouse.duckdb*", "dbt", "inbox", "vault", "synthetic", "serving", "spill")
        shutil.copytree(source.root, home.root, ignore=left_out)
        home.create()
        ensure_schemas(home)
        report(compare(folder, home, chosen.memory_limit))


if __name__ == "__main__":
    main()
