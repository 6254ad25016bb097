"""The pages, in the order of the menu, and the roles that may open each."""

from __future__ import annotations

from dataclasses import dataclass

from ruam.access import NATION, Identity, Refused, Role


@dataclass(frozen=True)
class Entry:
    name: str
    """Of its file in `app_pages/`, in the address, and in the words' files."""
    icon: str
    roles: frozenset[Role]
    is_of_nation: bool = False
    """What it shows is not divided by area, so that whoever sees less than the nation sees none of it."""

    def check(self, identity: Identity) -> None:
        """Raises `Refused` when the page is not for this person."""
        if self.roles.isdisjoint(identity.roles):
            raise Refused("not_for_role")
        if self.is_of_nation and identity.scope != NATION:
            raise Refused("not_for_area")

    def is_open_to(self, identity: Identity) -> bool:
        try:
            self.check(identity)
        except Refused:
            return False
        return True


EVERYONE = frozenset(Role)

ENTRIES = (
    Entry("overview", ":material/monitoring:", EVERYONE),
    Entry("nation", ":material/flag:", frozenset({Role.EXECUTIVE, Role.ANALYST})),
    Entry("utilization", ":material/stacked_line_chart:", frozenset({Role.EXECUTIVE, Role.ANALYST})),
    Entry("flow", ":material/alt_route:", frozenset({Role.EXECUTIVE, Role.ANALYST})),
    Entry("measures", ":material/fact_check:", frozenset({Role.ANALYST})),
    Entry("facility", ":material/home_health:", frozenset({Role.EXECUTIVE, Role.ANALYST, Role.STEWARD})),
    Entry("continuity", ":material/handshake:", frozenset({Role.EXECUTIVE, Role.ANALYST})),
    Entry("compare", ":material/compare_arrows:", frozenset({Role.EXECUTIVE, Role.ANALYST})),
    Entry("explore", ":material/travel_explore:", frozenset({Role.ANALYST})),
    Entry("definitions", ":material/menu_book:", EVERYONE),
    Entry("rollout", ":material/event_available:", frozenset({Role.EXECUTIVE, Role.ANALYST, Role.STEWARD})),
    Entry("weaknesses", ":material/report:", frozenset({Role.ANALYST, Role.STEWARD})),
    Entry("linkage", ":material/link:", frozenset({Role.ANALYST, Role.STEWARD})),
    Entry("runs", ":material/history:", frozenset({Role.STEWARD})),
    Entry("submissions", ":material/inbox:", frozenset({Role.EXECUTIVE, Role.ANALYST, Role.STEWARD})),
    Entry("scorecards", ":material/grading:", frozenset({Role.EXECUTIVE, Role.ANALYST, Role.STEWARD})),
    Entry("rules", ":material/rule:", frozenset({Role.ANALYST, Role.STEWARD})),
    Entry("findings", ":material/checklist:", frozenset({Role.STEWARD})),
    Entry("deliveries", ":material/receipt_long:", frozenset({Role.STEWARD})),
    Entry("audit", ":material/policy:", frozenset({Role.PROTECTION_OFFICER}), is_of_nation=True),
)
PAGES = {entry.name: entry for entry in ENTRIES}
FIRST = ENTRIES[0]
"""The page without a path."""


def page_at(path: str) -> Entry | None:
    """The page of an address's path; None when there is none."""
    name = path.strip("/")
    return FIRST if not name else next((entry for entry in ENTRIES[1:] if entry.name == name), None)
