"""How well records are linked, against a population whose truth is known; and charts that need no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from splink.internals.html_utils import chart_html

from identity.linkage.link import link, persons
from identity.linkage.model import Model
from ruam.files import replacing

GROUPS = ("foreign", "newborn", "stateless", "mistyped")
POINTS = 400
"""Of a curve: more cannot be told apart."""
TARGETS: Mapping[str, tuple[float, float]] = {
    "overall": (0.998, 0.97),
    **dict.fromkeys(GROUPS, (0.99, 0.93)),
}
"""Precision and recall that each group must reach."""


@dataclass(frozen=True)
class Quality:
    """Of pairs of records. A pair is linked when both have one person, true when both are one person."""

    n_linked: int
    n_true: int
    n_right: int

    @property
    def precision(self) -> float:
        return self.n_right / self.n_linked if self.n_linked else 1.0

    @property
    def recall(self) -> float:
        return self.n_right / self.n_true if self.n_true else 1.0


def linked_at(records: pl.DataFrame, model: Model, threshold: float | None = None) -> pl.DataFrame:
    """Link a whole population in memory: hospcode, pid, person of every record, those with a number included."""
    with duckdb.connect() as connection:
        take(connection, records)
        link(connection, model, threshold=threshold)
        return linked(connection, model)


def evaluated(records: pl.DataFrame, model: Model, charts: Path | None = None) -> dict[str, Quality]:
    """Link a population with its truth beside it (`judge`) in memory, and write charts of it into a folder."""
    with duckdb.connect() as connection:
        take(connection, records)
        link(connection, model)
        if charts:
            write_charts(connection, records, charts)
        return judge(records, linked(connection, model))


def take(connection: duckdb.DuckDBPyConnection, records: pl.DataFrame) -> None:
    """Make `records` of a frame that may have its truth beside it."""
    connection.register("given_records", records)
    connection.execute("""
        create table records as
        select * exclude (person, kind), 1 as arrived, false as is_known from given_records
    """)
    connection.unregister("given_records")


def linked(connection: duckdb.DuckDBPyConnection, model: Model) -> pl.DataFrame:
    numbered = connection.execute(
        "select hospcode, pid, person, person as wide_person from linkage.features where not is_residue"
    ).pl()
    columns = ["hospcode", "pid", "person", "wide_person"]
    return pl.concat([persons(connection, model).select(columns), numbered.select(columns)])


def judge(records: pl.DataFrame, found: pl.DataFrame, column: str = "person") -> dict[str, Quality]:
    """Pairwise quality: `overall` of all pairs, `residue` of pairs with a record that has no usable number, and of each
    group the pairs with a record of it.

    Records of a group are those of its people that have no usable number. `mistyped` has beside these the mistyped
    numbers that pass the check, unless the rule that two valid numbers are never one person forbids to link them: the
    person has another valid number in the records, or the number is somebody else's. Those are `barred`, told apart,
    and counted in `overall`.

    `records` has the truth (`person`, `kind`) beside `hospcode`, `pid`, `cid`, `cid_class`; `found` what linkage made
    of it (`hospcode`, `pid`, `column`).
    """
    is_valid = pl.col("cid_class") == "valid"
    number = pl.when(is_valid).then("cid")
    is_barred = (number.drop_nulls().n_unique().over("person") > 1) | (pl.col("person").n_unique().over(number) > 1)
    known = records.select(
        "hospcode",
        "pid",
        true="person",
        kind=pl.when(~is_valid)
        .then("kind")
        .when(pl.col("kind") != "mistyped")
        .then(pl.lit("numbered"))
        .when(is_barred)
        .then(pl.lit("barred"))
        .otherwise(pl.lit("mistyped")),
        residue=~is_valid,
    ).join(found.select("hospcode", "pid", person=column), on=["hospcode", "pid"], how="left")
    if known["person"].null_count():
        raise ValueError(f"{known['person'].null_count():,} records have no person.")
    return {
        "overall": _quality(known, None),
        "residue": _quality(known, pl.col("residue")),
        **{group: _quality(known, pl.col("kind") == group) for group in ("thai", *GROUPS, "barred")},
    }


def _quality(known: pl.DataFrame, part: pl.Expr | None) -> Quality:
    """Pairs with a record of the part, or all pairs: counted from the sizes of groups, never listed."""
    marked = known.with_columns(other=~part if part is not None else pl.lit(value=False))
    counts = [
        marked.group_by(keys).agg(n=pl.len(), others=pl.col("other").sum())
        for keys in (["person"], ["true"], ["person", "true"])
    ]
    pairs = [
        int(
            count.select(
                (pl.col("n").cast(pl.Int64) * (pl.col("n").cast(pl.Int64) - 1) // 2).sum()
                - (pl.col("others").cast(pl.Int64) * (pl.col("others").cast(pl.Int64) - 1) // 2).sum()
            ).item()
        )
        for count in counts
    ]
    return Quality(*pairs)


def failures(qualities: Mapping[str, Quality], targets: Mapping[str, tuple[float, float]] = TARGETS) -> list[str]:
    """A sentence for each figure below its target, and for each group of which there is nothing to judge."""
    told = []
    for group, (precision, recall) in targets.items():
        quality = qualities[group]
        if quality.n_true == 0:
            told.append(f"{group}: no true pair to judge by")
        if quality.precision < precision:
            told.append(f"{group}: precision {quality.precision:.4f}, {precision} is asked for")
        if quality.recall < recall:
            told.append(f"{group}: recall {quality.recall:.4f}, {recall} is asked for")
    return told


def write_charts(connection: duckdb.DuckDBPyConnection, records: pl.DataFrame, folder: Path) -> None:
    """Match weights, precision and recall, and cluster sizes of what `connection` has linked: HTML without network."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = _scored_pairs(connection, records)
    for name, chart in (
        ("match_weights", _weights(pairs)),
        ("precision_recall", _by_threshold(pairs, _n_true_pairs(records))),
        ("cluster_sizes", _sizes(connection)),
    ):
        with replacing(folder / f"{name}.html") as temporary:
            html = chart_html(chart, inline=True, fullhtml=True)  # type: ignore[no-untyped-call]
            temporary.write_text(html, encoding="utf-8")


