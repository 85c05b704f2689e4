"""Whether this process is fit to serve: the database answers, and no loop of it is late."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, connection

from collectors import loop


@dataclass(frozen=True, slots=True)
class Readiness:
    """What /readyz answers and the page of this instance shows."""

    pulses: tuple[loop.Pulse, ...]
    database: str  # "reachable", or what kind of error

    @property
    def late(self) -> list[loop.Pulse]:
        return [pulse for pulse in self.pulses if pulse.is_late]

    @property
    def is_ready(self) -> bool:
        return not self.late and self.database == "reachable"


def readiness() -> Readiness:
    return Readiness(tuple(loop.pulses()), _database_state())


def _database_state() -> str:
    """ "reachable", or the kind of error: its text may hold an address or a user's name, and /readyz is public."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        return f"unreachable: {type(error).__name__}"
    return "reachable"
