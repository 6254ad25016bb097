"""What DuckDB and Spark read differently stands in `macros/cross_engine` alone (docs/decisions/0029)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ruam.settings import PROJECT

_FOLDERS = ("models", "macros", "tests/dbt")
_ALLOWED = PROJECT / "macros" / "cross_engine"

_FUNCTIONS = {
    "days_between": "date_diff datediff date_sub datesub",
    "month_start": "date_trunc datetrunc",
    "add_days, add_months": "date_add dateadd to_days to_months to_years",
    "year(), month(), day()": "date_part datepart extract dayofweek isodow weekday weekofyear yearweek",
    "a macro of its own": "strftime strptime last_day make_date epoch age hash list array_agg flatten range",
    "date_spine": "generate_series unnest explode",
    "texts_in_order": "string_agg group_concat listagg",
    "||, for a null": "concat concat_ws",
    "matches_pattern, part_of": "regexp_matches regexp_like regexp_extract regexp_replace regexp_full_match",
    "median_of, quantile_of, median_amount": "median quantile quantile_cont quantile_disc percentile percentile_cont",
    "mean_of": "avg mean",
    "number_of_key": "md5_number md5_number_lower md5_number_upper",
    "utc_now": "now today current_date current_timestamp",
    "nothing: which row it takes is chance": "any_value arbitrary first last arg_max arg_min max_by min_by",
}
"""Names of functions whose meaning, arguments or nulls differ, by what to write instead."""

_PATTERNS = {
    "ratio": re.compile(r"(?<![*/])/(?![*/])"),
    "to_nearest": re.compile(r"//"),
    "add_days, add_months": re.compile(r"\binterval\b"),
    "as_text, null_text": re.compile(r"\bas\s+(varchar|text|string|char)\b|::"),
    "utc_now": re.compile(r"\bcurrent_(date|timestamp)\b"),
    "a count of one column": re.compile(r"\bcount\s*\(\s*distinct\s*\("),
    "a subquery": re.compile(r"\bqualify\b"),
    "like": re.compile(r"\bsimilar\s+to\b|\bilike\b|\bglob\b"),
}
_CALL = re.compile(r"(?<![\w.])(\w+)\s*\(")
_COMMENT = re.compile(r"\{#.*?#\}|--[^\n]*", re.DOTALL)
_OF_ONE_ENGINE = re.compile(r"\{%-? macro (?:default|duckdb|spark)__.*?endmacro -?%\}", re.DOTALL)
_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_JINJA_TEXT = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_SQL_TEXT = re.compile(r"'[^']*'")
_INSTEAD = {name: instead for instead, names in _FUNCTIONS.items() for name in names.split()}


def banned(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, what stands there, and what to write instead, of the SQL of a model or macro: that outside of Jinja, and
    the texts inside of it, of which macros are made."""
    text = _blanked(_OF_ONE_ENGINE, _blanked(_COMMENT, text))
    pieces = [(0, _blanked(_JINJA, text))]
    for code in _JINJA.finditer(text):
        pieces += [(code.start() + one.start(), one[1] or one[2] or "") for one in _JINJA_TEXT.finditer(code[0])]
    for start, piece in pieces:
        sql = _blanked(_SQL_TEXT, piece).lower()
        for at, what, instead in _banned_in(sql):
            yield text.count("\n", 0, start + at) + 1, what, instead


def _banned_in(sql: str) -> Iterator[tuple[int, str, str]]:
    for call in _CALL.finditer(sql):
        name, arguments = call[1], _arguments(sql, call.end())
        if name in _INSTEAD:
            yield call.start(), name, _INSTEAD[name]
        elif name == "round" and arguments[1:] not in ([], ["0"]):
            yield call.start(), "round to digits", "rounded"
        elif name in ("trim", "ltrim", "rtrim") and len(arguments) > 1:
            yield call.start(), f"{name} of characters", "without_leading"
    for instead, pattern in _PATTERNS.items():
        for found in pattern.finditer(sql):
            yield found.start(), found[0], instead


def _arguments(sql: str, start: int) -> list[str]:
    depth, found = 1, [""]
    for character in sql[start:]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            break
        if depth == 1 and character == ",":
            found.append("")
        else:
            found[-1] += character
    return [one.strip() for one in found]


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    """With blanks for what the pattern finds, so that every line stays where it is."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def test_no_model_or_macro_says_what_engines_read_differently() -> None:
    paths = [path for folder in _FOLDERS for path in sorted((PROJECT / folder).rglob("*.sql"))]
    assert len(paths) > 150
    found = [
        f"{path.relative_to(PROJECT)}:{line}: {what} (instead: {instead})"
        for path in paths
        if _ALLOWED not in path.parents
        for line, what, instead in banned(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("select a / b from t", "/"),
        ("select a // 10 from t", "//"),
        ("select Date_Diff('day', a, b) from t", "date_diff"),
        ("select day + interval 1 day from t", "interval"),
        ("select cast(a as varchar) from t", "as varchar"),
        ("select a::date from t", "::"),
        ("select concat(a, b) from t", "concat"),
        ("select avg(price) from t", "avg"),
        ("select round(price, 2) from t", "round to digits"),
        ("select ltrim(hospcode, '0') from t", "ltrim of characters"),
        ("select count(distinct (a, b)) from t", "count(distinct ("),
        ("{{ ratio('median(a)', 'b') }}", "median"),
        ('{%- set share = "sum(a) / count(*)" -%}', "/"),
    ],
)
def test_what_is_banned_is_found(sql: str, what: str) -> None:
    assert [(line, found) for line, found, _ in banned(f"-- a / b\n{sql}")] == [(2, what)]


def test_what_both_read_alike_is_not_banned() -> None:
    assert not list(
        banned("""
            {#- a / b -#}
            {%- for n in range((longest + 29) // 28) %}
            select
                '1/2' as label, {{ add_months('day', -1) }} as earlier, round(a) as a, coalesce(trim(b), 'a, b') as b,
                {{ rounded(ratio('a', 'b'), 2) }} as share, count(distinct c) as n,
                {{ "x in ('" ~ given.split(';') | join("', '") ~ "')" }} as is_given,
                cast(d as date) as d
            from t
        """)
    )
