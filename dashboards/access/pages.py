"""The pages, in the order of the menu, and the roles that may open each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ruam.access import Role


@dataclass(frozen=True)
class Entry:
    name: str
    """Of its file in `app_pages/`, in the address, and in the words' files."""
    icon: str
    roles: frozenset[Role]

    def is_open_to(self, roles: Collection[Role]) -> bool:
        return not self.roles.isdisjoint(roles)


EVERYONE = frozenset(Role)

ENTRIES = (
    Entry("overview", ":material/monitoring:", EVERYONE),
    Entry("utilization", ":material/stacked_line_chart:", frozenset({Role.EXECUTIVE, Role.ANALYST})),
    Entry("measures", ":material/fact_check:", frozenset({Role.ANALYST})),
    Entry("rollout", ":material/event_available:", frozenset({Role.EXECUTIVE, Role.ANALYST, Role.STEWARD})),
    Entry("audit", ":material/policy:", frozenset({Role.PROTECTION_OFFICER})),
)
PAGES = {entry.name: entry for entry in ENTRIES}
FIRST = ENTRIES[0]
"""The page without a path."""


def page_at(path: str) -> Entry | None:
    """The page of an address's path; None when there is none."""
    name = path.strip("/")
    return FIRST if not name else next((entry for entry in ENTRIES[1:] if entry.name == name), None)
