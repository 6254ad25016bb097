"""Quality on a population whose truth is known; `make proof` judges a larger one (RUAM_TEST_PEOPLE)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb
import polars as pl
import pytest

from identity.linkage.evaluation import TARGETS, Quality, failures, judge, linked, take, write_charts
from identity.linkage.features import RECORD, RUN
from identity.linkage.link import link
from identity.linkage.model import Model, load
from identity.linkage.review import read_back, sample
from identity.linkage.train import WITHOUT_NUMBER
from ingestion.synthetic.linkage import RECORDS, invented_records
from ruam.errors import UsageError
from tests.linkage.people import NUMBER, add

PEOPLE = int(os.environ.get("RUAM_TEST_PEOPLE", "1000"))
SEED = 303
"""Not that of the training."""


@dataclass(frozen=True)
class Population:
    records: pl.DataFrame
    vault: duckdb.DuckDBPyConnection
    model: Model

    @property
    def linked(self) -> pl.DataFrame:
        return linked(self.vault, self.model)


@pytest.fixture(scope="module")
def population() -> Population:
    records = invented_records(PEOPLE, SEED, without_number=WITHOUT_NUMBER)
    vault = duckdb.connect()
    take(vault, records)
    model = load()
    link(vault, model)
    return Population(records, vault, model)


def test_the_model_reaches_its_targets_in_every_group(population: Population) -> None:
    qualities = judge(population.records, population.linked)
    assert failures(qualities) == [], qualities


NAMED = """
    select l.hospcode, l.pid, r.hospcode, r.pid from pairs
    inner join linkage.features as l on pairs.join_key_l = l.record
    inner join linkage.features as r on pairs.join_key_r = r.record
