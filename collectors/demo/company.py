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


TOPICS = (
    TopicPlan("clicks"),
    TopicPlan("orders"),
    TopicPlan("orders-retry-0"),
    TopicPlan("orders-dlt"),
    TopicPlan("payments"),
    TopicPlan("shipments"),
    TopicPlan("sensors"),
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
    TopicPlan("logs", {"retention.ms": str(10 * MINUTE_MS), "segment.ms": str(2 * MINUTE_MS)}),
)

GROUPS = (
    GroupPlan("clicks-realtime", ("clicks",), members=2, is_kip848=True),
    GroupPlan("clicks-sessions", ("clicks",)),
    GroupPlan("payments", ("orders",), members=2),
    GroupPlan("payments-retry", ("orders-retry-0",)),
    GroupPlan("orders-search", ("orders",)),
    GroupPlan("shipments", ("payments",), reads_committed=True),
    GroupPlan("warehouse", ("shipments",)),
    GroupPlan("sensor-alarms", ("sensors",)),
    GroupPlan("sensor-archive", ("sensors",)),
    GroupPlan("on-call", ("sensor-anomalies",)),
    GroupPlan("audit", ("accounts",)),
    GroupPlan("log-archive", ("logs",)),
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
    Source("clicks", 120.0, 0.35, 420.0, 800),
    Source("orders", 25.0, 0.20, 300.0, 4000),
    Source("sensors", 120.0, 0.05, 60.0, 120),
    Source("accounts", 20.0, 0.10, 240.0, 1500),
    Source("logs", 60.0, 0.40, 180.0, 40),
)

PAYMENT_SERVICE = "payments"
