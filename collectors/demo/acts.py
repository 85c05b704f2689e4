"""The acts of the demo: what happens on purpose, for how long, and where it shows. One entry each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .company import (
    ANALYTICS,
    LOG_ARCHIVE,
    ORDERS_DLT,
    PAYMENT_SERVICE,
    SENSOR_ARCHIVE,
    SENSORS,
)

CALM_BETWEEN_SECONDS = 60.0
"""At least so much calm lies between two acts."""


@dataclass(frozen=True, slots=True)
class Act:
    """`title` goes into the strip on every page, `coming` before it begins, `recovering` while things mend.

    `seconds` are as long as the rule takes to fire by its defaults, `recovery_seconds` as long as it takes to be over.
    `order` is what the traffic is told; `effect` names what else is broken: "broker", "sampling" or "retention".
    """

    name: str
    title: str
    seconds: float
    recovery_seconds: float = 0.0
    recovering: str = ""
    subject_kind: str = ""  # "group", "topic", "broker", "cluster" or "": where it shows
    subject: str = ""
    page: str = ""  # "dead-letters": the cluster's page where it shows, when that is not its subject's own
    order: dict[str, Any] = field(default_factory=dict)
    effect: str = ""
    coming: str = ""

    @property
    def is_calm(self) -> bool:
        return not self.order and not self.effect

    def named(self, prefix: str) -> Act:
        """The same act where all names of topics and groups carry a prefix."""
        return self if self.subject_kind == "broker" else replace(self, subject=self.subject and prefix + self.subject)


CALM = Act("calm", "all is well", CALM_BETWEEN_SECONDS)
SALE = Act(
    "sale",
    "a sale brings eight times the clicks",
    180.0,
    180.0,
    "the sale is over, analytics catches up",
    "group",
    ANALYTICS,
    order={"rush": {"clicks": 8.0}},
    coming="a sale",
)
FREEZE = Act(
    "freeze",
    "payment service frozen on purpose",
    180.0,
    45.0,
    "the payment service works again and catches up",
    "group",
    PAYMENT_SERVICE,
    order={"frozen": [PAYMENT_SERVICE]},
    coming="payment service frozen",
)
POISON = Act(
    "poison",
    "one order in twenty cannot be paid and ends as a dead letter",
    60.0,
    150.0,
    "orders are whole again, no dead letter comes any more",
    "topic",
    ORDERS_DLT,
    "dead-letters",
    {"poison": True},
    coming="dead letters",
)
HOT = Act(
    "hot",
    "one sensor sends half of all records",
    170.0,
    45.0,
    "the sensor is back to normal",
    "topic",
    SENSORS,
    order={"hot": {SENSORS: 0.5}},
    coming="a hot partition",
)
LEAVE = Act(
    "leave",
    "two of four members leave the sensor archive",
    60.0,
    30.0,
    "the two members come back",
    "group",
    SENSOR_ARCHIVE,
    order={"members": {SENSOR_ARCHIVE: 2}},
    coming="two members leave",
)
RETENTION = Act(
    "retention",
    "the log archive stands still while retention deletes what it has not read",
    120.0,
    150.0,
    "the log archive reads again",
    "group",
    LOG_ARCHIVE,
    order={"members": {LOG_ARCHIVE: 0}},
    effect="retention",
    coming="records lost to retention",
)
BROKER = Act(
    "broker",
    "broker 3 killed on purpose",
    90.0,
    45.0,
    "broker 3 is started again",
    "broker",
    "3",
    effect="broker",
    coming="a broker dies",
)
BLIND = Act(
    "blind",
    "sampling of this cluster cut on purpose",
    60.0,
    30.0,
    "sampling goes on",
    "cluster",
    "",
    effect="sampling",
    coming="sampling cut",
)

LOOP = (SALE, FREEZE, POISON, HOT, LEAVE, RETENTION, BROKER, BLIND)
"""What comes one after the other, with calm between, about half an hour in all."""
ACTS = {act.name: act for act in (CALM, *LOOP)}
SHORT_RETENTION = {"retention.ms": "30000", "segment.ms": "10000"}
"""Of the topic `logs` while the act "retention" plays."""
