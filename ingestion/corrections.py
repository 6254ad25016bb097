"""Requests to withdraw rows that were sent before (the file DATA_CORRECT), read down to the keys they name.

The standard does not say what the JSON of a request holds; ADR 9 says what Ruam reads: one object, or a list of
objects, each naming a row of TABLENAME by that file's key columns and nothing else. A request is taken whole or set
aside whole. Requests are rare and short, so that reading each line's JSON in Python costs nothing that counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import polars as pl

from identity.pseudonym import Pseudonymiser
from ingestion.checks import NOT_AFTER, SENDER, SLOT, STAMP, Checked, Checker, Level, landing_columns, masked
from ingestion.contract import Contract, FileClass, standard_contracts

TABLE = "withdrawals"
"""The landing table of what the requests name."""

OWN_CODES = frozenset({"HOSPCODE", "HOSPCODE9", "HOSP9_DEATH", "HOSP9_SOURCE"})
"""The sender's own code, which a request need not repeat, and 9-character codes that are key columns on paper only."""

_LINE, _COLUMNS = "source_line", "DATA_CORRECT"


@cache
def correctable() -> dict[str, Contract]:
    """Contracts of the files whose rows can be withdrawn, by file name: all but those of requests and policies."""
    apart = (FileClass.CORRECTION, FileClass.POLICY)
    return {name: contract for name, contract in standard_contracts().items() if contract.file_class not in apart}


def withdrawals_schema() -> dict[str, pl.DataType]:
    """Columns of the landing table: one row per row named.

    Every key column of any file, typed and pseudonymised as that file lands it, and null where the file named in
    `file` does not have it; `d_update` of the request; `position` of the object in its line, from 1.
    """
    keys: dict[str, pl.DataType] = {}
    for contract in correctable().values():
        for name in contract.key:
            keys |= landing_columns(contract.by_name[name])
    del keys["hospcode"]
    return {
        "hospcode": pl.String(),
        "file": pl.String(),
        **dict(sorted(keys.items())),
        "d_update": pl.Datetime("us"),
        "delivery_id": pl.String(),
        _LINE: pl.Int32(),
        "position": pl.Int32(),
    }


@dataclass(frozen=True)
class _Named:
    """A row that a request names: the request's place in the frame, and the key as text."""

    request: int
    position: int
    key: dict[str, str | None]


class Corrections:
    """Checks DATA_CORRECT rows and reads the withdrawals in them.

    `checker` is that of DATA_CORRECT itself; `hospcodes` are all codes of the facility registry.
    """

    def __init__(self, checker: Checker, hospcodes: frozenset[str], pseudonymiser: Pseudonymiser) -> None:
        self._checker = checker
        self._of_keys: Callable[[str], Checker] = cache(
            lambda file: Checker(_key_contract(correctable()[file]), hospcodes, pseudonymiser)
        )

    def check(self, raw: pl.DataFrame) -> tuple[Checked, pl.DataFrame]:
        """Each request landed or rejected, as `Checker.check` gives it, and the rows that landed ones withdraw.

        `raw` is as for `Checker.check`. The second frame has the columns of `withdrawals_schema`, with `_slot`
        for `delivery_id`.
        """
        raw = raw.with_columns(
            pl.lit(None, pl.String).alias(name) for name in ("TABLENAME", _COLUMNS) if name not in raw.columns
        )
        whole = self._checker.check(raw).landed.select(SLOT, _LINE).with_columns(is_whole=True)
        requests = raw.with_columns(pl.col(_LINE).cast(pl.Int32)).join(
            whole, on=[SLOT, _LINE], how="left", maintain_order="left"
        )
        named, faults = _read(requests)
        withdrawals = [pl.DataFrame(schema={**_typed(), "request": pl.UInt32()})]
        for file, rows in named.items():
            checked = self._of_keys(file).check(_key_frame(rows, requests))
            place = pl.DataFrame(
                [(index, row.request, row.position) for index, row in enumerate(rows)],
                schema={_LINE: pl.Int32, "request": pl.UInt32, "position": pl.Int32},
                orient="row",
            )
            faults.append(_as_faults(checked.rejected.join(place, on=_LINE)))
            withdrawals.append(_as_withdrawals(file, checked.landed.join(place, on=_LINE), requests))
        fault = pl.concat(faults).unique("request", keep="first", maintain_order=True)
        obeyed = raw.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(fault["request"].implode()))
        stands = pl.concat(withdrawals).join(fault, on="request", how="anti").select(*_typed())
        return _with_faults(self._checker.check(obeyed), fault, requests), stands


def _key_contract(contract: Contract) -> Contract:
    """The file cut down to its key and the time of change, so that a key is read just as the row's own was."""
    columns = [contract.by_name[name] for name in dict.fromkeys([*contract.key, STAMP])]
    return contract.model_copy(update={"columns": columns, "event_date": STAMP, "layouts": {}})


def _typed() -> dict[str, pl.DataType]:
    """The landing's columns, the delivery by its index."""
    schema = withdrawals_schema()
    return {SLOT if name == "delivery_id" else name: dtype for name, dtype in schema.items()} | {SLOT: pl.Int32()}


