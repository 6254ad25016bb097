"""A rule in words for people, whichever of the two places it stands in (`quality.catalogue`)."""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel, ConfigDict

from ingestion.checks import load_rules
from quality.catalogue import examined


class Wording(BaseModel):
    """What is wrong and what to do about it; `fix_th` is empty where there is no Thai advice."""

    model_config = ConfigDict(frozen=True)

    code: str
    level: str
    """delivery, row, warning, both or note, of what reading finds; standing, of rows that fit their file."""
    th: str
    en: str
    fix_th: str
    fix_en: str


@cache
def wordings() -> dict[str, Wording]:
    """Every rule by its code."""
    read = [_of_reading(code) for code in load_rules()]
    standing = [
        Wording(code=rule.code, level="standing", th=rule.th, en=rule.en, fix_th=rule.fix_th, fix_en=rule.fix_en)
        for rows in examined()
        for rule in rows.rules
    ]
    return {one.code: one for one in (*read, *standing)}


def wording(code: str) -> Wording:
    """The words of a rule; of one that is no longer in the catalogue its code."""
    gone = Wording(code=code, level="standing", th=code, en=code, fix_th="", fix_en="")
    return wordings().get(code, gone)


def _of_reading(code: str) -> Wording:
    rule = load_rules()[code]
    return Wording(code=code, level=rule.level, th=rule.th, en=rule.en, fix_th=rule.fix_th, fix_en=rule.fix_en)
