"""The linkage model: what is compared and how (Splink), trained once, kept as a versioned JSON, checked when loaded."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import splink.comparison_level_library as cll
from pydantic import BaseModel, ConfigDict, ValidationError
from splink import DuckDBAPI, Linker, SettingsCreator
from splink.comparison_library import CustomComparison
from splink.internals.comparison_creator import ComparisonCreator
from splink.internals.comparison_level_creator import ComparisonLevelCreator

from identity.linkage.features import FEATURES
from ruam.errors import SetupError
from ruam.files import replacing

MODELS = Path(__file__).parent / "models"
NAMES = ("given", "surname")
CURRENT = MODELS / "1.json"

PLACEHOLDER_L = "(month(birth_l) = 1 and day(birth_l) = 1)"
PLACEHOLDER_R = "(month(birth_r) = 1 and day(birth_r) = 1)"
_DATES = "strftime(birth_l, '%Y%m%d'), strftime(birth_r, '%Y%m%d')"
_NAME_CLOSE, _WHOLE_CLOSE = 0.9, 0.92
"""Jaro-Winkler similarity of Latin forms from which names are close."""


def _level(condition: str, label: str, u: float | None = None) -> ComparisonLevelCreator:
    """A level; `u` where random pairs are too few to see it: the chance that two people agree by accident."""
    level = cll.CustomLevel(condition, label)
    return level.configure(u_probability=u, fix_u_probability=True) if u else level


def _equal(column: str) -> ComparisonLevelCreator:
    """Equal texts, of which a rare one says more than a common one."""
    level = cll.CustomLevel(f"{column}_l = {column}_r", "equal")
    return level.configure(tf_adjustment_column=column, disable_tf_exact_match_detection=True)


def _null(condition: str) -> ComparisonLevelCreator:
    return cll.CustomLevel(condition, "not known").configure(is_null_level=True)


def _comparison(name: str, *levels: ComparisonLevelCreator) -> CustomComparison:
    return CustomComparison(output_column_name=name, comparison_levels=[*levels, cll.ElseLevel()])


def comparisons() -> list[ComparisonCreator | dict[str, Any]]:
    """Given name, surname, birth date, sex, nationality, province, mother, phone, passport, hospital number, number."""
    one_without = "(surname_l is null or surname_r is null)"
    return [
        _comparison(
            "given",
            _null("given_l is null or given_r is null"),
            _equal("given"),
            _level("whole_roman_l = whole_roman_r", "the whole name is equal in Latin letters"),
            _level("given_roman_l = given_roman_r", "equal in Latin letters"),
            _level(
                f"{one_without} and length(whole_roman_l) > 8 "
                f"and jaro_winkler_similarity(whole_roman_l, whole_roman_r) >= {_WHOLE_CLOSE}",
                "the whole name, which is long, is close",
            ),
            _level(
                f"{one_without} and length(whole_key_l) > 3 and whole_key_l = whole_key_r",
                "the whole name, which is long, has the same consonants",
            ),
            _level(f"jaro_winkler_similarity(given_roman_l, given_roman_r) >= {_NAME_CLOSE}", "close"),
            _level("given_key_l = given_key_r", "the same consonants"),
            _level(f"jaro_winkler_similarity(whole_roman_l, whole_roman_r) >= {_WHOLE_CLOSE}", "the whole is close"),
            _level(
                "least(length(given_roman_l), length(given_roman_r)) > 3 and "
                "(starts_with(given_roman_l, given_roman_r) or starts_with(given_roman_r, given_roman_l))",
                "one begins with the other",
            ),
        ),
        _comparison(
            "surname",
            _null("surname_l is null or surname_r is null"),
            _equal("surname"),
            _level("surname_roman_l = surname_roman_r", "equal in Latin letters"),
            _level(f"jaro_winkler_similarity(surname_roman_l, surname_roman_r) >= {_NAME_CLOSE}", "close"),
            _level("surname_key_l = surname_key_r", "the same consonants"),
            _level(
                f"jaro_winkler_similarity(whole_roman_l, whole_roman_r) >= {_WHOLE_CLOSE} or whole_key_l = whole_key_r",
                "the name is cut elsewhere",
            ),
        ),
        _comparison(
            "birth",
            _null("birth_l is null or birth_r is null"),
            _level(f"birth_l = birth_r and not {PLACEHOLDER_L}", "equal"),
            _level("birth_l = birth_r", "both 1 January of one year"),
            _level(f"year(birth_l) = year(birth_r) and ({PLACEHOLDER_L} or {PLACEHOLDER_R})", "1 January of that year"),
            _level(
                "year(birth_l) = year(birth_r) and month(birth_l) = day(birth_r) and day(birth_l) = month(birth_r)",
                "day and month changed about",
            ),
            _level(
                f"damerau_levenshtein({_DATES}) <= 1 or abs(birth_l - birth_r) <= 1 "
                "or (abs(year(birth_l) - year(birth_r)) = 1 and month(birth_l) = month(birth_r) "
                "and day(birth_l) = day(birth_r))",
                "a slip apart",
            ),
            _level("abs(year(birth_l) - year(birth_r)) <= 1", "a year apart at most"),
        ),
        _comparison("sex", _null("sex_l is null or sex_r is null"), _level("sex_l = sex_r", "equal")),
        _comparison("nation", _null("nation_l is null or nation_r is null"), _level("nation_l = nation_r", "equal")),
        _comparison(
            "province", _null("province_l is null or province_r is null"), _level("province_l = province_r", "equal")
        ),
        _comparison(
            "mother",
            _null("mother_l is null or mother_r is null"),
            _level("mother_l = mother_r", "equal", 1e-5),
            _level("damerau_levenshtein(mother_l, mother_r) <= 1", "a slip apart", 1e-6),
        ),
        _comparison("phone", _null("phone_l is null or phone_r is null"), _level("phone_l = phone_r", "equal", 2e-5)),
        _comparison(
            "passport",
            _null("passport_l is null or passport_r is null"),
            _level("passport_l = passport_r", "equal", 1e-6),
        ),
        _comparison(
            "hn",
            _null("hospcode_l <> hospcode_r or hn_l is null or hn_r is null"),
            _level("hn_l = hn_r", "equal in one facility", 1e-4),
        ),
        _comparison(
            "number",
            _null("number_l is null or number_r is null"),
            _level("number_l = number_r", "equal", 1e-7),
            _level("damerau_levenshtein(number_l, number_r) <= 1", "a slip apart", 1e-6),
        ),
    ]


def settings() -> dict[str, Any]:
    """Splink's settings before training. Pairs come from `linkage.blocks`, so there is no blocking rule."""
    made: dict[str, Any] = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record",
        comparisons=comparisons(),
        blocking_rules_to_generate_predictions=[],
        retain_intermediate_calculation_columns=False,
        retain_matching_columns=False,
    ).create_settings_dict("duckdb")
    return made


