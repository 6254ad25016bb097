"""Names of members as they may be told: a sender may put anything into one, the patient's name too."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath

from ingestion.feed import load_feeds

MAX_LENGTH = 80
"""Characters of a name that a receipt keeps."""
_SHORT = 3
"""Digits of a number that counts members (`Patient.000.ndjson`); a longer one may be somebody's."""
_RUNS = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]")
_WORD = re.compile(r"[A-Za-z]+")


@cache
def _words(extra_feeds: Path | None) -> frozenset[str]:
    """Every word (upper case) by which a feed says what a member is, and those of suffixes."""
    names = {"gz", "zip"}
    for feed in load_feeds(extra_feeds).values():
        names.update(feed.tables, *(table.members for table in feed.tables.values()))
        names.update(feed.ignored, feed.known_words, feed.suffixes, feed.name_tokens)
    return frozenset(word.upper() for name in names for word in _WORD.findall(name))


def shown_name(name: str, place: int, extra_feeds: Path | None = None) -> str:
    """A member's name without its folders where it says nothing but what the member is: `SERVICE.txt`.

    Of all else the shape alone is shown (A for a letter, ก for a Thai one, 9 for a digit of a long number), after the
    member's `place` in the zip: `3: SERVICE_กกกกก 9999999999999.txt`.
    """
    shape, is_plain = _shape(name, extra_feeds)
    return shape if is_plain else f"{place}: {shape}"


@lru_cache(maxsize=4096)
def _shape(name: str, extra_feeds: Path | None) -> tuple[str, bool]:
    """What may be shown of a name, and whether that is the name itself. Senders name their members alike."""
    name = PurePosixPath(name.replace("\\", "/")).name
    printable = name if name.isprintable() else ascii(name)[1:-1]
    words = _words(extra_feeds)

    def hidden(run: re.Match[str]) -> str:
        text = run[0]
        if text.isascii():
            is_known = len(text) <= _SHORT if text.isdigit() else text.upper() in words
            return text if is_known else ("9" if text.isdigit() else "A") * len(text)
        return "ก" if "\u0e00" <= text <= "\u0e7f" else "A"

    shape = _RUNS.sub(hidden, printable)
    return shape[:MAX_LENGTH], shape == name
