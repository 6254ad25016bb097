"""The walls between the packages, kept by reading the import graph, and what no file of the project may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
import pytest

from ingestion.ndjson import Engine

ROOT = Path(__file__).parents[2]
PACKAGES = ("dashboards", "identity", "ingestion", "ruam")
OURS = ("identity", "ingestion", "dashboards", "quality")
IN_MEMORY = "ingestion/ndjson.py"
OF_WHAT_IS_PUBLISHED = ("ruam/alerts.py", "ruam/export.py", "ruam/stable.py", "ruam/stewards.py")
"""They read what was published alone."""

TEXT = {
    ".py",
    ".yml",
    ".yaml",
    ".toml",
    ".md",
    ".sql",
    ".csv",
    ".txt",
    ".css",
    ".svg",
    ".json",
    ".lock",
    ".excludes",
    "",
}
GENERATED = {
    ".venv",
    "data",
    "target",
    "logs",
    "dist",
    ".git",
    "__pycache__",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    "node_modules",
}


@cache
def modules(package: str) -> dict[str, ast.Module]:
    """Parsed modules of a package by path from the root."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        found[str(path.relative_to(ROOT))] = ast.parse(path.read_text(encoding="utf-8"))
    assert found, f"{package} holds no module"
    return found


def imported(tree: ast.AST) -> set[str]:
    """First names of what is imported anywhere in a tree, also by `importlib`, and relative ones as `.`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # What a package says of itself imports nothing.
            first = str(node.module).removeprefix("importlib.").split(".")[0]
            names.add("." if node.level else first)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            names.add("importlib")
    return names


def at_import_time(tree: ast.Module) -> set[str]:
    """First names of what importing the module imports: not inside functions, not for the type checker alone."""
    waiting: list[ast.AST] = list(tree.body)
    names: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= imported(node)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("package", ["ingestion", "identity", "quality"])
def test_what_takes_data_in_or_judges_it_does_not_know_the_pages(package: str) -> None:
    assert not {path for path, tree in modules(package).items() if "dashboards" in imported(tree)}


def test_the_pages_do_not_know_what_takes_data_in() -> None:
    assert not {path for path, tree in modules("dashboards").items() if {"ingestion", "identity"} & imported(tree)}


def test_identity_knows_no_source() -> None:
    assert not {path for path, tree in modules("identity").items() if "ingestion" in imported(tree)}


def test_an_import_is_seen_where_it_stands() -> None:
    tree = ast.parse(
        "import a.b\nif TYPE_CHECKING:\n    from c import d\nelse:\n    import e\n"
        "class F:\n    import g\n    def h(self):\n        import i\n"
        "try:\n    import j\nexcept ImportError:\n    import k\n"
    )
    assert imported(tree) == set("acegijk")
    assert at_import_time(tree) == set("aegjk")


def test_the_shared_package_imports_the_others_in_functions_of_its_command_line_alone() -> None:
    for path, tree in modules("ruam").items():
        assert not at_import_time(tree).intersection(OURS), path
        if not path.startswith("ruam/cli/"):
            assert not imported(tree).intersection(OURS), path
    command_line = {
        name for path, tree in modules("ruam").items() if path.startswith("ruam/cli/") for name in imported(tree)
    }
    # Of the pages the documentation asks which published columns each figure is made of, and the brief its whole page.
    assert command_line.intersection(OURS) == set(OURS)
    assert users_of("dashboards.queries.figures") & set(modules("ruam")) == {"ruam/cli/docs.py"}
    users = {path for path, tree in modules("ruam").items() if "dashboards" in imported(tree)}
    assert users == {"ruam/cli/brief.py", "ruam/cli/docs.py"}


def test_one_module_runs_dbt() -> None:
    users = {path for package in PACKAGES for path, tree in modules(package).items() if "dbt" in imported(tree)}
    assert users == {"ruam/dbt.py"}


def test_one_module_runs_great_expectations() -> None:
    users = {
        path
        for package in (*PACKAGES, "quality")
        for path, tree in modules(package).items()
        if {"great_expectations", "duckdb_engine"} & imported(tree)
    }
    assert users == {"quality/expectations.py"}


def test_the_database_of_follow_up_is_reached_from_one_place() -> None:
    users = {
        path
        for package in (*PACKAGES, "quality")
        for path, tree in modules(package).items()
        if {"sqlalchemy", "alembic"} & imported(tree)
    }
    of_alerts = "ruam/alerts.py"  # What was told of what lies in the same database.
    assert {path for path in users if not path.startswith("ruam/followup/")} <= {of_alerts, "quality/expectations.py"}


def test_no_wall_is_gone_round() -> None:
    """No import by name at run time, no relative import: the tests above would not see them."""
    for package in PACKAGES:
        for path, tree in modules(package).items():
            assert not {"importlib", "."} & imported(tree), path


SQL = re.compile(
    r"\b(select|with|insert|update|delete|create|attach|copy|from)\b.+\b(from|into|table|as|set)\b", re.I | re.S
)


def strings(tree: ast.Module) -> Iterator[str]:
    """String constants that are no docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def is_sql(text: str) -> bool:
    return bool(
        re.match(r"\s*(select|with|insert into|update|delete from|create|attach|copy|from)\s", text, re.I)
    ) and (SQL.search(text) is not None)


def test_sql_and_the_database_are_in_one_folder_of_the_pages() -> None:
    for path, tree in modules("dashboards").items():
        if not path.startswith("dashboards/queries/"):
            assert "duckdb" not in imported(tree), path
            assert not [text for text in strings(tree) if is_sql(text)], path
    assert any("duckdb" in imported(tree) for tree in modules("dashboards").values())


