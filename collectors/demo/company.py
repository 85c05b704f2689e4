"""The demo's company as data: which topics exist, who reads them, how much is written."""

from __future__ import annotations

from dataclasses import dataclass, field

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
# Small segments, so that retention is seen at work; hours, so that a demo left on fills no disk.
_HOURS = {"retention.ms": str(6 * HOUR_MS), "segment.bytes": str(16 * 2**20), "retention.bytes": str(64 * 2**20)}


@dataclass(frozen=True, slots=True)
class TopicPlan:
    name: str
    config: dict[str, str] = field(default_factory=lambda: dict(_HOURS))
    partitions: int = 3


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """A service that reads: its group's name, its topics, how many members it has."""

    name: str
    topics: tuple[str, ...]
    members: int = 1
    is_kip848: bool = False
    reads_committed: bool = False
    per_second: float | None = None  # what one member can do; None: more than ever comes


ANALYTICS = "analytics"
PAYMENT_SERVICE = "payments"
SENSOR_ARCHIVE = "sensor-archive"
LOG_ARCHIVE = "log-archive"
ORDERS, RETRIES, ORDERS_DLT, PAYMENTS = "orders", "orders-retry-0", "orders-dlt", "payments"
CLICKS, SENSORS, LOGS = "clicks", "sensors", "logs"

TOPICS = (
    TopicPlan(CLICKS),
    TopicPlan(ORDERS),
    TopicPlan(RETRIES),
    TopicPlan(ORDERS_DLT),
    TopicPlan(PAYMENTS),
    TopicPlan("shipments"),
    TopicPlan(SENSORS, partitions=6),
    TopicPlan("sensor-anomalies"),
    TopicPlan(
        "accounts",
        {
            "cleanup.policy": "compact",
            "segment.ms": str(2 * MINUTE_MS),
            "min.cleanable.dirty.ratio": "0.3",
            "delete.retention.ms": str(MINUTE_MS),
        },
    ),
    TopicPlan(LOGS, {"retention.ms": str(10 * MINUTE_MS), "segment.ms": str(2 * MINUTE_MS)}),
)

GROUPS = (
    GroupPlan("clicks-realtime", (CLICKS,), members=2, is_kip848=True),
    # eight times the clicks are too much for it, and what waits then is read in two to three minutes
    GroupPlan(ANALYTICS, (CLICKS,), per_second=550.0),
    GroupPlan(PAYMENT_SERVICE, (ORDERS,), members=2),
    GroupPlan("payments-retry", (RETRIES,)),
    GroupPlan("orders-search", (ORDERS,)),
    GroupPlan("shipments", (PAYMENTS,), reads_committed=True),
    GroupPlan("warehouse", ("shipments",)),
    GroupPlan("sensor-alarms", (SENSORS,)),
    GroupPlan(SENSOR_ARCHIVE, (SENSORS,), members=4),
    GroupPlan("on-call", ("sensor-anomalies",)),
    GroupPlan("audit", ("accounts",)),
    GroupPlan(LOG_ARCHIVE, (LOGS,)),
)


@dataclass(frozen=True, slots=True)
class Source:
    """What comes from outside: records a second on average, swinging by `swing` (a share) over `period_seconds`."""

    topic: str
    per_second: float
    swing: float
    period_seconds: float
    keys: int


# With the payments, shipments and anomalies that follow from them about 400 records a second.
SOURCES = (
    Source(CLICKS, 120.0, 0.35, 420.0, 800),
    Source(ORDERS, 25.0, 0.20, 300.0, 4000),
    Source(SENSORS, 120.0, 0.05, 60.0, 120),
    Source("accounts", 20.0, 0.10, 240.0, 1500),
    Source(LOGS, 60.0, 0.40, 180.0, 40),
)