class Thresholds(BaseModel):
    """Match probabilities from which records are one person: in force, and wide (for the band beside figures); and the
    match weight from which two registrations of one facility are."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    link: float
    wide: float
    strong_weight: float


class Trained(BaseModel):
    """Where the parameters come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    on: date
    population: str
    n_records: int
    n_true_pairs: int


class Model(BaseModel):
    """One version: what stands in `models/<version>.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: str
    trained: Trained
    matches_per_record: float
    """True pairs a record: the prior is this over the size of the population."""
    thresholds: Thresholds
    splink: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(
                json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
            )

    def settings_for(self, n_records: int) -> dict[str, Any]:
        """Splink's settings with the prior of a population of so many records, at least those of the training."""
        n = max(n_records, self.trained.n_records)
        return {**self.splink, "probability_two_random_records_match": 2 * self.matches_per_record / n}


def load(path: Path = CURRENT) -> Model:
    """Raises `SetupError` when the file is missing, is no model, or compares columns that records do not have."""
    try:
        model = Model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise SetupError(f"There is no linkage model {path}. `ruam identity train` makes one.") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SetupError(f"{path} is not a linkage model: {problems}") from None
    unknown = sorted(set(columns_of(model)) - set(FEATURES))
    if unknown:
        raise SetupError(
            f"Linkage model {path} compares {', '.join(unknown)}, which records do not have. "
            "The last links stay in force; bring the model of this version back or train it anew."
        )
    return model


def columns_of(model: Model) -> list[str]:
    """Columns that the model's conditions name."""
    levels = [level for comparison in model.splink.get("comparisons", []) for level in comparison["comparison_levels"]]
    texts = [str(level.get("sql_condition", "")) for level in levels]
    named = {name for text in texts for name in re.findall(r"\b([a-z]\w*?)_[lr]\b", text)}
    named |= {str(level["tf_adjustment_column"]) for level in levels if level.get("tf_adjustment_column")}
    return sorted({*named, str(model.splink.get("unique_id_column_name", ""))})


@contextmanager
def linker(
    connection: duckdb.DuckDBPyConnection, table: str, chosen: dict[str, Any], population: int = 0
) -> Iterator[tuple[Linker, DuckDBAPI]]:
    """A Splink linker over a table of features, in this connection; its own tables are gone when the block ends.

    Names are as frequent as `linkage.frequencies` says, so that a few records are judged by the names of all; but as if
    there were `population` of them at least, for in a vault of ten people every name is common.
    """
    api = DuckDBAPI(connection)
    made = Linker(api.register(table), chosen, log_level=logging.ERROR)
    for kind in NAMES:
        connection.execute(f"""
            create or replace temp view {kind}_frequencies as
            select name as {kind}, n / greatest(sum(n) over (), {population}) as tf_{kind}
            from linkage.frequencies where kind = '{kind}'
        """)
        made.table_management.register_term_frequency_lookup(api.register(f"{kind}_frequencies"), kind)
    try:
        yield made, api
    finally:
        made.table_management.delete_tables_created_by_splink_from_db()  # type: ignore[no-untyped-call]
        for kind in NAMES:
            connection.execute(f"drop view if exists {kind}_frequencies")
