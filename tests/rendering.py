"""Macros and models as DuckDB gets them, without dbt."""

from __future__ import annotations

import jinja2

from ruam.settings import PROJECT
from tests.sqlfluff import adapter


def environment() -> jinja2.Environment:
    """In which macros stand for themselves."""
    return jinja2.Environment(autoescape=False, extensions=["jinja2.ext.do"])  # noqa: S701 - SQL, not HTML


def rendered(macros: tuple[str, ...], text: str, **names: object) -> str:
    """`text` after the files of `macros` (names below macros/, without .sql); `names` stand for what dbt gives."""
    files = [(PROJECT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in macros]
    return environment().from_string("".join([*files, text])).render(adapter=adapter, **names)
