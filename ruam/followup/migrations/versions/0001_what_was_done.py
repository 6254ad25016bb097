"""What was done about findings, and what was told of what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SQLITE = (
    "create trigger followup_events_no_{what} before {what} on followup_events "
    "begin select raise(abort, 'followup_events is only ever added to'); end"
)
_POSTGRESQL = (
    "create function followup_events_are_kept() returns trigger language plpgsql as "
    "$$ begin raise exception 'followup_events is only ever added to'; end $$",
    "create trigger followup_events_no_change before update or delete or truncate on followup_events "
    "for each statement execute function followup_events_are_kept()",
)


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "followup_events",
        sa.Column("id", number, nullable=False),
        sa.Column("finding_key", sa.String(32), nullable=False),
        sa.Column("hospcode", sa.String(5), nullable=False),
        sa.Column("rule_code", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("by_subject", sa.String(64), nullable=False),
        sa.Column("by_name", sa.String(120), nullable=False),
        sa.Column("action", sa.String(12), nullable=False),
        sa.Column("assignee", sa.String(120)),
        sa.Column("until", sa.Date),
        sa.Column("note", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_followup_events"),
        sa.CheckConstraint(
            "action in ('assigned', 'commented', 'snoozed', 'accepted', 'reopened')",
            name=op.f("ck_followup_events_action"),
        ),
    )
    op.create_index("ix_followup_events_finding_key", "followup_events", ["finding_key"])
    op.create_index("ix_followup_events_hospcode", "followup_events", ["hospcode"])
    op.create_table(
        "alerts_sent",
        sa.Column("alert_key", sa.String(160), nullable=False),
        sa.Column("channel", sa.String(12), nullable=False),
        sa.Column("first_sent_at", sa.DateTime, nullable=False),
        sa.Column("last_sent_at", sa.DateTime, nullable=False),
        sa.Column("n_sent", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("alert_key", "channel", name="pk_alerts_sent"),
    )
    if op.get_context().dialect.name == "postgresql":
        for statement in _POSTGRESQL:
            op.execute(statement)
    else:
        for what in ("update", "delete"):
            op.execute(_SQLITE.format(what=what))
