"""What builds saw of findings: a file of events a build, kept beside the warehouse and only ever added to.

A rule can only be asked of the rows that stand, so that when a finding opened and when it was fixed is known by having
looked. What was seen outlives the warehouse, which may be made anew at any time (docs/decisions/0024).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ruam.files import replacing
from ruam.home import DataHome

EVENTS = {
    "finding_key": pl.String(),
    "event_number": pl.Int32(),
    "event": pl.String(),
    "event_at": pl.Datetime("us"),
    "rule_code": pl.String(),
    "axis": pl.String(),
    "severity": pl.String(),
    "hospcode": pl.String(),
    "file": pl.String(),
    "record": pl.String(),
    "event_date": pl.Date(),
    "delivery_id": pl.String(),
    "source_line": pl.Int32(),
}
_IDENTITY = ("finding_key", "event_number")


def seen(home: DataHome) -> pl.LazyFrame:
    """All events (`EVENTS`) that builds have noted."""
    paths = sorted(home.findings.glob("*.parquet"))
    return pl.scan_parquet(paths, hive_partitioning=False) if paths else pl.LazyFrame(schema=EVENTS)


def show(home: DataHome, path: Path) -> None:
    """Write what was seen where the build in hand reads it."""
    seen(home).sink_parquet(path)


def note(home: DataHome, build_id: str, events: pl.DataFrame) -> int:
    """Keep those of a build's events that no build has noted; how many they are. Noting them again changes nothing."""
    new = events.lazy().join(seen(home), on=_IDENTITY, how="anti").collect()
    if new.height:
        home.findings.mkdir(mode=0o700, exist_ok=True)
        with replacing(home.findings / f"{build_id}.parquet") as temporary:
            new.select(pl.col(name).cast(kind) for name, kind in EVENTS.items()).write_parquet(temporary)
            temporary.chmod(0o600)
    return new.height
