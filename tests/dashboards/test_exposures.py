"""The exposures of dbt name every page and what it reads, so that whoever changes a model sees whom it reaches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from sqlglot import exp, parse_one

from dashboards.queries import reads
from ruam.settings import PROJECT
from tests.dashboards.test_pages import PAGES, open_page

EXPOSURES = PROJECT / "models" / "marts" / "exposures.yml"
VIEWS: dict[str, list[dict[str, str]]] = {
    "compare": [{}, {"compare": "redundancy"}],
    "explore": [{}, {"measure": "visits", "set": "right_group"}],
}
"""Of a page that reads one table or another by what is chosen, the choices that reach all of them."""
PAGE_FILES = {
    path.stem for path in (PROJECT / "dashboards" / "app_pages").glob("*.py") if not path.stem.startswith("_")
}


def declared() -> dict[str, set[str]]:
    exposures = yaml.safe_load(EXPOSURES.read_text(encoding="utf-8"))["exposures"]
    return {
        one["name"]: {name for ref in one["depends_on"] for name in re.findall(r"ref\('(\w+)'\)", ref)}
        for one in exposures
    }


def tables_of(sql: str) -> set[str]:
    tree = parse_one(sql, dialect="duckdb")
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    return {table.name for table in tree.find_all(exp.Table)} - named


def test_every_page_has_its_exposure_and_every_exposure_its_page() -> None:
    without_marts = {"audit", "deliveries", "findings", "runs"}
    assert set(declared()) == PAGE_FILES - without_marts == set(PAGES), "these read rows behind the audit log, no mart"


@pytest.mark.parametrize("page", PAGES)
def test_an_exposure_depends_on_what_the_page_reads_and_on_nothing_else(
    page: str, published_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUAM_HOME", str(published_home))
    asked: list[str] = []
    fetch = reads.fetch

    def recorded(serving, sql, parameters=None):  # type: ignore[no-untyped-def]
        asked.append(sql)
        return fetch(serving, sql, parameters)

    monkeypatch.setattr(reads, "fetch", recorded)
    for query in VIEWS.get(page, [{}]):
        open_page(page, **query)
    assert set().union(*map(tables_of, asked)) == declared()[page]
