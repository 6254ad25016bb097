"""Studies of what the policy changed, from the warehouse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import say

study = typer.Typer(help="Studies of what the policy changed.", no_args_is_help=True)


@study.callback()
def _group() -> None:
    """Keeps `rollout` a word of its own while it is the only study."""


@study.command("rollout")
def study_rollout() -> None:
    """Before and after go-live, by cohorts of provinces, with placebo checks.

    Staggered difference-in-differences on the shares of visits out of the network, the province and the region. The
    result is kept with its receipt; `ruam build` and `ruam publish` bring it to the pages. What must hold for it to
    mean anything: docs/rollout-study.md.
    """
    import polars as pl

    from ingestion.reference import load
    from ruam.study import read, study

    active = settings()
    active.data_home.require()
    found = study(*read(active.data_home))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "rollout_effects.csv"
        found.write_csv(file)
        loaded = load(active.data_home, "rollout_effects", file, datetime.now(UTC).date())
    for row in found.filter(pl.col("part") == "overall").iter_rows(named=True):
        say(
            f"{row['measure_id']}: {row['effect']:+.2f} points ({row['effect_low']:+.2f} to {row['effect_high']:+.2f}) "
            f"in {row['n_provinces']} provinces after going live, against {row['n_controls']} that were not; "
            f"placebo checks: {row['verdict'].replace('_', ' ')}."
        )
    say(f"Version {loaded.version} is kept. `ruam build`, then `ruam publish`, bring it to the pages.")
    log.info("study made", extra={"table": "rollout_effects", "version": loaded.version, "rows": loaded.n_rows})
