"""Follow places: take in what is new and quiet, until told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ingestion.job import FAILED, LEFT_OPEN, Report
from ingestion.places import Found, Look, NotTaken
from ruam.errors import BusyError, SetupError, StorageError, failed_at

log = logging.getLogger("ruam.ingestion.watch")

AT_ONCE = 500
"""Deliveries taken in together; a stop waits for no more than these."""

_TICK_SECONDS = 0.1


class Stop:
    """A wish to stop. A signal handler may make it: there is no lock in it that the interrupted code might hold."""

    def __init__(self) -> None:
        self.is_wished = False

    def wish(self, *_: object) -> None:
        self.is_wished = True

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or soon after the wish."""
        until = time.monotonic() + seconds
        while not self.is_wished and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_SECONDS))


class Watch:
    """Looks again and again, takes in what two looks in a row saw alike, and tells what became of it.

    A file that changes later is taken again. What cannot be read is tried at each look, and told when it begins to
    fail. One bad delivery or a lost place ends nothing; `SetupError`, which only a person can put right, does.
    """

    def __init__(
        self, look: Callable[[], Look], take: Callable[[Look], Report], tell: Callable[[Report], None], stop: Stop
    ) -> None:
        self._look, self._take, self._tell, self._stop = look, take, tell, stop
        self._before: dict[str, Found] = {}
        self._done: dict[str, Found] = {}
        self._told: set[NotTaken] = set()

    def run(self, pause: float) -> None:
        """Look every `pause` seconds until the wish to stop, which lets the deliveries in hand be finished."""
        while not self._stop.is_wished:
            self.step()
            self._stop.wait(pause)

    def step(self) -> None:
        """Look once."""
        seen = self._look()
        here = {one.address: one for one in seen.found}
        left: set[NotTaken] = set()
        for report in self._reports(seen.not_taken, [one for one in seen.found if self._is_ready(one)]):
            news = [one for one in report.not_taken if one not in self._told]
            if report.outcomes or news:
                self._tell(replace(report, not_taken=news))
            left.update(report.not_taken)
        self._told = left
        self._before = here
        if not seen.not_taken:
            self._done = {address: one for address, one in self._done.items() if address in here}

    def _is_ready(self, one: Found) -> bool:
        return self._before.get(one.address) == one and self._done.get(one.address) != one

    def _reports(self, unseen: list[NotTaken], ready: list[Found]) -> Iterator[Report]:
        yield Report(not_taken=unseen)
        for start in range(0, len(ready), AT_ONCE):
            yield from self._take_together(ready[start : start + AT_ONCE])

    def _take_together(self, ready: list[Found]) -> Iterator[Report]:
        if self._stop.is_wished:
            return
        try:
            report = self._take(Look(ready))
        except (BusyError, StorageError) as error:
            yield Report(not_taken=[NotTaken(one.address, "waiting", str(error)) for one in ready])
        except SetupError:
            raise
        except Exception as error:
            # Whatever one delivery does to our own code, the others are waiting. Its words may hold a record's values.
            log.exception("deliveries failed", extra={"n": len(ready)})
            if len(ready) > 1:
                for one in ready:
                    yield from self._take_together([one])
            else:
                self._done |= {one.address: one for one in ready}
                detail = f"Ruam itself failed on it ({failed_at(error)}); it is tried again when the file changes"
                yield Report(not_taken=[NotTaken(one.address, FAILED, detail) for one in ready])
        else:
            again = {one.address for one in report.not_taken if one.outcome not in ("other_region", *LEFT_OPEN)}
            self._done |= {one.address: one for one in ready if one.address not in again}
            yield report
