"""Measure work in a process of its own.

CPU and wall seconds count from the call, when the process has imported what the call needs; CPU is that of the process
and of every child it waited for, the children's own imports included. Memory is the largest sum, at one time, of what
the process and all its descendants hold, sampled from /proc every 50 ms, or less often where looking at gigabytes takes
long itself; a page that several share counts once (PSS).
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

RUNS = 3
_SAMPLE_SECONDS = 0.05
_RESTS_FOR_A_LOOK = 20
"""So many times as long as a look took the sampler rests: the kernel walks every page that is held, and of 5 GiB that
took two thirds of a core."""


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds of CPU and of wall, peak memory of the whole process tree in MiB, rows worked on."""

    cpu: float
    wall: float
    memory: float
    rows: int


def measured(work: Callable[[], int]) -> Cost:
    """Run `work` (which returns its number of rows) in a fresh process. Raises `EOFError` when it fails."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, sender))
    process.start()
    sender.close()  # Only the child holds it now: if the child fails, `recv` ends instead of waiting for ever.
    assert process.pid is not None
    with _PeakMemory(process.pid) as peak:
        cpu, wall, rows = receiver.recv()
    process.join()
    return Cost(cpu, wall, peak.bytes / 2**20, rows)


def median(costs: list[Cost]) -> Cost:
    """The median of each figure by itself; of memory the largest, because a limit must hold in every run."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        max(cost.memory for cost in costs),
        costs[0].rows,
    )


def measured_in_turn(works: Mapping[str, Callable[[int], Callable[[], int]]], runs: int) -> dict[str, Cost]:
    """Median cost of each work. The works take turns, so that a busy spell of the machine meets all of them.

    Each value makes, from the number of the run, what is to be run.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in works}
    for run in range(runs):
        for name, work in works.items():
            costs[name].append(measured(work(run)))
    return {name: median(ones) for name, ones in costs.items()}


def _child(work: Callable[[], int], sender: Connection) -> None:
    began, spent = time.perf_counter(), _cpu()
    rows = work()
    sender.send((_cpu() - spent, time.perf_counter() - began, rows))


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class _PeakMemory:
    """Samples a process tree while the `with` block runs."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._failure: Exception | None = None
        self.bytes = 0

    def __enter__(self) -> _PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._failure:
            raise RuntimeError("The memory was not sampled to the end.") from self._failure

    def _watch(self) -> None:
        try:
            rest = _SAMPLE_SECONDS
            while not self._done.wait(rest):
                began = time.perf_counter()
                self.bytes = max(self.bytes, sum(map(_held, _tree(self._pid))))
                rest = max(_SAMPLE_SECONDS, _RESTS_FOR_A_LOOK * (time.perf_counter() - began))
        except Exception as error:  # noqa: BLE001 - raised where the run ends: a peak of half a run is no figure
            self._failure = error


def held_below(pid: int) -> int:
    """Bytes that all descendants of a process hold now (PSS)."""
    return sum(map(_held, _tree(pid))) - _held(pid)


def cpu_below(pid: int) -> float:
    """Seconds of CPU that all living descendants of a process have used so far."""
    return sum(map(_used, _tree(pid))) - _used(pid)


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they still live."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # It ended since it was named.
        return
    for task in tasks:
        try:
            pids = (task / "children").read_text().split()
        except OSError:
            continue
        for child in pids:
            yield from _tree(int(child))


def _held(pid: int) -> int:
    """Proportional set size in bytes, 0 when the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _used(pid: int) -> float:
    """Seconds of CPU in user and system mode, 0 when the process has ended."""
    try:
        # After the name, which may hold spaces: fields 14 and 15 of proc(5).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show_costs(title: str, costs: dict[str, Cost], runs: int) -> None:
    table = Table(
        *("method", "rows", "CPU s", "wall s", "krows/CPU s", "peak MiB"),
        title=f"{title}; {f'median of {runs}' if runs > 1 else 'one run'}, {os.cpu_count()} cores",
    )
    for name, cost in costs.items():
        speed = f"{cost.rows / cost.cpu / 1000:,.0f}"
        table.add_row(name, f"{cost.rows:,}", f"{cost.cpu:.1f}", f"{cost.wall:.1f}", speed, f"{cost.memory:,.0f}")
    Console().print(table)
