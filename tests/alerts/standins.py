"""Stand-ins that behave as the services document, on the HTTP server of `receiver`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

from django.conf import settings

from collectors import secrets
from dashboard.alerts import outbox
from dashboard.alerts.channels.kinds import KINDS
from dashboard.models import Channel

from .receiver import Received, said_json, status


def channel(kind: str, name: str = "", **typed: str) -> Channel:
    """A channel as the form makes it."""
    made = Channel(name=name or kind, kind=kind)
    defaults = {one.name: one.default for one in KINDS[kind].fields}
    outbox.store_settings(made, KINDS[kind].check({**defaults, **typed}, outbox.outside())).save()
    assert secrets.decrypt(bytes(made.settings_encrypted), settings.INSTANCE_KEY)
    return made


@dataclass
class Slack:
    """chat.postMessage and chat.update as docs.slack.dev describes them."""

    token: str = "xoxb-1111-2222-abcdefgh"
    channels: dict[str, str] = field(default_factory=lambda: {"#on-call": "C01", "C01": "C01"})
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)  # ts -> the message as it stands
    replies: list[str] = field(default_factory=list)
    edits: int = 0

    def __call__(self, handler: BaseHTTPRequestHandler, request: Received) -> None:
        body = request.json
        method = request.path.rpartition("/")[2]
        if request.headers.get("authorization") != f"Bearer {self.token}":
            said_json(handler, {"ok": False, "error": "invalid_auth"}, 200)
            return
        if body.get("channel") not in self.channels:
            said_json(handler, {"ok": False, "error": "channel_not_found"}, 200)
            return
        if not body.get("text"):
            said_json(handler, {"ok": False, "error": "no_text"}, 200)
            return
        assert method in ("chat.postMessage", "chat.update")
        self._within_limits(body)
        if "thread_ts" in body:
            assert body["thread_ts"] in self.shown
            self.replies.append(body["text"])
            said_json(handler, {"ok": True, "channel": "C01", "ts": f"18000000{len(self.replies):02d}.000100"}, 200)
            return
        if method == "chat.postMessage":
            ts = f"17000000{len(self.shown):02d}.000100"
        else:
            ts = body["ts"]
            if ts not in self.shown or body["channel"] != "C01":  # an update takes an id and no name
                said_json(handler, {"ok": False, "error": "message_not_found"}, 200)
                return
            self.edits += 1
        self.shown[ts] = body
        said_json(handler, {"ok": True, "channel": self.channels[body["channel"]], "ts": ts}, 200)

    def _within_limits(self, body: dict[str, Any]) -> None:
        for attachment in body.get("attachments", []):
            blocks = attachment["blocks"]
            assert len(blocks) <= 50
            for block in blocks:
                most = 150 if block["type"] == "header" else 3000
                assert 0 < len(block.get("text", {"text": "x"})["text"]) <= most
                assert len(block.get("fields", [])) <= 10
                assert all(len(one["text"]) <= 2000 for one in block.get("fields", []))


@dataclass
class PagerDuty:
    """Events API v2: incidents by dedup key."""

    key: str = "a" * 32
    incidents: dict[str, list[str]] = field(default_factory=dict)  # dedup key -> actions
    summaries: list[str] = field(default_factory=list)

    def __call__(self, handler: BaseHTTPRequestHandler, request: Received) -> None:
        event = request.json
        wrong = []
        if event.get("routing_key") != self.key:
            wrong.append("'routing_key' is invalid")
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            wrong.append("'event_action' is invalid")
        if event.get("event_action") == "trigger":
            payload = event.get("payload", {})
            wrong += [f"'payload.{name}' is missing" for name in ("summary", "source", "severity") if not payload[name]]
            if payload["severity"] not in ("critical", "error", "warning", "info") or len(payload["summary"]) > 1024:
                wrong.append("'payload' is invalid")
            self.summaries.append(payload["summary"])
        if wrong or not 0 < len(event["dedup_key"]) <= 255 or len(request.body) > 512 * 1024:
            said_json(handler, {"status": "invalid event", "message": "invalid", "errors": wrong}, 400)
            return
        self.incidents.setdefault(event["dedup_key"], []).append(event["event_action"])
        said_json(handler, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}, 202)


@dataclass
class Alertmanager:
    """POST /api/v2/alerts: an alert is its labels, and over at its endsAt."""

    alerts: dict[tuple[tuple[str, str], ...], dict[str, Any]] = field(default_factory=dict)
    pushes: int = 0

    def __call__(self, handler: BaseHTTPRequestHandler, request: Received) -> None:
        if request.path != "/api/v2/alerts":
            status(404, b"page not found")(handler)
            return
        for alert in request.json:
            if not alert["labels"].get("alertname") or not all(isinstance(v, str) for v in alert["labels"].values()):
                said_json(handler, "missing or invalid labels", 400)
                return
            starts, ends = (
                datetime.fromisoformat(alert[name].replace("Z", "+00:00")) for name in ("startsAt", "endsAt")
            )
            if ends < starts:
                said_json(handler, "start time must be before end time", 400)
                return
            self.alerts[tuple(sorted(alert["labels"].items()))] = {**alert, "ends": ends}
        self.pushes += 1
        status(200)(handler)
