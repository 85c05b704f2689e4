"""The generic webhook: a signed JSON POST to an address that a person typed.

The body is described by `dashboard.alerts.messages.payload_of`. It is signed as Standard Webhooks 1.0.0 says: headers
`webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature: v1,<base64 HMAC-SHA256 over
"id.timestamp.body">`; the secret is `whsec_` + base64 of the key, or any other text, whose bytes are then the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from dashboard.alerts import addresses

from . import Answer, Field, FieldError, Message, Outside, Stored, http


class Webhook:
    label = "Webhook"
    says = "Each alert is sent as one POST of JSON when it fires and one when it is over."
    is_grouped = False  # a machine reads it: every alert on its own
    also_hears: frozenset[str] = frozenset()
    fields = (
        Field(
            "url",
            "Address",
            "Loopback and private networks only if STREAMGAUGE_ALLOWED_NETWORKS names them.",
            "https://example.org/hooks/kafka",
            is_secret=True,
        ),
        Field("secret", "Secret for the signature", "Optional.", is_secret=True, is_required=False),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        url = http.checked_url(typed["url"], outside)
        secret = typed.get("secret", "").strip()
        if secret:
            if not re.fullmatch(r"[\x21-\x7e]{8,200}", secret):
                raise FieldError(
                    "secret",
                    f"The secret must have 8 to 200 printable characters without spaces; this one has {len(secret)}",
                )
            try:
                key_of(secret)
            except ValueError as error:
                raise FieldError("secret", str(error)) from None
        return Stored(url=url, secret=secret)

    def target(self, settings: Mapping[str, str]) -> str:
        return addresses.parse_url(settings["url"]).public_text

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        body = http.json_body(message.payload)
        headers = headers_of(message, body, secret=settings.get("secret", ""), timestamp=int(outside.now))
        return http.answer_to(settings["url"], body, headers, outside)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The signing key; ValueError for a `whsec_` secret whose rest is not base64."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ must be base64") from None


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def headers_of(message: Message, body: bytes, *, secret: str, timestamp: int) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Streamgauge",
        "Idempotency-Key": message.key,
        "X-Streamgauge-Delivery": message.key,
        "X-Streamgauge-Event": message.event,
        "X-Streamgauge-Attempt": str(message.attempt),
        "webhook-id": message.key,
        "webhook-timestamp": str(timestamp),
    }
    if secret:
        headers["webhook-signature"] = signature(secret, message.key, timestamp, body)
    return headers
