"""Export what is published as a data package: Parquet, with a descriptor that says what each column is.

Descriptor: Data Package v2 (datapackage.org). Only the views of the stable schema go out (`ruam.stable`), from the
serving file, in which disclosure control is already done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from ruam.errors import PublishError
from ruam.files import replacing_folder
from ruam.home import DataHome
from ruam.publish import current
from ruam.settings import Licence
from ruam.stable import StableColumn, StableSchema, StableView, stable_schema

DESCRIPTOR = "datapackage.json"
README = "README.md"
PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"

_TYPES = {
    "varchar": "string",
    "date": "date",
    "timestamp": "datetime",
    "integer": "integer",
    "bigint": "integer",
    "double": "number",
}

NOTE_TH = (
    "จำนวนในแฟ้มนี้ผ่านการควบคุมการเปิดเผยแล้ว: น้อยกว่า 10 ไม่แสดง นอกนั้นปัดเป็นจำนวนที่หารด้วย 5 ลงตัว "
    "คอลัมน์ _status บอกว่าเป็นกรณีใด ค่าว่างไม่ใช่ศูนย์ ผลตัวชี้วัดเป็นสัญญาณให้ทบทวน ไม่ใช่ข้อพิสูจน์ว่าสิ้นเปลือง"
)
NOTE = (
    "Counts have passed disclosure control: under 10 they are empty, else rounded to 5, and the column _status says "
    "which. Empty is never zero. A flag of a measure is a signal for review, never proof of waste. Do not try to find "
    "out who a person is, nor to undo the rounding by subtraction."
)


@dataclass(frozen=True)
class Exported:
    run_id: str
    n_tables: int
    n_rows: int


def export(home: DataHome, folder: Path, licence: Licence) -> Exported:
    """Write the current publication as a package into `folder`, whole or not at all.

    An earlier package there is replaced in one step. The same publication gives the same bytes. Raises `PublishError`
    when nothing is published, or by a version without the stable schema; `UsageError` when something else lies there.
    """
    home.require()
    pointer = current(home)
    if pointer is None:
        raise PublishError("Nothing is published yet, so there is nothing to export. Run `ruam publish` first.")
    schema = stable_schema()
    with (
        duckdb.connect(str(home.serving / pointer["file"]), read_only=True) as connection,
        replacing_folder(folder, DESCRIPTOR) as new,
    ):
        _require(connection, schema)
        resources = [_resource(connection, schema, view, new) for view in schema.views]
        about = _publication(connection, schema)
        descriptor = _descriptor(about, licence, resources, schema)
        (new / README).write_text(_readme(descriptor), encoding="utf-8")
        (new / DESCRIPTOR).write_text(json.dumps(descriptor, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return Exported(about["run_id"], len(resources), sum(one["ruam:rows"] for one in resources))


def _require(connection: duckdb.DuckDBPyConnection, schema: StableSchema) -> None:
    found = connection.execute(
        "select count(*) from information_schema.tables where table_schema = $name", {"name": schema.name}
    ).fetchone()
    if found != (len(schema.views),):
        raise PublishError(
            f"The published file has no complete schema {schema.name}: an older version of Ruam wrote it. "
            "Run `ruam publish` first."
        )


def _publication(connection: duckdb.DuckDBPyConnection, schema: StableSchema) -> dict[str, Any]:
    cursor = connection.execute(f'from "{schema.name}".publication')
    row = cursor.fetchone()
    if row is None:
        raise PublishError("The published file does not say what it is. Run `ruam publish` again.")
    return dict(zip((one[0] for one in cursor.description or []), row, strict=True))


def _resource(
    connection: duckdb.DuckDBPyConnection, schema: StableSchema, view: StableView, folder: Path
) -> dict[str, Any]:
    """Write one view and describe it. Rows are in order of their key, so that equal rows are equal bytes."""
    path = folder / "data" / f"{view.name}.parquet"
    path.parent.mkdir(exist_ok=True)
    order = ", ".join(f'"{one}"' for one in view.key)
    target = str(path).replace("'", "''")
    written = connection.execute(
        f"""
        copy (from "{schema.name}"."{view.name}" order by {order})
        to '{target}' (format parquet, compression zstd)
        """
    ).fetchone()
    content = path.read_bytes()
    return {
        "name": view.name.replace("_", "-"),
        "type": "table",
        "path": f"data/{view.name}.parquet",
        "title": view.title_th,
        "description": view.description,
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "bytes": len(content),
        "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "ruam:rows": written[0] if written else 0,
        "schema": {
            "fields": [_field(column, view) for column in view.offered],
            "primaryKey": view.key,
        },
    }


def _field(column: StableColumn, view: StableView) -> dict[str, Any]:
    field: dict[str, Any] = {
        "name": column.name,
        "type": _TYPES[column.type],
        "title": column.title_th,
        "description": column.description,
    }
    if column.count:
        field["constraints"] = {"minimum": 0}
        field["ruam:disclosure"] = "count"
    elif column.name in view.key:
        field["constraints"] = {"required": True}
    return field


def _descriptor(
    about: dict[str, Any], licence: Licence, resources: list[dict[str, Any]], schema: StableSchema
) -> dict[str, Any]:
    return {
        "$schema": PROFILE,
        "name": f"ruam-{str(about['run_id']).lower()}",
        "id": f"ruam:{about['run_id']}",
        "title": "Ruam รวม: การใช้บริการ ความซ้ำซ้อน และความก้าวหน้าของนโยบาย ที่ผ่านการควบคุมการเปิดเผย",
        "description": f"{NOTE_TH}\n\n{NOTE}",
        "version": f"{about['published_at']:%Y.%-m.%-d}",
        "created": f"{about['published_at'].replace(microsecond=0).isoformat()}Z",
        "contributors": [{"title": "กระทรวงสาธารณสุข (Ministry of Public Health, Thailand)", "roles": ["publisher"]}],
        "sources": [{"title": "43 แฟ้ม และข้อมูลอื่นที่หน่วยบริการส่ง (the 43-file standard and other feeds)"}],
        "licenses": [licence.model_dump(exclude_none=True)],
        "keywords": ["health", "thailand", "utilization"],
        "ruam:as_of": {key: _told(about[key]) for key in ("data_from", "data_to", "built_at", "published_at")},
        "ruam:run_id": about["run_id"],
        "ruam:version": about["ruam_version"],
        "ruam:schema": schema.name,
        "ruam:disclosure": {"rule": about["disclosure_rule"], "note_th": NOTE_TH, "note": NOTE},
        "resources": resources,
    }


def _told(value: object) -> str | None:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return value.isoformat() if isinstance(value, date) else None


def _readme(descriptor: dict[str, Any]) -> str:
    as_of = descriptor["ruam:as_of"]
    lines = [
        f"# {descriptor['title']}",
        "",
        NOTE_TH,
        "",
        NOTE,
        "",
        f"Data from {as_of['data_from']} to {as_of['data_to']}, published {as_of['published_at']}, run "
        f"{descriptor['ruam:run_id']}, schema {descriptor['ruam:schema']}. Definitions: `data/measures.parquet`. "
        f"Licence: {descriptor['licenses'][0]['title']}. `{DESCRIPTOR}` names every column, and the hash of each file.",
        "",
        "| table | rows | one row is |",
        "|---|---|---|",
        *(f"| `{one['path']}` | {one['ruam:rows']:,} | {one['description']} |" for one in descriptor["resources"]),
        "",
    ]
    return "\n".join(lines)
