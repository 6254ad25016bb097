"""Rules in words: what was wrong, in Thai and English, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from ruam.cli.console import said


def rule_words(code: str) -> dict[str, str | None]:
    """`rule, th, en, fix_th, fix`; the words are null for a code that the catalogue does not have."""
    from ingestion.checks import load_rules

    rule = load_rules().get(code)
    return {
        "rule": code,
        "th": rule.th if rule else None,
        "en": rule.en if rule else None,
        "fix_th": rule.fix_th if rule else None,
        "fix": rule.fix_en if rule else None,
    }


def explained(code: str, *more: str) -> str:
    """Markup of some lines: the rule in both languages, how to mend it, and what else is to be said."""
    words = rule_words(code)
    lines = [f"[bold]{code}[/]: {said(words['en'] or 'not in the catalogue of rules')}"]
    if words["th"]:
        lines.append(f"{said(words['th'])}")
    if words["fix"]:
        lines.append(f"[dim]fix:[/] {said(words['fix'])}")
    return "\n".join([*lines, *more])


def counted(items: Iterable[tuple[int, str]]) -> Table:
    """A number, and beside it some lines of markup, which fold below each other."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True, min_width=6)
    grid.add_column(overflow="fold")
    for n, markup in items:
        grid.add_row(f"{n:,} ×", Text.from_markup(markup))
    return grid
