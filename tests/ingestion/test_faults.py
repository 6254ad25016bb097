"""A crash or a failing disk at each named point, then a clean run: the same state as one clean run, and one message."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

import polars as pl
import pytest

from ingestion.compaction import compact
from ingestion.job import ingest
from ingestion.landing import batch_id
from ingestion.reference import current_registry
from ruam import faults
from ruam.errors import BusyError, StorageError
from ruam.files import locked
from ruam.landing import committed_batches, holds, region_folder
from ruam.settings import PROJECT, Settings
from tests.conftest import registry_csv
from tests.ingestion.nodes import PATIENCE, Node, run, state
from tests.ingestion.odd_zips import make_zip, row, text, visits, zip_name
from tests.ingestion.reading import assert_balanced, batches, landed, records, take_in

pytestmark = pytest.mark.slow

OF_REFERENCE = ("replace.written", "replace.synced", "replace.renamed")
OTHERS = ("compact.", "purge.", "rotate.", "vault.")
OF_INGEST = tuple(name for name in faults.POINTS if not name.startswith(OTHERS))


def some_days(folder: Path) -> Path:
    """A delivery, its correction, a copy, one with a row to set aside, one that cannot be read, and a stranger's."""
    make_zip(folder / zip_name("90101", "20240601000000"))
    late = make_zip(folder / zip_name("90101", "20240603000000"), {"SERVICE.txt": visits(3)})
    shutil.copy(late, folder / zip_name("90101", "20240604000000"))
    bad = text("SERVICE", row("SERVICE", "90102"), row("SERVICE", "90102", PID=""))
    make_zip(folder / zip_name("90102", "20240602000000"), {"SERVICE.txt": bad})
    (folder / zip_name("90102", "20240605000000")).write_bytes(b"no zip")
    make_zip(folder / zip_name("99999"))
    return folder


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_days(tmp_path_factory.mktemp("days"))


