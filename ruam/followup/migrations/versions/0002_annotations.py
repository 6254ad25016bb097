"""What analysts say about published figures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_SQLITE = (
    "create trigger annotation_events_no_{what} before {what} on annotation_events "
    "begin select raise(abort, 'annotation_events is only ever added to'); end"
)
_POSTGRESQL = (
    "create function annotation_events_are_kept() returns trigger language plpgsql as "
    "$$ begin raise exception 'annotation_events is only ever added to'; end $$",
    "create trigger annotation_events_no_change before update or delete or truncate on annotation_events "
    "for each statement execute function annotation_events_are_kept()",
)


def upgrade() -> None:
    op.create_table(
        "annotation_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("annotation_key", sa.String(32), nullable=False),
        sa.Column("measure_id", sa.String(16), nullable=False),
        sa.Column("area_level", sa.String(16), nullable=False),
        sa.Column("area_code", sa.String(16), nullable=False),
        sa.Column("period_type", sa.String(16), nullable=False),
        sa.Column("period_start", sa.Date, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("by_subject", sa.String(64), nullable=False),
        sa.Column("by_role", sa.String(32), nullable=False),
        sa.Column("change", sa.String(12), nullable=False),
        sa.Column("note", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_annotation_events"),
        sa.CheckConstraint(
            "change = 'written' and note is not null or change = 'withdrawn'", name=op.f("ck_annotation_events_change")
        ),
    )
    op.create_index("ix_annotation_events_figure", "annotation_events", ["measure_id", "area_level", "area_code"])
    if op.get_context().dialect.name == "postgresql":
        for statement in _POSTGRESQL:
            op.execute(statement)
    else:
        for what in ("update", "delete"):
            op.execute(_SQLITE.format(what=what))
