"""Every word that people read, from `i18n/<language>.yml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import yaml

FOLDER = Path(__file__).with_name("i18n")

Language: TypeAlias = Literal["th", "en"]
LANGUAGES: tuple[Language, ...] = ("th", "en")


def _flatten(tree: dict[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = str(value)
    return flat


@cache
def load_words(language: Language) -> dict[str, str]:
    """Texts by dotted key."""
    return _flatten(yaml.safe_load((FOLDER / f"{language}.yml").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Words:
    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, its `{names}` filled in. Raises `KeyError` for a key that is not in the file."""
        return load_words(self.language)[key].format(**values)

    def name(self, row: dict[str, object], stem: str = "name") -> str:
        """The row's `<stem>_th` or `<stem>_en`; the Thai one where there is no English."""
        return str(row.get(f"{stem}_{self.language}") or row.get(f"{stem}_th") or "")
