"""Clerical review: pairs round the threshold for two reviewers, and what their answers say."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from identity.linkage.features import features_of
from identity.linkage.model import Model
from ruam.errors import UsageError
from ruam.files import replacing

PAIRS = 400
COMPARED = ("hospcode", "given", "surname", "birth", "sex", "nation", "province", "mother", "phone", "passport", "hn")
"""What a reviewer sees of each record, as it was compared."""
ANSWERS = {"y": True, "n": False, "?": None}
REVIEWERS = ("reviewer_1", "reviewer_2")
_PAIR = "printf('p%016x', hash(record_l, record_r))"
"""Names a pair. A letter comes first, or a spreadsheet would take it for a number and round it."""
_ENCODINGS = ("utf-8-sig", "cp874")
"""What spreadsheets save as CSV, the second where Windows is Thai."""


@dataclass(frozen=True)
class Review:
    """What two reviewers said. Shares are of the pairs named in each."""

    n_pairs: int
    n_answered: int
    """By both, with y or n."""
    agreement: float
    kappa: float
    """Cohen's."""
    precision: float
    """Of the linked pairs on which both agree: those that both call one person."""
    missed: float
    """Of the pairs not linked on which both agree: those that both call one person."""


def sample(connection: duckdb.DuckDBPyConnection, model: Model, path: Path, *, seed: int = 1) -> int:
    """Write the 400 pairs nearest to the threshold, half of each side as far as there are so many, in random order:
    returns their number.

    The file names people: it stays in the vault's zone, mode 0600. Reviewers fill in `reviewer_1` and `reviewer_2` with
    y, n or ?, each without seeing the other's; the score is not in it.
    """
    sides = ", ".join(f"{side}.{name} as {name}_{label}" for name in COMPARED for side, label in (("l", 1), ("r", 2)))
    rows = connection.execute(
        f"""
        with near as (
            select
                *,
                probability >= {model.thresholds.link} as is_linked,
                row_number() over (
                    partition by probability >= {model.thresholds.link}
                    order by
                        abs(ln(probability / greatest(1 - probability, 1e-12)) - {_log_odds(model)}), hash(record_l, ?)
                ) as nearness
            from linkage.edges
        ),

        nearest as (select * from near order by nearness, is_linked limit {PAIRS}),

        shown as (
            select unnest([true, false]) as is_residue, record
            from (select record_l as record from nearest union select record_r from nearest)
        ),

        told as ({features_of("shown")})

        select {_PAIR} as pair, {sides}, '' as reviewer_1, '' as reviewer_2
        from nearest
        inner join told as l on nearest.record_l = l.record
        inner join told as r on nearest.record_r = r.record
        order by hash(record_l, record_r, ?)
        """,
        [seed, seed],
    ).pl()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        # Spreadsheets take UTF-8 for something else without a mark.
        rows.write_csv(temporary, include_bom=True)
    return rows.height


def _log_odds(model: Model) -> str:
    return f"ln({model.thresholds.link} / (1 - {model.thresholds.link}))"


def read_back(connection: duckdb.DuckDBPyConnection, model: Model, paths: list[Path]) -> Review:
    """Read the reviewers' answers: one file that both filled in, or one file of each, as CSV of any spreadsheet.

    Raises `UsageError` for a file that is no such CSV, and naming file, line and column for an answer that is none of
    y, n, ?, for a second, different answer, and for an unknown pair.
    """
    linked = {
        pair: bool(is_linked)
        for pair, is_linked in connection.execute(
            f"select {_PAIR}, probability >= ? from linkage.edges", [model.thresholds.link]
        ).fetchall()
    }
    answers: dict[str, dict[str, bool]] = {reviewer: {} for reviewer in REVIEWERS}
    pairs: set[str] = set()
    for path in paths:
        for line, row in _rows(path):
            pair = (row["pair"] or "").strip()
            if pair not in linked:
                raise UsageError(f"{path}, line {line}, column pair: this is no pair of the vault.")
            pairs.add(pair)
            for reviewer, told in answers.items():
                text = (row.get(reviewer) or "").strip().lower()
                if text and text not in ANSWERS:
                    raise UsageError(f"{path}, line {line}, column {reviewer}: the answer is none of y, n, ?.")
                answer = ANSWERS.get(text)
                if answer is not None and told.setdefault(pair, answer) != answer:
                    raise UsageError(f"{path}, line {line}, column {reviewer}: another answer stands before.")
    first, second = answers.values()
    both = sorted(first.keys() & second.keys())
    return _review(len(pairs), [(first[pair], second[pair], linked[pair]) for pair in both])


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The rows of a CSV with the line of each."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    if content.startswith(b"PK"):
        raise UsageError(f"{path} is a workbook: save it as CSV (UTF-8), and read that back.")
    for encoding in _ENCODINGS:
        with suppress(UnicodeDecodeError):
            lines = content.decode(encoding).splitlines()
            break
    else:
        raise UsageError(f"{path} is no text: save it as CSV (UTF-8).")
    header = lines[0] if lines else ""
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(lines, delimiter=separator)
    if missing := [name for name in ("pair", *REVIEWERS) if name not in (reader.fieldnames or ())]:
        raise UsageError(f"{path} has no column {', '.join(missing)}: its first line must be that of the sample.")
    for row in reader:
        yield reader.line_num, row


def _review(n_pairs: int, rows: list[tuple[bool, bool, bool]]) -> Review:
    n = len(rows)
    if n == 0:
        nothing = float("nan")
        return Review(n_pairs, 0, nothing, nothing, nothing, nothing)
    agreement = sum(one == two for one, two, _ in rows) / n
    yes_one, yes_two = (sum(row[who] for row in rows) / n for who in (0, 1))
    by_chance = yes_one * yes_two + (1 - yes_one) * (1 - yes_two)
    kappa = (agreement - by_chance) / (1 - by_chance) if by_chance < 1 else 1.0

    def share(is_linked: bool) -> float:
        part = [one for one, two, linked in rows if one == two and linked == is_linked]
        return sum(part) / len(part) if part else float("nan")

    return Review(n_pairs, n, agreement, kappa, share(True), share(False))
