"""The data home: where each store lies. Layout in docs/architecture.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ruam.errors import SetupError


@dataclass(frozen=True)
class DataHome:
    root: Path
    key_store: str | None = None
    """A folder, or the address of a key service (`vault://MOUNT/PATH`), where the keys are kept apart from the data."""

    @property
    def keys(self) -> Path:
        """The folder of the keys, unless a key service keeps them."""
        return Path(self.key_store) if self.key_store else self.root / "keys"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def vault(self) -> Path:
        """Who people are, encrypted; only `identity` opens what lies here."""
        return self.root / "vault"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def releases(self) -> Path:
        """Who tried quarantined deliveries again and why, a JSON object a line, only ever added to."""
        return self.root / "releases.jsonl"

    @property
    def links(self) -> Path:
        """Which registrations are one person: the one file that leaves the vault."""
        return self.root / "links" / "links.parquet"

    @property
    def findings(self) -> Path:
        """What builds saw of findings (`ruam.findings`): no build can make it anew."""
        return self.root / "findings"

    @property
    def followup(self) -> Path:
        """What stewards did about findings, where no other database is named (`ruam.followup`)."""
        return self.root / "followup" / "followup.db"

    @property
    def reports(self) -> Path:
        """The reports to senders, by facility and delivery (`ruam.reports`)."""
        return self.root / "reports"

    @property
    def reference(self) -> Path:
        return self.root / "reference"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse.duckdb"

    @property
    def checks(self) -> Path:
        """The last verdict of each checkpoint, and the pages on it: made when one first runs."""
        return self.root / "checks"

    @property
    def serving(self) -> Path:
        return self.root / "serving"

    @property
    def dbt(self) -> Path:
        return self.root / "dbt"

    @property
    def landing_view(self) -> Path:
        """Links to the folders of the landing that a build reads."""
        return self.dbt / "landing"

    @property
    def spark(self) -> Path:
        """What builds on Spark leave (`ruam.spark`): made when one first runs."""
        return self.root / "spark"

    @property
    def spark_tables(self) -> Path:
        """A folder for each table; the workers of a cluster must see it under the same path."""
        return self.spark / "tables"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def access(self) -> Path:
        """Who is signed in to the pages, and what their audit log needs: made when the pages are first served."""
        return self.root / "access"

    @property
    def spill(self) -> Path:
        return self.root / "spill"

    def create(self) -> None:
        """Make the folders. Only the owner may enter: pseudonymised rows remain personal data (PDPA)."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (
            *(() if self.key_store else (self.keys,)),
            self.inbox,
            self.vault,
            self.landing,
            self.reference,
            self.serving,
            self.dbt,
            self.logs,
            self.spill,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)

    def require(self) -> None:
        """Raise `SetupError` when `ruam init` has not made this home."""
        if not self.landing.is_dir():
            raise SetupError(f"{self.root} is not a data home yet. Run `ruam init` first (RUAM_HOME says where).")
