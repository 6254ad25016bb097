"""The runbooks: a page per outcome, a section per rule that rejects a delivery, and commands that exist."""

from __future__ import annotations

import re
import shlex
from functools import cache

import pytest
import typer

from ingestion.checks import load_rules
from ruam import cli
from ruam.cli.console import OUTCOMES, RUNBOOK_OF_EXIT, RUNBOOKS, runbook
from ruam.errors import RuamError
from ruam.settings import PROJECT

PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((PROJECT / RUNBOOKS).glob("*.md"))}
ASKED = ["**What it means.**", "**Who acts.**", "**What to do", "**How to see that it is mended.**"]


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_each_page_says_what_it_means_who_acts_what_to_do_and_how_to_see_that_it_is_mended(name: str) -> None:
    page = PAGES[name]
    assert [one for one in ASKED if one not in page] == []
    assert name in ("rejected.md", "landing.md", "vault.md") or len(page.splitlines()) < 50
    assert f"({name})" in PAGES["README.md"]


def test_each_outcome_and_each_exit_code_has_its_page() -> None:
    codes = {error.exit_code for error in RuamError.__subclasses__()}
    assert codes - {2} <= set(RUNBOOK_OF_EXIT)
    assert set(RUNBOOK_OF_EXIT.values()) <= set(PAGES)
    assert {f"{outcome}.md" for outcome in OUTCOMES if outcome != "accepted"} <= set(PAGES)
    for code in (0, 1, *codes):
        assert re.search(rf"^\| {code} \|", PAGES["README.md"], re.MULTILINE), code


def test_each_rule_that_rejects_a_delivery_has_its_section() -> None:
    sections = re.findall(r"^## (\w+)$", PAGES["rejected.md"], re.MULTILINE)
    rules = {code: rule for code, rule in load_rules().items() if rule.level == "delivery"}
    assert len(sections) == len(set(sections))
    assert not rules.keys() - set(sections)
    for code in sections:
        section = PAGES["rejected.md"].split(f"\n## {code}\n")[1].split("\n## ")[0]
        assert re.search("[ก-๙]{5}", section), code
        assert "**" in section, f"{code}: nobody acts"
        assert runbook(code) == f"{RUNBOOKS}/rejected.md#{code}"


def test_links_between_the_pages_lead_somewhere() -> None:
    for name, page in PAGES.items():
        for target, anchor in re.findall(r"\]\(([\w.]*)(?:#(\w+))?\)", page):
            linked = PAGES[target or name]
            assert not anchor or f"\n## {anchor}\n" in linked, f"{name}: {target}#{anchor}"


@cache
def commands() -> dict[str, set[str]]:
    """Options of each command, by its words."""
    found = {}
    for name, one in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        for words, inner in {f"{name} {key}": sub for key, sub in getattr(one, "commands", {}).items()}.items() or [
            (name, one)
        ]:
            found[words] = {option for param in inner.params for option in param.opts}
    return found


def named(page: str) -> list[list[str]]:
    """Words after `ruam` of each command in a page, in a block of code or between backticks."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    calls = [re.sub(r"^(RUAM_\w+=\S+ )+", "", text) for text in [*lines, *quoted]]
    return [shlex.split(text)[1:] for text in calls if re.match(r"ruam( |$)", text)]


def test_commands_named_in_runbooks_exist_with_their_options() -> None:
    found = [(name, words) for name, page in PAGES.items() for words in named(page)]
    assert len(found) > 30
    for name, words in found:
        if words in ([], ["--help"]):
            continue
        known = next((key for key in (" ".join(words[:2]), words[0]) if key in commands()), None)
        assert known, f"{name}: ruam {' '.join(words)}"
        options = {word for word in words if word.startswith("--")}
        assert options <= commands()[known], f"{name}: ruam {' '.join(words)}"


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    assert named("Try `ruam nonsense --now` or\n```sh\nRUAM_X=1 ruam a b  # why\n```\n") == [
        ["a", "b"],
        ["nonsense", "--now"],
    ]
    assert "nonsense" not in commands()
