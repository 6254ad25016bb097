"""Before the first delivery: the data home, the reference tables, and an invented country to try it with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.bar import Advance, bar
from ruam.cli.console import said, say

reference = typer.Typer(help="Reference tables that come beside the extracts.", no_args_is_help=True)


class ReferenceTable(StrEnum):
    REGISTRY = "registry"
    DRUGS = "drugs"
    INDICATORS = "indicators"


def init() -> None:
    """Make the data home and its keys. Safe to repeat: an existing key is never touched.

    RUAM_KEYS names another folder for the keys, or a key service (vault://MOUNT/PATH).
    """
    from identity.keys import create_keys, keys_of, load_keys
    from identity.linkage.links import ensure_links
    from ingestion.landing import ensure_schema_batch, key_ids, require_fitting
    from ingestion.reference import ensure_schemas

    home = settings().data_home
    home.create()
    source, made_with = keys_of(home), key_ids(home.landing)
    if made_with:
        load_keys(source)  # One that was lost must come back: a new one would join nothing that is there.
    created = create_keys(source)
    keys = load_keys(source)
    require_fitting(home.landing, keys, made_with)
    ensure_schema_batch(home.landing)
    ensure_schemas(home)
    ensure_links(home.links)
    say(f"Data home {said(home.root)}, keys {keys.key_id} ({'new' if created else 'kept'}).")
    if created:
        say(
            f"Keep a copy of {said(source)} in a safe place: without them no new record can join the old ones, and "
            "nobody can read the inbox or the vault again."
        )


def synth(
    out: Annotated[
        Path | None, typer.Argument(help="Folder to write; default RUAM_HOME/synthetic.", show_default=False)
    ] = None,
    facilities: Annotated[int, typer.Option(min=26, help="Health facilities, over all 13 regions.")] = 300,
    months: Annotated[int, typer.Option(min=1, max=60, help="Months of care.")] = 12,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    scale: Annotated[float, typer.Option(min=0.001, help="1 gives about 1.5 million visits in 12 months.")] = 1.0,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day of care.")] = datetime(2024, 4, 1),  # noqa: DTZ001
) -> None:
    """Generate an invented country: facility registry, drug map, deliveries with their faults, and the truth."""
    from ingestion.synthetic import generate

    active = settings()
    folder = out or active.data_home.root / "synthetic"
    with bar() as follow:
        follow(Advance("generate", 0, 100, "people and facilities"))
        summary = generate(
            folder,
            facilities=facilities,
            months=months,
            seed=seed,
            scale=scale,
            start=start.date(),
            workers=active.workers,
            progress=lambda done, total: follow(Advance("generate", done, total, f"{facilities:,} facilities")),
        )
    say(
        f"{summary.n_visits:,} visits of {summary.n_persons:,} people at {summary.n_facilities:,} facilities: "
        f"{summary.n_rows:,} rows in {summary.n_zips:,} zips, in {said(folder)}."
    )


@reference.command("load")
def reference_load(
    table: Annotated[ReferenceTable, typer.Argument(help="Which table the file holds.")],
    file: Annotated[
        Path, typer.Argument(help="Text with a header (comma, pipe, tab), UTF-8 or cp874.", show_default=False)
    ],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day for which the file holds; default today.", show_default=False),
    ] = None,
) -> None:
    """Check a facility registry, a drug map or values of rollout indicators, and keep the file.

    Of registries and drug maps the version of the latest day is in force; of indicators the newest value of each."""
    from ingestion.reference import load

    day: date = as_of.date() if as_of else datetime.now(UTC).date()
    loaded = load(settings().data_home, table.value, file, day)
    for sentence in [*loaded.rejected, *loaded.repaired]:
        say(f"  {said(sentence)}")
    state = "is in force" if loaded.in_force else "is kept; one of a later day stays in force"
    if loaded.unchanged:
        state = "is in force already" if loaded.in_force else "is kept already"
    say(
        f"{table.value}: {loaded.n_rows:,} rows, {len(loaded.rejected):,} lines rejected; "
        f"version {loaded.version} {state}."
    )
    log.info("reference loaded", extra={"table": table.value, "version": loaded.version, "rows": loaded.n_rows})
