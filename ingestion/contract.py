"""Contracts of the 43-file standard: what each file holds, and what may leave the inbox."""

from __future__ import annotations

from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

CONTRACTS = Path(__file__).with_name("contracts")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C where it was built: ten times faster, and every worker process reads the contracts."""


CORRECTIONS = "DATA_CORRECT"
"""The file of requests to withdraw rows that were sent before (`ingestion/corrections.py`)."""


class FileClass(StrEnum):
    """How a file relates to the sender's workload (domain.md §1.1)."""

    REGISTER = "register"
    SERVICE = "service"
    SEMI_SURVEY = "semi_survey"
    CORRECTION = "correction"
    POLICY = "policy"


class ColumnType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    JSON = "json"


class Version(StrEnum):
    """Editions of the standard, oldest first; a column bears the first one known to have it."""

    V2016 = "2016"
    V2_4 = "2.4"
    V2_4_1 = "2.4.1"


class Landing(StrEnum):
    """What becomes of a column on its way to the landing."""

    KEEP = "keep"
    DROP = "drop"
    PSEUDONYM = "pseudonym"
    MONTH = "month"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    type: ColumnType
    width: int | None = None
    required: bool = False
    since: Version
    codes: str | None = None
    """Id of a list in `seeds/terminology/code_values.csv`."""
    landing: Landing = Landing.KEEP
    vault: bool = False
    """Whether it goes to the vault too, as sent: what tells who a person is, and linkage needs (decision 11)."""
    why_dropped: str | None = None
    """For `landing: drop`: direct_identifier, contact, address or free_text."""
    label_th: str
    description: str

    @model_validator(mode="after")
    def _drop_has_reason(self) -> Column:
        if (self.landing is Landing.DROP) != (self.why_dropped is not None):
            raise ValueError(f"{self.name}: `landing: drop` and `why_dropped` go together")
        return self


class Contract(_Strict):
    """One file of the standard, or one of our own that it lacks.

    `columns` are in the order of the newest edition. `layouts` lists a whole column order by edition where
    an older edition is not simply the newer one without its later columns (ADDRESS of 2016); a name there
    that is no column of the contract only holds a place and never lands.
    """

    file: Annotated[str, Field(pattern=r"^[A-Z_]+$")]
    number: Annotated[int, Field(ge=1, le=52)] | None = None
    """Number in the standard; none for a file of our own, which other feeds fill."""
    file_class: FileClass
    label_th: str
    description: str
    key: list[str]
    event_date: str | None = None
    """The column that places a row in time; a row without a believable one is rejected."""
    columns: list[Column]
    layouts: dict[Version, list[str]] = {}

    @model_validator(mode="after")
    def _names_agree(self) -> Contract:
        names = [column.name for column in self.columns]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.file}: a column stands twice")
        used = [*self.key, *([self.event_date] if self.event_date else [])]
        unknown = [name for name in used if name not in names]
        if unknown:
            raise ValueError(f"{self.file}: key or event_date names no column: {', '.join(unknown)}")
        return self

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def aliases(self) -> dict[str, str]:
        """The standard has one spelling for a column."""
        return {}

    @cached_property
    def editions(self) -> dict[Version, list[str]]:
        """Column order of each edition that differs from the one before, oldest first."""
        order = list(Version)
        editions: dict[Version, list[str]] = {}
        for version in order:
            names = self.layouts.get(version) or [
                column.name for column in self.columns if order.index(column.since) <= order.index(version)
            ]
            if names and names not in editions.values():
                editions[version] = names
        return editions

    @cached_property
    def vault(self) -> list[str]:
        """Columns that go to the vault, in lower case; a file with any tells who people are."""
        return [column.name.lower() for column in self.columns if column.vault]

    @property
    def table(self) -> str:
        return self.file.lower()


@cache
def load_contracts(folder: Path = CONTRACTS) -> dict[str, Contract]:
    """All contracts by file name.

    Raises `ValueError` naming the YAML file when one does not fit the schema.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted(folder.glob("*.yml")):
        try:
            contract = Contract.model_validate(yaml.load(path.read_text(encoding="utf-8"), _LOADER))  # noqa: S506
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if path.stem != contract.table:
            raise ValueError(f"{path}: holds the contract of {contract.file}; name it {contract.table}.yml")
        contracts[contract.file] = contract
    return contracts


def standard_contracts() -> dict[str, Contract]:
    """Contracts of the standard's own files, by file name."""
    return {name: contract for name, contract in load_contracts().items() if contract.number}
