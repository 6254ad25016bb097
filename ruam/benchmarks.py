"""What the benchmarks found, kept from run to run: a Parquet file a run, a row a line.

| column | what |
|---|---|
| `at` | when the run ended, UTC |
| `commit` | of the project, with a `+` where files differed from it; `unknown` outside of a checkout |
| `benchmark`, `line`, `size` | what was measured, on how much; lines are compared where all three are the same |
| `unit`, `value`, `peer` | our figure and the peer's, measured in the same run; `peer` is null where there is none |
| `ratio` | `value / peer`, or `value` alone: the less, the better |
| `target` | what the ratio is to stay at or under; null where nothing was promised |
| `cpu_model`, `cores`, `memory_gib` | the machine |
| `load` | its load over the last quarter of an hour of the run |
| `versions` | of Python and of the packages that do the work |
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ruam.settings import PROJECT

HISTORY = PROJECT / "benchmarks" / "history"
WORSE = 0.15
"""By so much more than usual a ratio is a finding."""

SCHEMA = pl.Schema(
    {
        "at": pl.Datetime("us", "UTC"),
        "commit": pl.String(),
        "benchmark": pl.String(),
        "line": pl.String(),
        "size": pl.String(),
        "unit": pl.String(),
        "value": pl.Float64(),
        "peer": pl.Float64(),
        "ratio": pl.Float64(),
        "target": pl.Float64(),
        "cpu_model": pl.String(),
        "cores": pl.Int64(),
        "memory_gib": pl.Int64(),
        "load": pl.Float64(),
        "versions": pl.String(),
    }
)
LINE = ("benchmark", "line", "size")
MACHINE = ("cpu_model", "cores")
"""Ratios are compared between machines that are alike in these."""


def keep(run: pl.DataFrame, folder: Path = HISTORY) -> Path:
    """Write the rows of one run, all of one `at`; its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run['at'][0]:%Y%m%dT%H%M%S%fZ}.parquet"
    run.select(*SCHEMA).cast(SCHEMA).write_parquet(path, statistics=False)
    return path


def history(folder: Path = HISTORY) -> pl.DataFrame:
    """All rows that were kept, in order of time; none where there is no such folder."""
    runs = [pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return pl.concat([pl.DataFrame(schema=SCHEMA), *runs]).sort("at", maintain_order=True)


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """The last result of each line at each size, beside earlier ones of machines like that one.

    Columns: those of `rows`; `usual`, the median of the earlier ratios, and `n_earlier` of them; `change`, by what
    share of it the ratio is more; `is_worse`, whether by more than `WORSE`. Null where nothing was measured earlier.
    """
    last = rows.group_by(LINE, maintain_order=True).last()
    earlier = (
        rows.join(last.select(*LINE, *MACHINE, pl.col("at").alias("last_at")), on=[*LINE, *MACHINE])
        .filter(pl.col("at") < pl.col("last_at"))
        .group_by(LINE)
        .agg(pl.col("ratio").median().alias("usual"), pl.len().alias("n_earlier"))
    )
    ratio, usual = pl.col("ratio"), pl.col("usual")
    return last.join(earlier, on=LINE, how="left", maintain_order="left").with_columns(
        # Of nothing there is no share.
        pl.when(usual > 0).then(ratio / usual - 1).alias("change"),
        (ratio > usual * (1 + WORSE)).alias("is_worse"),
    )


def findings(rows: pl.DataFrame) -> list[str]:
    """A sentence for each line whose last result is worse than usual."""
    return [
        f"{one['benchmark']}: {one['line']}: {one['ratio']:.2f}, usually {one['usual']:.2f}"
        + ("" if one["change"] is None else f" ({one['change']:+.0%})")
        + f"; commit {one['commit']}, {one['at']:%Y-%m-%d}, {one['size']}; {one['n_earlier']} earlier"
        for one in newest(rows).filter("is_worse").iter_rows(named=True)
    ]
