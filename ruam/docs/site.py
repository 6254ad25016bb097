"""The catalogue as pages: plain files that a browser opens from a folder, and that ask nothing of any other place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from ruam.docs.facts import Facts
from ruam.docs.lineage import Column, Origin
from ruam.docs.speed import EDGE, HEIGHT, WIDTH, curves
from ruam.era import BUDDHIST_ERA
from ruam.settings import PROJECT

LANGUAGES = ("th", "en")
FONTS = PROJECT / "dashboards" / "static" / "fonts"
LINEAGE = "lineage.json"
DBT = "dbt.html"
GROUPS = ("RED", "NEC", "UNR", "UT", "RO", "DQ")


@dataclass(frozen=True)
class Published:
    run_id: str
    published_on: date
    """The day in Thailand."""
    data_to: date


@dataclass(frozen=True)
class Edition:
    """What the pages say of the data behind them."""

    publication: Published | None
    """None before the first one."""
    missing: tuple[str, ...] = ()
    """Keys under `missing.` of what could not be said."""


class Words:
    """The words of one language; calling it with a key that is not there raises `KeyError`."""

    _texts: Mapping[str, Mapping[str, str]] = yaml.safe_load(
        Path(__file__).with_name("words.yml").read_text(encoding="utf-8")
    )

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **given: object) -> str:
        text = self._texts[key][self.language]
        return text.format(**given) if given else text

    def has(self, key: str) -> bool:
        return key in self._texts

    def of(self, row: Mapping[str, str], column: str) -> str:
        """`name_th` or `name_en` of a row of the registry."""
        return row[f"{column}_{self.language}"]

    def day(self, day: date) -> str:
        """A day as people read it: in the Buddhist Era."""
        month = self("months").split()[day.month - 1]
        era = "" if self.language == "th" else "BE "
        return f"{day.day} {month} {era}{day.year + BUDDHIST_ERA}"


def files(facts: Facts, edition: Edition, dbt_page: str, benchmarks: pl.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file of the site; `benchmarks` as `ruam.benchmarks.history` gives them.

    The same facts give the same bytes.
    """
    yield DBT, dbt_page.encode()
    yield LINEAGE, json.dumps(lineage_document(facts), ensure_ascii=False, indent=1, sort_keys=True).encode()
    yield "assets/style.css", _style().encode()
    for font in sorted(FONTS.iterdir()):
        yield f"assets/{font.name}", font.read_bytes()
    pages = _environment()
    yield "index.html", _rendered(pages, "start.html", languages=[Words(one) for one in LANGUAGES], top="", home="")
    for language in LANGUAGES:
        words = Words(language)
        common = {"words": words, "facts": facts, "edition": edition, "groups": GROUPS}
        for path, template, own in _pages(facts, benchmarks, language):
            depth = path.count("/")
            other = LANGUAGES[1 - LANGUAGES.index(language)]
            yield (
                path,
                _rendered(
                    pages,
                    template,
                    top="../" * depth,
                    home="../" * (depth - 1),
                    elsewhere="../" * depth + path.replace(language, other, 1),
                    other=other,
                    **common,
                    **own,
                ),
            )


def _pages(facts: Facts, benchmarks: pl.DataFrame, language: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Path, template and what it is about, of every page of one language."""
    yield f"{language}/index.html", "measures.html", {}
    for measure in facts.measures.values():
        yield f"{language}/measures/{measure.id}.html", "measure.html", {"measure": measure}
    yield f"{language}/tables/index.html", "tables.html", {}
    for table in facts.tables.values():
        yield f"{language}/tables/{table.name}.html", "table.html", {"table": table}
    yield f"{language}/fields/index.html", "files.html", {}
    for file in facts.files:
        yield f"{language}/fields/{file.name}.html", "file.html", {"file": file}
    drawn = {"curves": curves(benchmarks), "width": WIDTH, "height": HEIGHT, "edge": EDGE}
    yield f"{language}/benchmarks/index.html", "benchmarks.html", drawn


def lineage_document(facts: Facts) -> dict[str, Any]:
    """The lineage for machines: for each measure its fields with a path each, its figures and its pages."""

    def told(origin: Origin) -> dict[str, Any]:
        return {
            "field": field_name(facts, origin.column),
            "kind": "value" if origin.is_value else "condition",
            "path": [str(column) for column in origin.path],
        }

    return {
        measure.id: {
            "fields": [told(origin) for origin in measure.origins],
            "last_leg": [[str(column) for column in path] for path in measure.last_leg],
            "figures": [str(column) for column in measure.figures],
            "pages": [page["name"] for page in measure.pages],
        }
        for measure in facts.measures.values()
    }


def field_name(facts: Facts, column: Column) -> str:
    """`SERVICE.DATE_SERV` of a column that lands from a field, else the column's own name."""
    found = facts.field_of.get(column)
    return f"{found[0].name}.{found[1].name}" if found else str(column)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ruam.docs"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sql"] = _sql
    environment.filters["iso_day"] = date.fromisoformat
    environment.globals.update(field_name=field_name, Column=Column)
    return environment


def _rendered(environment: Environment, template: str, **given: object) -> bytes:
    return environment.get_template(template).render(**given).encode()


def _sql(text: str) -> Markup:
    made = highlight(text.strip(), get_lexer_by_name("sql"), HtmlFormatter(cssclass="sql", wrapcode=True))
    return Markup(made)  # noqa: S704 - Pygments escapes what it marks up


def _style() -> str:
    colours: str = HtmlFormatter(style="friendly", cssclass="sql").get_style_defs(".sql")
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8") + colours + "\n"
