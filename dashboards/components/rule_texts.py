"""The catalogue of rules as people read it, joined to what was found."""

from __future__ import annotations

from functools import cache

import polars as pl

from dashboards.components.tables import texts
from dashboards.components.values import count_value, rate_value
from dashboards.queries.figures import RULE_COST, Figure, Unit
from quality.catalogue import Entry, axis_of, entries, examined
from quality.wording import wording
from ruam.words import Words

RULE_SHARE = Figure("rule_share", RULE_COST, Unit.PERCENT, 1, "agg_rule_results", "n_broken", "n_checked")
"""The share of the rows that a rule was asked of which break it."""


@cache
def rule_texts() -> dict[str, Entry]:
    """Every rule by its code, as in the catalogue."""
    return {rule.code: rule for rule in entries()}


@cache
def counted() -> frozenset[str]:
    """Codes of the rules over standing rows; of the others `agg_rule_results` counts what set rows aside anywhere."""
    return frozenset(rule.code for rows in examined() for rule in rows.rules)


def population_text(words: Words, rule: Entry) -> str:
    """What the rule is put to: the kind of rows and, where it is not all of them, the condition that holds for them."""
    rows, _, condition = rule.population.partition(": ")
    if not rows.startswith("int_"):
        return rule.population
    kind = words(f"rule_rows.{rows.removeprefix('int_').removesuffix('__examined')}")
    return kind if condition == "true" else f"{kind}: {condition}"


def rule_name(words: Words, code: str) -> str:
    rule = wording(code)
    return rule.th if words.language == "th" else rule.en


def rule_fix(words: Words, code: str) -> str:
    rule = wording(code)
    return rule.fix_th if words.language == "th" else rule.fix_en


def axis_name(words: Words, code: str, scored: str | None) -> str:
    axis = axis_of(code, scored)
    return "–" if axis is None else words(f"quality_axis.{axis}")


def with_findings(words: Words, rows: pl.DataFrame) -> pl.DataFrame:
    """Rule results with rule, fix, axis_shown, severity_shown, broken, checked, share and change as text."""
    broken, checked, shares, changes = [], [], [], []
    for row in rows.iter_rows(named=True):
        broken.append(count_value(words, row["n_broken"], row["n_broken_status"]).text)
        checked.append(count_value(words, row["n_checked"], row["n_checked_status"]).text)
        shares.append(rate_value(words, RULE_SHARE, _counts(row, "")).text)
        newest, before = (rate_value(words, RULE_SHARE, _counts(row, end)) for end in ("_newest", "_before"))
        changes.append(
            words("rules.change", before=before.text, newest=newest.text)
            + (
                f" ({newest.number - before.number:+z.1f})"
                if newest.number is not None and before.number is not None
                else ""
            )
        )
    codes = rows["rule_code"].to_list()
    return rows.with_columns(
        texts("rule", [rule_name(words, code) for code in codes]),
        texts("fix", [rule_fix(words, code) for code in codes]),
        texts("axis_shown", [axis_name(words, row["rule_code"], row["axis"]) for row in rows.iter_rows(named=True)]),
        texts("severity_shown", [words(f"severity.{severity}") for severity in rows["severity"]]),
        texts("broken", broken),
        texts("checked", checked),
        texts("share", shares),
        texts("change", changes),
    )


def _counts(row: dict[str, object], end: str) -> dict[str, object]:
    return {
        "numerator": row[f"n_broken{end}"],
        "numerator_status": row[f"n_broken{end}_status"],
        "denominator": row[f"n_checked{end}"],
        "denominator_status": row[f"n_checked{end}_status"],
    }
