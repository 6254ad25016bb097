"""The suites of both checkpoints, made from what is written elsewhere: contracts and rules, models and their keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from ingestion.checks import Rule, landing_schema, load_rules
from ingestion.contract import Contract
from ingestion.landing import RECORDS, contract_tables
from ruam.checks import Check, Kind, Suite
from ruam.landing import BATCH

LANDED = "landed_files"
"""Table over the landing: rows told of and rows found, by delivery, facility and file."""
REGISTRY = "registry"
"""View of every facility that any version of the registry knew."""

_LASTING = ("warehouse", "marts")
"""Layers that are read by others; those between them are made anew, and tested, in each build."""

_SENT = ("invalid_date", "be_year", "zero_date", "future_date")
"""Rules whose rejected value is shown as sent: it is a date."""


def landing_views(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path], registry: Iterable[Path]) -> None:
    """Give each landing table of some committed batches a view of its name, and beside them `LANDED` and `REGISTRY`.

    `LANDED`, which reads them all, is made once.
    """
    files: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in folder.glob("*.parquet"):
            files[path.stem].append(str(path))
    schemas = RECORDS | {name: landing_schema(contract) for name, contract in contract_tables().items()}
    for table in schemas:
        if files[table]:
            connection.execute(f'create view "{table}" as select * from {_parquet(files[table])}')
    for record in RECORDS:
        if not files[record]:
            columns = ", ".join(f'null::varchar as "{name}"' for name in (*RECORDS[record], BATCH))
            connection.execute(f'create view "{record}" as select {columns} where false')
    connection.execute(f"create view {REGISTRY} as select distinct hoscode from {_parquet(map(str, registry))}")
    found = [
        f"select delivery_id, hospcode, '{contract.file}' as file, count(*) as n_landed, 0 as n_rejected "
        f'from "{name}" group by delivery_id, hospcode'
        for name, contract in contract_tables().items()
        if files[name]
    ]
    found.append(
        "select delivery_id, hospcode, file, 0 as n_landed, count(*) as n_rejected from rejects "
        "group by delivery_id, hospcode, file"
    )
    connection.execute(f"""
        create table {LANDED} as
        with found as (
            select delivery_id, hospcode, file, sum(n_landed) as n_landed, sum(n_rejected) as n_rejected
            from ({" union all ".join(found)}) group by delivery_id, hospcode, file
        ),
        told as (
            select
                delivery_id, hospcode, file, sum(cast(n_landed as bigint)) as n_landed,
                sum(cast(n_rejected as bigint)) as n_rejected
            from receipt_files group by delivery_id, hospcode, file
        )
        select
            delivery_id, hospcode, file, coalesce(told.n_landed, 0) as n_told, coalesce(found.n_landed, 0) as n_found,
            coalesce(told.n_rejected, 0) as n_rejects_told, coalesce(found.n_rejected, 0) as n_rejects_found
        from told full join found using (delivery_id, hospcode, file)
    """)


def told_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Files of which the receipts in the views say that rows were landed."""
    rows = connection.execute(f"select distinct file from {LANDED} where n_told > 0 or n_found > 0").fetchall()
    return {file for (file,) in rows}


def landing_suites(files: Iterable[str]) -> list[Suite]:
    """What every landed row and record must be, whoever sent it; of the rows of those `files` that came.

    A row that breaks one of these was let through, or changed since: that is a fault of ours, never of the sender.
    """
    tables = {contract.file: contract for contract in contract_tables().values()}
    rules = load_rules()
    return [*_record_suites(rules), *(_file_suite(tables[file], rules) for file in sorted(files))]


def _file_suite(contract: Contract, rules: Mapping[str, Rule]) -> Suite:
    landed = landing_schema(contract)
    columns = {
        "key": [name.lower() for name in contract.key],
        "event_date": [contract.event_date.lower()] if contract.event_date else [],
        "hospcode": ["hospcode"],
    }
    checks = [
        Check(
            rule=rule.code,
            gate=promise.gate,
            kind=Kind.NEVER if promise.never else Kind.FILLED,
            columns=(column,),
            condition=promise.never.format(column=column) if promise.never else "",
        )
        for rule in rules.values()
        if (promise := rule.landed)
        for column in columns[promise.of]
        if column in landed
    ]
    warnings = _listed(rule.code for rule in rules.values() if rule.level in ("warning", "both"))
    flags = "list_transform(string_split(row_flags, ';'), lambda flag: split_part(flag, ':', 2))"
    checks += [
        Check(
            rule="known_flags",
            gate="contracts",
            kind=Kind.NEVER,
            columns=("row_flags",),
            # Few rows bear a flag: the others are not split.
            condition=f"case when row_flags is not null then not list_has_all([{warnings}], {flags}) end",
        ),
        Check(rule="columns", gate="contracts", kind=Kind.COLUMNS, columns=(*landed, BATCH)),
    ]
    return Suite(table=contract.table, checks=tuple(checks))


