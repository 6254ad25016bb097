"""Where a value stands in a JSON resource: a small part of FHIRPath, compiled to DuckDB's SQL.

`code.coding[system~icd10].code` is the code of the first coding whose system matches the pattern named `icd10`.
`name` goes into an object, `name[]` over an array, `name[key=word, key~pattern]` over those of its elements for which
all tests hold, `%resource.` back to the resource from an element. The value is the first that is not empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_STEP = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<array>\[(?P<tests>[^\[\]]*)\])?")
_TEST = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9]*)(?P<test>[=~])(?P<operand>[A-Za-z0-9_-]+)")
ROOT = "%resource."


@dataclass(frozen=True)
class Test:
    """`key` is `operand` itself, or matches the pattern of that name."""

    key: str
    operand: str
    is_pattern: bool


@dataclass(frozen=True)
class Step:
    name: str
    is_array: bool
    tests: tuple[Test, ...] = ()


Path = tuple[Step, ...]


def parse(text: str) -> Path:
    """The steps of a path; `.` has none. Raises `ValueError` for what the grammar does not know."""
    if text == ".":
        return ()
    steps = []
    for part in re.split(r"\.(?![^\[]*\])", text):
        found = _STEP.fullmatch(part)
        if not found:
            raise ValueError(f"{text}: {part!r} is no step of a path")
        tests = [_parse_test(text, test.strip()) for test in (found["tests"] or "").split(",") if test.strip()]
        steps.append(Step(found["name"], found["array"] is not None, tuple(tests)))
    return tuple(steps)


def _parse_test(text: str, test: str) -> Test:
    found = _TEST.fullmatch(test)
    if not found:
        raise ValueError(f"{text}: {test!r} is no test of an element")
    return Test(found["key"], found["operand"], found["test"] == "~")


@dataclass
class Shape:
    """What of a resource is read: the type for `json_transform`, grown path by path."""

    kind: str | None = None
    children: dict[str, Shape] = field(default_factory=dict)

    def add(self, path: Path) -> Shape:
        """Grow by `path` and return its end. Raises `ValueError` when a name is read both as one thing and another."""
        if not path:
            return self
        step = path[0]
        self._be("object", step.name)
        child = self.children.setdefault(step.name, Shape())
        if step.is_array:
            child._be("array", step.name)
            child = child.children.setdefault("", Shape())
        for test in step.tests:
            child.add((Step(test.key, is_array=False),)).leaf(test.key)
        return child.add(path[1:])

    def leaf(self, name: str) -> None:
        self._be("leaf", name)

    def _be(self, kind: str, name: str) -> None:
        if self.kind not in (None, kind):
            raise ValueError(f"{name} is read as {self.kind} and as {kind}")
        self.kind = kind

    def structure(self) -> object:
        """For `json_transform`, as a JSON value."""
        if self.kind == "object":
            return {name: child.structure() for name, child in self.children.items()}
        if self.kind == "array":
            return [self.children[""].structure()]
        return "VARCHAR"


def first_value(origin: str, path: Path, patterns: Mapping[str, str]) -> str:
    """SQL of the first value at `path` below the struct `origin` that is not empty."""
    if any(step.is_array for step in path):
        return f"list_filter({elements(origin, path, patterns)}, lambda v: v <> '')[1]"
    return ".".join([origin, *(f'"{step.name}"' for step in path)])


def elements(origin: str, path: Path, patterns: Mapping[str, str], depth: int = 0) -> str:
    """SQL of the list of all values at `path`."""
    if not path:
        return f"[{origin}]"
    step, rest = path[0], path[1:]
    inner = f'{origin}."{step.name}"'
    if not step.is_array:
        return elements(inner, rest, patterns, depth)
    name = f"e{depth}"
    if step.tests:
        inner = f"list_filter({inner}, lambda {name}: {_holds(name, step.tests, patterns)})"
    if not rest:
        return inner
    if all(not later.is_array for later in rest):
        return f"list_transform({inner}, lambda {name}: {first_value(name, rest, patterns)})"
    return f"flatten(list_transform({inner}, lambda {name}: {elements(name, rest, patterns, depth + 1)}))"


def _holds(name: str, tests: Iterable[Test], patterns: Mapping[str, str]) -> str:
    return " and ".join(
        f'regexp_matches({name}."{test.key}", {literal(patterns[test.operand])})'
        if test.is_pattern
        else f'{name}."{test.key}" = {literal(test.operand)}'
        for test in tests
    )


def literal(text: str) -> str:
    """SQL of a text."""
    return "'" + text.replace("'", "''") + "'"
