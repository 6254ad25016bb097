"""The catalogue of rules as people read it, joined to what was found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import polars as pl

from dashboards.components.tables import texts
from dashboards.components.values import count_value, rate_value
from dashboards.components.words import Words
from dashboards.queries import figures
from ingestion.checks import load_rules
from quality.catalogue import examined


@dataclass(frozen=True)
class RuleText:
    code: str
    axis: str | None
    severity: str | None
    level: str
    """`delivery`, `row` or `both` of a rule of reading; `standing` of a rule over rows that fit their file."""
    population: str
    """The rows that it is asked of, as the rule's own expression; empty where it is asked of all."""
    rows: str
    th: str
    en: str
    fix_th: str
    fix_en: str


@cache
def rule_texts() -> dict[str, RuleText]:
    """Every rule by its code, those over standing rows first."""
    found = [
        RuleText(
            rule.code,
            rule.axis,
            rule.severity,
            "standing",
            "" if rule.applies == "true" else rule.applies,
            kind.name.removeprefix("int_").removesuffix("__examined"),
            rule.th,
            rule.en,
            rule.fix_th,
            rule.fix_en,
        )
        for kind in examined()
        for rule in kind.rules
    ]
    for code, rule in load_rules().items():
        fix_en = str(getattr(rule, "fix_en", None) or getattr(rule, "fix", ""))
        found.append(
            RuleText(
                code,
                getattr(rule, "axis", None),
                getattr(rule, "severity", None),
                str(rule.level),
                "",
                "deliveries",
                rule.th,
                rule.en,
                str(getattr(rule, "fix_th", None) or fix_en),
                fix_en,
            )
        )
    return {rule.code: rule for rule in found}


def rule_name(words: Words, code: str) -> str:
    rule = rule_texts().get(code)
    return code if rule is None else rule.th if words.language == "th" else rule.en


def rule_fix(words: Words, code: str) -> str:
    rule = rule_texts().get(code)
    return "–" if rule is None else rule.fix_th if words.language == "th" else rule.fix_en


def with_findings(words: Words, rows: pl.DataFrame) -> pl.DataFrame:
    """Rule results with rule, fix, axis_shown, severity_shown, broken, checked, share and change as text."""
    broken, checked, shares, changes = [], [], [], []
    for row in rows.iter_rows(named=True):
        broken.append(count_value(words, row["n_broken"], row["n_broken_status"]).text)
        checked.append(count_value(words, row["n_checked"], row["n_checked_status"]).text)
        shares.append(rate_value(words, figures.RULE_SHARE, _counts(row, "")).text)
        newest, before = (rate_value(words, figures.RULE_SHARE, _counts(row, end)) for end in ("_newest", "_before"))
        changes.append(
            words("rules.change", before=before.text, newest=newest.text)
            + (
                f" ({newest.number - before.number:+.1f})"
                if newest.number is not None and before.number is not None
                else ""
            )
        )
    codes = rows["rule_code"].to_list()
    return rows.with_columns(
        texts("rule", [rule_name(words, code) for code in codes]),
        texts("fix", [rule_fix(words, code) for code in codes]),
        texts("axis_shown", [words(f"quality_axis.{axis}") for axis in rows["axis"]]),
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