_FAULT = {"request": pl.UInt32, "column_name": pl.String, "rule": pl.String, "masked_value": pl.String}


def _read(requests: pl.DataFrame) -> tuple[dict[str, list[_Named]], list[pl.DataFrame]]:
    """What each whole request names, by file, and what is wrong with the others."""
    named: dict[str, list[_Named]] = {}
    faults: list[tuple[int, str, str, str | None]] = []
    sent = requests.select(
        "is_whole", "TABLENAME", _COLUMNS, shown=masked(pl.col(_COLUMNS)), table=masked(pl.col("TABLENAME"))
    )
    for request, (is_whole, table, text, shown, shown_table) in enumerate(sent.iter_rows()):
        if not is_whole:
            continue
        file = str(table).strip().upper().removesuffix(".TXT")
        contract = correctable().get(file)
        if contract is None:
            faults.append((request, "TABLENAME", "unknown_table", shown_table))
            continue
        keys, rule = _keys_in(text, contract)
        if rule:
            faults.append((request, _COLUMNS, rule, shown))
        else:
            rows = named.setdefault(file, [])
            rows += [_Named(request, position, key) for position, key in enumerate(keys, start=1)]
    return named, [pl.DataFrame(faults, schema=_FAULT, orient="row")]


def _keys_in(text: str | None, contract: Contract) -> tuple[list[dict[str, str | None]], str | None]:
    """The keys that a request's JSON names, or the rule that it breaks."""
    if text is None:
        return [], "missing_required"
    try:
        # Numbers stay the text they were sent as: a PID of 0012 must not become 12, nor a long one lose digits.
        content = json.loads(
            text, object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_no_constant
        )
        json.dumps(content, ensure_ascii=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError):
        return [], "invalid_json"
    objects = content if isinstance(content, list) else [content]
    if not objects or not all(isinstance(one, dict) and one for one in objects):
        return [], "wrong_json_form"
    if not all(isinstance(value, str | None) for one in objects for value in one.values()):
        return [], "wrong_json_form"
    if any(one.keys() - {*contract.key, *OWN_CODES} for one in objects):
        return [], "correction_with_values"
    return [{name: _cell(one.get(name)) for name in contract.key} for one in objects], None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Names in upper case. Raises `ValueError` when one stands twice: which of the two values counts is not known."""
    made = {name.strip().upper(): value for name, value in pairs}
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _cell(value: str | None) -> str | None:
    """A value as the reader of rows gives it: blanks stripped, empty as null."""
    return (value or "").strip(" \t") or None


def _key_frame(rows: list[_Named], requests: pl.DataFrame) -> pl.DataFrame:
    """Named rows as raw rows of their file; `source_line` is the place in `rows`. HOSPCODE and the time of change are
    the request's where the JSON does not repeat them."""
    keys = pl.DataFrame([row.key for row in rows], schema=dict.fromkeys(rows[0].key, pl.String))
    own = requests.select("HOSPCODE", STAMP, SLOT, SENDER, NOT_AFTER)[[row.request for row in rows]]
    return keys.with_columns(
        pl.coalesce(keys["HOSPCODE"], own["HOSPCODE"]).alias("HOSPCODE"),
        *own.drop("HOSPCODE").get_columns(),
        pl.int_range(pl.len(), dtype=pl.Int32).alias(_LINE),
    )


def _as_faults(rejected: pl.DataFrame) -> pl.DataFrame:
    """Rejected keys as faults of their requests, named `DATA_CORRECT.<column>`."""
    column = pl.col("column_name")
    named = pl.when(column == STAMP).then(column).otherwise(pl.lit(f"{_COLUMNS}.") + column)
    return rejected.sort(_LINE).select("request", named.alias("column_name"), "rule", "masked_value")


def _as_withdrawals(file: str, landed: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Landed keys at the lines of their requests, with the key columns of all other files empty."""
    lines = requests[_LINE].gather(landed["request"])
    landed = landed.with_columns(pl.lit(file).alias("file"), lines.alias(_LINE))
    absent = (pl.lit(None, dtype).alias(name) for name, dtype in _typed().items() if name not in landed.columns)
    typed = landed.with_columns(absent)
    return typed.select(*(pl.col(name).cast(dtype) for name, dtype in _typed().items()), "request")


def _with_faults(checked: Checked, fault: pl.DataFrame, requests: pl.DataFrame) -> Checked:
    """`checked` with the faulty requests among the rejected."""
    if fault.is_empty():
        return checked
    at = requests.select(SLOT, _LINE)[fault["request"].to_list()]
    rejected = at.hstack(fault.select("column_name", "rule", "masked_value"))
    rules = [(str(rule), str(column)) for rule, column in rejected.select("rule", "column_name").iter_rows()]
    counts = Counter(zip(rejected[SLOT], rules, strict=True))
    return replace(
        checked,
        rejected=pl.concat([checked.rejected, rejected.select(checked.rejected.columns)]),
        findings=[
            *checked.findings,
            *((slot, rule, column, str(Level.ROW), n) for (slot, (rule, column)), n in counts.items()),
        ],
    )
