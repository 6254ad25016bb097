"""Both languages say the same things, and all words are in their files."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import dashboards
from ruam.words import Words, load_words

FOLDER = Path(dashboards.__file__).parent
THAI_LETTER = re.compile(r"[ก-๙]")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    thai, english = load_words("th"), load_words("en")
    assert thai.keys() == english.keys()
    assert {key: placeholders(text) for key, text in thai.items()} == {
        key: placeholders(text) for key, text in english.items()
    }


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        Words("th")("no.such.key")


def test_names_fall_back_to_thai() -> None:
    row: dict[str, object] = {"name_th": "แพร่", "name_en": None}
    assert Words("en").name(row) == "แพร่"
    assert Words("en").name(row | {"name_en": "Phrae"}) == "Phrae"


def test_every_text_is_used() -> None:
    """A key stands in the code whole, or its first part does, where the last part is a code."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py"))
    whole = set(re.findall(r"[\"']([a-z_0-9]+(?:\.[a-z_0-9]+)*)[\"']", code))
    parts = set(re.findall(r"[\"']([a-z_0-9.]+\.)\{", code))
    of_pages = (".menu", ".title", ".lead")
    unused = [
        key
        for key in load_words("th")
        if key not in whole
        and not any(key.startswith(part) for part in parts)
        and not key.endswith((*of_pages, "_bangkok"))
        and key.rsplit(".", 1)[0] not in {"filter"}
    ]
    assert unused == []


def test_code_holds_no_thai_sentences() -> None:
    """Only docstrings and comments give examples in Thai; the title and the switch are in both scripts."""
    found = []
    for path in FOLDER.rglob("*.py"):
        text = re.sub(r'"""[\s\S]*?"""', "", path.read_text(encoding="utf-8"))
        found += [
            f"{path.name}: {line.strip()}"
            for line in text.splitlines()
            if THAI_LETTER.search(line.split("#")[0]) and path.name != "app.py"
        ]
    assert found == []
