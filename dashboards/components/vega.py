"""Charts as Vega-Lite specifications, written as they are sent: plain mappings, and tables as Arrow beside them.

Altair, which writes the same, takes 5 to 50 ms of CPU for a chart; twenty people who change filters wait for that
(docs/decisions/0032-charts-as-plain-specs.md). Its schema holds each of our charts in the tests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import polars as pl
import pyarrow as pa

Options: TypeAlias = dict[str, Any]

_TYPES = {"Q": "quantitative", "N": "nominal", "O": "ordinal", "T": "temporal"}


@dataclass(frozen=True)
class Picture:
    """A finished chart, as `st.vega_lite_chart` takes it. Sessions share it: nothing changes it once it is made."""

    spec: Options


@dataclass(frozen=True)
class Drawn:
    """Rows, or what else Vega-Lite calls data, and how they are drawn; each method gives another one."""

    data: pl.DataFrame | Options
    drawing: Options
    transforms: tuple[Options, ...] = ()

    def mark(self, kind: str, **style: Any) -> Drawn:
        return replace(self, drawing=self.drawing | {"mark": {"type": kind, **style}})

    def encode(self, **channels: str | Options | list[Options]) -> Drawn:
        """Channels beside those that are there already; a text is a field, as `field` takes it."""
        given = {
            name: field(channel, own_type=name not in {"x2", "y2"}) if isinstance(channel, str) else channel
            for name, channel in channels.items()
        }
        return replace(self, drawing=self.drawing | {"encoding": self.drawing.get("encoding", {}) | given})

    def transform(self, **one: Any) -> Drawn:
        """A step before the drawing, after those that are there already."""
        return replace(self, transforms=(*self.transforms, one))


def chart(data: pl.DataFrame | Options) -> Drawn:
    return Drawn(data, {})


def field(name: str, *, own_type: bool = True, **options: Any) -> Options:
    """A channel by `name:T`, T being Q, N, O or T. The second end of a range has the type of the first."""
    column, _, letter = name.rpartition(":")
    return {"field": column} | ({"type": _TYPES[letter]} if own_type else {}) | options


def constant(value: str | float) -> Options:
    return {"value": value}


def expression(text: str) -> Options:
    return {"expr": text}


def condition(test: str, then: Options, otherwise: Options) -> Options:
    """A channel that is `then` where the test holds of a row."""
    return otherwise | {"condition": {"test": test} | then}


def layer(*layers: Drawn, height: int, **options: Any) -> Picture:
    """Drawn one above the other. Tables are named by their content, so that the same picture is the same bytes."""
    tables: dict[str, bytes] = {}

    def told(data: pl.DataFrame | Options) -> Options:
        if not isinstance(data, pl.DataFrame):
            return data
        content = arrow_of(data)
        name = hashlib.sha256(content).hexdigest()[:32]
        tables[name] = content
        return {"name": name}

    def whole(one: Drawn) -> Options:
        steps = [
            step | {"from": step["from"] | {"data": told(step["from"]["data"])}} if "from" in step else step
            for step in one.transforms
        ]
        return {"data": told(one.data)} | options | one.drawing | ({"transform": steps} if steps else {})

    return Picture({"layer": [whole(one) for one in layers], "height": height, "datasets": tables})


def arrow_of(rows: pl.DataFrame) -> bytes:
    """The rows as a stream of Arrow."""
    table, sink = rows.to_arrow(), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
