"""The history of the benchmarks: kept, compared, shown in the summary of the tests, and drawn, of planted results."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import yaml

from benchmarks.results import Result, Target, report
from ruam.benchmarks import HISTORY, SCHEMA, findings, history, keep, newest
from ruam.docs import site
from ruam.docs.speed import EDGE, HEIGHT, WIDTH, curves
from ruam.settings import PROJECT

SHORT = ("ingest", "parsers", "linkage", "incremental", "by_hand", "pages")
"""Of `make bench`."""
LINES = ("Target", "cpu", "memory", "cpu_for_a_row", "wall_for_a_row")

BEGAN = datetime(2026, 1, 31, 20, tzinfo=UTC)
"""In Thailand the next day has come."""
ROW = {
    "commit": "0123456789ab",
    "benchmark": "ingest",
    "line": "CPU for a row, Ruam ÷ DuckDB",
    "size": "24 facilities",
    "unit": "CPU s / million rows",
    "value": 3.0,
    "peer": 2.0,
    "target": 1.3,
    "cpu_model": "Planted",
    "cores": 2,
    "memory_gib": 24,
    "load": 0.5,
    "versions": "python 3.11.7, duckdb 1.5.5",
}


def planted(*ratios: float, **others: object) -> Iterator[dict[str, object]]:
    """A row a day with these ratios."""
    for day, ratio in enumerate(ratios):
        yield ROW | {"at": BEGAN + timedelta(days=day), "ratio": ratio} | others


def rows(*given: Iterator[dict[str, object]]) -> pl.DataFrame:
    found = [row for some in given for row in some]
    return pl.DataFrame(found, schema=SCHEMA, orient="row").sort("at", maintain_order=True)


def told(frame: pl.DataFrame) -> dict[str, object]:
    (one,) = newest(frame).to_dicts()
    return {name: one[name] for name in ("ratio", "usual", "n_earlier", "change", "is_worse")}


def test_the_last_run_is_held_against_the_median_of_the_earlier_ones() -> None:
    found = told(rows(planted(1.0, 9.0, 1.2, 1.5)))
    assert found == {"ratio": 1.5, "usual": 1.2, "n_earlier": 3, "change": pytest.approx(0.25), "is_worse": True}


@pytest.mark.parametrize(("last", "is_worse"), [(1.149, False), (1.151, True), (0.5, False)])
def test_more_than_fifteen_percent_is_worse(last: float, is_worse: bool) -> None:
    assert told(rows(planted(1.0, 1.0, last)))["is_worse"] is is_worse


def test_what_was_nothing_and_is_something_is_worse() -> None:
    found = told(rows(planted(0.0, 0.0, 1.0)))
    assert (found["change"], found["is_worse"]) == (None, True)
    assert findings(rows(planted(0.0, 1.0)))[0].startswith(f"ingest: {ROW['line']}: 1.00, usually 0.00; commit")


def test_a_first_run_is_held_against_nothing() -> None:
    found = told(rows(planted(5.0)))
    assert found == {"ratio": 5.0, "usual": None, "n_earlier": None, "change": None, "is_worse": None}
    assert findings(rows(planted(5.0))) == []


@pytest.mark.parametrize("other", [{"cpu_model": "Another"}, {"cores": 8}, {"size": "300 facilities"}])
def test_other_machines_and_other_sizes_are_not_compared(other: dict[str, object]) -> None:
    on_another = planted(1.0, 1.0, **other)
    later = ({**row, "at": BEGAN + timedelta(days=9)} for row in planted(2.0))
    assert findings(rows(on_another, later)) == []


def test_a_line_is_worse_until_it_is_measured_better() -> None:
    assert len(findings(rows(planted(1.0, 1.0, 1.4)))) == 1
    assert findings(rows(planted(1.0, 1.0, 1.4, 1.1))) == []


def test_what_is_reported_is_kept_with_machine_versions_and_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Target("CPU of the one ÷ the other", 3.0, 1.3, 2.0, "CPU s")
    alone = Target("peak", 40.0, unit="MiB")
    report(Result("planted", "two rows", [line, alone]), folder=tmp_path)
    first, second = history(tmp_path).to_dicts()
    assert (first["benchmark"], first["line"], first["size"]) == ("planted", "CPU of the one ÷ the other", "two rows")
    assert [first[name] for name in ("value", "peer", "ratio", "target", "unit")] == [3.0, 2.0, 1.5, 1.3, "CPU s"]
    assert [second[name] for name in ("value", "peer", "ratio", "target")] == [40.0, None, 40.0, None]
    assert first["cores"] == os.cpu_count()
    assert first["memory_gib"] > 0
    assert first["cpu_model"]
    assert f"python {sys.version.split()[0]}" in first["versions"]
    assert "duckdb 1.5.5" in first["versions"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert head.startswith(first["commit"].removesuffix("+"))
    shown = capsys.readouterr().out
    assert "missed" in shown
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]
    assert next(tmp_path.iterdir()).stat().st_size < 16_000


def test_a_run_is_shown_beside_the_earlier_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(Result("planted", "two rows", [Target("CPU", 1.0)]), folder=tmp_path)
    report(Result("planted", "two rows", [Target("CPU", 2.0)]), folder=tmp_path)
    assert "+100% worse" in capsys.readouterr().out
    assert history(tmp_path)["ratio"].to_list() == [1.0, 2.0]


def test_two_runs_of_one_second_are_both_kept(tmp_path: Path) -> None:
    for part, ratio in enumerate((1.0, 2.0)):
        keep(rows(planted(ratio)).with_columns(pl.col("at") + timedelta(milliseconds=part)), tmp_path)
    assert history(tmp_path)["ratio"].to_list() == [1.0, 2.0]


def test_without_a_history_there_is_none(tmp_path: Path) -> None:
    assert history(tmp_path / "none").is_empty()
    assert findings(history(tmp_path / "none")) == []
    assert curves(history(tmp_path / "none")) == {}


@pytest.mark.parametrize("last", [1.4, 1.0])
def test_the_summary_of_tests_tells_what_became_worse_and_fails_nothing(tmp_path: Path, last: float) -> None:
    for row in planted(1.0, 1.0, last):
        keep(rows(iter([row])), tmp_path / "history")
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\n"
        "from tests import conftest\n"
        "from tests.conftest import pytest_terminal_summary\n"
        "conftest.HISTORY = Path(__file__).with_name('history')\n",
        encoding="utf-8",
    )
    (tmp_path / "test_one.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("benchmarks that became worse" in done.stdout) is (last > 1)
    assert ("ingest: CPU for a row, Ruam ÷ DuckDB: 1.40, usually 1.00 (+40%)" in done.stdout) is (last > 1)


def test_a_curve_joins_the_runs_of_machines_like_that_of_the_last() -> None:
    frame = rows(planted(2.0, 1.0), planted(4.0, cpu_model="Another"))
    (curve,) = curves(frame)["ingest"]
    assert [point.is_like for point in curve.points] == [True, False, True]
    # The highest is at the top, nothing at the bottom.
    assert min(point.y for point in curve.points) == EDGE
    assert curve.points[-1].y == pytest.approx(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) / 4)
    assert (curve.points[0].x, curve.points[-1].x) == (EDGE, WIDTH - EDGE)
    assert len(curve.joined.split()) == 2
    assert curve.target_y == pytest.approx(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * 1.3 / 4, abs=0.1)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("th", ["CPU ต่อแถว เทียบกับ DuckDB", "แย่กว่าปกติเกิน 15%", "3 ก.พ. 2569", "วินาที CPU ต่อล้านแถว"]),
        ("en", ["CPU for a row, Ruam ÷ DuckDB", "More than 15% worse than usual", "3 Feb BE 2569", "Planted, 2 cores"]),
    ],
)
def test_the_page_draws_the_history_and_says_what_became_worse(language: str, said: list[str]) -> None:
    page = rendered(rows(planted(1.0, 1.0, 1.4)), language)
    assert all(one in page for one in said)
    assert page.count("<circle") == 3
    assert page.count('<line class="target"') == 1
    assert "<script" not in page


@pytest.mark.parametrize("language", site.LANGUAGES)
def test_the_page_says_that_nothing_was_measured(language: str) -> None:
    page = rendered(rows(), language)
    assert site.Words(language)("b.none") in page
    assert "<svg" not in page


def test_what_no_word_is_known_for_is_shown_as_english() -> None:
    page = rendered(rows(planted(1.0, benchmark="novel", line="a <new> line")), "th")
    assert '<span lang="en">a &lt;new&gt; line</span>' in page
    assert '<span lang="en">novel</span>' in page


def test_every_line_of_the_short_benchmarks_has_thai_words() -> None:
    words = yaml.safe_load((PROJECT / "ruam" / "docs" / "words.yml").read_text(encoding="utf-8"))
    lines = [name.removeprefix("line.") for name in words if name.startswith("line.")]
    for module in SHORT:
        patterns = list(patterns_of((PROJECT / "benchmarks" / f"{module}.py").read_text(encoding="utf-8")))
        assert patterns
        assert [one for one in patterns if not any(re.fullmatch(one, line) for line in lines)] == []
        assert f"benchmark.{module}" in words


def patterns_of(source: str) -> Iterator[str]:
    """What each line of a benchmark is called; any text stands where a name is put in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LINES:
            named = node.args[0]
            parts = named.values if isinstance(named, ast.JoinedStr) else [named]
            yield "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in parts)


def test_what_is_kept_with_the_project_can_be_read_and_drawn() -> None:
    kept = history(HISTORY)
    assert kept.schema == SCHEMA
    assert set(curves(kept)) == set(kept["benchmark"])


def rendered(frame: pl.DataFrame, language: str) -> str:
    given = {"curves": curves(frame), "width": WIDTH, "height": HEIGHT, "edge": EDGE}
    return site._rendered(
        site._environment(),
        "benchmarks.html",
        words=site.Words(language),
        edition=site.Edition(None),
        top="../../",
        home="../",
        elsewhere="",
        other="",
        **given,
    ).decode()
