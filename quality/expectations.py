"""The only module that touches Great Expectations: runs suites over a DuckDB file, and trusts no answer unseen.

    python -m quality.expectations REQUEST ANSWER DOCS

runs in a process of its own (`quality.checkpoints` starts it): the import takes seconds, and one that ends the process
must not end ours. All checks of a table are counted by DuckDB in one statement, so that its rows are read once; Great
Expectations judges the counts of all tables as one batch, since each batch costs it a quarter of a second. It does not
support DuckDB; what that takes, and what can go wrong unseen, is in docs/decisions/0023-checkpoints-and-gates.md. Each
count is therefore held against the number of rows that a statement of its own counts, and each run also judges a
planted table whose every check must fail.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
from pydantic import TypeAdapter

from ruam.checks import Check, Kind, Outcome, Request, Status, Suite

ANSWER = TypeAdapter(list[Outcome])
CANARY = Suite(
    table="canary",
    checks=(
        Check(rule="canary", gate="unchecked", kind=Kind.FILLED, columns=("empty",)),
        Check(rule="canary", gate="unchecked", kind=Kind.UNIQUE, columns=("twice",)),
        Check(rule="canary", gate="unchecked", kind=Kind.NEVER, condition="twice = 1"),
        Check(rule="canary", gate="unchecked", kind=Kind.COLUMNS, columns=("twice",)),
    ),
)
"""Suite of a table in which everything is wrong."""
CANARY_SQL = "create table canary as select 1 as twice, cast(null as varchar) as empty from range(2)"
CANARY_BROKEN = (2, 1, 2, 1)

TABLE, CHECK = "table", "check"
"""Where an expectation's meta holds whose check it is, and its number: results come back in any order."""
ROWS = -1
"""In place of a check's number: the rows that the statement saw which counted."""

_TELLING = re.compile(r"(?:Binder|Catalog|Parser) Error: [^\n\\]*|The column \S+ in \w+ does not exist")
"""Words of errors that speak of names alone; others may hold a row's values, and are not told."""


def run(request: Request, docs: Path) -> list[Outcome]:
    """Outcomes of all checks, by suite, in order; `docs` gets pages that open without a network.

    When the planted table does not fail as it must, no check has been tested: all outcomes are errors.
    """
    with tempfile.TemporaryDirectory(prefix="ruam-canary-") as folder:
        planted = Path(folder) / "canary.duckdb"
        with duckdb.connect(str(planted)) as connection:
            connection.execute(CANARY_SQL)
        context = _context(docs)
        canary = _evaluated(context, Request(name="canary", database=planted, suites=(CANARY,)))
    outcomes = _evaluated(context, request)
    if tuple(one.n_broken for one in canary) != CANARY_BROKEN or {one.status for one in canary} != {Status.FAILED}:
        doubt = {"status": Status.ERROR, "message": "a planted fault was not found"}
        outcomes = [one.model_copy(update=doubt) for one in outcomes]
    _build_docs(context, docs)
    (docs / "index.html").write_text(_index(request, outcomes, docs), encoding="utf-8")
    return outcomes


def judge(suite: Suite, n_rows: int | None, results: Mapping[int, Mapping[str, Any]]) -> list[Outcome]:
    """What answers mean. `results` by number of the check (`ROWS`: of the rows seen): `success`, `result`,
    `exception_info` as Great Expectations gives them; `n_rows` is what DuckDB counts, None where there is no table.
    """
    n_seen = _observed(results.get(ROWS))
    return [_outcome(suite, check, n_rows, n_seen, results.get(number)) for number, check in enumerate(suite.checks)]


def _observed(answer: Mapping[str, Any] | None) -> Any:
    return ((answer or {}).get("result") or {}).get("observed_value")


def _outcome(suite: Suite, check: Check, n_rows: int | None, n_seen: Any, answer: Mapping[str, Any] | None) -> Outcome:
    def outcome(status: Status, message: str = "", n_broken: int | None = None) -> Outcome:
        return Outcome(table=suite.table, check=check, status=status, n_rows=n_rows, n_broken=n_broken, message=message)

    if n_rows is None:
        return outcome(Status.ERROR, "there is no such table")
    if answer is None:
        return outcome(Status.ERROR, "it was not evaluated")
    if (trouble := _exception(answer.get("exception_info"))) is not None:
        return outcome(Status.ERROR, f"it could not be evaluated: {trouble}")
    if n_rows == 0 and not suite.may_be_empty:
        return outcome(Status.ERROR, "the table has no rows")
    if n_seen != n_rows:
        return outcome(Status.ERROR, f"it was evaluated on {n_seen} rows of {n_rows}")
    if n_rows == 0 and check.kind is not Kind.COLUMNS:
        return outcome(Status.NO_ROWS)
    success, n_broken = answer.get("success"), _observed(answer)
    if not isinstance(n_broken, int) or success is not (n_broken == 0):
        return outcome(Status.ERROR, "its answer contradicts itself")
    return outcome(Status.FAILED, "", n_broken) if n_broken else outcome(Status.PASSED, "", 0)


