"""The kinds of channels that there are, by the word that is stored."""

from __future__ import annotations

from . import Kind
from .alertmanager import Alertmanager
from .mail import Email
from .pagerduty import PagerDuty
from .services import OtherService
from .slack import SlackBot, SlackWebhook
from .teams import Teams
from .webhook import Webhook

KINDS: dict[str, Kind] = {
    "webhook": Webhook(),
    "email": Email(),
    "slack": SlackBot(),
    "slack_webhook": SlackWebhook(),
    "pagerduty": PagerDuty(),
    "alertmanager": Alertmanager(),
    "teams": Teams(),
    "apprise": OtherService(),
}
