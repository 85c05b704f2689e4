"""What a message says: the payload that every channel is given, for one alert or for a thread of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing

from collectors.domain import words
from dashboard import names
from dashboard.models import Alert

from . import advice
from .channels.wording import LISTED

VERSION = "1"
AROUND = timedelta(minutes=30)
"""How much of the time before and after an alert its link shows."""

_SALT = "dashboard.alerts.acknowledge"


def payload_of(
    alert: Alert, event: str, *, sentence: str, numbers: dict[str, Any], acknowledge: str | None = None
) -> dict[str, Any]:
    """The JSON that a webhook gets (version 1); documented in the README, so fields are added and never changed.

    Times are RFC 3339 in UTC or null; `numbers` depends on the rule; `link` leads to the page of the subject, with the
    time around the alert.
    """
    rule = alert.rule
    return {
        "version": VERSION,
        "event": event,  # "firing", "resolved", "test"
        "alert": alert.pk,
        "rule": {"key": rule.key, "name": rule.name},
        "severity": alert.severity,
        "cluster": {"slug": alert.cluster.slug, "name": alert.cluster.name},
        "subject": {"kind": alert.subject_kind, "name": alert.subject},
        "sentence": sentence,
        "how_bad": advice.how_bad(numbers),
        "trend": advice.trend(numbers),
        "next_step": "" if event == "resolved" else advice.next_step(rule.key, rule.quantity),
        "started_at": moment_text(alert.started_at),
        "fired_at": moment_text(alert.fired_at),
        "resolved_at": moment_text(alert.resolved_at),
        "numbers": numbers,
        "link": link_to(alert),
        "acknowledge": acknowledge,
    }


def thread_fields(told_now: Sequence[Alert], thread: Sequence[Alert], event: str, sentence: str) -> dict[str, Any]:
    """What a payload has besides when people read it: all alerts of its thread, those that go on first.

    `told_now`: what this message is about; `thread`: every alert of the thread, those included.
    """
    if len(thread) < 2:
        return {"count": 1, "open": int(thread[0].resolved_at is None) if thread else 0}
    listed = sorted(thread, key=lambda one: (one.resolved_at is not None, one.started_at, one.pk))
    still = sum(one.resolved_at is None for one in thread)
    return {
        "sentence": _together(told_now, event, sentence, still),
        "count": len(thread),
        "open": still,
        "alerts": [
            {
                "alert": one.pk,
                "severity": one.severity,
                "subject": {"kind": one.subject_kind, "name": one.subject},
                "sentence": one.sentence,
                "started_at": moment_text(one.started_at),
                "resolved_at": moment_text(one.resolved_at),
            }
            for one in listed[:LISTED]
        ],
    }


def _together(told_now: Sequence[Alert], event: str, sentence: str, still: int) -> str:
    """One sentence for what a message tells of several alerts of one rule and cluster."""
    if len(told_now) == 1 and event == "firing":
        more = still - 1
        return sentence + (f"; {words.counted(more, 'alert')} of the same kind still {_goes(more)} on" if more else "")
    if event == "resolved":
        goes_on = f"; {words.count(still)} still {_goes(still)} on" if still else "; none goes on"
        return sentence + goes_on if len(told_now) == 1 else f"{words.counted(len(told_now), 'alert')} over{goes_on}"
    first = told_now[0]
    named = ", ".join(words.visible(one.subject) for one in told_now[:3])
    left = len(told_now) - 3
    rule, cluster = first.rule.name, words.visible(first.cluster.name)
    rest = f" and {words.count(left)} more" if left > 0 else ""
    return f"{rule}, {words.count(len(told_now))} times in {cluster}: {named}{rest}"


def _goes(count: int) -> str:
    return "goes" if count == 1 else "go"


def test_payload(name: str, *, now: datetime) -> dict[str, Any]:
    return {
        "version": VERSION,
        "event": "test",
        "alert": None,
        "rule": None,
        "severity": "info",
        "cluster": None,
        "subject": None,
        "sentence": f"This is a test of the channel {name}; nothing is wrong",
        "how_bad": "",
        "trend": "",
        "next_step": "",
        "started_at": moment_text(now),
        "fired_at": None,
        "resolved_at": None,
        "numbers": {},
        "link": public_url() + "/alerts/",
        "acknowledge": None,
    }


# -- links


def public_url() -> str:
    """Where people reach this instance: STREAMGAUGE_PUBLIC_URL, else the address it listens on."""
    return _origin() + settings.SUB_PATH


def _origin() -> str:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return settings.PUBLIC.origin or f"http://{host}:{settings.PORT}"


def link_to(alert: Alert) -> str:
    """The page of the subject with absolute times, so that it shows the same tomorrow."""
    since, until = alert.started_at - AROUND, (alert.resolved_at or alert.fired_at or alert.started_at) + AROUND
    span = urlencode({"from": f"{since:%Y-%m-%dT%H:%M:%SZ}", "to": f"{until:%Y-%m-%dT%H:%M:%SZ}"}, safe=":")
    return f"{_origin()}{names.subject_path(alert.cluster.slug, alert.subject_kind, alert.subject)}?{span}"


ACKNOWLEDGE_FOR = timedelta(hours=48)
"""How long the link of a message acknowledges; after that a person signs in."""


def acknowledge_link(alert: Alert, channel: str) -> str:
    """An address that shows a button to whoever has the message; signed, and good for that alert alone."""
    token = signing.dumps([alert.pk, int(alert.started_at.timestamp()), channel[:60]], salt=_SALT, compress=True)
    return f"{public_url()}/acknowledge/{token}/"


def read_acknowledge_token(token: str) -> tuple[int, int, str]:
    """(alert, when it began in unix seconds, name of the channel); django.core.signing.BadSignature for others."""
    try:
        alert_id, began, channel = signing.loads(token, salt=_SALT, max_age=ACKNOWLEDGE_FOR)
    except (ValueError, TypeError) as error:  # signed, but of another version
        raise signing.BadSignature(str(error)) from None
    return int(alert_id), int(began), str(channel)


def moment_text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
