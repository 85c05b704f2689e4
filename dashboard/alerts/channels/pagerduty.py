"""PagerDuty Events API v2: one incident for each thread, by its dedup key, acknowledged and resolved with it.

https://developer.pagerduty.com/docs/send-alert-event: 202 accepted, 400 invalid, 429 throttled, 5xx. Limits: summary
1024 characters, dedup key 255, event 512 KB. A repeat with the same dedup key is no second incident.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dashboard.alerts import addresses

from . import Answer, Field, FieldError, Message, Outcome, Outside, Stored, http, one_line
from .wording import worded

US = "https://events.pagerduty.com/v2/enqueue"
EU = "https://events.eu.pagerduty.com/v2/enqueue"


class PagerDuty:
    label = "PagerDuty"
    says = "One incident for each cause, by its dedup key: triggered, acknowledged and resolved with the alert."
    is_grouped = True
    also_hears = frozenset({"acknowledged"})
    fields = (
        Field(
            "routing_key",
            "Integration key",
            "Of an Events API v2 integration of the service: 32 letters and digits.",
            is_secret=True,
        ),
        Field("api", "Address of the API", f"For accounts in the EU {EU}", US, default=US, is_required=False),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        key = typed["routing_key"].strip()
        if not re.fullmatch(r"[A-Za-z0-9]{32}", key):
            raise FieldError("routing_key", f"An integration key has 32 letters and digits; this one has {len(key)}.")
        return Stored(routing_key=key, api=http.checked_url(typed.get("api") or US, outside, field="api"))

    def target(self, settings: Mapping[str, str]) -> str:
        return {US: "PagerDuty", EU: "PagerDuty, EU"}.get(
            settings["api"], addresses.parse_url(settings["api"]).public_text
        )

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        answer = self._enqueue(settings, event_of(settings["routing_key"], message), outside)
        if message.event != "test" or answer.outcome is not Outcome.DELIVERED:
            return answer
        # a test leaves no incident behind
        over = {key: event_of(settings["routing_key"], message)[key] for key in ("routing_key", "dedup_key")}
        return self._enqueue(settings, {**over, "event_action": "resolve"}, outside)

    def _enqueue(self, settings: Mapping[str, str], event: dict[str, Any], outside: Outside) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": "Streamgauge"}
        return http.answer_to(settings["api"], http.json_body(event), headers, outside)


def event_of(routing_key: str, message: Message) -> dict[str, Any]:
    said, payload = worded(message), message.payload
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "dedup_key": (message.thread or message.key)[:255],
        "event_action": "trigger",
    }
    if message.event == "acknowledged":
        # an incident is one thread: while others of it wait for somebody, it waits
        if payload.get("unacknowledged"):
            event["event_action"] = "trigger"
        else:
            return {**event, "event_action": "acknowledge"}
    if said.is_over:
        return {**event, "event_action": "resolve"}
    cluster, rule, subject = payload.get("cluster") or {}, payload.get("rule") or {}, payload.get("subject") or {}
    event["payload"] = {
        "summary": one_line(said.sentence or said.title, 1024),
        "source": one_line(str(cluster.get("name") or "Streamgauge"), 255),
        "severity": said.severity if said.severity in ("critical", "error", "warning", "info") else "error",
        "timestamp": payload.get("started_at"),
        "component": one_line(str(subject.get("name") or ""), 255),
        "group": one_line(str(cluster.get("slug") or ""), 255),
        "class": one_line(str(rule.get("key") or ""), 255),
        "custom_details": {**dict(said.facts), "numbers": payload.get("numbers") or {}, "alerts": list(said.others)},
    }
    event["client"] = "Streamgauge"
    event["client_url"] = said.link
    event["links"] = [{"href": said.link, "text": "Look at it"}]
    if said.acknowledge:
        event["links"].append({"href": said.acknowledge, "text": "Acknowledge in Streamgauge"})
    return event