"""


def index_of(vault: duckdb.DuckDBPyConnection) -> set[tuple[object, ...]]:
    return set(
        vault.execute(f"""
            select features.* exclude (record), key
            from (select is_residue, key, birth, {RECORD} as record from linkage.blocks)
            inner join linkage.features as features using (record, is_residue, birth)
            where birth is not null
        """).fetchall()
    )


def pairs_of(vault: duckdb.DuckDBPyConnection) -> set[frozenset[tuple[object, ...]]]:
    return {frozenset((row[:2], row[2:])) for row in vault.execute(NAMED).fetchall()}


def test_days_one_by_one_make_the_index_and_find_the_candidates_of_all_at_once(population: Population) -> None:
    """Two days of three bring corrections too. Children come last, for what their mothers are called must be known, and
    so do mistyped numbers, for it is they that look for the right ones."""
    vault = duckdb.connect()
    lot = pl.concat_str("hospcode", "pid").hash(1)
    day = (
        pl.when((pl.col("kind") == "newborn") | (pl.col("cid_class") == "bad_check_digit"))
        .then(3)
        .otherwise(1 + lot % 2)
    )
    records = population.records.with_columns(day=day, is_wrong=(lot // 8 % 7 == 0) & (day < 3))
    found = set()
    for today in (1, 2, 3):
        came = records.filter(pl.col("day") == today).with_columns(
            given=pl.when("is_wrong").then(pl.lit("มานะ")).otherwise("given"),
            birth_date=pl.when("is_wrong").then(pl.col("birth_date").dt.offset_by("1y")).otherwise("birth_date"),
        )
        corrected = records.filter(pl.col("is_wrong") & (pl.col("day") == today - 1))
        add(vault, *pl.concat([came, corrected]).select(list(RECORDS)).to_dicts())
        link(vault, population.model)
        found |= pairs_of(vault)
    sizes = [n for (n,) in vault.execute("select n from linkage.runs where name = 'blocks' order by run").fetchall()]
    assert all(before >= RUN * after for before, after in pairwise(sizes))
    assert vault.execute("select count(*) from linkage.blocks").fetchone() == (
        population.vault.execute("select count(*) from linkage.blocks").fetchone()
    )
    assert index_of(vault) == index_of(population.vault)
    assert found >= pairs_of(population.vault)


def test_linkage_adds_more_than_numbers_do(population: Population) -> None:
    alone = population.records.select(
        "hospcode",
        "pid",
        person=pl.coalesce("linkage_pseudonym", pl.concat_str("hospcode", pl.lit(":"), "pid")),
    )
    by_number = judge(population.records, alone)
    assert by_number["residue"].recall == 0
    assert failures(by_number), "the targets must fail without linkage"


def test_one_person_of_all_fails_on_precision(population: Population) -> None:
    everybody = population.records.select("hospcode", "pid", person=pl.lit("one"))
    told = failures(judge(population.records, everybody))
    assert len([sentence for sentence in told if "precision" in sentence]) == len(TARGETS)


def test_wide_persons_are_unions_of_persons(population: Population) -> None:
    assert population.linked.group_by("person").agg(pl.col("wide_person").n_unique())["wide_person"].max() == 1


def test_nobody_has_two_numbers(population: Population) -> None:
    valid = population.records.filter(pl.col("cid_class") == "valid").select("hospcode", "pid", "cid")
    numbers = population.linked.join(valid, on=["hospcode", "pid"])
    assert numbers.group_by("person").agg(pl.col("cid").n_unique())["cid"].max() == 1


def test_pairs_are_counted_as_they_would_be_one_by_one() -> None:
    records = pl.DataFrame(
        {
            "hospcode": ["1", "2", "3", "4"],
            "pid": ["a"] * 4,
            "person": [1, 1, 2, 2],
            "kind": ["foreign", "thai", "foreign", "foreign"],
            "cid": [None, NUMBER, None, None],
            "cid_class": ["missing", "valid", "missing", "missing"],
        }
    )
    found = records.select("hospcode", "pid", person=pl.Series(["x", "x", "x", "y"]))
    qualities = judge(records, found)
    assert qualities["overall"] == Quality(n_linked=3, n_true=2, n_right=1)
    assert qualities["foreign"] == Quality(n_linked=3, n_true=2, n_right=1)
    assert qualities["newborn"] == Quality(0, 0, 0)
    assert "newborn: no true pair to judge by" in failures(qualities)


def test_mistyped_numbers_that_pass_the_check_are_judged_where_they_may_be_linked() -> None:
    """Of 1 no other valid number is known; 2 has its own beside the wrong one; the wrong one of 3 is that of 4."""
    wrong = {"kind": "mistyped", "cid_class": "valid"}
    right = {"kind": "thai", "cid_class": "valid"}
    without = {"kind": "thai", "cid": None, "cid_class": "missing"}
    rows = [
        {"person": 1, "cid": "1", **wrong},
        {"person": 1, **without},
        {"person": 2, "cid": "2", **wrong},
        {"person": 2, "cid": "3", **right},
        {"person": 3, "cid": "4", **wrong},
        {"person": 3, **without},
        {"person": 4, "cid": "4", **right},
    ]
    records = pl.DataFrame([{"hospcode": str(at), "pid": "1", **row} for at, row in enumerate(rows)])
    found = records.select("hospcode", "pid", person=pl.Series(["a", "a", "b", "c", "d", "e", "d"]))
    qualities = judge(records, found)
    assert qualities["mistyped"] == Quality(n_linked=1, n_true=1, n_right=1)
    assert qualities["barred"] == Quality(n_linked=1, n_true=2, n_right=0)


def test_charts_need_no_network(population: Population, tmp_path: Path) -> None:
    write_charts(population.vault, population.records, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "match_weights.html",
        "precision_recall.html",
        "cluster_sizes.html",
    }
    for path in tmp_path.iterdir():
        text = path.read_text(encoding="utf-8")
        assert '<script src="http' not in text
        assert "vegaEmbed" in text


def answered(path: Path, out: Path, answers: dict[str, str]) -> Path:
    rows = pl.read_csv(path, infer_schema=False)
    rows.with_columns(**{name: pl.lit(answer) for name, answer in answers.items()}).write_csv(out)
    return out


def test_answers_of_two_reviewers_are_read_back(population: Population, tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    n = sample(population.vault, population.model, path)
    assert n == min(population.vault.execute("select count(*) from linkage.edges").fetchone()[0], 400)  # type: ignore[index]
    assert path.stat().st_mode & 0o077 == 0
    assert "probability" not in path.read_text(encoding="utf-8-sig").splitlines()[0]
    first = answered(path, tmp_path / "first.csv", {"reviewer_1": "y"})
    second = answered(path, tmp_path / "second.csv", {"reviewer_2": "Y "})
    told = read_back(population.vault, population.model, [first, second])
    assert (told.n_pairs, told.n_answered, told.agreement, told.precision) == (n, n, 1.0, 1.0)


def test_reviewers_who_differ_have_a_low_kappa(population: Population, tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    sample(population.vault, population.model, path)
    told = read_back(
        population.vault,
        population.model,
        [answered(path, tmp_path / "both.csv", {"reviewer_1": "y", "reviewer_2": "n"})],
    )
    assert told.agreement == 0
    assert told.kappa <= 0


def test_an_odd_answer_is_named_with_its_place(population: Population, tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    sample(population.vault, population.model, path)
    odd = answered(path, tmp_path / "odd.csv", {"reviewer_1": "maybe"})
    with pytest.raises(UsageError, match="line 2, column reviewer_1: the answer is none of y, n"):
        read_back(population.vault, population.model, [odd])