@pytest.fixture(scope="module")
def clean(ready_home: Path, tmp_path_factory: pytest.TempPathFactory, days: Path) -> dict[str, object]:
    """The state after one clean run."""
    settings = Settings(home=Path(shutil.copytree(ready_home, tmp_path_factory.mktemp("clean") / "home")))
    take_in(settings, days)
    assert len(records(settings, "receipts")) == 6
    return state(settings)


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Arm a fault in this process."""

    def arm(fault: str) -> None:
        faults.forget()
        monkeypatch.setenv(faults.VARIABLE, fault)

    return arm


def disarm() -> None:
    os.environ.pop(faults.VARIABLE, None)


def assert_nothing_is_half_done(settings: Settings) -> None:
    home = settings.data_home
    assert [*home.landing.glob("*/.incoming*"), *home.landing.glob("*/.retired*"), *home.inbox.glob(".inc*")] == []
    assert list(home.inbox.glob("arrivals/.*")) == []
    assert_balanced(settings)


def test_each_point_is_passed_in_the_code_and_each_pass_is_listed() -> None:
    folders = (PROJECT / "identity", PROJECT / "ingestion", PROJECT / "ruam")
    sources = [path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py")]
    calls = re.findall(r"\bpoint\(([^)]*)\)", "".join(sources))
    passed = set(re.findall(r'"([a-z]+\.[a-z_]+)"', "".join(calls)))
    assert passed == set(faults.POINTS)


def test_without_the_variable_nothing_happens_and_with_it_everybody_is_told(
    armed: Callable[[str], None], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    faults.point("batch.synced")
    armed("batch.synced:EIO:2")
    faults.point("batch.synced")
    assert capfd.readouterr().err == ""
    with pytest.raises(OSError, match=r"batch\.synced") as caught:
        faults.point("batch.synced")
    assert caught.value.errno == errno.EIO
    assert "RUAM_FAULT_FOR_TESTS is set: EIO at batch.synced" in capfd.readouterr().err
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    for wrong in ("batch.nowhere:kill", "batch.synced:sing"):
        armed(wrong)
        with pytest.raises(ValueError, match="names no point"):
            faults.point("batch.synced")


AGAIN = ("inbox.renamed:2", "region.swept:2", "batch.begun:2", "batch.closed:7", "batch.synced:2", "batch.renamed:2")
"""Points with the pass at which they are met: here in the middle of the inbox, and in the batch after the first."""


@pytest.mark.parametrize("point", [*(f"{name}:1" for name in OF_INGEST), *AGAIN])
def test_after_a_kill_at_any_point_the_next_run_ends_where_a_clean_run_ends(
    settings: Settings, days: Path, clean: dict[str, object], point: str
) -> None:
    code, said = run(settings.home, "ingest", days, fault=point.replace(":", ":kill:"))
    assert code == -signal.SIGKILL, said
    assert_balanced(settings)
    take_in(settings, days)
    assert state(settings) == clean
    assert_nothing_is_half_done(settings)
    before = batches(settings)
    take_in(settings, days)
    assert batches(settings) == before


@pytest.mark.parametrize(
    ("point", "error"),
    [
        *((name, "ENOSPC") for name in OF_INGEST),
        *((name, error) for name in ("inbox.copied", "batch.closed", "batch.renamed") for error in ("EIO", "EACCES")),
    ],
)
def test_a_failing_disk_is_told_in_one_message_and_leaves_nothing_half_done(
    settings: Settings,
    days: Path,
    clean: dict[str, object],
    point: str,
    error: str,
    armed: Callable[[str], None],
) -> None:
    armed(f"{point}:{error}")
    with pytest.raises(StorageError, match=r"Taking deliveries in stopped: .*run the same command again\.") as caught:
        take_in(settings, days)
    assert os.strerror(getattr(errno, error)) in str(caught.value)
    assert caught.value.exit_code == 74
    disarm()
    assert_nothing_is_half_done(settings)
    take_in(settings, days)
    assert state(settings) == clean


@pytest.mark.parametrize("point", ["batch.rows_written", "batch.renamed"])
def test_a_failing_disk_under_a_worker_is_told_as_well(
    settings: Settings, days: Path, clean: dict[str, object], point: str
) -> None:
    code, said = run(settings.home, "ingest", days, fault=f"{point}:ENOSPC", batch_zips=2, workers=1)
    assert (code, "Traceback" in said) == (74, False), said
    assert "ruam: Taking deliveries in stopped: No space left on device" in said
    assert_nothing_is_half_done(settings)
    take_in(settings, days)
    assert state(settings) == clean


@pytest.mark.parametrize("point", ["batch.rows_written:kill:4", "batch.synced:kill:3", "batch.renamed:kill:3"])
def test_a_worker_that_is_killed_costs_its_own_batch_a_second_try_and_nothing_else(
    settings: Settings, days: Path, clean: dict[str, object], point: str
) -> None:
    """At a batch after others, before it is there and just after: what came to be is not landed again."""
    code, said = run(settings.home, "ingest", days, fault=point, batch_zips=1, workers=1)
    assert code == 0, said
    assert said.count(f"kill at {point.partition(':')[0]}") == 1
    assert state(settings) == clean
    assert_nothing_is_half_done(settings)


def test_a_batch_whose_process_is_killed_again_alone_is_left_and_the_others_land(
    settings: Settings, days: Path, clean: dict[str, object], tmp_path: Path
) -> None:
    """Of all batches only that of the zip with many files comes to the point where its process is killed."""
    large = make_zip(
        tmp_path / "large" / zip_name("90201"),
        {f"{file}.txt": text(file, row(file, "90201")) for file in ("PERSON", "SERVICE", "DIAGNOSIS_OPD", "CARD")},
    )
    fault = "batch.rows_written:kill:4"
    code, said = run(settings.home, "ingest", days, large, fault=fault, batch_zips=1, workers=1)
    assert (code, "Traceback" in said) == (12, False), said
    assert "killed: 1, not taken in:" in said
    assert "docs/runbooks/killed.md" in said
    assert state(settings) == clean
    assert_nothing_is_half_done(settings)
    (outcome,) = take_in(settings, large).outcomes
    assert outcome.outcome.startswith("accepted")


def test_what_killed_runs_announced_goes_with_the_next_run_of_the_region(settings: Settings, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    make_zip(here / zip_name())
    make_zip(there / zip_name("90201"), {"SERVICE.txt": visits(1, "90201")})

    def announced() -> set[str]:
        return {path.stem for path in (settings.data_home.inbox / "arrivals").rglob("*.parquet")}

    for folder in (here, here, there):
        assert run(settings.home, "ingest", folder, fault="batch.synced:kill")[0] == -signal.SIGKILL
    assert len(announced()) == 2
    take_in(settings, here)
    committed = {batch for folder in committed_batches(settings.data_home.landing) for batch in holds(folder)}
    assert len(announced() - committed) == 1, "the other region may still be landing its own"
    take_in(settings, here, there)
    committed = {batch for folder in committed_batches(settings.data_home.landing) for batch in holds(folder)}
    assert len(announced()) == 2
    assert announced() <= committed


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """A disk of its own, which only root may mount."""
    folder.mkdir()
    options = f"size={kibibytes}k"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)  # noqa: S603
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True)  # noqa: S603


def may_mount(folder: Path) -> bool:
    try:
        with small_disk(folder, 4):
            return True
    except (subprocess.CalledProcessError, OSError):
        return False


@contextmanager
def small_files(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: what a full disk does to a writer, where no disk can be mounted."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_is_really_full_is_told_and_more_room_is_enough(
    settings: Settings, tmp_path: Path, clean: dict[str, object], days: Path
) -> None:
    """By a limit on the size of files, and where this user may mount one, on a disk with room for half the batch."""
    with small_files(2000), pytest.raises(StorageError, match=r"File too large|disk I/O error"):
        take_in(settings, days)
    assert_nothing_is_half_done(settings)
    if may_mount(tmp_path / "trial"):
        with small_disk(tmp_path / "disk", 8192) as disk:
            here = Settings(home=Path(shutil.copytree(settings.home, disk / "home")), batch_zips=1000)
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / "ballast").write_bytes(bytes(free - (48 << 10)))
            with pytest.raises(StorageError, match="No space left on device"):
                take_in(here, days)
            assert_nothing_is_half_done(here)
            (disk / "ballast").unlink()
            take_in(here, days)
            assert state(here) == clean
    take_in(settings, days)
    assert state(settings) == clean


def test_a_landing_that_may_not_be_written_is_told(settings: Settings, days: Path, clean: dict[str, object]) -> None:
    """By a folder in the way, which stops root too."""
    lock = region_folder(settings.data_home.landing, "01") / ".lock"
    lock.mkdir(parents=True)
    with pytest.raises(OSError, match="lock"):
        take_in(settings, days)
    lock.rmdir()
    take_in(settings, days)
    assert state(settings) == clean


def test_the_names_of_new_folders_would_survive_a_power_cut_too(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A region's, those of the inbox, and of what was announced: each was there when its parent was made durable."""
    durable: set[Path] = set()

    def fsync(descriptor: int, really: Callable[[int], None] = os.fsync) -> None:
        really(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        durable.update(path.iterdir() if path.is_dir() else ())

    home = settings.data_home
    before = {*home.landing.rglob("*"), *home.inbox.rglob("*")}
    monkeypatch.setattr(os, "fsync", fsync)
    take_in(settings, make_zip(tmp_path / zip_name()))
    new = [path for path in (*home.landing.rglob("*"), *home.inbox.rglob("*")) if path.is_dir() and path not in before]
    assert {path.relative_to(home.root).parts[0] for path in new} == {"landing", "inbox"}
    assert [path for path in new if path not in durable] == []


@pytest.mark.parametrize("point", OF_REFERENCE)
@pytest.mark.parametrize("action", ["kill", "ENOSPC"])
def test_a_registry_is_loaded_whole_or_not_at_all(settings: Settings, tmp_path: Path, point: str, action: str) -> None:
    before = current_registry(settings.data_home)
    (tmp_path / "new.csv").write_text(registry_csv().replace(",60,", ",61,"), encoding="utf-8")
    arguments = ("reference", "load", "registry", tmp_path / "new.csv", "--as-of", "2025-10-01")
    # Its receipt is written first, the version itself by the second pass.
    code, said = run(settings.home, *arguments, fault=f"{point}:{action}:2")
    assert code in (-signal.SIGKILL, 1, 74), said
    assert "Traceback" not in said
    beds = current_registry(settings.data_home)["bed"].unique().to_list()
    assert beds == ([61] if point == "replace.renamed" else before["bed"].unique().to_list())
    assert run(settings.home, *arguments)[0] == 0
    assert current_registry(settings.data_home)["bed"].unique().to_list() == [61]


@pytest.mark.parametrize("point", [name for name in faults.POINTS if name.startswith("batch.")])
def test_a_fresh_home_whose_making_was_killed_is_made_by_the_next(tmp_path: Path, point: str) -> None:
    home = tmp_path / "home"
    code, said = run(home, "init", fault=f"{point}:kill:1")
    assert code == (0 if point == "batch.rows_written" and "kill" not in said else -signal.SIGKILL), said
    code, said = run(home, "init")
    assert code == 0, said
    settings = Settings(home=home)
    assert len(committed_batches(settings.data_home.landing)) == 1
    assert_nothing_is_half_done(settings)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Give other processes the processor until a condition holds; fails after `PATIENCE` seconds."""
    deadline = monotonic() + PATIENCE
    while not is_so():
        assert monotonic() < deadline, "it never came"
        os.sched_yield()


def is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] == "T"
    except FileNotFoundError:
        return False


def is_free(lock: Path) -> bool:
    try:
        with locked(lock, "A lock"):
            return True
    except BusyError:
        return False


@pytest.mark.parametrize("point", ["batch.begun", "batch.synced", "batch.renamed"])
def test_the_region_of_a_killed_ingest_stays_locked_until_its_last_worker_ended(
    settings: Settings, days: Path, clean: dict[str, object], point: str
) -> None:
    """The worker stops at the point as an orphan, with more batches waiting. When it goes on it begins none of them;
    what it had in hand lands only if it was done with it; either way the rows land once."""
    node = Node.start(settings.home, "ingest", days, fault=f"{point}:orphan", settings={"batch_zips": 2, "workers": 1})
    workers: list[int] = []

    def is_orphaned() -> bool:
        workers.extend(pid for pid in node.workers() if pid not in workers)
        return bool(workers) and node.process.exitcode is not None and is_stopped(workers[0])

    wait_until(is_orphaned)
    assert node.end() == -signal.SIGKILL
    code, said = run(settings.home, "ingest", days)
    assert code == 75, said
    assert "Region 01" in said
    os.kill(workers[0], signal.SIGCONT)
    wait_until(lambda: is_free(region_folder(settings.data_home.landing, "01") / ".lock"))
    n_committed = len(list(region_folder(settings.data_home.landing, "01").glob("batch=*")))
    assert n_committed in {"batch.begun": (0,), "batch.synced": (0, 1), "batch.renamed": (1,)}[point]
    take_in(settings, days)
    assert state(settings) == clean
    assert_nothing_is_half_done(settings)


def test_a_second_ingest_of_the_region_is_refused_and_a_stopped_one_goes_on(
    settings: Settings, days: Path, clean: dict[str, object]
) -> None:
    first = Node.start(settings.home, "ingest", days, fault="batch.synced:stop")
    wait_until(lambda: is_stopped(first.pid))
    report = take_in(settings, days)
    assert {one.outcome for one in report.not_taken} == {"waiting"}
    assert all(f"in use by process {first.pid}" in one.detail for one in report.not_taken)
    os.kill(first.pid, signal.SIGCONT)
    assert first.end() == 0
    assert state(settings) == clean


def test_a_clock_that_jumps_back_loses_nothing_and_no_two_batches_have_one_name(
    settings: Settings, days: Path, clean: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.fromisoformat("2024-07-01T00:00:00")
    told: list[datetime] = []

    def clock() -> datetime:
        """An hour back at every look, and every other time it stands still."""
        told.append(now - timedelta(hours=len(told) // 2))
        return told[-1]

    for module in ("ingestion.job", "ingestion.compaction"):
        monkeypatch.setattr(f"{module}.utc_now", clock)
    for path in sorted(days.iterdir()):
        take_in(settings, path)
    assert len(told) > 10
    assert len({batch_id(now) for _ in range(1000)}) == 1000
    ids = [batch for folder in committed_batches(settings.data_home.landing) for batch in holds(folder)]
    assert len(ids) == len(set(ids)) == 7
    assert state(settings) == clean
    compact(settings)
    assert state(settings) == clean


def test_a_delivery_without_a_time_in_its_name_is_not_judged_by_a_clock_that_was_set_back(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(settings, make_zip(tmp_path / zip_name(), {"SERVICE.txt": visits(1)}))
    monkeypatch.setattr("ingestion.job.utc_now", lambda: datetime.fromisoformat("2001-01-01"))
    report = ingest(settings, [make_zip(tmp_path / "F43_90101.zip", {"SERVICE.txt": visits(3)})])
    assert [(one.outcome, one.n_landed) for one in report.outcomes] == [("accepted", 3)]


def test_errors_of_a_disk_end_the_program_with_one_message(settings: Settings, days: Path) -> None:
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "ruam.cli", "ingest", str(days)],
        cwd=PROJECT,
        env=os.environ | {"RUAM_HOME": str(settings.home), faults.VARIABLE: "batch.synced:ENOSPC"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 74
    assert ended.stderr.count("ruam:") == 2  # the fault says that it was injected, then the message
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert landed(settings, "SERVICE").is_empty()
    assert records(settings, "receipts").filter(pl.col("outcome") == "accepted").is_empty()
