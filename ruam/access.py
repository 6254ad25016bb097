"""Who may see what: the role and the area that an ID token gives, mapped by a small table (`access.yml`).

A token that says nothing, or something unknown, gives nothing: there is no default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ruam.errors import SetupError
from ruam.geography import province_names
from ruam.settings import REGIONS

DEFAULT_TABLE = Path(__file__).with_name("access.yml")


class Role(StrEnum):
    EXECUTIVE = "executive"
    ANALYST = "analyst"
    STEWARD = "steward"
    PROTECTION_OFFICER = "data_protection_officer"
    ADMINISTRATOR = "administrator"


class Level(StrEnum):
    NATION = "nation"
    REGION = "region"
    PROVINCE = "province"
    FACILITY = "facility"


_CODE = re.compile(r"TH|([RP])(\d{2})|(H)(\d{5})")
_LEVELS = {"R": Level.REGION, "P": Level.PROVINCE, "H": Level.FACILITY}


class Scope(BaseModel):
    """The areas that someone may see: the nation, or some areas of one level."""

    model_config = ConfigDict(frozen=True)

    level: Level
    codes: tuple[str, ...] = Field(min_length=1)
    """As in `dim_areas` (`TH`, `04`, `50`), or facility codes of five digits; sorted."""

    @model_validator(mode="after")
    def _exists(self) -> Scope:
        known: dict[Level, Iterable[str]] = {
            Level.NATION: ("TH",),
            Level.REGION: REGIONS,
            Level.PROVINCE: province_names(),
        }
        if self.level in known and not set(self.codes) <= set(known[self.level]):
            raise ValueError(f"no such {self.level}")
        return self


NATION = Scope(level=Level.NATION, codes=("TH",))


class Refused(Exception):  # noqa: N818 - an answer to a request, no fault of ours
    """The token gives no access; `reason` is a code for the audit log and the words of the page."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RoleRule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: str = Field(min_length=1)
    words: dict[str, Role] = Field(min_length=1)


class AreaRule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: str = Field(min_length=1)
    words: dict[str, str] = {}

    @model_validator(mode="after")
    def _words_are_codes(self) -> AreaRule:
        for code in self.words.values():
            scope_of([code])
        return self


@dataclass(frozen=True)
class Identity:
    """Someone who is signed in and may see something."""

    subject: str
    """As the audit log calls them (`ruam.audit.pseudonym`)."""
    name: str
    roles: tuple[Role, ...]
    scope: Scope


class AccessTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    role: RoleRule
    area: AreaRule

    def identity_of(self, subject: str, claims: Mapping[str, Any]) -> Identity:
        """Whom the claims of an ID token are of. Raises `Refused` when they give no access."""
        return Identity(subject, str(claims.get("name") or subject), self.roles_of(claims), self.scope_of(claims))

    def roles_of(self, claims: Mapping[str, Any]) -> tuple[Role, ...]:
        """In the order of `Role`. Raises `Refused` when no word of the token is one of the table."""
        given = set(_words(claims.get(self.role.claim)))
        roles = {role for word, role in self.role.words.items() if word in given}
        if not roles:
            raise Refused("no_role")
        return tuple(role for role in Role if role in roles)

    def scope_of(self, claims: Mapping[str, Any]) -> Scope:
        """Raises `Refused` when the token names no area, an unknown one, or areas of two levels."""
        given = _words(claims.get(self.area.claim))
        try:
            return scope_of([self.area.words.get(word, word) for word in given])
        except ValueError as error:
            raise Refused("no_area") from error


def scope_of(codes: Iterable[str]) -> Scope:
    """The scope of codes such as `R04`. Raises `ValueError` for no code, an unknown one, or two levels."""
    found: dict[Level, set[str]] = {}
    for code in codes:
        match = _CODE.fullmatch(code)
        if match is None:
            raise ValueError(f"{code!r} is no code of an area")
        letter, digits = match[1] or match[3], match[2] or match[4]
        found.setdefault(_LEVELS[letter] if letter else Level.NATION, set()).add(digits or "TH")
    if len(found) != 1:
        raise ValueError("the codes must be of one level")
    level, known = found.popitem()
    return Scope(level=level, codes=tuple(sorted(known)))


def load_table(path: Path | None) -> AccessTable:
    """The table of a file, or the default one. Raises `SetupError` that names the file and what is wrong."""
    path = path or DEFAULT_TABLE
    try:
        stands = path.stat()
        return _read_table(path, stands.st_mtime_ns, stands.st_size)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise SetupError(f"The table of access {path} cannot be used: {error}") from error


@lru_cache(maxsize=4)
def _read_table(path: Path, _mtime_ns: int, _size: int) -> AccessTable:
    """Read anew when the file changes: every run of a page asks who looks at it, several times."""
    return AccessTable.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def _words(claim: object) -> list[str]:
    """A claim as a list of words; what is neither a word nor a list of words says nothing."""
    if isinstance(claim, str):
        return [claim]
    if isinstance(claim, list) and all(isinstance(word, str) for word in claim):
        return list(claim)
    return []
