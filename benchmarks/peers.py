"""What others do with the same deliveries. None of them keeps a receipt, sets a row aside with its reason, checks a
code or a citizen number, or replaces a citizen number by a pseudonym; each docstring says what is left."""

from __future__ import annotations

import io
import os
import shutil
import sys
import zipfile
from collections import defaultdict
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.country import zips_in
from ingestion.contract import ColumnType, Contract, load_contracts
from ingestion.feed import STANDARD, load_feeds
from ingestion.text import read_header

BATCH_ZIPS = 50
"""Zips that pandas holds at a time, as many as Ruam does."""

_NUMBERS = (ColumnType.INTEGER, ColumnType.DECIMAL)


def copy_as_strings(text: Path, out: Path) -> int:
    """DuckDB: the extracted and decoded text, all columns as strings, to one Parquet for each file.

    Spared: unzipping, decoding, types. It reads all members of a file together and drops lines it cannot read.
    """
    out.mkdir()
    files: dict[str, list[str]] = defaultdict(list)
    for path in sorted(text.glob("*/*.txt")):
        if path.stat().st_size:
            files[path.parent.name].append(str(path))
    rows = 0
    with duckdb.connect() as connection:
        connection.execute("set threads = 2; set preserve_insertion_order = false; set enable_progress_bar = false")
        for file, names in files.items():
            result = connection.execute(
                f"""copy (select * from read_csv($names, delim = '|', header = true, quote = '', escape = '',
                    all_varchar = true, union_by_name = true, ignore_errors = true, strict_mode = false))
                    to '{out / file}.parquet' (format parquet, compression zstd)""",
                {"names": names},
            ).fetchone()
            rows += result[0] if result else 0
    return rows


def load_with_pandas(deliveries: Path, out: Path) -> int:
    """pandas: from the zips to typed Parquet, as a usual loader is written.

    It unzips, decodes (UTF-8, else cp874), reads each member with the C parser, turns dates and numbers into types
    (what is none becomes empty) and writes the rows of 50 zips together. Lines that are too long are skipped.
    """
    out.mkdir()
    rows = 0
    waiting: dict[str, list[pd.DataFrame]] = defaultdict(list)
    names = (f"{number}.parquet" for number in count())

    def write() -> int:
        n = 0
        for file, frames in waiting.items():
            frame = _typed(pd.concat(frames, ignore_index=True), load_contracts()[file])
            frame.to_parquet(out / f"{file}-{next(names)}", compression="zstd", index=False)
            n += len(frame)
        waiting.clear()
        return n

    zips = [path for path in zips_in(deliveries) if zipfile.is_zipfile(path)]
    for place, path in enumerate(zips, start=1):
        with zipfile.ZipFile(path) as opened:
            for info in opened.infolist():
                file = load_feeds()[STANDARD].table_of(info.filename)
                if file:
                    try:
                        waiting[file].append(_read_member(opened.read(info), load_contracts()[file]))
                    except (zipfile.BadZipFile, RuntimeError, ValueError):
                        continue
        if place % BATCH_ZIPS == 0:
            rows += write()
    return rows + write()


