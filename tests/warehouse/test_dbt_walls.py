"""The walls of the dbt project, read from its manifest: who may read whom, what each model says, which names hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ruam.dbt import manifest
from ruam.home import DataHome
from ruam.settings import PROJECT

Node = dict[str, Any]

NAMES = {
    "staging": r"stg_[a-z0-9]+__[a-z_]+",
    "intermediate": r"int_[a-z]+__[a-z]+ed(_to_[a-z]+s)?",
    "warehouse": r"(dim|fct|bridge)_[a-z_]+s",
    "measures": r"msr_[a-z]+_[0-9]{2}|fct_[a-z_]+s",
    "marts": r"agg_[a-z_]+|dim_[a-z]+s|publication",
}
MAY_READ = {
    "staging": {"sources", "staging"},
    "intermediate": {"staging", "intermediate", "seeds"},
    "warehouse": {"staging", "intermediate", "warehouse", "seeds"},
    "measures": {"intermediate", "warehouse", "measures", "seeds"},
    "marts": {"warehouse", "measures"},
}
OF_NO_PEOPLE = {
    "agg_rule_results": {"n_facilities", "n_facilities_broken", "cost", "cost_rank"},
    "agg_scorecards": {"n_months_before", "n_peers"},
}
"""Numbers of facilities, months and areas; a cost is made of counts as published."""
KEY_TESTS = {"unique_combination", "unique", "one_row"}

DIALECT = {
    "a division": r"[^/*]/[^/*]",
    "an engine's cast": r"::|\btry_cast\b",
    "an engine's date function": (
        r"\b(date_trunc|date_diff|datediff|date_add|dateadd|date_part|strftime|to_date|last_day|extract)\s*\("
    ),
    "an interval": r"\binterval\b",
    "dbt's own date or cast macro": r"\bdbt\.[a-z_]+",
    "a list function": r"\b(unnest|explode|list|string_agg|listagg|array_agg|list_[a-z]+|string_split|split)\s*\(",
    "a hash": r"\b(md5|sha256|hash)\s*\(",
    "a regular expression": r"\bregexp_[a-z]+\s*\(",
    "a cast to text or date": r"\bas\s+(varchar|text|string|date)\s*\)",
    "a clause of one engine": r"\b(qualify|group by all|order by all|exclude|asof|ignore nulls|distinct on)\b",
    "concat": r"\bconcat(_ws)?\s*\(",
    "the weekday": r"\b(dayofweek|isodow|weekday)\b",
}


@pytest.fixture(scope="module")
def artifact(built_home: DataHome) -> dict[str, Any]:
    return manifest(built_home)


@pytest.fixture(scope="module")
def models(artifact: dict[str, Any]) -> dict[str, Node]:
    return {key: node for key, node in artifact["nodes"].items() if node["resource_type"] == "model"}


def layer(node: Node) -> str:
    kind = str(node["resource_type"])
    return {"source": "sources", "seed": "seeds"}.get(kind) or str(node["fqn"][1])


def sql_files() -> list[Path]:
    """Every SQL file where only words that all engines share may stand."""
    engine = PROJECT / "macros" / "cross_engine"
    files = [path for folder in ("models", "macros", "tests/dbt") for path in sorted((PROJECT / folder).rglob("*.sql"))]
    return [path for path in files if engine not in path.parents]


def models_past_staging() -> list[Path]:
    return [path for path in sql_files() if "models" in path.parts and "staging" not in path.parts]


def bare_sql(text: str) -> str:
    """SQL without comments, Jinja and quoted text."""
    without_jinja = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", " ", text, flags=re.DOTALL)
    return re.sub(r"--[^\n]*|'[^']*'", " ", without_jinja)


def test_each_layer_reads_only_the_layers_before_it(artifact: dict[str, Any], models: dict[str, Node]) -> None:
    everything = {**artifact["nodes"], **artifact["sources"]}
    broken = [
        f"{node['name']} reads {everything[parent]['name']}"
        for node in models.values()
        for parent in node["depends_on"]["nodes"]
        if layer(everything[parent]) not in MAY_READ[layer(node)]
        # The labels and definitions that marts hand on are seeds, and come through a mart that only names them.
        and not (layer(node) == "marts" and "dim_" in (node["name"][:4], everything[parent]["name"][:4]))
    ]
    assert broken == []


def test_names_tell_layer_and_never_place_or_period(models: dict[str, Node]) -> None:
    for node in models.values():
        assert re.fullmatch(NAMES[layer(node)], node["name"]), node["name"]
        assert not re.search(r"region_?[0-9]|(20|25)[0-9]{2}|_(month|quarter|year)(ly)?s?$", node["name"]), node["name"]


def test_each_model_says_its_grain_and_owner_beside_it(models: dict[str, Node]) -> None:
    for node in models.values():
        assert node["patch_path"].removeprefix("ruam://") == str(Path(node["original_file_path"]).with_suffix(".yml"))
        assert node["description"].startswith("One "), node["name"]
        assert node["config"]["meta"].get("owner"), node["name"]


def test_each_model_has_a_key_test(artifact: dict[str, Any], models: dict[str, Node]) -> None:
    tested = {
        parent
        for node in artifact["nodes"].values()
        if node["resource_type"] == "test" and (node.get("test_metadata") or {}).get("name") in KEY_TESTS
        for parent in node["depends_on"]["nodes"]
    }
    assert sorted(set(models) - tested) == []


def test_public_layers_have_enforced_contracts(models: dict[str, Node]) -> None:
    for node in models.values():
        if layer(node) in ("warehouse", "measures", "marts"):
            assert node["config"]["contract"]["enforced"], node["name"]
            assert all(column["description"] for column in node["columns"].values()), node["name"]


def test_marts_are_published_and_shown(artifact: dict[str, Any], models: dict[str, Node]) -> None:
    marts = {key for key, node in models.items() if layer(node) == "marts"}
    assert all(models[key]["config"]["meta"]["publish"] for key in marts)
    assert artifact["exposures"]
    for exposure in artifact["exposures"].values():
        assert exposure["owner"]["name"]
        assert set(exposure["depends_on"]["nodes"]) <= marts


def test_every_count_of_people_visits_or_days_is_under_disclosure_control(models: dict[str, Node]) -> None:
    for name in (
        *("agg_utilization", "agg_patient_flow", "agg_measure_results", "agg_cid_classes", "agg_unknown_codes"),
        *("agg_rule_results", "agg_scorecards", "agg_measure_weaknesses", "agg_facility_activity"),
        "agg_finding_changes",
    ):
        (node,) = (node for node in models.values() if node["name"] == name)
        columns = node["columns"].values()
        numbers = {
            column["name"]
            for column in columns
            # Reports are of facilities, not of people.
            if column["data_type"] in ("bigint", "integer") and not column["name"].startswith("n_reports_")
        } - OF_NO_PEOPLE.get(name, set())
        controlled = {column["name"] for column in columns if column["config"]["meta"].get("disclosure") == "count"}
        assert numbers == controlled, name


@pytest.mark.parametrize("path", sql_files(), ids=lambda path: path.stem)
def test_no_word_of_one_engine_outside_cross_engine(path: Path) -> None:
    text = bare_sql(path.read_text(encoding="utf-8"))
    assert [what for what, pattern in DIALECT.items() if re.search(pattern, text, re.IGNORECASE)] == []


@pytest.mark.parametrize("sql", ["a / b", "x::date", "cast(x as varchar)", "date_trunc('month', d)", "{{ y }} md5(x)"])
def test_the_lint_sees_what_it_bans(sql: str) -> None:
    assert any(re.search(pattern, bare_sql(sql), re.IGNORECASE) for pattern in DIALECT.values())


@pytest.mark.parametrize("path", models_past_staging(), ids=lambda path: path.stem)
def test_final_select_past_staging_names_its_columns(path: Path) -> None:
    final = bare_sql(path.read_text(encoding="utf-8")).rsplit("\nselect", 1)[-1]
    assert not re.match(r"\s*\*", final)
