"""Which zips are made, when each is named, and when it arrives."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from ingestion.synthetic.catalogue import Ints
from ingestion.synthetic.people import Period

# Shares of the monthly deliveries that have such a companion: assumptions.
EXTRAS = (
    ("correction", 0.02),  # some rows again, changed, with a newer D_UPDATE: wins
    ("correction_same_time", 0.01),  # the same D_UPDATE, a later name: wins
    ("stale", 0.012),  # a later name, but an older D_UPDATE: changes nothing
    ("resent", 0.02),  # the same bytes under another name
)
BAD_ZIPS = ("truncated", "not_a_zip")
LATE_SHARE = 0.02
"""Of the monthly deliveries: arrive after the next month's."""


def plan_deliveries(
    facilities: pl.DataFrame, period: Period, month_ends: list[int], rng: np.random.Generator
) -> pl.DataFrame:
    """One row a zip: d (index), f, m (month it covers), kind, base (d of the zip that it repeats, else its own),
    sent_at (time in its name), arrives_at, file_name. `month_ends`: day after each month, from the start."""
    sends = np.array(facilities["sends"].to_list(), dtype=bool)
    f, m = np.nonzero(sends)
    n = len(f)
    # A monthly zip is made 2 to 12 days after the month's end; no deadline is published (domain.md §7).
    seconds = np.array(month_ends)[m] * 86400 + rng.integers(2 * 86400, 12 * 86400, n)
    arrives = seconds + rng.integers(600, 86400, n)
    late = rng.random(n) < LATE_SHARE
    order = rng.permutation(n)
    kinds, companions = [], []
    at = 0
    for kind, share in (*EXTRAS, *((name, 0.0) for name in BAD_ZIPS)):
        count = max(round(share * n), 1)
        companions.append(order[at : at + count])
        kinds += [kind] * len(companions[-1])
        at += count
    base = np.concatenate([np.arange(n), *companions])
    kind_of = np.array(["monthly"] * n + kinds)
    sent = np.concatenate([seconds, seconds[base[n:]] + rng.integers(86400, 6 * 86400, len(base) - n)])
    # Every other correction overtakes the zip that it corrects.
    overtaken = base[n:][np.isin(kind_of[n:], ("correction", "correction_same_time"))][::2]
    arrives = arrives + np.where(late, 40 * 86400, 0)
    arrives[overtaken] += 15 * 86400
    arrives = np.concatenate([arrives, sent[n:] + 3600])
    start = datetime.combine(period.start, datetime.min.time())
    sent_at = [start + timedelta(seconds=int(value)) for value in sent]
    codes = facilities["hospcode"].to_list()
    return pl.DataFrame(
        {
            "d": np.arange(len(base)),
            "f": f[base],
            "m": m[base],
            "kind": kind_of,
            "base": base,
            "sent_at": sent_at,
            "arrives_at": [start + timedelta(seconds=int(value)) for value in arrives],
            "file_name": [
                f"F43_{codes[at]}_{time:%Y%m%d%H%M%S}.zip" for at, time in zip(f[base], sent_at, strict=True)
            ],
        }
    )


def base_by_month(deliveries: pl.DataFrame, n_facilities: int, n_months: int) -> Ints:
    """(facility, month) to d of the monthly zip, -1 where none was sent."""
    grid = np.full((n_facilities, n_months), -1, dtype=np.int64)
    monthly = deliveries.filter(pl.col("kind") == "monthly")
    grid[monthly["f"].to_numpy(), monthly["m"].to_numpy()] = monthly["d"].to_numpy()
    return grid


def next_sent(grid: Ints) -> Ints:
    """(facility, month) to d of the first monthly zip in or after the month, -1 when none comes any more."""
    following = grid.copy()
    for m in range(grid.shape[1] - 2, -1, -1):
        following[:, m] = np.where(grid[:, m] >= 0, grid[:, m], following[:, m + 1])
    return following
