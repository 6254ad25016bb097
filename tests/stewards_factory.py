"""A file of the data stewards as it is published, with the findings and deliveries that a test names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import yaml

from ruam.settings import PROJECT

RUN_ID = "20260102T030405"
PUBLISHED_AT = "2026-01-02T03:04:05Z"
_TYPES = {
    "varchar": pl.String(),
    "integer": pl.Int32(),
    "bigint": pl.Int64(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us"),
}
WHEN = datetime(2025, 3, 1, 8)  # noqa: DTZ001 - as the warehouse holds it


def columns_of(model: str) -> dict[str, pl.DataType]:
    """Those of the model's contract, so that the file cannot differ from what is published."""
    (told,) = yaml.safe_load((PROJECT / "models" / "warehouse" / f"{model}.yml").read_text("utf-8"))["models"]
    return {column["name"]: _TYPES[column["data_type"]] for column in told["columns"]}


def finding(number: int, **given: object) -> dict[str, object]:
    """A finding of a row that a facility's newest delivery opened, but for what is given."""
    return {
        "finding_key": f"{number:032x}",
        "kind": "row",
        "rule_code": "visit_without_diagnosis",
        "axis": "complete",
        "severity": "high",
        "hospcode": "90101",
        "province_code": "50",
        "file": "SERVICE",
        "record": f"2024-05-01 S{number}",
        "state": "opened",
        "n_times_opened": 1,
        "first_opened_at": WHEN,
        "last_opened_at": WHEN,
        "delivery_id": f"{number:064x}",
        "source_line": 2,
        "n_rows": 1,
        **given,
    }


def delivery(delivery_id: str, **given: object) -> dict[str, object]:
    return {
        "batch": "b",
        "delivery_id": delivery_id,
        "file_name": "F43_90101_20250301080000.zip",
        "hospcode": "90101",
        "province_code": "50",
        "sent_at": WHEN,
        "received_at": WHEN,
        "received_month": WHEN.date().replace(day=1),
        "outcome": "accepted",
        "n_rows": 10,
        "n_landed": 10,
        "n_rejected": 0,
        "n_flagged": 0,
        **given,
    }


def write_stewards(
    serving: Path, findings: Iterable[Mapping[str, object]], deliveries: Iterable[Mapping[str, object]]
) -> None:
    """Publish these beside what the pointer names already, or alone."""
    serving.mkdir(parents=True, exist_ok=True)
    path = serving / f"stewards_{RUN_ID}.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        for model, rows in (("fct_finding_histories", findings), ("fct_deliveries", deliveries)):
            frame = pl.DataFrame(list(rows), schema=columns_of(model))
            connection.execute(f"create table {model} as select * from frame")
            assert frame.width
    pointer = serving / "current.json"
    told = (
        json.loads(pointer.read_text("utf-8")) if pointer.exists() else {"run_id": RUN_ID, "published_at": PUBLISHED_AT}
    )
    pointer.write_text(json.dumps(told | {"stewards": path.name}), encoding="utf-8")
