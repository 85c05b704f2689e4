"""Whether this program and the database in front of it fit together, before anything is started."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from collectors import storage


def newer_migrations(executor: MigrationExecutor) -> list[str]:
    """Migrations in the database that this program does not know: a newer one wrote it."""
    known = executor.loader.disk_migrations
    found = set(executor.loader.applied_migrations) - set(executor.loader.graph.nodes)
    return sorted(".".join(key) for key in found if key not in known)


def why_not_to_start() -> str:
    """Why nothing should be started on this database, with the fix, in a sentence; "" when nothing is wrong."""
    file = storage.database_file()
    if file is not None and (reason := storage.unusable(file)):
        return reason
    try:
        newer = newer_migrations(MigrationExecutor(connection))
    except DatabaseError as error:
        return f"{storage.why(error)}: check DATABASE_URL: host, port, name, user and password"
    if newer:
        names = ", ".join(newer[:3])
        return f"the database was written by a newer Streamgauge ({names}): install that one, or restore a backup"
    return ""
