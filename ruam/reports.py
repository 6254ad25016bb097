"""Where the reports to senders lie: `reports/<HOSPCODE>/<delivery>.xlsx` and `.json`.

They are made where the keys of the inbox are (`quality.report`), and handed out where those keys must never be: the
pages know nothing but this folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from ruam.home import DataHome

SUFFIXES = (".xlsx", ".json")
_HOSPCODE, _DELIVERY = re.compile(r"[0-9]{5}"), re.compile(r"[0-9a-f]{64}")


def path_of(home: DataHome, hospcode: str, delivery_id: str, suffix: str) -> Path:
    """Where a report lies or would lie. Raises `ValueError` for what is no code, id or suffix: they make the path."""
    if not (_HOSPCODE.fullmatch(hospcode) and _DELIVERY.fullmatch(delivery_id) and suffix in SUFFIXES):
        raise ValueError("no facility, delivery or form of a report")
    return home.reports / hospcode / f"{delivery_id}{suffix}"


def read(home: DataHome, hospcode: str, delivery_id: str, suffix: str) -> bytes | None:
    """The report, None when none was made."""
    try:
        return path_of(home, hospcode, delivery_id, suffix).read_bytes()
    except FileNotFoundError:
        return None
