"""The one file that leaves the vault: which records are one person, by pseudonym."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from ruam.files import replacing

LINKS = {
    "hospcode": pl.String(),
    "pid": pl.String(),
    "person_key": pl.String(),
    "wide_person_key": pl.String(),
    "person_tier": pl.String(),
    "match_probability": pl.Float64(),
}
"""Columns of `links.parquet`: a row for each record without a usable number. person_tier B linked, C alone."""


def write_links(
    found: pl.DataFrame, path: Path, *, of_number: Callable[[str], str], of_name: Callable[[str], str]
) -> int:
    """Write `persons` as `links.parquet`, whole or not at all, without any name: returns its rows.

    `of_number` gives the person key of a linkage pseudonym, HMAC(k2, p1); `of_name` that of a name that the vault gave,
    HMAC(k2, HMAC(k1, name)).
    """

    def key(name: str) -> str:
        return of_name(name) if name.startswith("person:") else of_number(name)

    names = pl.concat([found["person"], found["wide_person"]]).unique()
    keys = dict(zip(names, map(key, names), strict=True))
    frame = found.select(
        "hospcode",
        "pid",
        pl.col("person").replace_strict(keys, return_dtype=pl.String).alias("person_key"),
        pl.col("wide_person").replace_strict(keys, return_dtype=pl.String).alias("wide_person_key"),
        "person_tier",
        "match_probability",
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path) as temporary:
        frame.cast(dict(LINKS)).write_parquet(temporary)  # type: ignore[arg-type]
    return frame.height


def ensure_links(path: Path) -> None:
    """Write an empty links file where there is none: the warehouse reads its columns."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as temporary:
            pl.DataFrame(schema=LINKS).write_parquet(temporary)
