"""What the map of provinces needs: groups of values for its colours, and whose drawing it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from dashboards.components.tables import texts
from ruam.words import Words

N_GROUPS = 5
"""As many shades of one hue as an eye can still match with a legend."""


def map_groups(values: Sequence[float | None], text: Callable[[float], str]) -> tuple[pl.Series, list[str]]:
    """The group of each value, and the groups from the lowest on, each about as large as the others.

    A group is called by its least and greatest value, so that a legend tells no more than the values do. What is no
    number is in no group.
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return texts("group", [""] * len(values)), []
    edges = np.unique(np.quantile(known, np.linspace(0, 1, N_GROUPS + 1), method="inverted_cdf"))
    # Each value falls below the first edge that is not less than it.
    places = [max(int(np.searchsorted(edges, value, "left")), 1) if value is not None else 0 for value in values]
    names = {0: ""}
    for place in sorted({place for place in places if place}):
        inside = [value for value, own in zip(values, places, strict=True) if own == place and value is not None]
        low, high = text(min(inside)), text(max(inside))
        names[place] = low if low == high else f"{low} – {high}"
    return texts("group", [names[place] for place in places]), list(dict.fromkeys(names[n] for n in sorted(names) if n))


def credit(words: Words) -> str:
    return words("map.credit")
