"""Habits of the pages that no type checker sees."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import dashboards

FOLDER = Path(dashboards.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_sql_and_caches_are_in_queries_alone(path: Path) -> None:
    """SEC-6: what is cached once for all sessions is decided in one place."""
    if path.parent.name == "queries":
        return
    text = path.read_text(encoding="utf-8")
    assert "duckdb" not in imported(path)
    assert not re.search(r"st\.cache_(data|resource)", text)
    assert not re.search(r"\bselect\b[\s\S]{0,200}\bfrom\b (agg|dim)_", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_pages_import_no_part_of_the_pipeline(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & {"ingestion", "identity", "dbt"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_raw_dates_and_every_picture_has_words(path: Path) -> None:
    """UX-3 and UX-4: Streamlit's date picker mixes eras; charts and tables need alternative text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"date_input", "datetime_input"}
            if node.func.attr in {"vega_lite_chart", "altair_chart", "dataframe"}:
                assert "alt" in {keyword.arg for keyword in node.keywords}


def test_settings_of_the_server_are_closed() -> None:
    config = tomllib.loads((FOLDER.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "127.0.0.1"
    assert config["server"]["allowedHosts"]
    assert config["client"]["showErrorDetails"] == "none"
    assert config["browser"]["gatherUsageStats"] is False
    for face in config["theme"]["fontFaces"]:
        assert (FOLDER / face["url"].removeprefix("app/")).is_file()
