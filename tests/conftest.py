"""A data home that is ready to take deliveries in: keys, schema batch, and a registry of invented facilities."""

from __future__ import annotations

import csv
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from identity.keys import create_keys
from identity.linkage.links import ensure_links
from ingestion.landing import ensure_schema_batch
from ingestion.reference import ensure_schemas, load
from ruam import cli
from ruam.benchmarks import HISTORY, findings, history
from ruam.dbt import run_dbt
from ruam.geography import PROVINCES
from ruam.home import DataHome
from ruam.settings import Settings

# How fast examples are drawn tells of the machine, which may be busy, and of nothing else.
hypothesis.settings.register_profile("ruam", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ruam")

REGISTRY_HEADER = (
    "hoscode,hosname,hostype,provcode,distcode,subdistcode,hoscodenew,bed,mcode,zone_code,status,"
    "register_date,close_date"
)


def registry_csv() -> str:
    """One facility in each health region (`9<region>01`), a second one in region 01, and one with leading zeros."""
    with PROVINCES.open(encoding="utf-8", newline="") as handle:
        province_of = {row["region_code"]: row["province_code"] for row in csv.DictReader(handle)}
    facilities = {f"9{region}01": province for region, province in sorted(province_of.items())}
    facilities |= {"90102": province_of["01"], "00501": province_of["05"]}
    lines = [
        f"{code},โรงพยาบาลสมมติ {code},06,{province},01,01,EA00{code},60,21002,,1,2010-10-01,"
        for code, province in facilities.items()
    ]
    return "\n".join([REGISTRY_HEADER, *lines, ""])


SLOWEST = ("warehouse", "test_end_to_end.py", "test_exactly_once.py", "test_rotation.py", "test_evaluation.py")
"""Groups of tests that begin first, so that no process is left with one of them at the end while the other idles."""


def group_of(nodeid: str) -> str:
    """What one process takes as a whole: a file's tests, or all those that look at the one built warehouse."""
    path = nodeid.partition("::")[0]
    return "warehouse" if path.startswith("tests/warehouse/") else path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = Path(group_of(item.nodeid)).name
        return SLOWEST.index(name) if name in SLOWEST else len(SLOWEST)

    items.sort(key=place)


class Groups(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Groups:
    return Groups(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell which benchmarks became worse, as far as their history was kept; no test fails for it."""
    if worse := findings(history(HISTORY)):
        terminalreporter.section("benchmarks that became worse")
        for one in worse:
            terminalreporter.write_line(one, yellow=True)


@pytest.fixture(scope="session")
def ready_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copied for each test; never used itself."""
    folder = tmp_path_factory.mktemp("ready")
    home = Settings(home=folder / "home").data_home
    home.create()
    create_keys(home.keys)
    ensure_schema_batch(home.landing)
    ensure_schemas(home)
    ensure_links(home.links)
    registry = folder / "registry.csv"
    registry.write_text(registry_csv(), encoding="utf-8")
    load(home, "registry", registry, date(2024, 10, 1))
    return home.root


@pytest.fixture(scope="session")
def parsed_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Parse dbt's project once for all homes: it takes longer than a build of so little data.

    The parse depends on the project alone; dbt would make it anew for each home since the connection names its files.
    """
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

    home = DataHome(tmp_path_factory.mktemp("parsed") / "home")
    home.create()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DuckDBCredentials, "_connection_keys", lambda _: ("database", "schema"))
        run_dbt(["parse"], home)
        patched.setenv("DBT_PARTIAL_PARSE_FILE_PATH", str(home.dbt / "target" / "partial_parse.msgpack"))
        yield


@pytest.fixture
def settings(ready_home: Path, tmp_path: Path) -> Settings:
    """Settings of a home of the test's own; all zips of a region go into one batch."""
    return Settings(home=Path(shutil.copytree(ready_home, tmp_path / "home")), batch_zips=1000, workers=2)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Run `ruam ARGUMENTS` in this process; gives the exit code."""
    logger = logging.getLogger("ruam")
    before, propagate = list(logger.handlers), logger.propagate
    logger.handlers.clear()

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["ruam", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    yield run
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.propagate = before, propagate


@pytest.fixture
def command(
    in_process: Callable[..., int], settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """The same against the test's home."""
    monkeypatch.setenv("RUAM_HOME", str(settings.home))
    monkeypatch.chdir(tmp_path)
    return in_process
