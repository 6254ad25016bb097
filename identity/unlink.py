"""The links of a person who is forgotten: which records they join, and the file without them."""

from __future__ import annotations

from collections.abc import Collection
from io import BytesIO

import polars as pl

from ruam.files import replacing
from ruam.home import DataHome

Pair = tuple[str, str]
"""HOSPCODE and PID."""


def linked_with(home: DataHome, pairs: Collection[Pair]) -> list[Pair]:
    """These records, and all others that the links in force say are of the same person."""
    path = home.links
    if not path.exists():
        return sorted(pairs)
    links = pl.read_parquet(path, columns=["hospcode", "pid", "person_key"])
    keys = links.join(_frame(pairs), on=["hospcode", "pid"], how="semi")["person_key"].unique()
    linked = links.filter(pl.col("person_key").is_in(keys.implode())).select("hospcode", "pid").rows()
    return sorted({*pairs, *((row[0], row[1]) for row in linked)})


def unlink(home: DataHome, pairs: Collection[Pair]) -> None:
    """Take these records out of the links in force."""
    path = home.links
    if not path.exists():
        return
    content = BytesIO()
    pl.read_parquet(path).join(_frame(pairs), on=["hospcode", "pid"], how="anti").write_parquet(content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _frame(pairs: Collection[Pair]) -> pl.DataFrame:
    return pl.DataFrame(list(pairs), schema={"hospcode": pl.String, "pid": pl.String}, orient="row")
