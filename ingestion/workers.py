"""Calls side by side in processes of their own: any of them may be killed at any moment, and nothing hangs."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.reduction import DupFd
from typing import Any, TypeVar

_Result = TypeVar("_Result")

TICK_SECONDS = 0.25


def side_by_side(
    function: Callable[..., _Result],
    calls: Sequence[tuple[Any, ...]],
    most: int,
    held: list[int],
    tick: Callable[[set[int]], None] = lambda _: None,
) -> Generator[tuple[int, _Result], None, None]:
    """Call `function` with each of `calls`, at most `most` at a time; the place and the result of each as it ends.

    While they run `tick` is called every `TICK_SECONDS`, with the places of those that have not ended.

    `held` are descriptors of file locks, which stay locked until every process has ended. Whoever stops listening lets
    the calls in hand come to their end, and no other begin. Raises `BrokenProcessPool` when a process was killed; the
    others are then killed too, with what they had in hand.
    """
    before = set(multiprocessing.active_children())
    # Not fork: the data frames' thread pool does not survive it.
    context = multiprocessing.get_context("spawn")
    places: dict[Future[_Result], int] = {}
    with ProcessPoolExecutor(
        max(min(most, len(calls)), 1), context, initializer=_begin, initargs=(_Shared(held),)
    ) as pool:
        try:
            with _signals_held_back():
                for place, call in enumerate(calls):
                    places[_submitted(pool, function, call)] = place
                # The pool watches over a process from the next call on: the last to begin could end unseen.
                _submitted(pool, int, ())
            running = set(places)
            while running:
                ended, running = wait(running, TICK_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    yield places[future], future.result()
                if running:
                    tick({places[future] for future in running})
        finally:
            wait([future for future in places if not future.cancel()])
            # The pool would ask them to end and wait for it, for ever when one that was killed took a lock of the
            # pool's queues with it. They have nothing in hand now.
            for process in set(multiprocessing.active_children()) - before:
                process.kill()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Processes that are started inside never see SIGINT and SIGTERM.

    Ctrl-C and a service manager's stop reach them too; they finish what they have in hand, and the parent begins
    nothing more.
    """
    resource_tracker.ensure_running()  # Started later, it would let the signals through again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _submitted(
    pool: ProcessPoolExecutor, function: Callable[..., _Result], arguments: tuple[Any, ...]
) -> Future[_Result]:
    """Raises `BrokenProcessPool` when a process was killed before; just then the pool may say so less plainly."""
    try:
        return pool.submit(function, *arguments)
    except OSError as error:
        if error.errno is not None:
            raise
        raise BrokenProcessPool(str(error)) from error


class _Shared:
    """Descriptors that every process is to hold too."""

    def __init__(self, descriptors: list[int]) -> None:
        self.descriptors = descriptors

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, ([DupFd(descriptor) for descriptor in self.descriptors],)


def _received(duplicates: list[Any]) -> _Shared:
    return _Shared([duplicate.detach() for duplicate in duplicates])


def _begin(_: _Shared) -> None:
    """Hold the locks by merely living, and end with the process that began this one.

    If that was killed, a batch may still be committed before this process ends: nobody else could have landed it,
    for its region is locked until then.
    """
    parent = multiprocessing.parent_process()
    gc.freeze()  # What was imported stays to the end; a collection need not look through it.

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
