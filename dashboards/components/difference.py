"""The difference of two published shares, with its interval.

Newcombe's hybrid score interval (Statistics in Medicine 17:873, 1998, method 10), made of Wilson's intervals of both.
It holds for two groups that share nobody, and counts chance alone: neither the rounding of what is published nor bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

from dashboards.queries.reads import Area, Period
from ruam.geography import region_of_province

Z = 1.959964
"""Of 95 %."""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    @property
    def spans_zero(self) -> bool:
        return self.low <= 0 <= self.high


def wilson(numerator: float, denominator: float) -> Interval:
    """Wilson's 95 % interval of a share of at least one."""
    share = numerator / denominator
    middle = share + Z**2 / (2 * denominator)
    reach = Z * sqrt(share * (1 - share) / denominator + Z**2 / (4 * denominator**2))
    scale = 1 + Z**2 / denominator
    return Interval((middle - reach) / scale, (middle + reach) / scale)


def difference_of(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """The interval of the second share less the first; each is a numerator and a denominator above 0."""
    (n_1, of_1), (n_2, of_2) = first, second
    one, two = wilson(n_1, of_1), wilson(n_2, of_2)
    difference = n_2 / of_2 - n_1 / of_1
    return Interval(
        difference - hypot(n_2 / of_2 - two.low, one.high - n_1 / of_1),
        difference + hypot(two.high - n_2 / of_2, n_1 / of_1 - one.low),
    )


def overlap(first: tuple[Area, Period], second: tuple[Area, Period]) -> bool:
    """Whether the same visit may count on both sides, so that they are no two groups."""
    (area_1, period_1), (area_2, period_2) = first, second
    together = period_1.period_start <= period_2.period_end and period_2.period_start <= period_1.period_end
    return together and (_holds(area_1, area_2) or _holds(area_2, area_1))


def _holds(outer: Area, inner: Area) -> bool:
    if outer == inner or outer.area_level == "nation":
        return True
    return (outer.area_level, inner.area_level) == ("region", "province") and region_of_province(
        inner.area_code
    ) == outer.area_code
