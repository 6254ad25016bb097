"""How alembic runs the migrations: on the connection that it is given, within its transaction."""

from __future__ import annotations

from alembic import context

from ruam.followup.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
