"""Settings: `RUAM_*` in the environment, then `ruam.toml` in the working folder, then these defaults."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ruam.home import DataHome

PROJECT = Path(__file__).resolve().parent.parent
"""Where the dbt project and the pages lie."""

FRESH_HOURS = 48.0
MEBIBYTE = 1 << 20

REGIONS = tuple(f"{number:02d}" for number in range(1, 14))
"""The health regions (เขตสุขภาพ); 13 is Bangkok."""


class ZipLimits(BaseModel):
    """What a delivery may be at most; sizes in bytes as read, never as declared (security_ux.md §7, ING-1)."""

    model_config = ConfigDict(frozen=True)

    max_zip_bytes: int = 200 * MEBIBYTE
    max_members: int = 128
    """All entries of the directory. ING-1 suggests 64; the 43 files packed on a Mac are 86: each has a `._` file."""
    max_directory_bytes: int = MEBIBYTE
    """The zip's list of its members, which is read whole."""
    max_name_length: int = 255
    """Characters of a member's name, folders included."""
    max_member_bytes: int = 1024 * MEBIBYTE
    max_total_bytes: int = 2048 * MEBIBYTE
    max_ratio: int = 200
    ratio_applies_from_bytes: int = 10 * MEBIBYTE
    """Small members of equal rows compress far better than any bomb needs to."""
    max_line_bytes: int = MEBIBYTE
    """A longer line is set aside, and never held whole."""
    max_header_cells: int = 2_000
    """Of a member with more columns no row is read. The widest file of the standard has a fiftieth of that."""


class NetworkLimits(BaseModel):
    """How long a place over the network is waited for."""

    timeout_seconds: float = Field(default=60, gt=0)
    """Without an answer."""
    tries: int = Field(default=5, ge=1)
    """In a row and in vain, before a delivery is given up until the next run."""
    backoff_seconds: float = Field(default=1, ge=0)
    """Before the second try; each further one waits twice as long as the one before."""


class AlertSettings(BaseModel):
    """Where alerts go (docs/how-to/alerts.md); without a server or an address nothing is sent that way."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_tls: bool = True
    """STARTTLS before anything is said; only a server on this machine may do without."""
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    """By RUAM_ALERTS__SMTP_PASSWORD, never in a file that is kept with others."""
    sender: str = "ruam@localhost"
    recipients: tuple[str, ...] = ()
    webhook: SecretStr | None = None
    """An address may hold a token of its own."""
    pages: str = "http://127.0.0.1:8501"
    """Where people reach the pages: links begin with it."""
    again_hours: float = Field(default=24, gt=0)
    """What goes on is told again no sooner than this."""
    most_lines: int = Field(default=50, ge=1)
    """Of one message; the others are counted."""
    timeout_seconds: float = Field(default=30, gt=0)


class Licence(BaseModel):
    """Under what terms exported data may be used, as a data package says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="LicenseRef-MOPH-internal", pattern=r"^([-a-zA-Z0-9._])+$")
    """An SPDX identifier where there is one."""
    title: str = "ใช้ภายในกระทรวงสาธารณสุข ห้ามเผยแพร่ต่อ (for use within the Ministry of Public Health)"
    path: str | None = None
    """Address of its text."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RUAM_", env_nested_delimiter="__", toml_file="ruam.toml")

    home: Path = Path("data")
    keys: str | None = None
    """Where the keys are, if not in the data home: a folder, or `vault://MOUNT/PATH` of a key service."""
    workers: int = Field(default=2, ge=1)
    """Processes that land batches, and threads of the build."""
    memory_limit: str = "4GB"
    """For the build's database engine; beyond it the engine spills to disk. Of a landing larger than a tenth of it
    one statement is built at a time."""
    spark_master: str | None = None
    """The Spark cluster that builds in DuckDB's stead: `spark://HOST:PORT` or another of Spark's masters, or a server
    that drives one, `sc://HOST:PORT` (Connect) or `thrift://HOST:PORT` (docs/how-to/spark.md)."""
    batch_zips: int = Field(default=2_000, ge=1)
    batch_bytes: int = 512 * MEBIBYTE
    """A batch closes at this many zips or zipped bytes, whichever comes first. A region's day is one batch: its zips
    are small, and rows of many checked together cost a fraction."""
    compact_batches: int = Field(default=100, ge=0)
    """An ingest compacts a region that has more small batches than this; 0 leaves it to `ruam compact`."""
    compact_bytes: int = Field(default=256 * MEBIBYTE, ge=1)
    """Size of a compacted batch; those of less than half of it are small."""
    inbox_retention_days: int = Field(default=400, ge=1)
    """So long a zip stays in the inbox after it came last: a fiscal year's corrections can be read again from it."""
    vault_wait_seconds: float = Field(default=60, ge=0)
    """How long a command waits for another one that has the vault open."""
    limits: ZipLimits = ZipLimits()
    feeds: Path | None = None
    """Folder of further feeds, one YAML each (docs/how-to/add-a-feed.md)."""
    drop_folder: str | None = None
    """Where `ruam run` looks for new zips when it is given no path: a folder, or a place as `ruam ingest` takes it."""
    region: str | None = None
    """A regional node takes in the deliveries of this health region alone (`01` to `13`)."""
    s3_endpoint: str | None = None
    """Of an S3 server that is not Amazon's."""
    network: NetworkLimits = NetworkLimits()
    fresh_hours: float = Field(default=FRESH_HOURS, gt=0)
    """So long what was landed may wait to be built; then nothing is published until it is."""
    watch_seconds: float = Field(default=10, gt=0)
    """Between two looks of `ruam ingest --watch`; a zip is taken when two of them saw it alike."""
    export_licence: Licence = Licence()
    """Of `ruam export`: until the ministry decides otherwise, data stay within it."""
    followup: SecretStr | None = None
    """The database of stewards' follow-up where it is not SQLite in the data home: `postgresql+psycopg://...`
    (docs/how-to/follow-up.md). Its password is best left to PGPASSFILE."""
    alerts: AlertSettings = AlertSettings()
    briefs: Path | None = None
    """Folder into which `ruam run` writes the one-page briefs of the nation and all regions after it has published."""
    host: str = "127.0.0.1"
    port: int = Field(default=8501, ge=1, le=65535)
    oidc_file: Path | None = None
    """Settings of the identity provider, mode 0400 or 0600 (docs/how-to/sign-in.md)."""
    access_table: Path | None = None
    """How an ID token says who may see what; else `ruam/access.yml`."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of the proxies that end TLS before the pages; nobody else is then answered."""

    @field_validator("region")
    @classmethod
    def _is_a_region(cls, region: str | None) -> str | None:
        if region is not None and region not in REGIONS:
            raise ValueError("a health region is one of 01 to 13")
        return region

    @property
    def data_home(self) -> DataHome:
        elsewhere = self.keys if self.keys is None or "://" in self.keys else str(Path(self.keys).absolute())
        return DataHome(self.home.absolute(), elsewhere)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def settings_in_force() -> Settings:
    """`Settings()`, read once for an environment and a working folder: a page asks for them dozens of times."""
    given = tuple(sorted((name, os.environ[name]) for name in os.environ if name.startswith("RUAM_")))
    return _settings(Path.cwd(), given)


@lru_cache(maxsize=8)
def _settings(_folder: Path, _given: tuple[tuple[str, str], ...]) -> Settings:
    return Settings()
