"""A message's payload in the words and facts that people's channels share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collectors.domain import words

from . import Message

LISTED = 20
"""Of a thread of many alerts so many are named."""

_TITLES = {
    "firing": "Firing",
    "resolved": "Over",
    "acknowledged": "Acknowledged",
    "taken_back": "Firing, not acknowledged any more",
    "test": "Test",
}


@dataclass(frozen=True, slots=True)
class Worded:
    """What a person reads; every text may hold names from strangers and is escaped where it is put."""

    state: str  # "Firing", "Over", ...
    about: str  # the same through the life of a thread: "Broker down: broker 2 of Demo"
    sentence: str
    facts: tuple[tuple[str, str], ...]
    others: tuple[str, ...]  # one line for each further alert of the thread
    link: str
    acknowledge: str  # "" where there is nothing to acknowledge
    severity: str
    is_over: bool

    @property
    def title(self) -> str:
        return f"{self.state}: {self.about}"

    @property
    def plain(self) -> str:
        """Everything as lines of text, the sentence first."""
        lines = [self.sentence, ""]
        lines += [f"{name}: {value}" for name, value in self.facts]
        if self.others:
            lines += ["", *(f"- {line}" for line in self.others)]
        lines += ["", f"Look: {self.link}"]
        if self.acknowledge:
            lines.append(f"Acknowledge: {self.acknowledge}")
        return "\n".join(lines)


def worded(message: Message) -> Worded:
    payload = message.payload
    is_over = message.event == "resolved" and not payload.get("open")
    severity = str(payload.get("severity") or "info")
    return Worded(
        state="Over in part" if message.event == "resolved" and not is_over else _TITLES.get(message.event, "Told"),
        about=_about(payload),
        sentence=str(payload.get("sentence", "")),
        facts=tuple(_facts(message.event, payload, severity)),
        others=tuple(_others(payload)),
        link=str(payload.get("link") or ""),
        acknowledge="" if is_over or message.event == "acknowledged" else str(payload.get("acknowledge") or ""),
        severity=severity,
        is_over=is_over,
    )


def _about(payload: Mapping[str, Any]) -> str:
    """Constant through the life of a thread: mail programs and people find its messages by it."""
    rule, cluster, subject = payload.get("rule"), payload.get("cluster"), payload.get("subject") or {}
    if not rule or not cluster:
        return "a test of Streamgauge"
    name = words.visible(str(cluster.get("name", "")))
    kind, of = str(subject.get("kind", "")), words.visible(str(subject.get("name", "")))
    whom = f"{kind} {of} of {name}" if of and kind != "cluster" else name
    return f"{rule.get('name', '')}: {whom}"


def _facts(event: str, payload: Mapping[str, Any], severity: str) -> list[tuple[str, str]]:
    if event == "test":
        return []
    facts = []
    since = moment_of(payload.get("started_at"))
    if since:
        facts.append(("Since", since))
    if event == "resolved" and (over := moment_of(payload.get("resolved_at"))):
        facts.append(("Over", over))
    bad = severity + (f", {payload['how_bad']}" if payload.get("how_bad") else "")
    facts.append(("How bad", bad))
    if payload.get("trend"):
        facts.append(("Trend", str(payload["trend"])))
    if payload.get("by"):
        facts.append(("Acknowledged by" if event == "acknowledged" else "Taken back by", str(payload["by"])))
    if event not in ("resolved", "acknowledged") and payload.get("next_step"):
        facts.append(("Next step", str(payload["next_step"])))
    count = int(payload.get("count") or 1)
    if count > 1:
        still = int(payload.get("open") or 0)
        facts.append(("Together", f"{words.counted(count, 'alert')} of one cause, {words.count(still)} still firing"))
    return facts


def _others(payload: Mapping[str, Any]) -> list[str]:
    alerts = payload.get("alerts") or []
    if len(alerts) < 2:
        return []
    lines = [f"{one['sentence']}{' (over)' if one.get('resolved_at') else ''}" for one in alerts[:LISTED]]
    left = int(payload.get("count") or 0) - len(lines)
    return [*lines, f"and {words.count(left)} more"] if left > 0 else lines


def moment_of(text: object) -> str:
    """An RFC 3339 moment as people read it, to the second: "2026-11-24 02:10:05 UTC"; "" for none."""
    if not isinstance(text, str):
        return ""
    return f"{datetime.fromisoformat(text.replace('Z', '+00:00')):%Y-%m-%d %H:%M:%S} UTC"
