"""The dbt project as it stands, compiled against an empty warehouse: what a page says never depends on one machine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ruam.dbt import manifest, run_dbt
from ruam.home import DataHome
from ruam.settings import PROJECT

_TIMES = {"created_at", "generated_at", "invocation_id", "invocation_started_at", "run_started_at", "user_id"}
"""What dbt writes of the run; nobody reads it, and it would make the same project another file each time."""


@dataclass(frozen=True)
class Project:
    manifest: dict[str, Any]
    """With the compiled SQL of every model, without times and without paths of the machine."""
    source_columns: Mapping[str, list[str]]
    """By `f43.service`."""
    page: str
    """dbt's page of documentation, before its data are put in."""


def compiled_project(scratch: DataHome) -> Project:
    """Compile in an empty home that has the schema batch; what is there is left behind for the caller to remove.

    Raises `BuildError` when the project does not compile.
    """
    run_dbt(["seed"], scratch)
    run_dbt(["docs", "generate", "--empty-catalog"], scratch)
    raw = manifest(scratch)
    columns = {
        f"{node['source_name']}.{node['name']}": _columns(node["relation_name"]) for node in raw["sources"].values()
    }
    page = (scratch.dbt / "target" / "index.html").read_text(encoding="utf-8")
    return Project(_steady(raw, scratch.root), columns, page)


def _columns(relation: str) -> list[str]:
    """Columns of `read_parquet('<glob>', ...)`, the form in which sources are read."""
    found = re.match(r"read_parquet\('([^']+)'", relation)
    if not found:
        raise ValueError(f"a source is read in a way that is not known here: {relation}")
    has_hive = re.search(r"hive_partitioning\s*=\s*true", relation) is not None
    return pl.scan_parquet(found.group(1), hive_partitioning=has_hive).collect_schema().names()


def _steady(artifact: dict[str, Any], root: Path) -> dict[str, Any]:
    text = json.dumps(artifact, ensure_ascii=False, sort_keys=True)
    for path, name in ((str(root), "RUAM_HOME"), (str(PROJECT), "")):
        text = text.replace(json.dumps(path, ensure_ascii=False)[1:-1], name)
    cleaned: dict[str, Any] = _without(json.loads(text))
    return cleaned


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(one) for key, one in value.items() if key not in _TIMES}
    return [_without(one) for one in value] if isinstance(value, list) else value


def dbt_page(project: Project, types: Mapping[str, Mapping[str, str]] | None) -> str:
    """dbt's documentation as one file: its page with manifest and catalogue inside, as `--static` lays them in."""
    manifest_text = json.dumps(project.manifest, ensure_ascii=False, sort_keys=True)
    catalog = json.dumps(_catalog(project.manifest, types or {}), ensure_ascii=False, sort_keys=True)
    page = project.page
    for place, text in (('"MANIFEST.JSON INLINE DATA"', manifest_text), ('"CATALOG.JSON INLINE DATA"', catalog)):
        if place not in page:
            raise ValueError(f"dbt's page of documentation has no place for {place}")
        # A text within a script must not end it.
        page = page.replace(place, text.replace("</", "<\\/"))
    return page


def _catalog(artifact: Mapping[str, Any], types: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """dbt's `catalog.json`, made of what was read of the warehouse: no engine is asked again."""
    nodes = {}
    for key, node in artifact["nodes"].items():
        if node["resource_type"] in ("model", "seed") and node["name"] in types:
            columns = {
                name: {"name": name, "type": data_type, "index": place, "comment": None}
                for place, (name, data_type) in enumerate(types[node["name"]].items(), start=1)
            }
            about = {"type": "BASE TABLE", "schema": node["schema"], "name": node["name"], "database": None}
            nodes[key] = {
                "unique_id": key,
                "metadata": about | {"comment": None, "owner": None},
                "columns": columns,
                "stats": {},
            }
    return {"metadata": {}, "nodes": nodes, "sources": {}, "errors": None}
