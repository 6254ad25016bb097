"""Pseudonyms a second on one core, and against the standard library's HMAC in the same run.

* *numbers*: 13-digit text to pseudonym, two keys, as a batch meets people it has not seen; classes and all.
* *one at a time*: the same without the columns round it, as single pseudonyms are made.
* *hmac.digest twice*: the peer, which does no more than the two digests.
* *rekeying*: a column of pseudonyms to those under another analysis key (decision 12), the sorting before it apart.

    python -m benchmarks.pseudonyms [--numbers 1000000] [--runs 3]
"""

from __future__ import annotations

import argparse
import hmac
import os
from functools import partial

import numpy as np
import polars as pl

from benchmarks.measuring import RUNS, measured_in_turn, show_costs
from benchmarks.results import Result, Target, cpu, report
from identity.keys import Keys
from identity.pseudonym import PSEUDONYM_BYTES, Pseudonymiser
from identity.rekeying import Rekeying

LIMIT = 300_000
"""Ids a second on one core."""

FRAME = 50_000
"""Rows that ingestion checks together."""

KEYS, LATER = Keys(bytes(range(32)), bytes(range(32, 64))), bytes(range(64, 96))


def citizen_numbers(n: int) -> pl.Series:
    """Different numbers with a right check digit, in an order of no meaning; of nobody."""
    serial = (np.arange(n, dtype=np.int64) * 7_654_321) % 10**10
    first = 19 * 10**10 + serial
    digits = (first[:, None] // 10 ** np.arange(11, -1, -1)) % 10
    checks = (11 - digits @ np.arange(13, 1, -1) % 11) % 10
    return pl.Series(first * 10 + checks).cast(pl.String)


def with_columns(numbers: pl.Series) -> int:
    pseudonymiser = Pseudonymiser(KEYS)
    for at in range(0, len(numbers), FRAME):
        made = pseudonymiser.columns(numbers[at : at + FRAME], "cid")
        if made["cid_pseudonym"].null_count() > FRAME // 100:
            raise RuntimeError("the numbers should be valid")
    return len(numbers)


def alone(numbers: pl.Series) -> int:
    pseudonym = Pseudonymiser(KEYS).pseudonym
    return len([pseudonym(number) for number in numbers])


def with_hmac(numbers: pl.Series) -> int:
    digest, first, second = hmac.digest, KEYS.linkage, KEYS.analysis
    return len(
        [
            digest(second, digest(first, number.encode(), "sha256")[:PSEUDONYM_BYTES], "sha256")[:PSEUDONYM_BYTES].hex()
            for number in numbers
        ]
    )


def rekeyed(pseudonyms: pl.Series, rekeying: Rekeying) -> int:
    for at in range(0, len(pseudonyms), FRAME):
        rekeying.column(pseudonyms[at : at + FRAME])
    return len(pseudonyms)


def mapped(first: list[bytes]) -> int:
    Rekeying(KEYS.analysis, LATER, [pl.DataFrame({"p1": first})])
    return len(first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--numbers", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=RUNS)
    arguments = parser.parse_args()
    os.environ["POLARS_MAX_THREADS"] = "1"  # Of the processes that are measured.
    numbers = citizen_numbers(arguments.numbers)
    linkage = Keys(KEYS.linkage, KEYS.analysis).linkage
    first = [hmac.digest(linkage, number.encode(), "sha256")[:PSEUDONYM_BYTES] for number in numbers]
    pseudonyms = pl.Series([hmac.digest(KEYS.analysis, one, "sha256")[:PSEUDONYM_BYTES].hex() for one in first])
    rekeying = Rekeying(KEYS.analysis, LATER, [pl.DataFrame({"p1": first})])
    works = {
        "numbers to pseudonyms": lambda _: partial(with_columns, numbers),
        "one at a time": lambda _: partial(alone, numbers),
        "hmac.digest twice": lambda _: partial(with_hmac, numbers),
        "mapping of old to new": lambda _: partial(mapped, first),
        "rekeying": lambda _: partial(rekeyed, pseudonyms, rekeying),
    }
    costs = measured_in_turn(works, arguments.runs)
    show_costs("Pseudonyms on one core", costs, arguments.runs)
    ours, peer = costs["numbers to pseudonyms"], costs["hmac.digest twice"]
    lines = [
        *(
            Target(f"CPU of {name}", 1e6 * cost.cpu / cost.rows, 1e6 / LIMIT, unit="CPU s / million ids")
            for name, cost in costs.items()
            if name in ("numbers to pseudonyms", "rekeying")
        ),
        cpu("CPU of numbers to pseudonyms ÷ hmac.digest twice", ours, peer, 1 / 1.25),
    ]
    report(Result("pseudonyms", f"{arguments.numbers:,} numbers", lines))


if __name__ == "__main__":
    main()
