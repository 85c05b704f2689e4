"""Pushing into Prometheus's Alertmanager: POST /api/v2/alerts with one alert each, told again while it fires.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml. An alert is its label set, so nothing that
changes is a label. Alertmanager takes an alert for resolved at its `endsAt`, which lies some renewals ahead while it
fires: so no alert outlives an instance that died by more than that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.alerts import addresses

from . import Answer, Field, FieldError, Message, Outcome, Outside, Stored, http, one_line

RENEW_SECONDS = 60.0
STANDS_FOR = timedelta(seconds=5 * RENEW_SECONDS)


class Alertmanager:
    label = "Alertmanager"
    says = "Each alert is pushed with its labels, told again every minute while it fires, and ended when it is over."
    is_grouped = False  # it groups by itself
    also_hears: frozenset[str] = frozenset()
    fields = (
        Field(
            "url",
            "Address of Alertmanager",
            "Without /api/v2/alerts. Several of a cluster: one channel each, as Alertmanager's own documentation asks.",
            "http://alertmanager.example.org:9093",
        ),
        Field("token", "Bearer token", "Where a proxy in front asks for one.", is_secret=True, is_required=False),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        url = http.checked_url(typed["url"], outside).rstrip("/").removesuffix("/api/v2/alerts")
        if "?" in url:
            raise FieldError("url", "Leave out what follows the question mark: /api/v2/alerts is added to the address.")
        token = typed.get("token", "").strip()
        if token and not re.fullmatch(r"[\x21-\x7e]{1,2000}", token):
            raise FieldError("token", "A token has printable characters without spaces.")
        return Stored(url=url, token=token)

    def target(self, settings: Mapping[str, str]) -> str:
        return addresses.parse_url(settings["url"]).public_text

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": "Streamgauge"}
        if settings.get("token"):
            headers["Authorization"] = f"Bearer {settings['token']}"
        body = http.json_body([alert_of(message, now=outside.now)])
        answer = http.answer_to(f"{settings['url']}/api/v2/alerts", body, headers, outside)
        if answer.outcome is Outcome.DELIVERED and message.event == "firing":
            return Answer(answer.outcome, answer.status, renew_after_seconds=RENEW_SECONDS)
        return answer


def labels_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """What an alert is known by: never a number, a time or a severity that a person may change meanwhile."""
    cluster, rule, subject = payload.get("cluster") or {}, payload.get("rule") or {}, payload.get("subject") or {}
    key = str(rule.get("key") or "test")
    labels = {
        "alertname": "Kafka" + "".join(part.capitalize() for part in re.split(r"[_-]+", key)),
        "rule": key,
        "cluster": str(cluster.get("slug") or ""),
        "source": "streamgauge",
    }
    if subject.get("name") and subject.get("kind") != "cluster":
        labels[str(subject["kind"])] = one_line(str(subject["name"]), 500)
    return {name: value for name, value in labels.items() if value}


def alert_of(message: Message, *, now: float) -> dict[str, Any]:
    payload = message.payload
    at = datetime.fromtimestamp(now, UTC)
    if payload.get("started_at"):  # by the sampler's clock, which may be ahead of this one
        at = max(at, datetime.fromisoformat(payload["started_at"]))
    is_over = message.event == "resolved"
    ends = payload.get("resolved_at") if is_over else None
    if message.event == "test":
        ends = _rfc3339(at + timedelta(seconds=RENEW_SECONDS))
    annotations = {
        "summary": payload.get("sentence"),
        "trend": payload.get("trend"),
        "next_step": payload.get("next_step"),
        "acknowledge": payload.get("acknowledge"),
    }
    return {
        "labels": {**labels_of(payload), "severity": str(payload.get("severity") or "info")},
        "annotations": {name: str(value) for name, value in annotations.items() if value},
        "startsAt": payload.get("started_at") or _rfc3339(at),
        "endsAt": ends or _rfc3339(at if is_over else at + STANDS_FOR),
        "generatorURL": payload.get("link") or "",
    }


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
