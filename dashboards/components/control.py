"""Whether a month is unlike those before it: limits of an XmR chart, and what the newest month says against them.

Method: chart of individual values and moving ranges (Shewhart; Wheeler, "Understanding Variation"), as NHS England's
"Making Data Count" uses it for boards: mean ± 2.66 mean moving ranges. The newest month is held against limits of the
months before it, so that it cannot widen what it is judged by. A signal asks for a look; it gives no cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

SPREAD = round(3 / 1.128, 2)
"""Three standard deviations, of moving ranges of two; the constant of the build too (`macros/control_limits.sql`)."""
RUN = 7
"""Months in a row on one side of the mean that are a shift, in "Making Data Count"."""
FEWEST = 8
"""Known months below which limits would say more of chance than of care."""


class Signal(StrEnum):
    HIGH = "high"
    LOW = "low"
    RUN_HIGH = "run_high"
    RUN_LOW = "run_low"
    USUAL = "usual"
    UNKNOWN = "unknown"
    """Too few months for limits."""
    MISSING = "missing"
    """The newest month has no value."""


SIGNALS = (Signal.HIGH, Signal.LOW, Signal.RUN_HIGH, Signal.RUN_LOW)
"""Those that ask for a look, in the order in which they are told."""


@dataclass(frozen=True)
class Limits:
    mean: float
    low: float
    high: float


def limits_of(numbers: Sequence[float | None], least: float = 0, most: float = float("inf")) -> Limits | None:
    """Of months in order of time, kept within what the figure can be; None when too few are known.

    A range is taken only between months that follow each other.
    """
    known = [number for number in numbers if number is not None]
    ranges = [abs(after - before) for before, after in pairwise(numbers) if before is not None and after is not None]
    if len(known) < FEWEST or not ranges:
        return None
    mean = sum(known) / len(known)
    reach = SPREAD * sum(ranges) / len(ranges)
    return Limits(mean, max(mean - reach, least), min(mean + reach, most))


def signal_of(numbers: Sequence[float | None], limits: Limits | None) -> Signal:
    """What the last month says against the limits of those before it."""
    if not numbers or numbers[-1] is None:
        return Signal.MISSING
    if limits is None:
        return Signal.UNKNOWN
    if numbers[-1] > limits.high:
        return Signal.HIGH
    if numbers[-1] < limits.low:
        return Signal.LOW
    recent = numbers[-RUN:]
    if len(recent) == RUN and all(number is not None and number > limits.mean for number in recent):
        return Signal.RUN_HIGH
    if len(recent) == RUN and all(number is not None and number < limits.mean for number in recent):
        return Signal.RUN_LOW
    return Signal.USUAL