def test_sql_is_known_when_it_is_seen() -> None:
    assert is_sql("select a from b")
    assert is_sql("\n  with x as (select 1) select * from x")
    assert not is_sql("from here on")
    assert not is_sql("select a province")


def test_nothing_opens_the_warehouse_but_the_build_and_publish() -> None:
    users = {path for package in PACKAGES for path, tree in modules(package).items() if "duckdb" in imported(tree)}
    outside = {path for path in users if not path.startswith(("dashboards/queries/", "ingestion/synthetic/"))}
    assert {path for path in outside if not path.startswith("identity/")} <= {
        "ruam/build.py",
        "ruam/dbt.py",  # It opens none, and closes that of the build.
        "ruam/lattice.py",
        "ruam/publish.py",
        "ruam/spark.py",  # The warehouse that Spark built becomes views.
        "ruam/study.py",
        *OF_WHAT_IS_PUBLISHED,
        IN_MEMORY,
    }
    for path in OF_WHAT_IS_PUBLISHED:
        assert "warehouse" not in ast.unparse(modules("ruam")[path]), path


def names_imported(tree: ast.AST) -> set[str]:
    """Whole names of modules that are imported anywhere in a tree."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def users_of(module: str) -> set[str]:
    return {path for package in PACKAGES for path, tree in modules(package).items() if module in names_imported(tree)}


def test_only_the_identity_commands_open_the_vault() -> None:
    outside = {path for path in users_of("identity.vault") if not path.startswith("identity/")}
    assert outside == {"ruam/cli/identity.py"}
    with_database = {path for path, tree in modules("identity").items() if "duckdb" in imported(tree)}
    assert all(path == "identity/vault.py" or path.startswith("identity/linkage/") for path in with_database)


def test_only_ingestion_writes_the_intake_and_only_the_vault_reads_it() -> None:
    writers = {path for path in users_of("identity.intake") if not path.startswith("identity/")}
    assert writers == {"ingestion/batch.py", "ingestion/job.py", "ingestion/rotation.py", "ruam/cli/identity.py"}


def test_only_ingestion_opens_the_inbox() -> None:
    users = {path for path in users_of("ingestion.inbox") if not path.startswith("ingestion/")}
    assert users == {"ruam/cli/identity.py", "ruam/cli/quarantine.py"}, "they say where a delivery lies"


def test_the_reader_of_resources_has_a_database_of_its_own_that_reaches_no_file() -> None:
    calls = [node for node in ast.walk(modules("ingestion")[IN_MEMORY]) if isinstance(node, ast.Call)]
    connects = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "connect"]
    assert [ast.unparse(call.args[0]) for call in connects] == ["':memory:'"]
    with pytest.raises(duckdb.PermissionException):
        Engine().arrow("select * from read_text('/etc/hostname')")


@cache
def tracked() -> list[Path]:
    """Text files that belong to the project, by git where there is one."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        paths = [ROOT / name for name in listed.split("\0") if name]
    except (FileNotFoundError, subprocess.CalledProcessError):
        paths = [path for path in ROOT.rglob("*") if not GENERATED.intersection(path.relative_to(ROOT).parts)]
    found = [path for path in paths if path.is_file() and path.suffix in TEXT]
    assert len(found) > 100
    return found


def mentions(pattern: str, flags: int = 0) -> list[str]:
    """Where a pattern stands in the project's files, but for this one."""
    compiled = re.compile(pattern, flags)
    return [
        f"{path.relative_to(ROOT)}: {match.group(0)[:60]!r}"
        for path in tracked()
        if path != Path(__file__)
        for match in compiled.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]


def test_no_file_names_a_package_registry() -> None:
    assert (
        mentions(r"pypi\.(org|python)|pythonhosted|registry\.npmjs|--(extra-)?index-url[ =]|conda\.anaconda", re.I)
        == []
    )


def test_no_file_names_a_path_of_a_machine() -> None:
    assert mentions(r"(?<![\w.$}/-])/(work|root|home/\w+|Users/\w+)/|[A-Z]:\\\\Users") == []


def test_no_file_holds_what_looks_like_a_secret() -> None:
    assert mentions(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b") == []
    assert mentions(r"\b(password|passwd|secret|api_?key|token)\s*[=:]\s*['\"][^'\"{$<\s]{8,}['\"]", re.I) == []


def test_no_key_data_or_database_is_kept_with_the_project() -> None:
    kept = [path.relative_to(ROOT) for path in tracked()]
    assert not [path for path in kept if path.suffix in (".key", ".pem", ".parquet", ".duckdb", ".zip")]
    assert not [path for path in kept if path.parts[0] in GENERATED]


def test_no_file_holds_a_citizen_number_but_the_well_known_dummies() -> None:
    """13 digits with a right check digit and a first digit that people have."""
    from identity.cid import DUMMIES

    found = []
    for path in tracked():
        if path.suffix in (".lock", ".svg", ".json"):
            continue
        for number in re.findall(
            r"(?<![0-9A-Fa-f.])[1-8][0-9]{12}(?![0-9A-Fa-f.])", path.read_text("utf-8", "replace")
        ):
            total = sum(int(digit) * weight for digit, weight in zip(number[:12], range(13, 1, -1), strict=True))
            if number not in DUMMIES and int(number[12]) == (11 - total % 11) % 10:
                found.append(f"{path.relative_to(ROOT)}: {number[:2]}…")
    assert found == []


def test_the_product_does_not_read_beside_itself() -> None:
    for package in PACKAGES:
        for path, tree in modules(package).items():
            assert not [text for text in strings(tree) if "../shared" in text], path