def _read_member(content: bytes, contract: Contract) -> Any:
    """Raises `ValueError` for a member that cannot be read."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp874")
    first = text.partition("\n")[0]
    header = read_header(first, contract)
    if header is None:
        raise ValueError("unknown layout")
    places = {place: name for name, place in header.positions.items()}
    return pd.read_csv(
        io.StringIO(text),
        sep="|",
        quoting=3,
        dtype=str,
        header=0 if header.is_header else None,
        names=[places.get(place, f"_{place}") for place in range(header.n_cells)],
        usecols=list(places.values()),
        on_bad_lines="skip",
        engine="c",
        index_col=False,
    )


def _typed(frame: Any, contract: Contract) -> Any:
    for column in contract.columns:
        if column.name in frame.columns:
            cells = frame[column.name]
            if column.type is ColumnType.DATE:
                frame[column.name] = pd.to_datetime(cells, format="%Y%m%d", errors="coerce")
            elif column.type is ColumnType.DATETIME:
                frame[column.name] = pd.to_datetime(cells, format="%Y%m%d%H%M%S", errors="coerce")
            elif column.type in _NUMBERS:
                frame[column.name] = pd.to_numeric(cells, errors="coerce")
    return frame


def has_spark() -> bool:
    return find_spec("pyspark") is not None and bool(shutil.which("java") or os.environ.get("JAVA_HOME"))


def load_with_spark(text: Path, out: Path) -> int:
    """Spark, local[2]: the extracted and decoded text to typed Parquet, one table for each file.

    Spared: unzipping, decoding. Members with the same header are read together under a given schema; a cell that is
    not of its type becomes empty. The JVM is a child that is waited for, so its CPU seconds count.
    """
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    gateway: Any = spark.sparkContext._gateway
    for file, header, paths in _of_one_header(text):
        (
            spark.read.schema(_spark_schema(header, load_contracts()[file]))
            .option("sep", "|")
            .option("header", "true")
            .option("quote", "")
            .option("dateFormat", "yyyyMMdd")
            .option("timestampFormat", "yyyyMMddHHmmss")
            .csv([str(path) for path in paths])
            .write.mode("append")
            .parquet(str(out / file))
        )
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    return sum(pq.read_metadata(path).num_rows for path in out.glob("*/*.parquet"))


def _of_one_header(text: Path) -> list[tuple[str, str, list[Path]]]:
    """File, header line and members; those without a header are left out, which spares Spark some rows."""
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted(text.glob("*/*.txt")):
        with path.open(encoding="utf-8") as handle:
            header = handle.readline().strip().upper()
        if "HOSPCODE" in header.split("|"):
            found[path.parent.name, header].append(path)
    return [(file, header, paths) for (file, header), paths in found.items()]


def _spark_schema(header: str, contract: Contract) -> str:
    names = {
        ColumnType.DATE: "date",
        ColumnType.DATETIME: "timestamp",
        ColumnType.INTEGER: "int",
        ColumnType.DECIMAL: "decimal(18, 4)",
    }
    return ", ".join(
        f"`{place}_{name}` {names.get(contract.by_name[name].type, 'string') if name in contract.by_name else 'string'}"
        for place, name in enumerate(header.split("|"))
    )


VISITS = """
    with visits as (
        select *
        from (
            select
                hospcode, pid, seq, date_serv, instype, main, price,
                row_number() over (
                    partition by hospcode, seq, date_serv
                    order by d_update desc nulls last, delivery_id desc, source_line desc
                ) as recency
            from {service}
        ) as ranked
        where recency = 1
    ),

    persons as (
        select *
        from (
            select
                hospcode, pid, cid_class, cid_pseudonym, sex, birth_month,
                row_number() over (
                    partition by hospcode, pid order by d_update desc nulls last, delivery_id desc, source_line desc
                ) as recency
            from {person}
        ) as ranked
        where recency = 1
    ),

    diagnoses as (
        select
            hospcode, seq, date_serv,
            count(distinct upper(replace(diagcode, '.', ''))) as n_diagnoses,
            min(case when diagtype = '1' then diagcode end) as principal_diagnosis
        from {diagnosis_opd}
        group by hospcode, seq, date_serv
    )

    select
        visits.hospcode, visits.pid, visits.seq, visits.date_serv, visits.instype, visits.main, visits.price,
        persons.cid_class, persons.cid_pseudonym, persons.sex, persons.birth_month,
        coalesce(diagnoses.n_diagnoses, 0) as n_diagnoses, diagnoses.principal_diagnosis
    from visits
    left join persons on visits.hospcode = persons.hospcode and visits.pid = persons.pid
    left join diagnoses
        on
            visits.hospcode = diagnoses.hospcode
            and visits.seq = diagnoses.seq
            and visits.date_serv = diagnoses.date_serv
"""
"""What an analyst writes for a fact of visits: the newest row of each visit and person, and the visit's diagnoses.

Spared: withdrawals, the other feeds, whose numbers are no person's, linked people, places and rights, what is flagged.
"""


def visits_with_duckdb(landing: Path, out: Path) -> int:
    """DuckDB: `VISITS` from the landing to one Parquet; its rows."""
    with duckdb.connect(config={"threads": 2, "preserve_insertion_order": False}) as connection:
        connection.execute("set enable_progress_bar = false")
        tables = {
            table: f"read_parquet('{landing}/region=*/batch=*/{table}.parquet', union_by_name = true)"
            for table in _OF_VISITS
        }
        connection.execute(f"copy ({VISITS.format(**tables)}) to '{out}' (format parquet, compression zstd)")
    return int(pq.read_metadata(out).num_rows)


def has_clickhouse() -> bool:
    return find_spec("chdb") is not None


def visits_with_clickhouse(landing: Path, out: Path) -> int:
    """ClickHouse, in this process (chdb): the same statement, to one Parquet; its rows."""
    import chdb

    tables = {table: f"file('{landing}/region=*/batch=*/{table}.parquet', Parquet)" for table in _OF_VISITS}
    chdb.query(
        f"insert into function file('{out}', Parquet) {VISITS.format(**tables)} "
        "settings max_threads = 2, join_use_nulls = 1, use_hive_partitioning = 0, engine_file_truncate_on_insert = 1"
    )
    return int(pq.read_metadata(out).num_rows)


_OF_VISITS = ("service", "person", "diagnosis_opd")
