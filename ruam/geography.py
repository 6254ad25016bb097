"""Which health region a province belongs to, from the seed that the warehouse uses too."""

from __future__ import annotations

import csv
from functools import cache

from ruam.settings import PROJECT

PROVINCES = PROJECT / "seeds" / "geography" / "provinces.csv"
UNKNOWN_REGION = "00"


@cache
def _regions() -> dict[str, str]:
    with PROVINCES.open(encoding="utf-8", newline="") as handle:
        return {row["province_code"]: row["region_code"] for row in csv.DictReader(handle)}


def region_of_province(province_code: str | None) -> str:
    """Two-digit health region (เขตสุขภาพ) of a two-digit province; `00` when unknown."""
    return _regions().get(province_code or "", UNKNOWN_REGION)
