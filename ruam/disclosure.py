"""Disclosure control: what a count may be once it leaves the warehouse.

The rule (measures.md §4): 0 stays 0, 1 to 9 is shown as `<10`, every other count is rounded to the nearest 5, totals
too, so they need not add up. It holds for national cells as well: an exact national cell whose only non-zero region
is suppressed would give that region away.
"""

from __future__ import annotations

from enum import StrEnum

THRESHOLD = 10
BASE = 5
SMALLEST_BASE = 30
"""Of a rate: below it none is shown."""
RULE = (
    "0 → 0; 1–9 → <10; others → nearest 5; totals rounded on their own; "
    "of utilization, measures and facilities, what would tell a 1–9 is withheld"
)


class Status(StrEnum):
    EXACT = "exact"
    BELOW_10 = "below_10"
    ROUNDED = "rounded"
    WITHHELD = "withheld"
    """Not small itself, perhaps: a small count could be told from it (`ruam.lattice`)."""
    MISSING = "missing"


def controlled(count: int | None) -> tuple[int | None, Status]:
    """The published value of a count and its status.

    Raises `ValueError` for a negative count.
    """
    if count is None:
        return None, Status.MISSING
    if count < 0:
        raise ValueError(f"a count cannot be {count}")
    if count == 0:
        return 0, Status.EXACT
    if count < THRESHOLD:
        return None, Status.BELOW_10
    return (count + BASE // 2) // BASE * BASE, Status.ROUNDED


def controlled_sql(column: str) -> str:
    """SQL of `<column>` and `<column>_status` by the same rule, for integer columns."""
    quoted = '"' + column.replace('"', '""') + '"'
    status = '"' + column.replace('"', '""') + '_status"'
    return _published(quoted, status)


def withheld_sql(column: str, is_withheld: str) -> str:
    """`controlled_sql`, but null and `withheld` where the SQL `is_withheld` is true."""
    quoted = '"' + column.replace('"', '""') + '"'
    status = '"' + column.replace('"', '""') + '_status"'
    return _published(quoted, status, f"when {is_withheld} then null ", f"when {is_withheld} then '{Status.WITHHELD}' ")


def _published(quoted: str, status: str, value_first: str = "", status_first: str = "") -> str:
    return (
        f"case {value_first}when {quoted} = 0 then 0 when {quoted} >= {THRESHOLD} "
        f"then ({quoted} + {BASE // 2}) // {BASE} * {BASE} end as {quoted}, "
        f"case {status_first}when {quoted} is null then '{Status.MISSING}' when {quoted} = 0 then '{Status.EXACT}' "
        f"when {quoted} < {THRESHOLD} then '{Status.BELOW_10}' else '{Status.ROUNDED}' end as {status}"
    )
