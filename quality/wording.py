"""A rule in words for people, wherever it stands (`quality.catalogue`)."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, ConfigDict

from quality.catalogue import entries


class Wording(BaseModel):
    """What is wrong, and what to do about it."""

    model_config = ConfigDict(frozen=True)

    code: str
    level: str
    """As in the catalogue."""
    th: str
    en: str
    fix_th: str
    fix_en: str


@cache
def wordings() -> dict[str, Wording]:
    """Every rule by its code."""
    return {one.code: Wording(**one.model_dump(include=set(Wording.model_fields))) for one in entries()}


def wording(code: str) -> Wording:
    """The words of a rule; of one that is no longer in the catalogue its code."""
    gone = Wording(code=code, level="standing", th=code, en=code, fix_th="–", fix_en="–")
    return wordings().get(code, gone)
