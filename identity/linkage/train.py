"""Train a model: m from pairs known to be one person, u from random pairs; thresholds from the same population."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from identity.linkage import features
from identity.linkage.evaluation import Quality, judge, linked_at, take
from identity.linkage.model import Model, Thresholds, Trained, linker, settings
from ruam.errors import LinkageError

GRID = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
"""Thresholds tried, the lowest first."""
PRECISION = 0.998
"""The lowest threshold that gives this in the residue, and GROUP_PRECISION in each group, is taken. More than is asked
for, since other people are never quite as those of the training: 0.998 is asked of all pairs, of which most are certain
by their number."""
GROUP_PRECISION = 0.995
STRONG_WEIGHT = 20.0
"""Match weight, the prior included: a million to one that two registrations of one facility are one person."""
WITHOUT_NUMBER = 6.0
"""How many times over people without a number are in an invented population, so that a small one can tell."""
RANDOM_PAIRS = 3e6
LEAST_M, LEAST_U = 1e-3, 1e-7


def train(records: pl.DataFrame, *, version: str, population: str, report: Path) -> Model:
    """A model from records with their truth (`person`, `kind`); writes its training report into the folder `report`.

    Raises `LinkageError` when no threshold of the grid is precise enough on the training population itself.
    """
    with duckdb.connect() as connection:
        take(connection, records)
        connection.register("truth", records)
        features.create(connection)
        features.take_in(connection)
        connection.execute("""
            create table true_pairs as
            with known as (
                select f.record, f.is_residue, t.person
                from linkage.features as f inner join truth as t on f.hospcode = t.hospcode and f.pid = t.pid
            )

            select l.record as record_l, r.record as record_r, 1.0::double as clerical_match_score
            from known as l inner join known as r on l.person = r.person and l.record < r.record
            where l.is_residue or r.is_residue
        """)
        connection.execute("create table population as select * from linkage.features")
        with linker(connection, "population", settings()) as (made, api):
            made.training.estimate_u_using_random_sampling(max_pairs=RANDOM_PAIRS, seed=1)
            made.training.estimate_m_from_pairwise_labels(api.register("true_pairs"))  # type: ignore[no-untyped-call]
            # Splink draws a name at random; with one of our own the same training writes the same file.
            parameters = {**_with_unseen(made.misc.save_model_to_json()), "linker_uid": f"model {version}"}
            report.mkdir(parents=True, exist_ok=True)
            made.visualisations.match_weights_chart().save_offline_chart(
                str(report / "match_weights.html"), True, False
            )
            made.visualisations.m_u_parameters_chart().save_offline_chart(str(report / "parameters.html"), True, False)
        counts = connection.execute("""
            select (select count(*) from linkage.features), (select count(*) from true_pairs)
        """).fetchone()
    assert counts is not None
    n_records, n_pairs = counts
    draft = Model(
        version=version,
        trained=Trained(on=datetime.now(UTC).date(), population=population, n_records=n_records, n_true_pairs=n_pairs),
        matches_per_record=n_pairs / n_records,
        thresholds=Thresholds(link=GRID[0], wide=GRID[0], strong_weight=STRONG_WEIGHT),
        splink=parameters,
    )
    qualities = [(threshold, judge(records, linked_at(records, draft, threshold))) for threshold in GRID]
    chosen = next((threshold for threshold, quality in qualities if _is_precise(quality)), None)
    if chosen is None:
        raise LinkageError("No threshold makes the model precise enough on the population that it was trained on.")
    model = draft.model_copy(update={"thresholds": Thresholds(link=chosen, wide=GRID[0], strong_weight=STRONG_WEIGHT)})
    _write_report(report, model, qualities)
    return model


def _with_unseen(parameters: dict[str, Any]) -> dict[str, Any]:
    """A level that no true pair showed is rare, not impossible."""
    for comparison in parameters["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level"):
                level["m_probability"] = max(level.get("m_probability") or 0.0, LEAST_M)
                level["u_probability"] = max(level.get("u_probability") or 0.0, LEAST_U)
    return parameters


def _is_precise(qualities: dict[str, Quality]) -> bool:
    return qualities["residue"].precision >= PRECISION and all(
        quality.precision >= GROUP_PRECISION for group, quality in qualities.items() if group != "barred"
    )


def _write_report(report: Path, model: Model, qualities: list[tuple[float, dict[str, Quality]]]) -> None:
    lines = [
        f"# Linkage model {model.version}",
        "",
        f"Trained on {model.trained.on} on {model.trained.population}: {model.trained.n_records:,} records, "
        f"{model.trained.n_true_pairs:,} true pairs of which one at least has no usable number.",
        "",
        f"In force from match probability {model.thresholds.link}; wide from {model.thresholds.wide}.",
        "",
        "## Thresholds tried on the training population",
        "",
        "| threshold | group | precision | recall | pairs linked | true pairs |",
        "|---|---|---|---|---|---|",
        *(
            f"| {threshold} | {group} | {quality.precision:.4f} | {quality.recall:.4f} | "
            f"{quality.n_linked:,} | {quality.n_true:,} |"
            for threshold, groups in qualities
            for group, quality in groups.items()
        ),
        "",
        "## Parameters",
        "",
        "| comparison | level | m | u |",
        "|---|---|---|---|",
        *(
            f"| {comparison['output_column_name']} | {level.get('label_for_charts', '')} | "
            f"{level.get('m_probability', '')} | {level.get('u_probability', '')} |"
            for comparison in model.splink["comparisons"]
            for level in comparison["comparison_levels"]
        ),
    ]
    (report / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
