"""The geography that everything joins on, against a package that is kept up."""

from __future__ import annotations

import csv
from collections import Counter

import geothai

from ruam.geography import PROVINCES, UNKNOWN_REGION, region_of_province

PROVINCES_PER_REGION = {
    **{"01": 8, "02": 5, "03": 5, "04": 8, "05": 8, "06": 8, "07": 4},
    **{"08": 7, "09": 4, "10": 5, "11": 7, "12": 7, "13": 1},
}
"""domain.md §6."""


def test_provinces_bear_the_names_of_the_interior_ministry() -> None:
    with PROVINCES.open(encoding="utf-8", newline="") as handle:
        seed = {row["province_code"]: (row["name_th"], row["name_en"]) for row in csv.DictReader(handle)}
    assert seed == {province.code: (province.name_th, province.name_en) for province in geothai.provinces()}


def test_districts_bear_the_names_of_the_interior_ministry() -> None:
    with PROVINCES.with_name("districts.csv").open(encoding="utf-8", newline="") as handle:
        seed = {row.pop("district_code"): row for row in csv.DictReader(handle)}
    assert seed == {
        district.code: {"name_th": district.name_th, "name_en": district.name_en, "province_code": province.code}
        for province in geothai.provinces()
        for district in geothai.districts(province.code)
    }


def test_each_region_has_its_provinces() -> None:
    regions = Counter(region_of_province(province.code) for province in geothai.provinces())
    assert regions == PROVINCES_PER_REGION


def test_an_unknown_province_belongs_to_no_region() -> None:
    assert [region_of_province(code) for code in ("99", "", None)] == [UNKNOWN_REGION] * 3
    assert region_of_province("92") == "12", "regions do not follow the province codes"