def _record_suites(rules: Mapping[str, Rule]) -> Iterator[Suite]:
    of_deliveries = _listed(rule.code for rule in rules.values() if rule.level == "delivery")
    of_rows = _listed(rule.code for rule in rules.values() if rule.level in ("row", "both"))
    unbalanced = "n_rows <> n_landed + n_rejected or n_landed < 0 or n_rejected < 0"
    conditions = {
        "receipts": [
            ("receipts_balance", "row_balance", f"outcome like 'accepted%' and ({unbalanced})"),
            ("known_reason", "contracts", f"outcome = 'rejected' and coalesce(reason, '') not in ({of_deliveries})"),
        ],
        "receipt_files": [("receipts_balance", "row_balance", unbalanced)],
        "receipt_rules": [("known_rule", "contracts", f"coalesce(rule, '') not in ({_listed(rules)}) or n_rows < 1")],
        "rejects": [
            ("known_rule", "contracts", f"coalesce(rule, '') not in ({of_rows})"),
            (
                "masked",
                "disclosure",
                f"rule not in ({_listed(_SENT)}) and regexp_matches(masked_value, '[0-8B-Za-z\u0e02-\u0e2e]')",
            ),
        ],
        LANDED: [
            ("rows_balance", "row_balance", "n_told <> n_found"),
            ("rejects_balance", "row_balance", "n_rejects_told <> n_rejects_found"),
        ],
    }
    for table, told in conditions.items():
        filled = [
            Check(rule="delivery_known", gate="keys", kind=Kind.FILLED, columns=(column,))
            for column in ("delivery_id", *(["outcome"] if table == "receipts" else []))
        ]
        never = [Check(rule=rule, gate=gate, kind=Kind.NEVER, condition=sql) for rule, gate, sql in told]
        yield Suite(table=table, may_be_empty=table != "receipts", checks=(*filled, *never))


def warehouse_suites(manifest: Mapping[str, Any]) -> list[Suite]:
    """Of each model of the warehouse and the marts: its columns and its keys; of the warehouse's also that what they
    refer to is there. A model refers to a dimension when one of its columns is called as that dimension's key.

    `manifest` is dbt's. Models with `meta: {never_empty: true}` must have rows, those with `meta: {never: […]}` none
    that meets the `condition` of a `rule` of a `gate`. A column with `meta: {refers: false}` may name what its
    dimension lacks. So may an orphan (`is_orphan`: its sender has not sent the row that it hangs on), where the
    dimension has `meta: {without_orphans: true}`.
    """
    nodes = manifest["nodes"].values()
    models = {
        node["name"]: node
        for node in nodes
        if node["resource_type"] == "model" and node["fqn"][1] in _LASTING and node["config"]["contract"]["enforced"]
    }
    keys = _keys(nodes, models)
    dimensions = {
        unique[0]: name
        for name, found in keys.items()
        for unique in found
        if len(unique) == 1 and name.startswith("dim_") and models[name]["fqn"][1] == "warehouse"
    }
    without_orphans = {name for name in dimensions.values() if _meta(models[name]).get("without_orphans", False)}
    return [
        Suite(
            table=name,
            may_be_empty=not _meta(node).get("never_empty", False),
            checks=(
                Check(rule="columns", gate="contracts", kind=Kind.COLUMNS, columns=tuple(node["columns"])),
                *_key_checks(keys.get(name, [])),
                *(Check.model_validate({"kind": Kind.NEVER, **one}) for one in _meta(node).get("never", [])),
                *(_references(node, dimensions, without_orphans) if node["fqn"][1] == "warehouse" else ()),
            ),
        )
        for name, node in sorted(models.items())
    ]


def _key_checks(keys: list[tuple[str, ...]]) -> Iterator[Check]:
    for column in dict.fromkeys(column for unique in keys for column in unique):
        if column.isidentifier():
            yield Check(rule="key", gate="keys", kind=Kind.FILLED, columns=(column,))
        else:
            yield Check(rule="key", gate="keys", kind=Kind.NEVER, condition=f"({column}) is null")
    for unique in keys:
        yield Check(rule="key", gate="keys", kind=Kind.UNIQUE, columns=unique)


def _references(
    node: Mapping[str, Any], dimensions: Mapping[str, str], without_orphans: Collection[str]
) -> Iterator[Check]:
    for name, column in node["columns"].items():
        dimension = dimensions.get(name)
        if dimension and dimension != node["name"] and _meta(column).get("refers", True):
            known = f'select "{name}" from "{dimension}" where "{name}" is not null'
            condition = f'"{name}" is not null and "{name}" not in ({known})'
            if dimension in without_orphans and "is_orphan" in node["columns"]:
                condition += " and not is_orphan"
            yield Check(
                rule=f"in_{dimension}", gate="references", kind=Kind.NEVER, columns=(name,), condition=condition
            )


def _keys(nodes: Iterable[Mapping[str, Any]], models: Mapping[str, Any]) -> dict[str, list[tuple[str, ...]]]:
    """Keys of each model, as its tests name them."""
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for node in nodes:
        test = node.get("test_metadata")
        model = str(node.get("attached_node")).split(".")[-1]
        if node["resource_type"] == "test" and test and model in models:
            if test["name"] == "unique_combination":
                found[model].append(tuple(test["kwargs"]["columns"]))
            elif test["name"] == "unique":
                found[model].append((test["kwargs"]["column_name"],))
    return found


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = node.get("config", {}).get("meta") or node.get("meta") or {}
    return meta


def _listed(codes: Iterable[str]) -> str:
    return ", ".join(f"'{code}'" for code in codes)


def _parquet(paths: Iterable[str]) -> str:
    names = ", ".join("'{}'".format(path.replace("'", "''")) for path in paths)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
