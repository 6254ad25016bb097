"""The pages under many people at once, against reading the same marts with pandas.

    python -m benchmarks.pages [--home ./data] [--people 20] [--sessions 200] [--seconds 120] [--think 8]

`ruam serve --demo` over a copy of a home's serving file, and clients that speak Streamlit's protocol over real
WebSockets: each signs in, opens a page, and changes one of its filters to another value again and again, thinking
`--think` seconds between (exponential, seeded). Measured, from the message sent to the message come:

- a page that somebody has seen before to its last element, so also to its first chart, one person alone;
- the server's CPU for a filter change, one person alone: what others on the machine take does not touch it;
- a filter change, also to the page's last element, all people at once;
- memory of the server's whole process tree (PSS) with all sessions open.

The peer reads the mart of the utilization page with pandas and aggregates one month of it by province: what an analyst
would wait for without the pages. What a browser takes to draw comes on top and is not in here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

import duckdb
import httpx
from rich.console import Console
from rich.table import Table
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ButtonGroup_pb2 import ButtonGroup
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.Selectbox_pb2 import Selectbox
from streamlit.web.server.starlette.starlette_server_config import XSRF_COOKIE_NAME
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.measuring import cpu_below, held_below
from benchmarks.results import Result, Target, report
from dashboards.access.pages import ENTRIES
from ruam.access import Role
from ruam.home import DataHome
from ruam.publish import POINTER
from ruam.settings import Settings
from tests.dashboards.servers import free_port, served

FIRST_CHART_SECONDS, CHANGE_SECONDS, MEMORY_MIB = 1.5, 0.5, 4096
ALONE_VISITS = 5
ALONE_CHANGES = 10
OPENED_AT_ONCE = 4
PATIENCE_SECONDS = 60
PAGES = tuple(entry.name for entry in ENTRIES if Role.ANALYST in entry.roles)


@dataclass(frozen=True)
class Filter:
    is_select: bool
    values: list[str]
    stands: str


@dataclass
class Visitor:
    """One browser tab of a person who is signed in."""

    socket: ClientConnection
    page: str
    query: str = ""
    filters: dict[str, Filter] = field(default_factory=dict)
    """By the widget's id."""
    is_titled: bool = False
    _messages: dict[str, ForwardMsg] = field(default_factory=dict)

    async def open(self) -> float:
        """Seconds until the page stands. Raises where another stands in its place: signing in has no title."""
        took = await self._run(BackMsg())
        if not self.is_titled:
            raise RuntimeError(f"{self.page}: the page was not shown.")
        return took

    async def change(self, dice: random.Random) -> float:
        """Give one filter another value; seconds until the page stands again. Raises where nothing came of it."""
        before = self.query
        widget, one = dice.choice(sorted(self.filters.items(), key=itemgetter(0)))
        other = dice.choice([value for value in one.values if value != one.stands])
        message = BackMsg()
        state = message.rerun_script.widget_states.widgets.add(id=widget)
        if one.is_select:
            state.string_value = other
        else:
            state.string_array_value.data.append(other)
        took = await self._run(message)
        if self.query == before:
            raise RuntimeError(f"{self.page}: another value of {widget} did not reach the address.")
        return took

    async def _run(self, message: BackMsg) -> float:
        message.rerun_script.page_name = "" if self.page == ENTRIES[0].name else self.page
        message.rerun_script.query_string = self.query
        message.rerun_script.cached_message_hashes.extend(self._messages)
        began = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while True:
            told = self._whole(ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), PATIENCE_SECONDS)))
            kind = told.WhichOneof("type")
            if kind == "new_session":
                self.filters.clear()
            elif kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                element = told.delta.new_element
                drawn = element.WhichOneof("type")
                if drawn == "exception":
                    raise RuntimeError(f"{self.page}: {element.exception.message}")
                if drawn in {"selectbox", "button_group"}:
                    self._note(getattr(element, drawn))
                self.is_titled |= drawn == "heading" and element.heading.tag == "h1"
            elif kind == "page_info_changed":
                self.query = told.page_info_changed.query_string
            elif kind == "script_finished" and told.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return time.perf_counter() - began

    def _whole(self, told: ForwardMsg) -> ForwardMsg:
        """A message by its hash is the one that came before: a browser keeps those, and so does this client."""
        if told.WhichOneof("type") == "ref_hash":
            kept = ForwardMsg()
            kept.CopyFrom(self._messages[told.ref_hash])
            kept.metadata.CopyFrom(told.metadata)
            return kept
        if told.metadata.cacheable:
            self._messages[told.hash] = told
        return told

    def _note(self, element: Selectbox | ButtonGroup) -> None:
        """Keep a filter's values, and which of them stands."""
        if isinstance(element, Selectbox):
            values = list(element.options)
            stands = element.raw_value if element.set_value else values[element.default]
        else:
            values = [option.content for option in element.options]
            stands = element.raw_values[0] if element.set_value else values[element.default[0]]
        if len(values) > 1 and not element.disabled:
            self.filters[element.id] = Filter(isinstance(element, Selectbox), values, stands)


