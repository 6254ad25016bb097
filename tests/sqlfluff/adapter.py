"""What sqlfluff's templater has in the place of dbt's `adapter`: macros are those of DuckDB, which `default__` are."""

from __future__ import annotations

from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str, package: str | None = None) -> Any:
    return context[f"default__{name}"]
