"""The measure library: measures of redundancy, necessity and appropriateness (measures.md §3), told by their ids."""

from __future__ import annotations

MEASURE_GROUPS = {"redundancy": "RED", "necessity": "NEC", "appropriateness": "UNR"}
"""What the ids of its measures begin with, by group."""


def is_of_library(measure_id: str) -> bool:
    """Whether a measure is of the library, so that the parameters of `*` hold for it; no rate of use or progress is."""
    return measure_id.split("-")[0] in MEASURE_GROUPS.values()