def _exception(info: Any) -> str | None:
    """Words of an exception, wherever the result hides it; None when there was none."""
    if not isinstance(info, Mapping):
        return "no word of whether it raised"
    found = [info] if "raised_exception" in info else list(info.values())
    raised = [one for one in found if not isinstance(one, Mapping) or one.get("raised_exception") is not False]
    if not raised:
        return None
    told = _TELLING.search(str(raised))
    return told.group() if told else "an exception of the engine"


_UNUSED = ("scipy.stats", "scipy.special", "altair")
"""What Great Expectations imports and no check of ours calls."""
_OPTIONAL = {"boto3", "botocore", "pyspark"}
"""What it does without where it is not installed. pyspark ends a process that has no main file, with exit code 0."""


class _Spared(MetaPathFinder):
    """Has the modules `_UNUSED` imported when something in them is first asked for, and those `_OPTIONAL` never."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in _OPTIONAL:
            raise ModuleNotFoundError(name=fullname)
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _UNUSED else None
        if spec and spec.loader:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _context(docs: Path) -> Any:
    """A context that writes nothing but its pages and tells nobody."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.meta_path.insert(0, finder := _Spared())
    try:
        import great_expectations as gx
    finally:
        sys.meta_path.remove(finder)
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine

    # Unless the dialect stands here, the connection is closed before its result is fetched, and most checks fail with
    # "list index out of range". It is a private name: the version is pinned, and the planted table would tell.
    if not any(one.value == "duckdb" for one in engine._PERSISTED_CONNECTION_DIALECTS):
        duckdb_dialect = type("Dialect", (str,), {"value": "duckdb"})("duckdb")
        engine._PERSISTED_CONNECTION_DIALECTS = (*engine._PERSISTED_CONNECTION_DIALECTS, duckdb_dialect)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    for site in context.get_site_names():
        context.delete_data_docs_site(site)
    context.add_data_docs_site(
        "ruam",
        {
            "class_name": "SiteBuilder",
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    return context


def _evaluated(context: Any, request: Request) -> list[Outcome]:
    import great_expectations as gx

    n_rows = _rows_of(request)
    counted = _count(request, n_rows)
    answers: dict[str, dict[int, Mapping[str, Any]]] = {suite.table: {} for suite in request.suites}
    for (table, number), trouble in counted.troubles.items():
        answers[table][number] = {"exception_info": {"raised_exception": True, "exception_message": trouble}}
    if counted.numbers:
        with tempfile.TemporaryDirectory(prefix="ruam-counted-") as folder:
            path = Path(folder) / "counted.duckdb"
            _write_counts(counted, path)
            source = context.data_sources.add_sql(
                request.name,
                connection_string=f"duckdb:///{path}",
                create_temp_table=False,
                kwargs={"connect_args": {"read_only": True}},
            )
            batch = source.add_table_asset(request.name, table_name="counted").add_batch_definition_whole_table("all")
            suite = context.suites.add(gx.ExpectationSuite(request.name, expectations=_expectations(request, counted)))
            definition = gx.ValidationDefinition(name=request.name, data=batch, suite=suite)
            checkpoint = gx.Checkpoint(
                name=request.name,
                validation_definitions=[context.validation_definitions.add(definition)],
                result_format={"result_format": "BASIC"},
            )
            (ran,) = context.checkpoints.add(checkpoint).run().run_results.values()
            for one in ran.results:
                meta = one.expectation_config.meta
                answers[meta[TABLE]][meta[CHECK]] = {
                    "success": one.success,
                    "result": one.result,
                    "exception_info": one.exception_info,
                }
            source.get_execution_engine().close()
            source.get_engine().dispose()
    return [
        outcome.model_copy(update={"message": counted.differences[suite.table]})
        if outcome.status is Status.FAILED and outcome.check.kind is Kind.COLUMNS
        else outcome
        for suite in request.suites
        for outcome in judge(suite, n_rows[suite.table], answers[suite.table])
    ]


def _rows_of(request: Request) -> dict[str, int | None]:
    """Rows of each table as DuckDB counts them; None where there is none."""
    found: dict[str, int | None] = {}
    with duckdb.connect(str(request.database), read_only=True) as connection:
        for suite in request.suites:
            try:
                row = connection.execute(f'select count(*) from "{suite.table}"').fetchone()
                found[suite.table] = row[0] if row else None
            except duckdb.Error:  # Also a view whose file is gone.
                found[suite.table] = None
    return found


@dataclass
class _Counted:
    """By table and number of the check (`ROWS`: of the rows seen)."""

    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    """How many rows, keys or columns break it."""
    troubles: dict[tuple[str, int], str] = field(default_factory=dict)
    """Words of the engine about those that it could not count."""
    differences: dict[str, str] = field(default_factory=dict)
    """By table, which columns are too many or missing."""


def _count(request: Request, n_rows: Mapping[str, int | None]) -> _Counted:
    """Count what breaks each check of the tables that there are."""
    found = _Counted()
    with duckdb.connect(str(request.database), read_only=True) as connection:
        for suite in request.suites:
            if n_rows[suite.table] is None:
                continue
            checks = {n: check for n, check in enumerate(suite.checks) if check.kind is not Kind.COLUMNS}
            try:
                counts = _counts(connection, suite.table, checks)
            except duckdb.Error:
                counts = _counts(connection, suite.table, {})
                for number, check in checks.items():
                    try:
                        counts |= _counts(connection, suite.table, {number: check})
                    except duckdb.Error as error:
                        found.troubles[suite.table, number] = str(error)
            columns = {name for name, *_ in connection.execute(f'describe "{suite.table}"').fetchall()}
            for number, check in enumerate(suite.checks):
                if check.kind is Kind.COLUMNS:
                    missing, unexpected = set(check.columns) - columns, columns - set(check.columns)
                    counts[number] = len(missing | unexpected)
                    told = {"missing": missing, "unexpected": unexpected}
                    words = [f"{what}: {' '.join(sorted(names))}" for what, names in told.items() if names]
                    found.differences[suite.table] = ", ".join(words)
            found.numbers |= {(suite.table, number): n for number, n in counts.items()}
    return found


def _counts(connection: duckdb.DuckDBPyConnection, table: str, checks: Mapping[int, Check]) -> dict[int, int]:
    """Rows seen (`ROWS`) and rows that break each check, in one statement. Raises `duckdb.Error`."""
    asked = ", ".join(f"({_broken(check)}) as c{n}" for n, check in checks.items() if check.kind is not Kind.UNIQUE)
    told = [
        f'(select count(*) from (select 1 from "{table}" group by {_key(check)} having count(*) > 1))'
        if check.kind is Kind.UNIQUE
        else f"count(*) filter (where c{n})"
        for n, check in checks.items()
    ]
    row = connection.execute(
        f'select {", ".join(["count(*)", *told])} from (select {asked or "1"} from "{table}")'
    ).fetchone()
    return dict(zip((ROWS, *checks), row or (), strict=True))


def _broken(check: Check) -> str:
    """The condition that a row meets which breaks the check."""
    return check.condition if check.kind is Kind.NEVER else f'"{check.columns[0]}" is null'


def _key(check: Check) -> str:
    return ", ".join(f'"{name}"' if name.isidentifier() else name for name in check.columns)


def _column(table: str, number: int) -> str:
    """Of the table of counts."""
    return f"{table}__{'rows' if number == ROWS else number}"


def _write_counts(counted: _Counted, path: Path) -> None:
    """One row with a column for each count: there is no value of any row to be shown."""
    shown = ", ".join(f'{n}::bigint as "{_column(*whose)}"' for whose, n in counted.numbers.items())
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table counted as select {shown}")


def _expectations(request: Request, counted: _Counted) -> list[Any]:
    """What is expected of the counts: rows, where a table must have some, and none that breaks a check."""
    import great_expectations.expectations as gxe

    suites = {suite.table: suite for suite in request.suites}
    made = []
    for table, number in counted.numbers:
        suite = suites[table]
        told: dict[str, Any] = {"column": _column(table, number)}
        if number == ROWS:
            told |= {"min_value": int(not suite.may_be_empty), "description": f"{table}: rows"}
        else:
            check = suite.checks[number]
            words = _WORDS[check.kind].format(columns=", ".join(check.columns), condition=check.condition)
            told |= {"min_value": 0, "max_value": 0, "description": f"{table}: {check.rule}: {words}"}
        made.append(gxe.ExpectColumnMaxToBeBetween(**told, meta={TABLE: table, CHECK: number}))
    return made


_WORDS = {
    Kind.FILLED: "rows without {columns}",
    Kind.UNIQUE: "values of {columns} that several rows have",
    Kind.NEVER: "rows in which {condition}",
    Kind.COLUMNS: "columns other than {columns}",
}
"""What is counted, by kind: there must be none."""


STYLE = """
body { font: 15px/1.5 "Noto Sans Thai", "Sarabun", system-ui, sans-serif; margin: 2rem auto; max-width: 75rem;
  padding: 0 1rem; color: #1b1f24; background: #fff }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; font-size: .9rem }
th, td { border-bottom: 1px solid #d5dae0; padding: .35rem .6rem; text-align: left; vertical-align: top;
  overflow-wrap: anywhere }
.badge { border: 1px solid #d5dae0; border-radius: .3rem; padding: 0 .3rem; font-size: .85rem }
.fa-check-circle::before { content: "✓" } .fa-times::before { content: "✗" }
.fa-exclamation-triangle::before { content: "!" }
.modal, .fade, .btn, .navbar, .ge-breadcrumbs, footer, button, input, form { display: none }
.collapse { display: block } .col-2.navbar-collapse { display: none } pre { white-space: pre-wrap }
@media (max-width: 40rem) { body { margin: 1rem 0 } .table-responsive, table { display: block; overflow-x: auto } }
"""
_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
)
_ACTIVE = re.compile(r"<script\b.*?</script\s*>|<style\b.*?</style\s*>|<link\b[^>]*>|<img\b[^>]*>", re.DOTALL | re.I)
_OUTSIDE = re.compile(r"""(\b(?:href|src|action)\s*=\s*)(["'])\s*(?:https?:)?//[^"']*\2""", re.I)


def offline(page: str) -> str:
    """The page without scripts, pictures, and whatever lies on another host; a style of its own stands in its head."""
    page = _OUTSIDE.sub(r"\1\2#\2", _ACTIVE.sub("", page))
    return page.replace("<head>", f"<head>{_POLICY}<style>{STYLE}</style>", 1)


def _build_docs(context: Any, docs: Path) -> None:
    context.build_data_docs()
    for page in docs.rglob("*.html"):
        page.write_text(offline(page.read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted((docs / "static").rglob("*"), reverse=True):  # Of pages that load nothing any more.
        path.rmdir() if path.is_dir() else path.unlink()
    (docs / "static").rmdir()


def _index(request: Request, outcomes: Sequence[Outcome], docs: Path) -> str:
    """The first page, which Great Expectations fills by scripts: each table and its numbers, what failed first."""
    page = next((path.relative_to(docs) for path in docs.glob(f"validations/{request.name}/**/*.html")), None)
    rows = []
    for suite in request.suites:
        mine = [one for one in outcomes if one.table == suite.table]
        bad = sum(one.status in (Status.FAILED, Status.ERROR) for one in mine)
        name = f'<a href="{page}">{suite.table}</a>' if page else suite.table
        n_rows = "–" if not mine or mine[0].n_rows is None else f"{mine[0].n_rows:,}"
        cells = (name, n_rows, f"{len(mine):,}", f"{bad:,}", "✗" if bad else "✓")
        rows.append((-bad, "".join(f"<td>{cell}</td>" for cell in cells)))
    heads = ("ตาราง / table", "แถว / rows", "ข้อตรวจ / checks", "ไม่ผ่าน / not passed", "")
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "".join(f"<tr>{cells}</tr>" for _, cells in sorted(rows, key=lambda row: row[0]))
    return offline(
        f'<!DOCTYPE html><html lang="th"><head><meta charset="utf-8"><title>Ruam: {request.name}</title></head>'
        f"<body><h1>ผลการตรวจ / Checks: {request.name}</h1><table><tr>{head}</tr>{body}</table></body></html>"
    )


def main(arguments: Sequence[str]) -> None:
    request, answer, docs = map(Path, arguments)
    outcomes = run(Request.model_validate_json(request.read_bytes()), docs)
    answer.write_bytes(ANSWER.dump_json(outcomes))


if __name__ == "__main__":
    # The process ends with its answer: looking for garbage in what is imported, and once more when it ends, is a fifth
    # of what it costs.
    gc.disable()
    main(sys.argv[1:])
    gc.freeze()
