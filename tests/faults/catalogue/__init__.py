"""The fault table: every row of facts/reliability.md 2.1, 2.2 (SQLite), 2.5, 2.7 and 3.1 to 3.4, and what proves it.

`python -m tests.faults.catalogue` writes tests/faults/README.md from it; test_catalogue.py keeps the two equal, and
finds a row that is missing and a proof that is not there.
"""

from __future__ import annotations

from . import clock, configuration, database, http, kafka, names, network, sockets
from .row import Row

__all__ = ["PARTS", "RANGES", "Row"]

PARTS: dict[str, tuple[Row, ...]] = {
    "2.1 Kafka": kafka.ROWS,
    "2.2 Database": database.ROWS,
    "2.5 Network": network.ROWS,
    "2.7 Clock": clock.ROWS,
    "3.1 HTTP": http.ROWS,
    "3.2 WebSocket": sockets.ROWS,
    "3.3 Configuration": configuration.ROWS,
    "3.4 Kafka names, records, headers": names.ROWS,
}
RANGES = {"K": 30, "D": 15, "N": 12, "C": 5, "H": 29, "W": 16, "G": 17, "T": 16}
"""How many rows each part of the catalogue has."""
