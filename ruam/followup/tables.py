"""The tables, and the way to the database that holds them, made or brought up to date when it is opened."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from ruam.errors import SetupError
from ruam.files import locked
from ruam.settings import Settings

MIGRATIONS = Path(__file__).with_name("migrations")
HEAD = "0002"
"""The newest migration; one that is there already is known without reading any."""
BUSY_SECONDS = 30
_LOCK = 4_343_0024
"""Of PostgreSQL: one process at a time brings the tables up to date."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)
_number = BigInteger().with_variant(Integer, "sqlite")

ACTIONS = ("assigned", "commented", "snoozed", "accepted", "reopened")

followup_events = Table(
    "followup_events",
    metadata,
    Column("id", _number, primary_key=True),
    Column("finding_key", String(32), nullable=False, index=True),
    Column("hospcode", String(5), nullable=False, index=True),
    Column("rule_code", String(64), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("by_subject", String(64), nullable=False),
    Column("by_name", String(120), nullable=False),
    Column("action", String(12), nullable=False),
    Column("assignee", String(120)),
    Column("until", Date),
    Column("note", Text),
    CheckConstraint("action in ('" + "', '".join(ACTIONS) + "')", name="action"),
)
"""One thing that somebody did about one finding; times are UTC. Triggers refuse to change or delete a row."""

annotation_events = Table(
    "annotation_events",
    metadata,
    Column("id", _number, primary_key=True),
    Column("annotation_key", String(32), nullable=False),
    Column("measure_id", String(16), nullable=False),
    Column("area_level", String(16), nullable=False),
    Column("area_code", String(16), nullable=False),
    Column("period_type", String(16), nullable=False),
    Column("period_start", Date, nullable=False),
    Column("at", DateTime, nullable=False),
    Column("by_subject", String(64), nullable=False),
    Column("by_role", String(32), nullable=False),
    Column("change", String(12), nullable=False),
    Column("note", Text),
    CheckConstraint("change = 'written' and note is not null or change = 'withdrawn'", name="change"),
    Index("ix_annotation_events_figure", "measure_id", "area_level", "area_code"),
)
"""That an analyst said something about a figure, or took it back; kept as `followup_events` is."""

alerts_sent = Table(
    "alerts_sent",
    metadata,
    Column("alert_key", String(160), primary_key=True),
    Column("channel", String(12), primary_key=True),
    Column("first_sent_at", DateTime, nullable=False),
    Column("last_sent_at", DateTime, nullable=False),
    Column("n_sent", Integer, nullable=False),
)
"""What was told of what, so that nobody is told again and again; one that is over is deleted."""

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


@lru_cache(maxsize=8)
def _sqlite(path: Path) -> Engine:
    """Kept for what it has compiled; it holds no connection."""
    return create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})


def open_database(settings: Settings) -> Engine:
    """The database of the settings, its tables up to date. Raises `SetupError` when it cannot be reached or used."""
    if settings.followup is None:
        path = settings.data_home.followup
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # Before SQLite makes it for everybody to read.
        engine = _sqlite(path)
        if not _is_at_head(engine):
            with locked(path.with_suffix(".lock"), f"The database {path}", wait=True), engine.begin() as connection:
                _upgrade(connection)
        return engine
    try:
        url = make_url(settings.followup.get_secret_value())
        engine = create_engine(url, poolclass=NullPool)
        if not _is_at_head(engine):
            with engine.begin() as connection:
                connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": _LOCK})
                _upgrade(connection)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SetupError(
            "RUAM_FOLLOWUP is no address of a database. Give postgresql+psycopg://USER@HOST/DATABASE, and install "
            f"ruam[postgresql]. ({type(error).__name__})"
        ) from error
    except DBAPIError as error:
        # What the driver says may hold the whole address.
        raise SetupError(
            f"The database of follow-up at {url.host or 'this machine'} cannot be used ({type(error.orig).__name__}). "
            "See docs/how-to/follow-up.md."
        ) from None
    return engine


def _is_at_head(engine: Engine) -> bool:
    with engine.connect() as connection:
        if not inspect(connection).has_table(_version.name):
            return False
        return connection.execute(select(_version.c.version_num)).scalar() == HEAD


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
