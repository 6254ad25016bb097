"""Makes `provinces.json`, the map of provinces, of the drawing `thailand.svg` in the npm package @svg-maps/thailand.

    npm pack @svg-maps/thailand@2.0.0 && tar xzf svg-maps-thailand-2.0.0.tgz
    python -m dashboards.assets.convert_map package/thailand.svg

It is a drawing and no survey: points of a plane, y downwards, no degrees.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ruam.geography import PROVINCES

MAP = Path(__file__).parents[1] / "static" / "provinces.json"
"""Served as a file: a browser fetches it once, and keeps it, instead of getting it with each map."""
CREDIT = "@svg-maps/thailand 2.0.0 (Tae Noppakun Wongsrinoppakun), CC BY 4.0, snapped to a grid"
STEPS = 0.6
"""Of the grid to each unit of the drawing, which is 560 units wide."""
WATERS = frozenset({"Lake Songkha"})
"""What the drawing names and is no province."""

_PART = re.compile(r"[mz]|-?[\d.]+(?:e-?\d+)?,-?[\d.]+(?:e-?\d+)?")
Point = tuple[int, int]


def rings(path: str) -> Iterator[list[Point]]:
    """The closed lines of an SVG path of relative moves alone, on the grid.

    Snapping instead of dropping points one by one: neighbours share their border's points, and keep sharing them.
    """
    x = y = 0.0
    ring: list[Point] = []
    start = (0.0, 0.0)
    is_new = False
    for part in _PART.findall(path):
        if part == "m":
            is_new = True
        elif part == "z":
            yield ring
            ring, (x, y) = [], start
        else:
            across, down = map(float, part.split(","))
            x, y = x + across, y + down
            if is_new:
                start, is_new = (x, y), False
            point = (round(STEPS * x), round(STEPS * y))
            if not ring or ring[-1] != point:
                ring.append(point)
    if ring:
        raise ValueError("A line of the path is not closed.")


def without_straights(ring: list[Point]) -> list[Point]:
    """The ring, closed, without points that lie on the line between their neighbours."""
    kept = []
    for before, point, after in zip([ring[-1], *ring[:-1]], ring, [*ring[1:], ring[0]], strict=True):
        turn = (point[0] - before[0]) * (after[1] - point[1]) - (point[1] - before[1]) * (after[0] - point[0])
        if turn:
            kept.append(point)
    return [*kept, kept[0]] if len(kept) >= 3 else []


def plain(name: str) -> str:
    """Transcriptions differ in spaces and hyphens."""
    return re.sub(r"[^a-z]", "", name.lower())


def feature(name: str, path: str, codes: Mapping[str, str]) -> dict[str, Any]:
    polygons = [[ring] for one in rings(path) if len(one) >= 3 and (ring := without_straights(one))]
    return {
        "type": "Feature",
        "properties": {"province_code": None if name in WATERS else codes[plain(name)]},
        "geometry": {"type": "MultiPolygon", "coordinates": polygons},
    }


def converted(svg: str) -> dict[str, Any]:
    """GeoJSON of the drawing. Raises `KeyError` for a name that is no province of ours."""
    with PROVINCES.open(encoding="utf-8", newline="") as handle:
        codes = {plain(row["name_en"]): row["province_code"] for row in csv.DictReader(handle)}
    paths = [element for element in ElementTree.fromstring(svg).iter() if element.get("d")]  # noqa: S314
    features = [feature(str(path.get("aria-label")), str(path.get("d")), codes) for path in paths]
    return {"type": "FeatureCollection", "credit": CREDIT, "features": features}


if __name__ == "__main__":
    drawing = Path(sys.argv[1]).read_text(encoding="utf-8")
    MAP.write_text(json.dumps(converted(drawing), separators=(",", ":")) + "\n", encoding="utf-8")
