"""INSTYPE groups are ours; the codes they cover are the ministry's."""

from __future__ import annotations

from itertools import pairwise

from ingestion.checks import right_ranges


def test_ranges_are_apart_and_in_order() -> None:
    ranges = sorted(right_ranges())
    assert all(first <= last for first, last in ranges)
    assert all(last < following for (_, last), (following, _) in pairwise(ranges))


def test_codes_between_groups_are_unknown() -> None:
    for code in ("0000", "0101", "1101", "1250", "2109", "9999"):
        assert not any(first <= code <= last for first, last in right_ranges()), code
