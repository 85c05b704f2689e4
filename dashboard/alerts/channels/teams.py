"""Microsoft Teams by a Workflows address: an Adaptive Card for each event.

The Office 365 connectors with their MessageCards are gone. The flow answers 202. Teams counts 28 KB after its own
wrapping (MicrosoftDocs/msteams-docs#11274), so a card is kept below 20 KB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dashboard.alerts import addresses

from . import Answer, Field, FieldError, Message, Outside, Stored, http
from .wording import Worded, worded

MOST_BYTES = 20_000


class Teams:
    label = "Microsoft Teams"
    says = "A card for each event, posted by a workflow."
    is_grouped = True
    also_hears: frozenset[str] = frozenset()
    fields = (
        Field(
            "url",
            "Address of the workflow",
            "In Teams: Workflows, “Post to a channel when a webhook request is received”.",
            "https://….logic.azure.com/workflows/…",
            is_secret=True,
        ),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        url = http.checked_url(typed["url"], outside)
        if "webhook.office.com" in addresses.parse_url(url).host:
            raise FieldError("url", "This is a connector of Office 365, which Microsoft ended: make a workflow.")
        return Stored(url=url)

    def target(self, settings: Mapping[str, str]) -> str:
        return addresses.parse_url(settings["url"]).public_text

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        said = worded(message)
        body = http.json_body(card_of(said))
        while len(body) > MOST_BYTES and said.others:
            said = replace(said, others=said.others[: len(said.others) // 2])
            body = http.json_body(card_of(said))
        if len(body) > MOST_BYTES:
            body = http.json_body(card_of(replace(said, sentence=said.sentence[:1000], facts=said.facts[:1])))
        return http.answer_to(settings["url"], body, {"Content-Type": "application/json"}, outside)


def card_of(said: Worded) -> dict[str, Any]:
    colour = "Good" if said.is_over else {"critical": "Attention", "warning": "Warning"}.get(said.severity, "Accent")
    body: list[dict[str, Any]] = [
        _text(said.title, weight="Bolder", size="Medium", color=colour),
        _text(said.sentence),
    ]
    if said.facts:
        facts = [{"title": name, "value": escaped(value)} for name, value in said.facts]
        body.append({"type": "FactSet", "facts": facts})
    body += [_text(f"• {line}", spacing="None") for line in said.others]
    actions = [{"type": "Action.OpenUrl", "title": "Look at it", "url": said.link}] if said.link else []
    if said.acknowledge:
        actions.append({"type": "Action.OpenUrl", "title": "Acknowledge", "url": said.acknowledge})
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "body": body,
                    "actions": actions,
                },
            }
        ],
    }


def _text(text: str, **looks: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": escaped(text), "wrap": True, **looks}


def escaped(text: str) -> str:
    """Text of an Adaptive Card is Markdown: a name must not become a link, an image or a mention."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+!|~" else letter for letter in text)
