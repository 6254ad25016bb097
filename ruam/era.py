"""Days and months as people in Thailand read them: the Buddhist Era, in Thai."""

from __future__ import annotations

from datetime import date

BUDDHIST_ERA = 543
"""Years that it is ahead of the Common Era."""
MONTHS = ("ม.ค.", "ก.พ.", "มี.ค.", "เม.ย.", "พ.ค.", "มิ.ย.", "ก.ค.", "ส.ค.", "ก.ย.", "ต.ค.", "พ.ย.", "ธ.ค.")


def thai_day(day: date) -> str:
    """`12 เม.ย. 2568`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year + BUDDHIST_ERA}"


def thai_month(day: date) -> str:
    """`เม.ย. 2568`."""
    return f"{MONTHS[day.month - 1]} {day.year + BUDDHIST_ERA}"


def short_day(day: date) -> str:
    """`12/4/2568`."""
    return f"{day.day}/{day.month}/{day.year + BUDDHIST_ERA}"


def short_month(day: date) -> str:
    """`04/2568`."""
    return f"{day.month:02d}/{day.year + BUDDHIST_ERA}"
