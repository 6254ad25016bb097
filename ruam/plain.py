"""Words from outside made safe to show, whoever chose them."""

from __future__ import annotations

import re

_CITIZEN_NUMBER = re.compile(r"(?<!\d)\d(?:[ -]?\d){12}(?!\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """Words from outside on one line, without control characters, and without what may be a citizen number."""
    shown = _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", str(text))
    return _CITIZEN_NUMBER.sub(lambda found: re.sub(r"\d", "x", found.group()), shown)
