"""Where people travel for care: pairs of areas, and what comes of them for each area."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from dashboards.components.tables import texts
from dashboards.components.values import BELOW_10_BOUND, Status, compact, count_value
from ruam.words import Words

OUTSIDE = "outside"
"""Status of a pair of which neither end is the viewer's."""
ROUNDED_BY = 2
"""What a count rounded to 5 may be away from the true one."""


def all_pairs(
    flows: pl.DataFrame,
    count: str,
    homes: Sequence[str],
    treatments: Sequence[str],
    reported: Collection[str],
    seen: Collection[str] | None,
) -> pl.DataFrame:
    """home_code, treatment_code, number and status of every pair, those that were not published included.

    `flows` as `reads.patient_flow` gives them, `count` one of its counts. A pair that is not there had no visit where
    the area of treatment has `reported`, and is unknown where it has not. `seen`: the viewer's areas; None for all.
    """
    known = {
        (row["home_code"], row["treatment_code"]): (row[count], row[f"{count}_status"])
        for row in flows.iter_rows(named=True)
    }

    def cell(home: str, treatment: str) -> tuple[int | None, str]:
        if (home, treatment) in known:
            return known[home, treatment]
        if seen is not None and home not in seen and treatment not in seen:
            return None, OUTSIDE
        return (0, Status.ROUNDED) if treatment in reported else (None, Status.MISSING)

    found = [(home, treatment, *cell(home, treatment)) for home in homes for treatment in treatments]
    return pl.DataFrame(
        found,
        schema={"home_code": pl.String, "treatment_code": pl.String, "number": pl.Int64, "status": pl.String},
        orient="row",
    )


def with_texts(words: Words, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs with `value` (a number or null), `shown` (its text) and `cell` (its short text)."""
    values: list[tuple[float | None, str, str]] = []
    for number, status in pairs.select("number", "status").iter_rows():
        if status == OUTSIDE:
            values.append((None, words("flow.outside"), ""))
            continue
        value = count_value(words, number, status)
        short = compact(words, value.number) if value.number is not None else value.text
        values.append((value.number, value.text, "–" if status == Status.MISSING else short))
    numbers, shown, cells = zip(*values, strict=True) if values else ((), (), ())
    return pairs.with_columns(
        pl.Series("value", list(numbers), dtype=pl.Float64), texts("shown", shown), texts("cell", cells)
    )


@dataclass(frozen=True)
class Sum:
    """A sum of published counts: of those that are numbers, and its bounds with those below 10.

    `n_unknown`: cells that nobody reported, which no bound covers.
    """

    known: int
    low: int
    high: int
    n_hidden: int
    n_unknown: int


def sum_of(cells: Iterable[tuple[int | None, str]]) -> Sum | None:
    """None when all cells are unknown, which is no sum of 0."""
    known = low = high = n_hidden = n_unknown = n_cells = 0
    for number, status in cells:
        n_cells += 1
        if status == Status.BELOW_10:
            low, high, n_hidden = low + 1, high + BELOW_10_BOUND - 1, n_hidden + 1
        elif number is None:
            n_unknown += 1
        else:
            slack = ROUNDED_BY if status == Status.ROUNDED and number else 0
            known += number
            low, high = low + max(number - slack, min(number, BELOW_10_BOUND)), high + number + slack
    return Sum(known, low, high, n_hidden, n_unknown) if n_unknown < n_cells else None


def balances(pairs: pl.DataFrame, codes: Sequence[str]) -> pl.DataFrame:
    """area_code, inflow, outflow, net, net_low, net_high, n_hidden, n_unknown of each area, over its pairs with others.

    Null where all pairs of one way are unknown.
    """
    across = pairs.filter(pl.col("home_code") != pl.col("treatment_code"))
    schema = {"area_code": pl.String} | dict.fromkeys(
        ("inflow", "outflow", "net", "net_low", "net_high", "n_hidden", "n_unknown"), pl.Int64
    )
    found = []
    for code in codes:
        inflow, outflow = (
            sum_of(across.filter(pl.col(end) == code).select("number", "status").iter_rows())
            for end in ("treatment_code", "home_code")
        )
        row: dict[str, str | int | None] = dict.fromkeys(schema) | {"area_code": code}
        if inflow and outflow:
            row |= {
                "inflow": inflow.known,
                "outflow": outflow.known,
                "net": inflow.known - outflow.known,
                "net_low": inflow.low - outflow.high,
                "net_high": inflow.high - outflow.low,
                "n_hidden": inflow.n_hidden + outflow.n_hidden,
                "n_unknown": inflow.n_unknown + outflow.n_unknown,
            }
        found.append(row)
    return pl.DataFrame(found, schema=schema)