def _scored_pairs(connection: duckdb.DuckDBPyConnection, records: pl.DataFrame) -> pl.DataFrame:
    """probability and is_true of each pair above the wide threshold."""
    connection.register("truth", records.select("hospcode", "pid", "person"))
    pairs = connection.execute("""
        with known as (
            select f.record, t.person from linkage.features as f
            inner join truth as t on f.hospcode = t.hospcode and f.pid = t.pid
        )

        select e.probability, l.person = r.person as is_true
        from linkage.edges as e
        inner join known as l on e.record_l = l.record
        inner join known as r on e.record_r = r.record
    """).pl()
    connection.unregister("truth")
    return pairs


def _chart(title: str, rows: pl.DataFrame, mark: str, **encoding: dict[str, Any]) -> dict[str, Any]:
    """A Vega-Lite chart."""
    return {
        "title": title,
        "data": {"values": rows.to_dicts()},
        "mark": {"type": mark, "tooltip": True},
        "encoding": encoding,
        "width": 600,
        "height": 350,
    }


def _weights(pairs: pl.DataFrame) -> dict[str, Any]:
    p = pl.col("probability").clip(0.0, 1 - 1e-12)
    weights = (
        pairs.select((p / (1 - p)).log(2).floor().alias("weight"), "is_true")
        .group_by("weight", "is_true")
        .agg(pairs=pl.len())
        .sort("weight", "is_true")
    )
    return _chart(
        "Pairs by match weight (log2 of the odds)",
        weights,
        "bar",
        x={"field": "weight", "type": "quantitative", "title": "match weight"},
        y={"field": "pairs", "type": "quantitative"},
        color={"field": "is_true", "type": "nominal", "title": "one person"},
    )


def _by_threshold(pairs: pl.DataFrame, n_true: int) -> dict[str, Any]:
    """Of single pairs, before persons are made of them."""
    curve = (
        pairs.sort("probability", descending=True)
        .with_columns(right=pl.col("is_true").cast(pl.Int64).cum_sum(), linked=pl.int_range(1, pl.len() + 1))
        .group_by("probability", maintain_order=True)
        .last()
        .select("probability", precision=pl.col("right") / pl.col("linked"), recall=pl.col("right") / max(n_true, 1))
    )
    curve = curve.gather_every(max(len(curve) // POINTS, 1))
    return _chart(
        "Precision and recall of pairs, by threshold",
        curve,
        "point",
        x={"field": "recall", "type": "quantitative", "scale": {"zero": False}},
        y={"field": "precision", "type": "quantitative", "scale": {"zero": False}},
        color={"field": "probability", "type": "quantitative"},
    )


def _n_true_pairs(records: pl.DataFrame) -> int:
    """True pairs of which one record at least has no usable number."""
    sizes = records.group_by("person").agg(n=pl.len(), numbered=(pl.col("cid_class") == "valid").sum())
    n, numbered = pl.col("n").cast(pl.Int64), pl.col("numbered").cast(pl.Int64)
    return int(sizes.select((n * (n - 1) // 2 - numbered * (numbered - 1) // 2).sum()).item())


def _sizes(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    sizes = connection.execute("""
        select size, count(*) as persons
        from (select person, count(*) as size from linkage.persons group by person)
        group by size order by size
    """).pl()
    return _chart(
        "Records without a usable number in one person",
        sizes,
        "bar",
        x={"field": "size", "type": "ordinal", "title": "records"},
        y={"field": "persons", "type": "quantitative", "scale": {"type": "symlog"}},
    )
