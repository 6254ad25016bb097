"""Health regions and provinces, from the seeds that the warehouse uses too."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from ruam.settings import PROJECT

PROVINCES = PROJECT / "seeds" / "geography" / "provinces.csv"
HEALTH_REGIONS = PROJECT / "seeds" / "geography" / "health_regions.csv"
UNKNOWN_REGION = "00"


@cache
def _regions() -> dict[str, str]:
    return _column(PROVINCES, "province_code", "region_code")


@cache
def province_names() -> dict[str, str]:
    """Thai name of each two-digit province."""
    return _column(PROVINCES, "province_code", "name_th")


@cache
def province_names_en() -> dict[str, str]:
    """English name of each two-digit province."""
    return _column(PROVINCES, "province_code", "name_en")


@cache
def region_names() -> dict[str, str]:
    """Thai name of each of the 13 health regions by its two digits, in their order, without the unknown one."""
    names = _column(HEALTH_REGIONS, "region_code", "name_th")
    return {code: names[code] for code in sorted(set(_regions().values()))}


@cache
def region_tiles() -> dict[str, tuple[int, int]]:
    """Row and column of each health region in the grid of tiles that stands for a map."""
    rows, columns = (_column(HEALTH_REGIONS, "region_code", f"tile_{side}") for side in ("row", "column"))
    return {code: (int(rows[code]), int(columns[code])) for code in region_names()}


def _column(seed: Path, key: str, value: str) -> dict[str, str]:
    with seed.open(encoding="utf-8", newline="") as handle:
        return {row[key]: row[value] for row in csv.DictReader(handle)}


@cache
def provinces_of_region(region_code: str) -> tuple[str, ...]:
    """Two-digit provinces of a health region, in order."""
    return tuple(sorted(province for province, region in _regions().items() if region == region_code))


def region_of_province(province_code: str | None) -> str:
    """Two-digit health region (เขตสุขภาพ) of a two-digit province; `00` when unknown."""
    return _regions().get(province_code or "", UNKNOWN_REGION)
