"""Slack: one message that is edited through its life (a bot's token), or a post for each event (incoming webhook).

https://docs.slack.dev/reference/methods/chat.postMessage and chat.update: HTTP 200 with {"ok": true, "channel", "ts"}
or {"ok": false, "error"}; 429 with Retry-After. Limits: 50 blocks, header 150 letters, section 3000, 10 fields of 2000.
Slack takes no idempotency key: a repeat after an answer that was lost is a second message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dashboard.alerts import addresses

from . import Answer, Field, FieldError, Message, Outcome, Outside, Stored, http, one_line
from .wording import Worded, worded

API = "https://slack.com/api"
_COLOURS = {"critical": "#d13438", "warning": "#c98a00", "info": "#3578c6"}
_OVER = "#2e8540"
# https://docs.slack.dev/reference/methods/chat.postMessage#errors: those that time mends
_PASSING = frozenset(
    {"ratelimited", "rate_limited", "message_limit_exceeded", "internal_error", "fatal_error", "service_unavailable",
     "request_timeout", "team_added_to_org"}
)  # fmt: skip
# the message to edit is gone or too old: a new one is posted
_CANNOT_EDIT = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found", "is_inactive"}
)
_FIXES = {
    "invalid_auth": "the token is not one of Slack's",
    "not_authed": "no token was sent",
    "token_revoked": "the token was revoked",
    "account_inactive": "the bot was removed",
    "not_in_channel": "invite the bot to the channel",
    "channel_not_found": "there is no such channel, or the bot was not invited to it",
    "is_archived": "the channel is archived",
    "missing_scope": "give the bot the scope chat:write",
}


class SlackBot:
    label = "Slack"
    says = "One message for each cause: posted when it fires, edited as it is acknowledged, changes and ends."
    is_grouped = True
    also_hears = frozenset({"acknowledged", "taken_back"})
    fields = (
        Field("token", "Bot token", "Of a bot with the scope chat:write, in the channel.", "xoxb-…", is_secret=True),
        Field("channel", "Channel", "Its id (in the channel's details) or name.", "C0123456789 or #on-call"),
        Field(
            "api",
            "Address of the API",
            "Only for GovSlack, or a proxy.",
            API,
            default=API,
            is_required=False,
        ),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        token, channel = typed["token"].strip(), typed["channel"].strip()
        if not re.fullmatch(r"xox[a-z]-[A-Za-z0-9-]{8,250}", token):
            raise FieldError("token", "A bot token begins with xoxb- and has letters, digits and dashes after it.")
        if not re.fullmatch(r"#?[^\s#@<>&,]{1,80}", channel):
            raise FieldError("channel", f"“{channel}” is no channel: write its id like C0123456789, or #its-name.")
        api = http.checked_url(typed.get("api") or API, outside, field="api").rstrip("/")
        return Stored(token=token, channel=channel, api=api)

    def target(self, settings: Mapping[str, str]) -> str:
        at = "" if settings["api"] == API else f" by {addresses.parse_url(settings['api']).public_text}"
        return settings["channel"] + at

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        body = body_of(worded(message))
        ts, channel = message.receipt.get("ts"), message.receipt.get("channel")
        if ts and channel:
            answer, error = self._call(settings, "chat.update", {**body, "channel": channel, "ts": ts}, outside)
            if answer.outcome is Outcome.DELIVERED and message.event == "firing":
                # an edit rings nobody's bell, and something more went wrong
                reply = {"channel": channel, "thread_ts": ts, "reply_broadcast": True, "text": body["text"]}
                said, _ = self._call(settings, "chat.postMessage", reply, outside)
                return replace(said, receipt=answer.receipt)
            if error not in _CANNOT_EDIT:
                return answer
        answer, _ = self._call(settings, "chat.postMessage", {**body, "channel": settings["channel"]}, outside)
        return answer

    def _call(
        self, settings: Mapping[str, str], method: str, body: dict[str, Any], outside: Outside
    ) -> tuple[Answer, str]:
        """(answer, Slack's own word for what went wrong)."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Authorization": f"Bearer {settings['token']}",
            "User-Agent": "Streamgauge",
        }
        url = f"{settings.get('api') or API}/{method}"
        try:
            reply = http.post(url, http.json_body(body), headers, outside, reads_success=True)
        except http.UnansweredError as unanswered:
            return Answer(Outcome.RETRY, error=str(unanswered)), ""
        said = reply.json()
        if not reply.is_success:
            return http.answer_of(reply), str(said.get("error", ""))
        if said.get("ok") is True:
            receipt = {"channel": str(said.get("channel", "")), "ts": str(said.get("ts", ""))}
            return Answer(Outcome.DELIVERED, reply.status, receipt=receipt), ""
        word = one_line(str(said.get("error") or "no answer of Slack's API"), 100)
        error = f"Slack says {word}" + (f": {_FIXES[word]}" if word in _FIXES else "")
        if word in _PASSING or "error" not in said:
            wait = http.seconds_of(reply.retry_after, now=datetime.now(UTC))
            return Answer(Outcome.RETRY, reply.status, error, wait), word
        return Answer(Outcome.REFUSED, reply.status, error), word


class SlackWebhook:
    label = "Slack, incoming webhook"
    says = "A post for each event. It cannot be edited later; a bot's token can."
    is_grouped = True
    also_hears: frozenset[str] = frozenset()
    fields = (
        Field(
            "url",
            "Address of the incoming webhook",
            "As Slack shows it when the webhook is made.",
            "https://hooks.slack.com/services/…",
            is_secret=True,
        ),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        return Stored(url=http.checked_url(typed["url"], outside))

    def target(self, settings: Mapping[str, str]) -> str:
        return addresses.parse_url(settings["url"]).public_text

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        headers = {"Content-Type": "application/json", "User-Agent": "Streamgauge"}
        return http.answer_to(settings["url"], http.json_body(body_of(worded(message))), headers, outside)


def body_of(said: Worded) -> dict[str, Any]:
    """Text and blocks. What strangers named stands in plain text, or escaped, so that nobody is pinged by a name."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(said.title, 150)},
        {"type": "section", "text": _plain(said.sentence or said.title, 3000)},
    ]
    if said.facts:
        fields = [_mrkdwn(f"*{escaped(name)}*\n{escaped(value)}", 2000) for name, value in said.facts[:10]]
        blocks.append({"type": "section", "fields": fields})
    if said.others:
        blocks.append({"type": "section", "text": _plain("\n".join(f"• {line}" for line in said.others), 3000)})
    links = [f"<{said.link}|Look at it>"] if said.link else []
    if said.acknowledge:
        links.append(f"<{said.acknowledge}|Acknowledge>")
    if links:
        blocks.append({"type": "section", "text": _mrkdwn("   ·   ".join(links), 3000)})
    colour = _OVER if said.is_over else _COLOURS.get(said.severity, _COLOURS["info"])
    return {
        "text": escaped(f"{said.title}\n{said.sentence}")[:3000],  # notifications and screen readers
        "attachments": [{"color": colour, "blocks": blocks}],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """As https://docs.slack.dev/messaging/formatting-message-text asks: no mention, channel or link is made of it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": text if len(text) <= most else text[: most - 1] + "…", "emoji": False}


def _mrkdwn(text: str, most: int) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text if len(text) <= most else text[: most - 1] + "…", "verbatim": True}
