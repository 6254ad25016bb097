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