async def signed_in(base: str, user: str) -> dict[str, str]:
    """The cookies of a demo user's session, and Streamlit's token against requests from other sites."""
    async with httpx.AsyncClient(base_url=base) as client:
        answer = await client.post("/auth/demo", data={"user": user, "next": "/"}, headers={"origin": base})
        assert answer.status_code == 303, answer.text
        await client.get("/_stcore/health")
        return dict(client.cookies)


async def visit(base: str, cookies: Mapping[str, str], page: str) -> Visitor:
    socket = await connect(
        f"{base.replace('http', 'ws', 1)}/_stcore/stream",
        # Without the token Streamlit opens the page for nobody in particular, who is shown how to sign in.
        subprotocols=["streamlit", cookies[XSRF_COOKIE_NAME]],  # type: ignore[list-item]
        additional_headers={"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())},
        origin=base,  # type: ignore[arg-type]
        max_size=None,
    )
    return Visitor(socket, page)


async def cpu_of_changes(base: str, cookies: Mapping[str, str]) -> dict[str, float]:
    """Mean milliseconds of the server's CPU for a filter change, by page; the same changes in each run."""
    spent = {}
    for page in PAGES:
        dice = random.Random(page)  # noqa: S311 - nothing secret: the same run again
        visitor = await visit(base, cookies, page)
        await visitor.open()
        before = cpu_below(os.getpid())
        for _ in range(ALONE_CHANGES if visitor.filters else 0):
            await visitor.change(dice)
        if visitor.filters:
            spent[page] = 1000 * (cpu_below(os.getpid()) - before) / ALONE_CHANGES
        await visitor.socket.close()
    return spent


async def people_at_once(
    base: str, cookies: Mapping[str, str], arguments: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of every filter change, by page; the people are spread over the pages."""
    seconds: dict[str, list[float]] = {page: [] for page in PAGES}
    ends = time.perf_counter() + arguments.seconds

    async def person(number: int) -> None:
        dice = random.Random(number)  # noqa: S311 - nothing secret: the same run again
        visitor = await visit(base, cookies, PAGES[number % len(PAGES)])
        await visitor.open()
        while visitor.filters:
            await asyncio.sleep(dice.expovariate(1 / arguments.think))
            if time.perf_counter() > ends:
                break
            seconds[visitor.page].append(await visitor.change(dice))
        await visitor.socket.close()

    await asyncio.gather(*(person(number) for number in range(arguments.people)))
    return {page: taken for page, taken in seconds.items() if taken}


async def all_open(base: str, cookies: Mapping[str, str], n_sessions: int) -> float:
    """MiB that the server, the one process below this, holds with so many sessions open, each with a page in it."""
    gate = asyncio.Semaphore(OPENED_AT_ONCE)

    async def one(number: int) -> Visitor:
        async with gate:
            visitor = await visit(base, cookies, PAGES[number % len(PAGES)])
            await visitor.open()
            return visitor

    visitors = await asyncio.gather(*(one(number) for number in range(n_sessions)))
    held = held_below(os.getpid()) / 2**20
    await asyncio.gather(*(visitor.socket.close() for visitor in visitors))
    return held


def read_by_pandas(serving: Path, published: str) -> float:
    """Median seconds of reading the mart of utilization from Parquet with pandas, and of one sum over it."""
    import pandas as pd  # type: ignore[import-untyped,unused-ignore]

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mart.parquet"
        with duckdb.connect(str(serving / published), read_only=True) as connection:
            connection.execute(f"copy agg_utilization to '{target}' (format parquet)")
        taken = []
        for _ in range(ALONE_VISITS):
            began = time.perf_counter()
            mart = pd.read_parquet(target)
            chosen = mart[(mart["area_level"] == "province") & (mart["period_type"] == "month")]
            chosen.groupby(["area_code", "period_start"])["n_visits"].sum()
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def late(seconds: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(seconds)[max(0, -(-len(seconds) * 95 // 100) - 1)]


def show(title: str, pages: dict[str, list[float]]) -> None:
    table = Table("page", "n", "median ms", "95 % ms", "worst ms", title=f"{title}, {os.cpu_count()} cores")
    for page, taken in pages.items():
        figures = (statistics.median(taken), late(taken), max(taken))
        table.add_row(page, str(len(taken)), *(f"{one * 1000:,.0f}" for one in figures))
    Console().print(table)


async def measure(base: str, arguments: argparse.Namespace) -> tuple[float, float, float]:
    cookies = await signed_in(base, "analyst")
    alone: dict[str, list[float]] = {}
    for page in PAGES:
        taken = []
        for _ in range(1 + ALONE_VISITS):
            visitor = await visit(base, cookies, page)
            taken.append(await visitor.open())
            await visitor.socket.close()
        alone[page] = taken[1:]
    show("A warm page, one person", alone)
    table = Table("page", "CPU ms", title=f"The server's CPU for a filter change, mean of {ALONE_CHANGES}")
    spent = await cpu_of_changes(base, cookies)
    for page, milliseconds in {**spent, "mean of pages": statistics.mean(spent.values())}.items():
        table.add_row(page, f"{milliseconds:,.0f}")
    Console().print(table)
    changes = await people_at_once(base, cookies, arguments)
    show(f"A filter change, {arguments.people} people thinking {arguments.think:g} s", changes)
    held = await all_open(base, cookies, arguments.sessions)
    Console().print(f"{arguments.sessions} sessions open: {held:,.0f} MiB")
    return (
        max(late(taken) for taken in alone.values()),
        late([one for taken in changes.values() for one in taken]),
        held,
    )


def compare(home: DataHome, arguments: argparse.Namespace, country: str) -> Result:
    """Serve a copy of what a home published, and measure. Raises `FileNotFoundError` where nothing is."""
    published = json.loads((home.serving / POINTER).read_text(encoding="utf-8"))["file"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(home.serving, copy / "serving")
        with served(copy, free_port(), "--demo") as base:
            first, change, held = asyncio.run(measure(base, arguments))
    by_pandas = read_by_pandas(home.serving, published)
    lines = [
        Target("warm page, the worst page's 95 %", first, FIRST_CHART_SECONDS, unit="s"),
        Target("filter change, 95 %", change, CHANGE_SECONDS, unit="s"),
        Target("filter change, 95 % ÷ reading the mart by pandas", change, None, by_pandas, "s"),
        Target("memory with all sessions open", held, MEMORY_MIB, unit="MiB"),
    ]
    people = f"{arguments.people} people thinking {arguments.think:g} s, {arguments.sessions} sessions"
    return Result("pages", f"{country}, {people}", lines)


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """How many people there are, and for how long, from the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--think", type=float, default=8)
    return parser


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--home", type=Path, help="a data home with published marts (default: RUAM_HOME)")
    parser.add_argument("--country", default="demo", help="what is published there, for the history")
    arguments = parser.parse_args()
    home = DataHome(arguments.home or Settings().data_home.root)
    if not (home.serving / POINTER).exists():
        parser.error(f"{home.root}: nothing is published there. Run `make demo SERVE=0`, or name a home by --home.")
    report(compare(home, arguments, arguments.country))


if __name__ == "__main__":
    main()
