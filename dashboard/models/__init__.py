"""Rows of the showing side: one module per subject."""

from .alerts import Alert, Judgement, Rule, Transition
from .deliveries import Channel, Delivery, NotificationCount
from .people import AuditEntry, FailedSignIn, Person, Refused, Role, SignedIn, SignInLink
from .routes import Heartbeat, Route
from .silences import Maintenance, Silence
from .stars import Star

__all__ = [
    "Alert",
    "AuditEntry",
    "Channel",
    "Delivery",
    "FailedSignIn",
    "Heartbeat",
    "Judgement",
    "Maintenance",
    "NotificationCount",
    "Person",
    "Refused",
    "Role",
    "Route",
    "Rule",
    "SignInLink",
    "SignedIn",
    "Silence",
    "Star",
    "Transition",
]
