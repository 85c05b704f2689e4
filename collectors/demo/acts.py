"""The acts of the demo: what happens on purpose, for how long, and where it shows. One entry each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .company import PAYMENT_SERVICE


@dataclass(frozen=True, slots=True)
class Act:
    """`title` goes into the strip on every page, `coming` before it begins; `order` is what the traffic is told."""

    name: str
    title: str
    seconds: float
    subject_kind: str = ""  # "group", "topic", "broker" or "": where it shows
    subject: str = ""
    order: dict[str, Any] = field(default_factory=dict)
    coming: str = ""

    @property
    def is_calm(self) -> bool:
        return not self.order


CALM = Act("calm", "all is well", 240.0)
FREEZE = Act(
    "freeze",
    "payment service frozen on purpose",
    180.0,
    "group",
    PAYMENT_SERVICE,
    {"frozen": [PAYMENT_SERVICE]},
    "payment service frozen",
)

ACTS = {act.name: act for act in (CALM, FREEZE)}
LOOP = (FREEZE, CALM)
"""What alternates after the first quiet seconds; calm is also the time in which the service catches up."""
