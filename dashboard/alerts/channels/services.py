"""Other services through apprise, of those alone whose host is fixed: its own HTTP passes by the address policy.

The address is apprise's, like `tgram://bot-token/chat`. A scheme that lets a person name the host (ntfy, Matrix, json
and others) is refused, and so are all parameters that are not listed: some of them name files, other addresses, or
switch certificates off.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from . import Answer, Field, FieldError, Message, Outcome, Outside, Stored, one_line
from .wording import worded

LONGEST_URL = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """A service that apprise tells. `hosts`: every host that it may look up (tests hold it to them)."""

    name: str
    shape: str
    hosts: frozenset[str]
    parameters: frozenset[str] = frozenset()


def _service(name: str, shape: str, *hosts: str, parameters: str = "") -> Service:
    return Service(name, shape, frozenset(hosts), frozenset(parameters.split()))


SERVICES: dict[str, Service] = {
    "tgram": _service("Telegram", "tgram://BOT_TOKEN/CHAT_ID", "api.telegram.org", parameters="topic silent"),
    "discord": _service("Discord", "discord://WEBHOOK_ID/WEBHOOK_TOKEN", "discord.com", parameters="thread"),
    "gchat": _service("Google Chat", "gchat://WORKSPACE/KEY/TOKEN", "chat.googleapis.com"),
    "webex": _service("Webex", "webex://WEBHOOK_TOKEN", "api.ciscospark.com", "webexapis.com"),
    "pover": _service("Pushover", "pover://USER_KEY@TOKEN", "api.pushover.net", parameters="priority sound"),
    "pbul": _service("Pushbullet", "pbul://ACCESS_TOKEN", "api.pushbullet.com"),
    "line": _service("LINE", "line://TOKEN/USER_ID", "api.line.me"),
    "signl4": _service("SIGNL4", "signl4://SECRET", "connect.signl4.com"),
    "opsgenie": _service(
        "Opsgenie", "opsgenie://API_KEY", "api.opsgenie.com", "api.eu.opsgenie.com", parameters="region"
    ),
    "twilio": _service("Twilio", "twilio://ACCOUNT_SID:AUTH_TOKEN@FROM/TO", "api.twilio.com"),
    "threema": _service("Threema", "threema://GATEWAY_ID@SECRET/ID", "msgapi.threema.ch"),
    "ifttt": _service("IFTTT", "ifttt://WEBHOOK_ID@EVENT", "maker.ifttt.com"),
}
"""Scheme -> service. A further one is added only after its plug-in was read: its host must be a constant there."""


class OtherService:
    label = "Other service"
    says = f"{', '.join(service.name for service in SERVICES.values())}: a text for each event, by apprise."
    is_grouped = True
    also_hears: frozenset[str] = frozenset()
    fields = (
        Field(
            "url",
            "Address",
            "As apprise writes it: " + ", ".join(service.shape for service in SERVICES.values()),
            "tgram://123456789:AAE…/-1001234567890",
            is_secret=True,
        ),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        url = typed["url"].strip()
        scheme, service = _known(url)
        if _plugin(url) is None:
            raise FieldError("url", f"This is no address of {service.name}: write {service.shape}.")
        return Stored(url=url, scheme=scheme)

    def target(self, settings: Mapping[str, str]) -> str:
        return SERVICES[settings["scheme"]].name

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        try:
            _, service = _known(settings["url"])
        except FieldError as error:  # stored by another version, with another list
            return Answer(Outcome.REFUSED, error=str(error))
        plugin = _plugin(settings["url"])
        if plugin is None:
            return Answer(Outcome.REFUSED, error=f"apprise cannot read the stored address of {service.name}")
        said = worded(message)
        kind = "success" if said.is_over else {"critical": "failure", "warning": "warning"}.get(said.severity, "info")
        return _notify(plugin, service, said.title, said.plain, kind, seconds=outside.seconds)


def _known(url: str) -> tuple[str, Service]:
    """Scheme and service of an address; FieldError for what is not on the list."""
    match = re.match(r"([a-z0-9]+)://", url)
    service = SERVICES.get(match[1]) if match else None
    if match is None or service is None:
        typed = f"“{match[1]}://” is not one of them" if match else "it begins with a name and ://"
        hint = "; for a webhook of your own choose Webhook" if match and match[1].startswith(("http", "json")) else ""
        raise FieldError("url", f"Only {', '.join(f'{one}://' for one in SERVICES)} are taken: {typed}{hint}.")
    if len(url) > LONGEST_URL or re.search(r"[\x00-\x20\x7f,;\\]", unquote(url)):
        raise FieldError("url", "The address holds a space, a comma, a control character, or is too long.")
    named = {name.lower().lstrip("+-:") for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    if url.partition("?")[2] and not named:
        named = {url.partition("?")[2]}
    refused = sorted(named - service.parameters)
    if refused or "#" in url:
        taken = f"only {', '.join(sorted(service.parameters))}" if service.parameters else "none"
        said = ", ".join(one_line(one, 30) for one in refused) or "#"
        raise FieldError("url", f"The parameter {said} is not taken ({taken} of {service.name}).")
    return match[1], service


def _plugin(url: str) -> Any:
    """apprise's plug-in for the address, which keeps nothing on disk and follows no redirect; None: unreadable."""
    import apprise  # 20 MB and a tenth of a second that only those pay who use it

    for name in ("apprise", "urllib3"):  # at DEBUG both write whole addresses, tokens included
        logging.getLogger(name).setLevel(logging.INFO)
    asset = apprise.AppriseAsset(
        app_id="Streamgauge", app_desc="Streamgauge", app_url="", storage_mode=apprise.PersistentStoreMode.MEMORY,
        image_url_mask="", image_url_logo="", image_path_mask="", secure_logging=True,
    )  # fmt: skip
    return apprise.Apprise.instantiate(
        url + ("&" if "?" in url else "?") + "redirect=no&verify=yes&cto=4&rto=4", asset=asset, suppress_exceptions=True
    )


def _notify(plugin: Any, service: Service, title: str, body: str, kind: str, *, seconds: float) -> Answer:
    """Told in a thread of its own, since apprise knows a deadline for each read and none for all of them."""
    import apprise

    lines: list[str] = []
    outcome: list[bool] = []

    def run() -> None:
        told = apprise.Apprise()
        told.add(plugin)
        result = told.notify(
            body=body, title=title, notify_type=apprise.NotifyType(kind), body_format=apprise.NotifyFormat.TEXT,
            log_callback=lambda entry, _plugin: lines.append(f"{entry.message}"),
        )  # fmt: skip
        outcome.append(bool(result))

    thread = threading.Thread(target=run, name="apprise", daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome and outcome[0]:
        return Answer(Outcome.DELIVERED)
    if thread.is_alive():
        return Answer(Outcome.RETRY, error=f"{service.name} gave no complete answer in time")
    warnings = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    error = one_line(warnings[-1] if warnings else f"{service.name} did not take the message", 300)
    found = re.search(r"error=(\d{3})\b", error)
    status = int(found[1]) if found else None
    if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
        return Answer(Outcome.REFUSED, status, error)
    return Answer(Outcome.RETRY, status, error)
