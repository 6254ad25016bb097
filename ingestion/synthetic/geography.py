"""The 77 provinces: region, population, and the day the policy went live in each."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from ingestion.synthetic.catalogue import DATA

SEEDS = Path(__file__).resolve().parents[2] / "seeds"
NATIONAL_POPULATION = 66_052_615
"""Registered on 31 December 2023 [BKPPOP]; provinces bear counts of different years and are scaled to it."""


def load_provinces(start: date) -> pl.DataFrame:
    """One row a province: p (index), code, name_th, region, population (persons), live_day.

    `live_day` is the go-live in days after `start`, negative when before. Ordered by region, then code.
    """
    provinces = (
        _read(SEEDS / "geography" / "provinces.csv")
        .join(_read(DATA / "population.csv"), on="province_code", validate="1:1", maintain_order="left")
        .rename({"province_code": "code", "region_code": "region"})
        .with_columns(pl.col("population").cast(pl.Int64))
    )
    rollout = _read(SEEDS / "rollout" / "rollout_phases.csv").select(
        pl.col("province_code").alias("code"),
        (pl.col("actual_date").str.to_date() - pl.lit(start)).dt.total_days().alias("live_day"),
    )
    scale = NATIONAL_POPULATION / provinces["population"].sum()
    return (
        provinces.join(rollout, on="code", how="left", validate="1:1", maintain_order="left")
        .with_columns((pl.col("population") * scale).round().cast(pl.Int64))
        .sort("region", "code")
        .with_row_index("p")
        .select(pl.col("p").cast(pl.Int64), "code", "name_th", "region", "population", "live_day")
    )


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)
