"""Rows of the showing side: one module per subject."""

from .alerts import Alert, Judgement, Rule, Transition
from .deliveries import Channel, Delivery, NotificationCount
from .people import AuditEntry, Person, Role, SignInLink

__all__ = [
    "Alert",
    "AuditEntry",
    "Channel",
    "Delivery",
    "Judgement",
    "NotificationCount",
    "Person",
    "Role",
    "Rule",
    "SignInLink",
    "Transition",
]
