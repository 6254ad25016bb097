"""Processes that land batches: whichever is killed, and whenever, the ingest above them ends and says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from ingestion.gauges import Gauges, Reading
from ingestion.workers import side_by_side

PATIENCE = 30.0


def wait_for(gate: Path) -> int:
    """Until somebody opens the pipe `gate` for writing."""
    with gate.open("rb"):
        return os.getpid()


def leave(gate: Path, trace: Path) -> int:
    wait_for(gate)
    trace.touch()
    return 0


def end_at_once() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def call(function: Callable[..., int], *arguments: object) -> int:
    return function(*arguments)


def ended(work: Callable[[], None]) -> list[BaseException]:
    """What `work` raised; it fails when it hangs."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it hangs"
    return raised


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path / "gate"


def test_each_call_has_its_result() -> None:
    assert dict(side_by_side(call, [(abs, -place) for place in range(5)], 2, [])) == {n: n for n in range(5)}


def test_an_idle_process_that_is_killed_keeps_no_lock_from_the_others(gate: Path) -> None:
    """Waiting for its next call it holds the lock of the queue, and the one at work would wait for that for ever."""

    def work() -> None:
        with closing(side_by_side(call, [(wait_for, gate), (os.getpid,)], 2, [])) as results:
            place, idle = next(results)
            assert place == 1
            os.kill(idle, signal.SIGKILL)
            gate.open("wb").close()

    assert ended(work) == []


def test_the_last_process_to_begin_does_not_end_unseen(gate: Path) -> None:
    raised = ended(lambda: [*side_by_side(call, [(wait_for, gate), (end_at_once,)], 2, [])].clear())

    assert [type(error) for error in raised] == [BrokenProcessPool]


def test_whoever_stops_listening_lets_the_calls_in_hand_end(gate: Path, tmp_path: Path) -> None:
    def work() -> None:
        with closing(side_by_side(call, [(leave, gate, tmp_path / "left"), (os.getpid,)], 2, [])) as results:
            assert next(results)[0] == 1
            Thread(target=lambda: gate.open("wb").close()).start()

    assert ended(work) == []
    assert (tmp_path / "left").exists()


def test_an_error_of_a_call_is_raised_as_it_is() -> None:
    raised = ended(lambda: [*side_by_side(call, [(abs, "x"), (abs, -1)], 2, [])].clear())

    assert [type(error) for error in raised] == [TypeError]


def test_while_calls_run_it_is_told_which(gate: Path) -> None:
    told: list[set[int]] = []

    def tick(running: set[int]) -> None:
        told.append(running)
        if len(told) == 2:
            gate.open("wb").close()

    assert sorted(place for place, _ in side_by_side(wait_for, [(gate,)], 1, [], tick)) == [0]
    assert told == [{0}, {0}]


def test_gauges_add_up_what_those_that_run_have_told(tmp_path: Path) -> None:
    with Gauges(tmp_path, 3) as gauges:
        assert gauges.together([0, 1, 2]) == Reading()
        for place in range(3):
            gauges.of(place)(Reading(1, 1, 1, 1, 1))
        gauges.of(1)(Reading(n_zips=2, n_bytes=30, n_files=4, n_rows=50, n_rejected=6))
        assert gauges.together([0, 1]) == Reading(3, 31, 5, 51, 7)
        assert gauges.together([]) == Reading()
    assert not list(tmp_path.iterdir())


def test_a_gauge_works_from_another_process(tmp_path: Path) -> None:
    with Gauges(tmp_path, 2) as gauges:
        list(side_by_side(gauges.of(1), [(Reading(7, 8, 9, 10, 11),)], 1, []))
        assert gauges.together([1]) == Reading(7, 8, 9, 10, 11)
