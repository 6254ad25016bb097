"""The stable schema and the data package of the published country, and the notebook that reads them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import polars as pl
import pytest
from frictionless import Package

from ruam import export as exporting
from ruam.dbt import manifest
from ruam.disclosure import BASE, THRESHOLD
from ruam.errors import PublishError, UsageError
from ruam.export import DESCRIPTOR, export
from ruam.home import DataHome
from ruam.publish import current, published_marts
from ruam.settings import PROJECT, Licence
from ruam.stable import stable_schema

NOTEBOOK = PROJECT / "docs" / "notebook.ipynb"
POLARS = {"varchar": pl.String, "date": pl.Date, "integer": pl.Int32, "bigint": pl.Int64, "double": pl.Float64}


@pytest.fixture(scope="module")
def package(published_home: DataHome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "package"
    export(published_home, folder, Licence())
    return folder


@pytest.fixture(scope="module")
def descriptor(package: Path) -> dict[str, Any]:
    return json.loads((package / DESCRIPTOR).read_text(encoding="utf-8"))


def test_the_published_file_offers_exactly_what_is_described(published_home: DataHome) -> None:
    pointer, schema = current(published_home), stable_schema()
    assert pointer
    with duckdb.connect(str(published_home.serving / pointer["file"]), read_only=True) as connection:
        found = connection.execute(
            "select table_name, column_name, lower(data_type) from information_schema.columns "
            "where table_schema = $name order by table_name, ordinal_position",
            {"name": schema.name},
        ).fetchall()
    views = sorted(schema.views, key=lambda view: view.name)
    assert found == [(view.name, column.name, column.type) for view in views for column in view.offered]


def test_every_published_table_is_offered_or_left_out_with_a_reason(published_home: DataHome) -> None:
    schema = stable_schema()
    published = {mart.name for mart in published_marts(manifest(published_home))}
    assert {view.table for view in schema.views} | set(schema.left_out) == published
    assert all(schema.left_out.values())


def test_only_controlled_counts_are_offered(published_home: DataHome, package: Path) -> None:
    controlled = {mart.name: mart.counts for mart in published_marts(manifest(published_home))}
    for view in stable_schema().views:
        counts = {column.name for column in view.columns if column.count}
        assert counts <= controlled[view.table]
        rows = pl.read_parquet(package / "data" / f"{view.name}.parquet")
        for name in counts:
            held = rows[name].drop_nulls()
            wrong = held.filter((held != 0) & ((held < THRESHOLD) | (held % BASE != 0)))
            assert wrong.is_empty(), f"{view.name}.{name}"
            hidden = rows.filter(pl.col(f"{name}_status").is_in(["below_10", "missing"]))
            assert hidden[name].null_count() == hidden.height


def test_the_package_is_a_data_package(descriptor: dict[str, Any]) -> None:
    assert descriptor["$schema"].endswith("/2.0/datapackage.json")
    assert list(Package.metadata_validate(descriptor)) == []
    assert len(Package.from_descriptor(descriptor).resources) == len(stable_schema().views)
    broken = descriptor | {"resources": [{"name": "No Name!"}]}
    assert list(Package.metadata_validate(broken))


def test_each_file_is_as_the_descriptor_says(package: Path, descriptor: dict[str, Any]) -> None:
    views = {view.name.replace("_", "-"): view for view in stable_schema().views}
    for resource in descriptor["resources"]:
        content = (package / resource["path"]).read_bytes()
        assert resource["bytes"] == len(content)
        assert resource["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        rows = pl.read_parquet(package / resource["path"])
        assert [field["name"] for field in resource["schema"]["fields"]] == rows.columns
        assert rows.height == resource["ruam:rows"]
        assert rows.select(resource["schema"]["primaryKey"]).is_unique().all()
        for column in views[resource["name"]].offered:
            kind = rows.schema[column.name]
            assert kind == POLARS[column.type] if column.type != "timestamp" else kind == pl.Datetime("us")
    listed = {DESCRIPTOR, "README.md", *(resource["path"] for resource in descriptor["resources"])}
    assert {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()} == listed


def test_the_package_says_what_it_is_as_of_when_and_what_may_be_done_with_it(
    published_home: DataHome, package: Path, descriptor: dict[str, Any]
) -> None:
    pointer = current(published_home)
    assert pointer
    assert descriptor["ruam:run_id"] == pointer["run_id"]
    assert descriptor["ruam:as_of"]["data_to"] == "2025-02-01"
    assert "<10" in descriptor["ruam:disclosure"]["rule"]
    assert descriptor["licenses"] == [Licence().model_dump(exclude_none=True)]
    readme = (package / "README.md").read_text(encoding="utf-8")
    assert "ไม่ใช่ศูนย์" in readme
    assert "2025-02-01" in readme
    definitions = pl.read_parquet(package / "data" / "measures.parquet")
    assert definitions.filter(pl.col("measure_id") == "RED-02")["numerator_th"].item()


def test_exporting_again_gives_the_same_bytes(published_home: DataHome, package: Path, tmp_path: Path) -> None:
    export(published_home, tmp_path / "again", Licence())
    for path in package.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(package)).read_bytes()


def test_a_package_that_fails_half_way_leaves_the_last_one(
    published_home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(published_home, tmp_path / "package", Licence())
    before = (tmp_path / "package" / DESCRIPTOR).read_bytes()

    def fail(*_: object) -> str:
        raise RuntimeError("no more")

    monkeypatch.setattr(exporting, "_readme", fail)
    with pytest.raises(RuntimeError, match="no more"):
        export(published_home, tmp_path / "package", Licence(name="CC-BY-4.0", title="CC BY 4.0"))
    assert (tmp_path / "package" / DESCRIPTOR).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["package"]


def test_the_command_exports_and_says_when_there_is_nothing_to(
    command: Callable[..., int],
    published_home: DataHome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("export", tmp_path / "package") == PublishError.exit_code
    assert "ruam publish" in capsys.readouterr().err
    assert not (tmp_path / "package").exists()

    monkeypatch.setenv("RUAM_HOME", str(published_home.root))
    monkeypatch.setenv("RUAM_EXPORT_LICENCE__NAME", "CC-BY-4.0")
    assert command("export", tmp_path / "package") == 0
    assert f"{len(stable_schema().views)} tables" in capsys.readouterr().out
    written = json.loads((tmp_path / "package" / DESCRIPTOR).read_text(encoding="utf-8"))
    assert written["licenses"][0]["name"] == "CC-BY-4.0"

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    assert command("export", tmp_path / "mine") == UsageError.exit_code


def test_the_notebook_is_kept_without_results() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_the_notebook_runs_on_the_published_country(published_home: DataHome, tmp_path: Path) -> None:
    """Cell after cell in one process of its own, as a kernel would, and ends with the figures that it shows."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    script = tmp_path / "notebook.py"
    script.write_text("\n\n".join([*cells, "print(shown.height, sorted(shown.columns))"]), encoding="utf-8")
    ran = subprocess.run(  # noqa: S603 - the project's own notebook
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"RUAM_HOME": str(published_home.root)},
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("13 ")
