"""Following places: what is new and quiet is taken, and nothing but the wish to stop ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from ingestion import watch as watching
from ingestion.job import Report, take_in
from ingestion.places import Look, NotTaken, look, place_of
from ingestion.watch import Stop, Watch
from ruam.errors import BusyError, SetupError, StorageError
from ruam.files import locked
from ruam.landing import region_folder
from ruam.settings import PROJECT, NetworkLimits, Settings
from tests.ingestion.odd_zips import make_zip, visits, zip_name
from tests.ingestion.reading import assert_balanced, records
from tests.ingestion.servers import WAIT_SECONDS, S3Server, SshServer, wait_until


class Follower:
    """A watch of a folder whose every look is asked for, and what it told."""

    def __init__(self, settings: Settings, *addresses: str | Path) -> None:
        self.told: list[Report] = []
        self.taken: list[list[str]] = []
        self.failures: list[Exception] = []
        self.fails_on = ""
        self.settings = settings
        self.stop = Stop()
        places = [place_of(address, settings) for address in addresses]
        self.watch = Watch(partial(look, places), self._take, self.told.append, self.stop)

    def _take(self, seen: Look) -> Report:
        self.taken.append([one.name for one in seen.found])
        if self.failures:
            raise self.failures.pop()
        if self.fails_on and any(self.fails_on in one.name for one in seen.found):
            raise RuntimeError("on 1234567890123")
        return take_in(self.settings, seen)

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.watch.step()

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(one.file_name, one.outcome) for report in self.told for one in report.outcomes]

    @property
    def left(self) -> list[NotTaken]:
        return [one for report in self.told for one in report.not_taken]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


@pytest.fixture
def follower(settings: Settings, folder: Path) -> Follower:
    return Follower(settings, folder)


def test_what_lies_there_is_taken_once_and_what_comes_later_too(follower: Follower, folder: Path) -> None:
    make_zip(folder / zip_name())
    follower.steps(4)
    assert follower.outcomes == [(zip_name(), "accepted")]
    make_zip(folder / zip_name("90201"), {"SERVICE.txt": visits(1, "90201")})
    follower.steps(4)
    assert follower.outcomes == [(zip_name(), "accepted"), (zip_name("90201"), "accepted")]
    assert len(follower.taken) == 2


def test_a_zip_that_is_still_written_is_not_taken_until_it_is_quiet(
    follower: Follower, folder: Path, tmp_path: Path
) -> None:
    whole = make_zip(tmp_path / "made.zip").read_bytes()
    target = folder / zip_name()
    for end in range(0, len(whole), len(whole) // 5):
        target.write_bytes(whole[:end])
        follower.steps(1)
    assert not follower.taken
    target.write_bytes(whole)
    follower.steps(3)
    assert follower.outcomes == [(zip_name(), "accepted")]


@pytest.mark.parametrize("pattern", ["{}.part", "{}.filepart", "{}.tmp", ".in.{}"])
def test_an_upload_under_a_temporary_name_is_taken_when_it_has_its_own(
    follower: Follower, folder: Path, pattern: str
) -> None:
    unfinished = make_zip(folder / pattern.format(zip_name()))
    follower.steps(3)
    assert not follower.taken
    unfinished.rename(folder / zip_name())
    follower.steps(2)
    assert follower.outcomes == [(zip_name(), "accepted")]


def test_a_zip_that_was_replaced_is_taken_again(follower: Follower, folder: Path) -> None:
    make_zip(folder / zip_name())
    follower.steps(2)
    make_zip(folder / zip_name(), {"SERVICE.txt": visits(5)})
    follower.steps(3)
    assert follower.outcomes == [(zip_name(), "accepted")] * 2
    assert records(follower.settings, "receipts")["n_landed"].to_list() == [5, 5]


def test_a_bad_zip_is_rejected_once_and_ends_nothing(follower: Follower, folder: Path) -> None:
    (folder / zip_name("90301")).write_bytes(b"no zip")
    make_zip(folder / zip_name())
    follower.steps(3)
    assert sorted(follower.outcomes) == [(zip_name(), "accepted"), (zip_name("90301"), "rejected")]
    make_zip(folder / zip_name(sent_at="20240701000000"), {"SERVICE.txt": visits(1)})
    follower.steps(3)
    assert follower.outcomes[2:] == [(zip_name(sent_at="20240701000000"), "accepted")]


def test_a_zip_on_which_our_code_fails_is_set_apart_from_the_others(
    follower: Follower, folder: Path, tmp_path: Path
) -> None:
    for hospcode in ("90101", "90201", "90301"):
        make_zip(folder / zip_name(hospcode), {"SERVICE.txt": visits(1, hospcode)})
    follower.fails_on = "90201"
    follower.steps(4)
    assert [name for name, _ in follower.outcomes] == [zip_name("90101"), zip_name("90301")]
    (left,) = follower.left
    assert (left.address, left.outcome) == (str(folder / zip_name("90201")), "failed")
    assert "RuntimeError" in left.detail
    assert "1234567890123" not in left.detail
    follower.fails_on = ""
    os.utime(folder / zip_name("90201"), (1, 1))
    follower.steps(2)
    assert follower.outcomes[2:] == [(zip_name("90201"), "accepted")]


@pytest.mark.parametrize("error", [BusyError("Region 01 is in use."), StorageError("The disk is full.")])
def test_what_must_wait_is_told_once_and_tried_again(follower: Follower, folder: Path, error: Exception) -> None:
    make_zip(folder / zip_name())
    follower.failures = [error, error]
    follower.steps(4)
    assert [(one.outcome, one.detail) for one in follower.left] == [("waiting", str(error))]
    assert follower.outcomes == [(zip_name(), "accepted")]


def test_a_busy_region_is_waited_for(follower: Follower, settings: Settings, folder: Path) -> None:
    make_zip(folder / zip_name())
    with locked(region_folder(settings.data_home.landing, "01") / ".lock", "Region 01"):
        follower.steps(3)
    assert [one.outcome for one in follower.left] == ["waiting"]
    follower.steps(1)
    assert follower.outcomes == [(zip_name(), "accepted")]


def test_what_a_person_must_put_right_ends_it(follower: Follower, folder: Path) -> None:
    make_zip(folder / zip_name())
    follower.failures = [SetupError("no registry")]
    with pytest.raises(SetupError):
        follower.steps(2)


def test_a_place_that_is_lost_is_told_once_and_looked_for_again(
    follower: Follower, folder: Path, tmp_path: Path
) -> None:
    make_zip(folder / zip_name())
    follower.steps(2)
    for _ in range(2):
        folder.rename(tmp_path / "away")
        follower.steps(3)
        (tmp_path / "away").rename(folder)
        follower.steps(2)
    assert [(one.address, one.outcome) for one in follower.left] == [(str(folder), "not_fetched")] * 2
    assert len(follower.taken) == 1


def test_no_part_is_begun_after_the_wish_to_stop(
    follower: Follower, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "AT_ONCE", 1)
    for hospcode in ("90101", "90201"):
        make_zip(folder / zip_name(hospcode), {"SERVICE.txt": visits(1, hospcode)})
    follower.watch._tell = lambda _: follower.stop.wish()
    follower.watch.run(pause=0.01)
    assert follower.taken == [[zip_name("90101")]]


def test_a_regional_watch_names_the_others_once(settings: Settings, folder: Path) -> None:
    make_zip(folder / zip_name("90201"))
    follower = Follower(settings.model_copy(update={"region": "01"}), folder)
    follower.steps(4)
    assert [one.outcome for one in follower.left] == ["other_region"]
    assert len(follower.taken) == 1


def test_far_places_are_followed_and_a_lost_one_comes_back(
    settings: Settings, ssh: SshServer, s3: S3Server, folder: Path, user_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    (user_home / ".ssh").mkdir()
    endpoint = s3.environment["RUAM_S3_ENDPOINT"]
    network = NetworkLimits(tries=1, backoff_seconds=0)
    follower = Follower(
        settings.model_copy(update={"network": network, "s3_endpoint": endpoint}),
        ssh.address(folder),
        f"s3://drop/open/{folder.parent.name}",
    )
    made = make_zip(folder / zip_name())
    s3.put(f"open/{folder.parent.name}/{zip_name('90201')}", make_zip(folder / "x", {"SERVICE.txt": b""}).read_bytes())
    follower.steps(3)
    assert [name for name, _ in follower.outcomes] == [zip_name("90201")]
    assert ["ssh-keyscan" in one.detail for one in follower.left] == [True]
    ssh.trust(user_home, ssh.port)
    follower.steps(2)
    assert [name for name, _ in follower.outcomes] == [zip_name("90201"), made.name]


@contextmanager
def running_watch(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`ruam ingest --watch` in a process group of its own, as a terminal or a service manager starts it."""
    environment = os.environ | {"RUAM_HOME": str(settings.data_home.root), "RUAM_WATCH_SECONDS": "0.2"}
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "ruam.cli", "ingest", "--watch", str(folder)],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_follows_a_folder_until_a_signal_and_leaves_nothing_half(
    settings: Settings, folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    make_zip(folder / zip_name())

    def names() -> set[str]:
        return set(records(settings, "receipts")["file_name"])

    with running_watch(settings, folder) as process:
        wait_until(lambda: zip_name() in names(), "what lay there is taken", process)
        # Two regions, so that workers land them; the signal reaches all processes of the group, as Ctrl-C does.
        for hospcode in ("90201", "90301"):
            made = make_zip(tmp_path / "made.zip", {"SERVICE.txt": visits(2000, hospcode)})
            made.rename(folder / zip_name(hospcode))
        inbox = settings.data_home.inbox
        wait_until(lambda: len(list(inbox.rglob("*.sealed"))) == 3, "what came is in the inbox", process)
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
        assert process.returncode == 0, output
    assert "Stopped" in output
    assert "Traceback" not in output
    assert names() == {zip_name(), zip_name("90201"), zip_name("90301")}
    assert_balanced(settings)
    assert not list(settings.data_home.landing.rglob(".incoming-*"))
