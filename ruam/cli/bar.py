"""How far a step has come: a bar in a terminal, and a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn
from rich.text import Text

from ruam.cli.console import console, duration, say

SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True)
class Advance:
    """How far a step has come: `done` of `total` is what its time depends on, `facts` is for people.

    Time is taken from the first that is told of a step.
    """

    step: str
    done: float
    total: float
    facts: str

    def seconds_left(self, elapsed: float, first: Advance) -> float | None:
        """By the mean speed since the `first` of the step; None until more is done."""
        gone = self.done - first.done
        return elapsed * (self.total - self.done) / gone if gone > 0 else None


Follow = Callable[[Advance], None]


@contextmanager
def bar() -> Iterator[Follow]:
    """Yield what is to be called with each `Advance`.

    The bar goes to standard error, so that a piped output stays clean; without a terminal, lines go to standard
    output, since whoever runs commands by a timer takes words on standard error for a failure.
    """
    if not sys.stderr.isatty():
        yield Lines(say)
        return
    with _Bars(console=console(stderr=True)) as bars:
        yield bars.follow


class Lines:
    """One line as a step ends, and before that at most one every 30 seconds."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._begun: dict[str, tuple[float, Advance]] = {}
        self._said: dict[str, float] = {}
        self._ended: set[str] = set()

    def __call__(self, advance: Advance) -> None:
        now, step = self._clock(), advance.step
        begun, first = self._begun.setdefault(step, (now, advance))
        if advance.done >= advance.total:
            if step not in self._ended:
                self._ended.add(step)
                self._write(f"{step}: {advance.facts}, in {duration(now - begun)}")
        elif now - self._said.setdefault(step, begun) >= SECONDS_BETWEEN_LINES:
            self._said[step] = now
            left = advance.seconds_left(now - begun, first)
            ahead = "" if left is None else f", {duration(left)} left"
            self._write(f"{step}: {advance.done / advance.total:.0%}, {advance.facts}{ahead}")


class _Left(ProgressColumn):
    """Time left by the mean speed until the last advance, counted down since; at the end, the time taken."""

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"in {duration(task.finished_time or 0)}")
        left = task.fields["left"]
        if left is None:
            return Text(f"{duration(task.elapsed or 0)} so far")
        since = (task.elapsed or 0) - task.fields["at"]
        return Text(f"{duration(max(left - since, 0))} left")


class _Bars(Progress):
    """A bar a step, and below it what was done in figures: both fit into 80 columns."""

    def __init__(self, **options: object) -> None:
        columns = (TextColumn("{task.description:<8}"), BarColumn(bar_width=None), TaskProgressColumn(), _Left())
        super().__init__(*columns, expand=True, **options)  # type: ignore[arg-type]
        self._steps: dict[str, tuple[Task, Advance]] = {}

    def follow(self, advance: Advance) -> None:
        if advance.step not in self._steps:
            index = self.add_task(advance.step, total=advance.total, facts="", left=None, at=0.0)
            self._steps[advance.step] = self._tasks[index], advance
        task, first = self._steps[advance.step]
        elapsed = task.elapsed or 0.0
        self.update(
            task.id,
            completed=advance.done,
            total=advance.total,
            facts=advance.facts,
            left=advance.seconds_left(elapsed, first),
            at=elapsed,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            yield Text(f"{'':<9}{task.fields['facts']}", style="dim", no_wrap=True, overflow="ellipsis")
