"""Write the reports to senders that are due: one of each delivery, and a facility's newest anew when it must be."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

import polars as pl

from ingestion import history
from quality import report, workbook
from ruam.files import replacing
from ruam.home import DataHome
from ruam.publish import current
from ruam.reports import SUFFIXES, path_of
from ruam.settings import Settings

AT_ONCE = 500
"""Deliveries whose tables are read together: of more, what they hold would not fit into little memory."""

FORMS: dict[str, Callable[[report.Report], bytes]] = {
    ".xlsx": workbook.workbook,
    ".json": lambda made: made.model_dump_json(indent=2).encode(),
}


def due(home: DataHome, came: pl.DataFrame, *, older: bool = True) -> list[tuple[str, str]]:
    """Facility and delivery of each report that is not there, or tells of what has changed since.

    `came` is `history.deliveries`; without `older` it is of each facility's newest delivery alone. What is standing
    changes with a publication, and is asked for at a facility's newest delivery; reports of older ones stay as they
    were written.
    """
    pointer = current(home)
    published = datetime.fromisoformat(pointer["published_at"]).timestamp() if pointer else 0.0
    # A name from outside may bear any five digits; only such a sender can be told anything.
    known = came.filter(pl.col("outcome") != "duplicate", pl.col("hospcode").str.contains("^[0-9]{5}$"))
    ordered = known.sort(pl.coalesce("sent_at", "received_at"), "received_at", descending=True)
    wanted = []
    newest: set[str] = set()
    for hospcode, delivery_id in ordered.select("hospcode", "delivery_id").unique(maintain_order=True).iter_rows():
        written = [path_of(home, hospcode, delivery_id, suffix) for suffix in SUFFIXES]
        is_newest = hospcode not in newest
        newest.add(hospcode)
        if not (is_newest or older):
            continue
        if any(not path.exists() or (is_newest and path.stat().st_mtime < published) for path in written):
            wanted.append((hospcode, delivery_id))
    return wanted


def write(
    settings: Settings,
    accepted: Collection[str] = (),
    hospcode: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
    *,
    older: bool = True,
) -> int:
    """Write the reports that are `due`, of one facility or of all; returns how many deliveries they are of."""
    home = settings.data_home
    came = history.deliveries(home)
    wanted = [one for one in due(home, came, older=older) if hospcode in (None, one[0])]
    batch_of = dict(came.select("delivery_id", "batch").iter_rows())
    wanted.sort(key=lambda one: batch_of[one[1]])  # Those landed together lie in the same files.
    n = 0
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        sources = report.gather(home, part, came)
        for code, delivery_id in part:
            made = report.make(settings, code, delivery_id, accepted, sources)
            for suffix, form in FORMS.items():
                put(path_of(home, code, delivery_id, suffix), form(made))
            n += 1
            progress(n, len(wanted))
    return n


def put(path: Path, content: bytes) -> None:
    """Write a report whole or not at all, for its owner alone: its rows remain personal data."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
