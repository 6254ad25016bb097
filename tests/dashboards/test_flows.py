"""Pairs of areas and what comes of them, and the map that they are drawn on."""

from __future__ import annotations

import csv
import json

import polars as pl
import pytest

from dashboards.assets.convert_map import MAP, converted, rings, without_straights
from dashboards.components import charts
from dashboards.components.flows import OUTSIDE, all_pairs, balances, sum_of, with_texts
from dashboards.components.maps import N_GROUPS, map_groups
from ruam.geography import PROVINCES
from ruam.words import Words

FLOWS = pl.DataFrame(
    [("01", "01", 500, "rounded"), ("01", "02", 40, "rounded"), ("02", "01", None, "below_10")],
    schema={
        "home_code": pl.String,
        "treatment_code": pl.String,
        "n_visits": pl.Int64,
        "n_visits_status": pl.String,
    },
    orient="row",
)


def pairs(reported: set[str], seen: set[str] | None = None) -> pl.DataFrame:
    codes = ["01", "02", "03"]
    return all_pairs(FLOWS, "n_visits", codes, codes, reported, seen)


def shown(rows: pl.DataFrame) -> dict[str, str]:
    return {f"{home}{treatment}": text for home, treatment, text in rows["home_code", "treatment_code", "shown"].rows()}


def test_a_pair_without_a_visit_is_0_where_the_area_reported_and_unknown_where_it_did_not() -> None:
    found = shown(with_texts(Words("en"), pairs({"01", "02"})))
    assert found["0101"] == "500"
    assert found["0201"] == "<10"
    assert found["0302"] == "0"
    assert found["0103"] == "No data"


def test_a_viewer_of_a_part_is_told_that_a_pair_is_not_theirs_instead_of_a_0() -> None:
    rows = with_texts(Words("en"), pairs({"01", "02", "03"}, {"01"}))
    found = shown(rows)
    assert found["0203"] == "Not your area"
    assert found["0103"] == "0"
    assert rows.filter(pl.col("status") == OUTSIDE)["value"].null_count() == 4


def test_a_sum_holds_between_its_bounds_whatever_the_hidden_cells_are() -> None:
    found = sum_of([(40, "rounded"), (None, "below_10"), (10, "rounded"), (0, "rounded"), (None, "missing")])
    assert found is not None
    assert (found.known, found.low, found.high) == (50, 38 + 1 + 10, 42 + 9 + 12)
    assert (found.n_hidden, found.n_unknown) == (1, 1)
    assert sum_of([(None, "missing"), (None, OUTSIDE)]) is None


def test_what_goes_out_of_one_area_comes_into_another() -> None:
    table = {row["area_code"]: row for row in balances(pairs({"01", "02", "03"}), ["01", "02", "03"]).to_dicts()}
    assert (table["01"]["inflow"], table["01"]["outflow"], table["01"]["net"]) == (0, 40, -40)
    assert (table["01"]["net_low"], table["01"]["net_high"]) == (1 - 42, 9 - 38)
    assert table["02"]["net"] == 40
    assert table["03"]["net"] == 0


def test_an_area_that_did_not_report_has_no_balance() -> None:
    table = {row["area_code"]: row for row in balances(pairs({"01", "02"}), ["01", "02", "03"]).to_dicts()}
    assert table["03"]["net"] is None
    assert table["01"]["n_unknown"] == 1


def test_groups_of_the_map_are_in_order_and_hold_every_number() -> None:
    values = [5.0, None, 1.0, 1.0, 2.0, 9.0, 3.0]
    group, groups = map_groups(values, lambda number: f"{number:.0f}")
    assert group[1] == ""
    assert len(groups) <= N_GROUPS
    by_value = sorted((value, name) for value, name in zip(values, group, strict=True) if value is not None)
    order = [groups.index(name) for _, name in by_value]
    assert order == sorted(order)
    assert map_groups([None, None], str)[1] == []
    assert map_groups([4.0, 4.0], lambda number: f"{number:.0f}")[1] == ["4"]


def test_the_map_has_every_province_once_and_says_whose_it_is() -> None:
    drawn = json.loads(MAP.read_text(encoding="utf-8"))
    with PROVINCES.open(encoding="utf-8", newline="") as handle:
        codes = sorted(row["province_code"] for row in csv.DictReader(handle))
    assert sorted(one["properties"]["province_code"] or "" for one in drawn["features"]) == ["", *codes]
    assert "CC BY 4.0" in drawn["credit"]
    for one in drawn["features"]:
        for (ring,) in one["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert len(ring) >= 4


def test_neighbours_keep_the_points_of_their_border() -> None:
    drawn = json.loads(MAP.read_text(encoding="utf-8"))
    points = {
        one["properties"]["province_code"]: {tuple(at) for (ring,) in one["geometry"]["coordinates"] for at in ring}
        for one in drawn["features"]
    }
    # Chiang Mai and Lamphun, Khon Kaen and Maha Sarakham; Chiang Mai and Phuket do not touch.
    assert len(points["50"] & points["51"]) > 10
    assert len(points["40"] & points["44"]) > 10
    assert not points["50"] & points["83"]


def test_a_drawing_is_converted_by_its_relative_moves() -> None:
    square = "m 10,10 20,0 0,10 0,10 -20,0 z m 0,60 10,0 0,10 z"
    first, second = rings(square)
    assert [len(first), len(second)] == [5, 3]
    assert len(without_straights(first)) == 5, "four corners and the first again"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><path aria-label="Phang nga" d="{square}"/></svg>'
    (found,) = converted(svg)["features"]
    assert found["properties"] == {"province_code": "82"}
    with pytest.raises(KeyError):
        converted(svg.replace("Phang nga", "Atlantis"))
    with pytest.raises(ValueError, match="not closed"):
        list(rings("m 1,1 5,5 5,0"))


def test_a_chart_of_the_same_rows_is_drawn_once_and_the_map_holds_no_shapes() -> None:
    rows = pl.DataFrame({"province_code": ["50"], "label": ["เชียงใหม่"], "shown": ["15"], "group": ["15"]})
    drawn = charts.province_map(rows, ["15"], "50")
    assert charts.province_map(rows.clone(), ["15"], "50") is drawn
    assert charts.province_map(rows.with_columns(shown=pl.lit("20")), ["15"], "50") is not drawn
    assert charts.province_map(rows, ["15"], "51") is not drawn
    told = json.dumps(drawn.spec, default=str)
    assert "coordinates" not in told
    assert "province_code === '50'" in told, "the chosen one is outlined, whether it has a row or not"
