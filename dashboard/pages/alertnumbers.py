"""The numbers in an alert's sentence lead to how they are known. Only on pages: what channels are told stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from collectors.domain.drain import DrainOutcome
from collectors.domain.words import THIN, counted, duration, visible
from dashboard import names
from dashboard.alerts.readings import Quantity
from dashboard.models import Alert

from . import zones

_WAITING = rf"\d[\d{THIN}]* (?:waiting )?records?(?= (?:waits?|behind|read)\b)"
LARGEST = 2**63
_TIMES: Mapping[str, tuple[str, str]] = {
    # what a rule compares: (the number of its sentence, the quantity as the page names it)
    Quantity.GROUP_LOG_END_AGE: ("log_end_age_seconds", "log-end-age"),
    Quantity.GROUP_HEAD_AGE: ("head_age_seconds", "head-of-backlog-age"),
    Quantity.GROUP_DRAIN: ("drain_seconds", "drain-estimate"),
    Quantity.GROUP_COUNTDOWN: ("countdown_seconds", "retention-countdown"),
}


def said(alert: Alert, sentence: str, stored: object, *, now: datetime) -> SafeString:
    """A sentence about an alert, its times in the viewer's zone; `stored`: the numbers that it was made from."""
    numbers: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
    text = zones.zoned(sentence, now=now)
    if alert.subject_kind != "group":
        return format_html("{}", text)
    begin = text.find(visible(alert.subject))
    begin = begin + len(visible(alert.subject)) if begin >= 0 else 0  # a name may look like a number
    found = [(*match.span(), of) for pattern, of in _patterns(alert, numbers) if (match := pattern.search(text, begin))]
    out, at = SafeString(), 0
    for start, end, of in sorted(found):
        if start >= at:
            out += format_html(
                '{}<a class="link" href="{}">{}</a>', text[at:start], _how(alert, numbers, of), text[start:end]
            )
            at = end
    return out + format_html("{}", text[at:])


def _patterns(alert: Alert, numbers: Mapping[str, Any]) -> list[tuple[re.Pattern[str], str]]:
    """What to look for in a sentence, and which quantity it is."""
    lag = _number(numbers, "lag")
    out = []
    if lag is not None:
        out.append((re.compile(rf"{_WAITING}|{_whole(counted(lag, 'record'))}"), "lag"))
    elif numbers.get("lag") is None:
        out.append((re.compile(_WAITING), "lag"))
    key, of = _TIMES.get(alert.rule.quantity, ("", ""))
    seconds = _number(numbers, key)
    if seconds is not None:
        soon = "|at any moment" if key == "countdown_seconds" else ""
        out.append((re.compile(_whole(duration(seconds)) + soon), of))
    elif of == "drain-estimate" and numbers.get("drain") == DrainOutcome.NOT_DRAINING.word:
        out.append((re.compile("does not drain"), of))
    return out


def _number(numbers: Mapping[str, Any], key: str) -> float | None:
    """A stored number; None for what is none: text, not a number, without end, or longer than any offset."""
    value = numbers.get(key)
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
    return value if is_one else None


def _whole(number: str) -> str:
    """A number that is no part of a longer one: "1 h" is not found in "1 h 10 min"."""
    return rf"(?<![\d{THIN}]){re.escape(number)}(?! \d+{THIN})"


def _how(alert: Alert, numbers: Mapping[str, Any], of: str) -> str:
    slug, group = alert.cluster.slug, alert.subject
    topic, partition = numbers.get("topic"), numbers.get("partition")
    if of == "head-of-backlog-age" and isinstance(topic, str) and isinstance(partition, int):
        return names.how_path(slug, group, topic, partition, of)
    return names.how_path(slug, group, of=of)
