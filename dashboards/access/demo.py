"""Whom `ruam serve --demo` signs in without a provider: one of each role, and some who see less than the nation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruam.access import AccessTable, Role

ISSUER = "ruam-demo"


@dataclass(frozen=True)
class DemoUser:
    code: str
    role: Role
    area: str = "TH"

    def claims(self, table: AccessTable, now: float, life_seconds: float) -> Mapping[str, Any]:
        """What an ID token would say, in the words of the table in force."""
        word = next((word for word, role in table.role.words.items() if role is self.role), "")
        area = next((word for word, code in table.area.words.items() if code == self.area), self.area)
        return {
            "iss": ISSUER,
            "sub": self.code,
            "name": self.code.replace("_", " ").capitalize(),
            "iat": int(now),
            "exp": int(now + life_seconds),
            table.role.claim: [word],
            table.area.claim: [area],
        }


USERS = (
    DemoUser("executive", Role.EXECUTIVE),
    DemoUser("analyst", Role.ANALYST),
    DemoUser("regional_analyst", Role.ANALYST, "R04"),
    DemoUser("provincial_analyst", Role.ANALYST, "P50"),
    DemoUser("steward", Role.STEWARD),
    DemoUser("data_protection_officer", Role.PROTECTION_OFFICER),
    DemoUser("administrator", Role.ADMINISTRATOR),
)
BY_CODE = {user.code: user for user in USERS}
