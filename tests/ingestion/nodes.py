"""Regional nodes: `ruam` in processes of their own, which may be killed, and what they leave in a data home."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import secrets
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb
import polars as pl

from ingestion.contract import load_contracts
from ingestion.landing import RECORDS
from ruam.faults import VARIABLE
from ruam.landing import reading
from ruam.settings import PROJECT, Settings
from tests.ingestion.odd_zips import make_zip, row, text, visits, zip_name
from tests.ingestion.reading import landed, records
from tests.rendering import rendered

FILES = ("PERSON", "SERVICE", "DIAGNOSIS_OPD")
REGIONS = tuple(f"{region:02d}" for region in range(1, 14))
PATIENCE = 300.0
"""Seconds until a process that should end counts as hung."""


@cache
def _warm() -> ForkServerContext:
    """Processes are forked from one that has everything imported and has run no query, so that its pools are unborn."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.ingestion.warm"])
    return context


def _main(arguments: list[str], environment: dict[str, str], output: str) -> None:
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    sys.argv = ["ruam", *arguments]
    from ruam import cli

    cli.main()


def _work(work: Callable[..., None], arguments: tuple[object, ...], fault: str, output: str) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ[VARIABLE] = fault
    work(*arguments)


def process(work: Callable[..., None], arguments: tuple[object, ...], fault: str, output: Path) -> tuple[int, str]:
    """Do some work in a process of its own, with a fault armed; its exit code, negative for a signal, and its words."""
    started = _warm().Process(target=_work, args=(work, arguments, fault, str(output)))
    started.start()
    started.join(PATIENCE)
    said = output.read_text(encoding="utf-8") if output.exists() else ""
    if started.exitcode is None:
        started.kill()
        raise AssertionError(f"it hangs: {said}")
    return started.exitcode, said


