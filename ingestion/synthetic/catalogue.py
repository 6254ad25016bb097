"""What people fall ill with, and what they are given: the two tables of `data/` as arrays.

Weights, admission propensities and prescribing shares are assumptions, set so that the country's totals meet the
published figures named in docs/synthetic.md. ICD-10, ICD-9-CM and ATC codes are real; drug codes are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DATA = Path(__file__).with_name("data")
CHRONIC_CODES = ("I10", "E119", "E785", "J449", "N185")
"""Bit k of a person's `chronic` says that the person has CHRONIC_CODES[k]."""
MAX_DRUGS = 4
N_BRANDS = 2


@dataclass(frozen=True)
class Catalogue:
    """Conditions by index, with the drugs of each as a (condition, slot) matrix of drug indexes and shares."""

    conditions: pl.DataFrame
    drugs: pl.DataFrame
    drug_of: Ints
    drug_share: Floats
    chronic: Ints
    """Index of each of CHRONIC_CODES."""

    def kind(self, name: str) -> Bools:
        return (self.conditions["kind"] == name).to_numpy()

    def column(self, name: str) -> Floats:
        return self.conditions[name].cast(pl.Float64).to_numpy()


@cache
def load_catalogue() -> Catalogue:
    conditions = pl.read_csv(DATA / "conditions.csv", schema_overrides={"code": pl.String, "procedure": pl.String})
    drugs = pl.read_csv(DATA / "drugs.csv").with_row_index("drug")
    index = dict(zip(drugs["key"], drugs["drug"], strict=True))
    drug_of = np.zeros((len(conditions), MAX_DRUGS), dtype=np.int64)
    share = np.zeros((len(conditions), MAX_DRUGS))
    for row, text in enumerate(conditions["drugs"]):
        for slot, item in enumerate((text or "").split(";") if text else []):
            key, probability = item.split(":")
            drug_of[row, slot] = index[key]
            share[row, slot] = float(probability)
    codes = conditions["code"].to_list()
    return Catalogue(
        conditions, drugs, drug_of, share, np.array([codes.index(code) for code in CHRONIC_CODES], dtype=np.int64)
    )


def drug_code(drug: int, brand: int) -> str:
    """24 digits that no register holds: 9, drug, brand, zeros."""
    return f"9{drug:05d}{brand:02d}".ljust(24, "0")


def drug_codes(drugs: pl.DataFrame) -> list[list[str]]:
    """Code of each drug and brand; what a facility makes itself (no ATC) has a short code of its own."""
    return [
        [drug_code(drug, brand) if atc else f"LOC{drug:03d}" for brand in range(1, N_BRANDS + 1)]
        for drug, atc in zip(drugs["drug"], drugs["atc"], strict=True)
    ]


def drug_map(catalogue: Catalogue) -> pl.DataFrame:
    """The drug map as senders' drugs should be mapped: didstd, dname, atc, route, units_per_day, chronic."""
    mapped = catalogue.drugs.filter(pl.col("atc").is_not_null())
    brands = pl.DataFrame({"brand": list(range(1, N_BRANDS + 1))})
    return mapped.join(brands, how="cross").select(
        pl.struct("drug", "brand")
        .map_elements(lambda row: drug_code(row["drug"], row["brand"]), return_dtype=pl.String)
        .alias("didstd"),
        pl.col("name").alias("dname"),
        "atc",
        "route",
        "units_per_day",
        "chronic",
    )
