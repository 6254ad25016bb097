"""Records of the vault made by hand: a person of no number, and whatever a test changes."""

from __future__ import annotations

from datetime import date, datetime

import duckdb
import polars as pl

from ingestion.synthetic.linkage import RECORDS

SOMCHAI = {
    **{"hospcode": "10001", "pid": "1", "cid": None, "cid_class": "missing", "linkage_pseudonym": None},
    **{"prename": "003", "given": "สมชาย", "surname": "ทองประเสริฐ", "birth_date": date(1980, 5, 17), "sex": "1"},
    **{"nation": "099", "labor": None, "province_code": "54", "mother_cid": None, "telephone": None},
    **{"mobile": "0000123456", "passport": None, "hn": None, "d_update": datetime(2025, 1, 5)},  # noqa: DTZ001
    "delivery_id": "d1",
}
NUMBER = "1546612345673"
"""With a right check digit; digits 4 and 5 are those of no registry."""


def record(**changes: object) -> dict[str, object]:
    return {**SOMCHAI, **changes}


def numbered(cid: str, **changes: object) -> dict[str, object]:
    return record(cid=cid, cid_class="valid", linkage_pseudonym=f"p1 of {cid}", **changes)


def add(connection: duckdb.DuckDBPyConnection, *rows: dict[str, object]) -> None:
    """Put records into the vault; one of the same (hospcode, pid) is replaced."""
    connection.register("given", pl.DataFrame(list(rows), schema=RECORDS))
    connection.execute("""
        create table if not exists records as select *, 0 as arrived, false as is_known from given limit 0;
        create or replace temp table came as
        select
            given.*,
            (select coalesce(max(arrived), 0) + 1 from records) as arrived,
            (hospcode, pid) in (select (hospcode, pid) from records) as is_known
        from given;
        delete from records using came where records.hospcode = came.hospcode and records.pid = came.pid;
        insert into records by name from came;
    """)
    connection.unregister("given")