@dataclass
class Node:
    """One `ruam` command that runs."""

    process: ForkServerProcess
    output: Path

    @classmethod
    def start(
        cls, home: Path, *arguments: object, fault: str | None = None, settings: Mapping[str, object] | None = None
    ) -> Node:
        output = home.parent / f"{home.name}-output-{secrets.token_hex(8)}"
        environment = {f"RUAM_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        environment |= {"RUAM_HOME": str(home)} | ({VARIABLE: fault} if fault else {})
        process = _warm().Process(target=_main, args=([*map(str, arguments)], environment, str(output)))
        process.start()
        return cls(process, output)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def is_over(self, seconds: float) -> bool:
        self.process.join(max(seconds, 0))
        return self.process.exitcode is not None

    def end(self) -> int:
        """Wait for the process; its exit code, negative for a signal."""
        if not self.is_over(PATIENCE):
            os.killpg(self.pid, signal.SIGKILL)  # What is left running would be waited for when the tests end.
            raise AssertionError(f"it hangs: {self.said()}")
        assert self.process.exitcode is not None
        return self.process.exitcode

    def kill(self) -> None:
        """End it, unless it has ended just now."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Processes that land batches for it."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split()
            return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        except OSError:
            return []

    def wait_for_workers(self) -> list[int]:
        """Its workers, as soon as there are any; none if it ends without."""
        while not (workers := self.workers()) and not self.is_over(0.01):
            pass
        return workers

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8") if self.output.exists() else ""


def run(home: Path, *arguments: object, fault: str | None = None, **settings: object) -> tuple[int, str]:
    """Run one command to its end; its exit code and what it said."""
    node = Node.start(home, *arguments, fault=fault, settings=settings)
    return node.end(), node.said()


def deliveries_of_the_country(folder: Path, dice: random.Random) -> dict[str, list[Path]]:
    """By region, in an order of no meaning: what its node receives over some days.

    Corrections newer, older and equal in D_UPDATE, ties down to the content's hash, copies under earlier and later
    names and under another facility's, rows to set aside, zips that cannot be read, and senders that nobody knows.
    """
    strangers = [
        make_zip(folder / "all" / zip_name("99999"), {"SERVICE.txt": visits(2, "99999")}),
        make_zip(folder / "all" / "extract.zip", {"SERVICE.txt": visits(1)}),
    ]
    sent: dict[str, list[Path]] = {}
    for region in REGIONS:
        hospcode, here = f"9{region}01", folder / region
        first = _delivery(here, hospcode, "20240601", "20240520", dice)
        sent[region] = [
            first,
            _delivery(here, hospcode, "20240603", "20240530", dice),
            _delivery(here, hospcode, "20240604", "20240510", dice),
            _delivery(here, hospcode, "20240605", "20240520", dice),
            _delivery(here / "same time", hospcode, "20240605", "20240520", dice),
            Path(shutil.copy(first, here / zip_name(hospcode, "20240607000000"))),
            Path(shutil.copy(first, here / zip_name(hospcode, "20240531000000"))),
            make_zip(
                here / zip_name(hospcode, "20240608000000"),
                {"SERVICE.txt": text("SERVICE", row("SERVICE", hospcode, SEQ="R"), row("SERVICE", hospcode, PID=""))},
            ),
            here / zip_name(hospcode, "20240609000000"),
            here / zip_name(hospcode, "20240610000000"),
            *strangers,
        ]
        for junk in sent[region][8:10]:
            junk.write_bytes(f"no zip of {region}".encode())
    for region, other in zip(REGIONS, REGIONS[1:] + REGIONS[:1], strict=True):
        mistaken = folder / region / zip_name(f"9{region}01", "20240602000000")
        sent[region].append(Path(shutil.copy(sent[other][0], mistaken)))
        dice.shuffle(sent[region])
    return sent


def _delivery(folder: Path, hospcode: str, sent_on: str, updated_on: str, dice: random.Random) -> Path:
    """Some of the facility's five visits and diagnoses, as they were known on a day."""
    stamp = {"D_UPDATE": f"{updated_on}080000"}
    seen = sorted(dice.sample(range(5), 3))
    services = [row("SERVICE", hospcode, SEQ=f"S{n}", PRICE=str(dice.randrange(10_000)), **stamp) for n in seen]
    diagnoses = [row("DIAGNOSIS_OPD", hospcode, SEQ=f"S{n}", DIAGCODE=dice.choice(["J00", "I10"])) for n in seen]
    persons = [row("PERSON", hospcode, MSTATUS=dice.choice("123"), **stamp)]
    members = {
        "PERSON.txt": text("PERSON", *persons),
        "SERVICE.txt": text("SERVICE", *services),
        "DIAGNOSIS_OPD.txt": text("DIAGNOSIS_OPD", *diagnoses),
    }
    return make_zip(folder / zip_name(hospcode, f"{sent_on}000000"), members)


@dataclass
class Ordeal:
    """Nodes of all regions over one landing, killed again and again until `kills` is reached, then left to finish."""

    home: Path
    sent: dict[str, list[Path]]
    dice: random.Random
    kills: int
    points: tuple[str, ...]
    killed: int = 0
    refused: int = 0
    strikes: int = 0
    lost_workers: int = 0
    runs: int = 0
    at_points: set[str] = field(default_factory=set)

    def survive(self) -> None:
        waiting = {region: list(self._rounds(paths)) for region, paths in self.sent.items()}
        while any(waiting.values()) or self.killed < self.kills:
            self._wave(waiting)

    def _rounds(self, paths: list[Path]) -> Iterator[list[Path]]:
        """The deliveries of a region over three days, and on the last all of them again."""
        n = len(paths) // 3 + 1
        yield from (paths[at : at + n] for at in range(0, len(paths), n))
        yield paths

    def _wave(self, waiting: dict[str, list[list[Path]]]) -> None:
        """Every node tries its next deliveries at the same time: some regions in two processes, one with workers."""
        parted, *doubled = self.dice.sample(REGIONS, 4)
        regions = [region for region in self.dice.sample(REGIONS, 13) for _ in range(1 + (region in doubled))]
        begun = monotonic()
        running: list[tuple[str, Node, float | None]] = []
        for region in regions:
            paths = waiting[region][0] if waiting[region] else self.sent[region]
            is_doomed = self.killed < self.kills and (region == parted or self.dice.random() < 0.7)
            by_point = is_doomed and region != parted and self.dice.random() < 0.5
            point = self.dice.choice(self.points) if by_point else None
            fault = f"{point}:kill:{self.dice.choice((1, 1, 1, 2, 3))}" if point else None
            settings = {"batch_zips": 2 if region == parted else 1000, "compact_batches": self.dice.choice((0, 2))}
            node = Node.start(self.home, "ingest", *paths, fault=fault, settings=settings)
            moment = self.dice.uniform(0, 1.5) if is_doomed and not point else None
            running.append((region, node, moment))
        for region, node, moment in sorted(running, key=lambda one: one[2] or 0):
            if moment is None or node.is_over(begun + moment - monotonic()):
                continue
            if region == parted and (workers := node.wait_for_workers()):
                self._strike(node, workers)
            else:
                node.kill()
        for _, node, _ in running:
            self._judge(node, node.end())
        for region in REGIONS:
            codes = [node.end() for of, node, _ in running if of == region]
            if waiting[region] and any(code in (0, 3) for code in codes):
                waiting[region].pop(0)

    def _strike(self, node: Node, workers: list[int]) -> None:
        """End a worker, then in the next wave the ingest above its workers; the first at once, others on the way."""
        self.strikes += 1
        if self.strikes > 1 and node.is_over(self.dice.uniform(0, 2)):
            return
        is_worker = self.strikes % 2 == 1
        with suppress(ProcessLookupError):
            os.kill(self.dice.choice(workers) if is_worker else node.pid, signal.SIGKILL)
            self.lost_workers += is_worker

    def _judge(self, node: Node, code: int) -> None:
        """Each way to end is one of: done, with or without a worker that was killed, refused, killed."""
        self.runs += 1
        said = node.said()
        if code == -signal.SIGKILL:
            self.killed += 1
            self.at_points |= set(re.findall(r"kill at (\S+)", said))
        elif code == 75:
            self.refused += 1
        else:
            assert code in (0, 3), said
        assert "Traceback" not in said, said


def state(settings: Settings) -> dict[str, object]:
    """What must not depend on kills, on order, or on what runs beside what: every row, every receipt, every standing
    row of staging.

    Of several names of one content, which came first is a matter of order: their outcomes count together.
    """
    sender = ("delivery_id", "hospcode")
    counts = ("n_rows", "n_landed", "n_rejected", "n_flagged")
    receipts = records(settings, "receipts")
    told: dict[str, pl.DataFrame] = {
        **{f"rows of {file}": landed(settings, file) for file in FILES},
        **{name: records(settings, name).drop("batch", "region") for name in RECORDS if name != "receipts"},
        "names": receipts.select(*sender, "region", "file_name", "sent_at", "n_bytes", "key_id", "reason", "detail"),
        "outcomes": receipts.group_by(*sender).agg(pl.col("outcome").sort().str.join("+"), pl.col(counts).sum()),
    }
    return {name: sorted(frame.rows(), key=repr) for name, frame in told.items()} | {
        f"staging of {file}": staging(settings, file) for file in FILES
    }


def staging(settings: Settings, file: str) -> list[tuple[Any, ...]]:
    """The rows that stand, by the SQL of the staging models themselves."""
    table = load_contracts()[file].table
    with reading(settings.data_home.landing) as folders, duckdb.connect() as connection:
        for name in ("receipts", "withdrawals", table):
            found = [str(path) for folder in folders if (path := folder / f"{name}.parquet").exists()]
            connection.execute(f"create view {name} as from read_parquet({json.dumps(found)}, union_by_name=true)")
        for folder, model in (("ruam", "receipts"), ("ruam", "deliveries"), ("f43", "withdrawals")):
            name = f"stg_{folder}__{model}"
            connection.execute(f"create view {name} as {_sql(f'{folder}/{name}')}")
        return connection.execute(f"from ({_sql(f'f43/stg_f43__{table}')}) order by all").fetchall()


def _sql(model: str) -> str:
    source = (PROJECT / "models" / "staging" / f"{model}.sql").read_text(encoding="utf-8")
    return rendered(
        ("latest_by_key",),
        source,
        config=lambda **_: "",
        source=lambda _, table: table,
        ref=lambda name: name,
        var=lambda _, default: default,
        is_incremental=lambda: False,
    )


@dataclass
class Seen:
    """What readers found, over and over."""

    folder: Path
    known: int = 0

    def lines(self) -> list[dict[str, Any]]:
        texts = [path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("seen-*"))]
        return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wait_for_more(self, seconds: float) -> None:
        """Until each reader has looked at least once more."""
        deadline = monotonic() + seconds
        before = Counter(line["reader"] for line in self.lines())
        while True:
            now = Counter(line["reader"] for line in self.lines())
            if now and len(now) == self.known and all(now[reader] > before[reader] + 1 for reader in now):
                return
            assert monotonic() < deadline, "a reader does not come on"
            os.sched_yield()

    @property
    def rows(self) -> list[list[tuple[Any, ...]]]:
        return [[tuple(row) for row in line["rows"]] for line in self.lines()]

    @property
    def folder_sets(self) -> set[tuple[str, ...]]:
        return {tuple(line["folders"]) for line in self.lines()}


@contextmanager
def read_again_and_again(landing: Path, folder: Path, n_readers: int) -> Iterator[Seen]:
    """Processes that read the visits of a landing without a pause until the block ends."""
    stop = folder / "stop"
    readers = [_warm().Process(target=_read, args=(landing, folder / f"seen-{n}", stop)) for n in range(n_readers)]
    for reader in readers:
        reader.start()
    try:
        yield Seen(folder, n_readers)
    finally:
        stop.touch()
        for reader in readers:
            reader.join(PATIENCE)
    assert [reader.exitcode for reader in readers] == [0] * n_readers


def _read(landing: Path, seen: Path, stop: Path) -> None:
    with seen.open("a", encoding="utf-8") as out:
        while not stop.exists():
            with reading(landing) as folders:
                paths = [path for one in folders if (path := one / "service.parquet").exists()]
                frames = [pl.read_parquet(path, hive_partitioning=False) for path in paths]
                rows = pl.concat([frame.select("batch", "delivery_id", "source_line") for frame in frames]).rows()
            found = {"reader": seen.name, "folders": [one.name for one in folders], "rows": sorted(rows)}
            out.write(json.dumps(found) + "\n")
            out.flush()
