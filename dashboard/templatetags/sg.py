"""What the templates say numbers and states with; unknown is hatched, with the word and the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from collectors.domain import words as plain_words
from dashboard import names
from dashboard.live import wire
from dashboard.models import Alert, Transition
from dashboard.pages import alertnumbers, words, zones

register = template.Library()

_FORMATS = {
    "count": words.number,
    "rate": words.rate,
    "bytes": words.size,
    "duration": plain_words.duration,
    "short": words.short,
}


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    return format_html('<svg class="i {}" aria-hidden="true"><use href="#{}"/></svg>', extra, name)


@register.filter
def took(seconds: float | None) -> str:
    """How long a step of the connection test took: "12 ms", "5.0 s"; "" for one that was not taken."""
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


@register.simple_tag
def num(field: str, fmt: str, value: float | None, why: str = "", na: str = "unknown") -> SafeString:
    """A number that the live script keeps fresh. None is the hatched word, with the reason in its title."""
    if value is None:
        return format_html(
            '<span data-f="{}" data-fmt="{}" data-na="{}" class="sg-na sg-hatch" title="{}">{}</span>',
            field, fmt, na, why or "not answered in the newest cycle", na,
        )  # fmt: skip
    return format_html(
        '<span data-f="{}" data-fmt="{}" data-na="{}" data-value="{}">{}</span>',
        field, fmt, na, value, _FORMATS[fmt](value),
    )  # fmt: skip


@register.simple_tag
def fixed(fmt: str, value: float | None, why: str = "", na: str = "unknown") -> SafeString:
    """A number that does not change while the page is open; None as in `num`."""
    if value is None:
        return format_html('<span class="sg-na sg-hatch" title="{}">{}</span>', why or "not known", na)
    return format_html("{}", _FORMATS[fmt](value))


@register.simple_tag
def verdict(state: str | None, field: str = "verdict", title: str = "") -> SafeString:
    """Icon and word of a state; `field` makes it live, "" leaves it as it is."""
    one = words.look(state)
    live = format_html(' data-f="{}" data-fmt="verdict"', field) if field else ""
    return format_html(
        '<span class="sg-v {}"{} data-verdict="{}" title="{}">{}<span>{}</span></span>',
        one.tone, live, state or "unknown", title, icon(one.icon), one.word,
    )  # fmt: skip


@register.simple_tag
def hot(times: float) -> SafeString:
    """The mark of a partition that gets `times` its even share of what comes to its topic."""
    return format_html(
        '<span class="sg-chip is-warn" title="it gets so many times its even share of the newest records">'
        "{}hot: {} × even</span>",
        icon("i-hot"), f"{times:.1f}",
    )  # fmt: skip


@register.simple_tag
def severity(level: str) -> SafeString:
    one = words.SEVERITIES.get(level, words.SEVERITIES["info"])
    return format_html('<span class="sg-v {}">{}{}</span>', one.tone, icon(one.icon), one.word)


@register.filter
def tone(state: str | None) -> str:
    return words.look(state).tone


@register.filter
def spark_tone(state: str | None) -> str:
    """Colour only where a person is needed."""
    found = words.look(state).tone
    return found if found in ("is-bad", "is-warn") else ""


@register.filter
def get(mapping: dict[Any, Any] | None, key: Any) -> Any:
    return (mapping or {}).get(key)


@register.filter
def set_lines(lines: list[Any]) -> list[Any]:
    """Settings that somebody made, or that are not the same on all brokers."""
    return [one for one in lines if one.is_set or one.differs]


@register.filter
def default_lines(lines: list[Any]) -> list[Any]:
    return [one for one in lines if not (one.is_set or one.differs)]


@register.filter
def json(value: Any) -> str:
    """For a data- attribute; the template escapes it."""
    return orjson.dumps(value).decode()


@register.filter
def unix(at: datetime | None) -> str:
    return "" if at is None else f"{at.timestamp():.3f}"


@register.filter
def state_word(state: str | None) -> str:
    return words.look(state).word


@register.filter
def plain(part: str) -> str:
    """A key of the program as words: "log_dirs" is "log dirs"."""
    return part.replace("_", " ")


@register.filter
def spelt(state: str) -> str:
    """A state of the protocol in plain letters: CompletingRebalance is "completing rebalance"."""
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", state).lower()


@register.filter
def percent(share: float | None) -> str:
    """A share of 1 as per cent, small ones not rounded away: "12 %", "0.4 %", "under 0.01 %"."""
    return "unknown" if share is None else words.percent(share)


@register.filter
def clock(unix_seconds: float) -> str:
    """A time of day in the viewer's zone, with the date when it is not today's."""
    return zones.when(datetime.fromtimestamp(unix_seconds, UTC), now=timezone.now())


@register.filter
def zoned(text: str) -> str:
    """A sentence with its times in the viewer's zone."""
    return zones.zoned(text, now=timezone.now())


@register.filter
def state_icon(state: str | None) -> str:
    return words.look(state).icon


@register.filter
def severity_tone(level: str) -> str:
    return words.SEVERITIES.get(level, words.SEVERITIES["info"]).tone


@register.filter
def severity_icon(level: str) -> str:
    return words.SEVERITIES.get(level, words.SEVERITIES["info"]).icon


@register.filter
def event_icon(kind: str) -> str:
    return words.EVENTS.get(kind, ("i-info", ""))[0]


@register.filter
def event_tone(kind: str) -> str:
    return words.EVENTS.get(kind, ("i-info", ""))[1]


@register.filter
def count(value: float | None) -> str:
    return "unknown" if value is None else words.number(value)


@register.filter
def rate(value: float | None) -> str:
    return "unknown" if value is None else words.rate(value)


@register.filter
def size(value: float | None) -> str:
    return "unknown" if value is None else words.size(value)


@register.filter
def span(seconds: float | None) -> str:
    return "unknown" if seconds is None else plain_words.duration(seconds)


@register.filter
def counted(number: float, noun: str) -> str:
    """`{{ 2|counted:"group" }}` or `{{ 2|counted:"entry,entries" }}`."""
    one, _, many = noun.partition(",")
    return plain_words.counted(number, one, many or None)


@register.simple_tag
def moment(at: datetime | None, style: str = "time") -> SafeString:
    """A time of day in the viewer's zone, with the date when it is not today's; the whole moment in the title."""
    if at is None:
        return mark_safe('<span class="t3">never</span>')
    zone = timezone.get_current_timezone_name()
    full = f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S} {zone}"
    title = full if zone == "UTC" else f"{full}, {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    text = zones.when(at, now=timezone.now(), seconds=style == "time")
    return format_html(
        '<time datetime="{}" data-style="{}" title="{}">{}</time>', at.astimezone(UTC).isoformat(), style, title, text
    )


@register.simple_tag
def ago(at: datetime | float | None, field: str = "") -> SafeString:
    """How long ago, counted on by the page's own clock (`data-fmt="age"`)."""
    if at is None:
        return format_html('<span class="sg-na sg-hatch" title="{}">unknown</span>', "never stored")
    unix = at.timestamp() if isinstance(at, datetime) else at
    text = plain_words.duration(timezone.now().timestamp() - unix)
    return format_html(
        '<span data-fmt="age" data-at="{}"{}>{}</span>',
        f"{unix:.3f}", format_html(' data-f="{}"', field) if field else "", text,
    )  # fmt: skip


@register.simple_tag(takes_context=True)
def spark(
    context: dict[str, Any], points: Iterable[float | None] | None, label: str, extra: str = "", field: str = "spark"
) -> SafeString:
    """A sparkline drawn on canvas by the page; "-" is a gap and is drawn as a gap."""
    text = " ".join("-" if p is None else f"{p:.6g}" for p in points or ())
    return format_html(
        '<canvas class="sp {}" data-points="{}" data-span="{}" data-f-push="{}" role="img" aria-label="{}"></canvas>',
        extra, text, f"{context['shell'].spark_seconds:g}", field, label,
    )  # fmt: skip


@register.simple_tag
def meter(value: float | None, most: float | None, label: str = "") -> SafeString:
    """A bar of `value` out of `most`, as SVG since style attributes are forbidden; nothing when either is unknown."""
    is_known = value is not None and most is not None and most > 0
    width = max(0.0, min(100.0, 100.0 * (value or 0) / most)) if is_known and most else 0.0
    return format_html(
        '<svg class="sg-meter" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect width="{}" height="8"/></svg>',
        label or f"{width:.0f} %", f"{width:.2f}",
    )  # fmt: skip


@register.simple_tag
def sub(kind: str, slug: str, name: str | int = "") -> str:
    """The subject id that an element subscribes to."""
    return wire.subject_id(kind, slug, name)


@register.simple_tag
def list_sub(kind: str, slug: str) -> str:
    """The id of a list: no row, only the hint that rows came, went or changed places."""
    return f"{kind}/{slug}"


@register.simple_tag
def chart_path(slug: str, subject: str, name: str, what: str, time_range: Any) -> str:
    """Where the page's script gets a chart from."""
    query = urlencode({"subject": subject, "name": name, "what": what})
    return f"{names.cluster_path(slug)}series/?{query}&{time_range.query}"


@register.simple_tag
def cluster_path(slug: str) -> str:
    return names.cluster_path(slug)


@register.simple_tag
def group_path(slug: str, name: str) -> str:
    return names.group_path(slug, name)


@register.simple_tag
def how_path(slug: str, group: str, topic: str = "", partition: int | None = None, of: str = "") -> str:
    """The page that says how a number is known, of a group, of what it reads of a topic, or of one partition."""
    return names.how_path(slug, group, topic, partition, of)


@register.simple_tag
def alert_said(alert: Alert) -> SafeString:
    """What is wrong, with its numbers as links to how they are known."""
    return alertnumbers.said(alert, alert.sentence, alert.memory.get("began"), now=timezone.now())


@register.simple_tag
def step_said(alert: Alert, step: Transition) -> SafeString:
    """Why an alert changed its state, likewise."""
    return alertnumbers.said(alert, step.reason, step.numbers, now=timezone.now())


@register.simple_tag
def worst_how_path(slug: str, topic: str, of: str = "") -> str:
    """The same of the group that is furthest behind on a topic."""
    return names.worst_how_path(slug, topic, of)


@register.simple_tag
def topic_path(slug: str, name: str) -> str:
    return names.topic_path(slug, name)


@register.simple_tag
def subject_path(slug: str, kind: str, name: str) -> str:
    """The page of an event's or an alert's subject."""
    return names.subject_path(slug, kind, name)


@register.simple_tag
def broker_path(slug: str, node_id: int) -> str:
    return names.broker_path(slug, node_id)


@register.simple_tag
def subject_name(kind: str, name: str, cluster: str) -> str:
    if kind == "broker":
        return f"broker {name}"
    return name if kind in ("group", "topic") and name else cluster if kind == "cluster" or not kind else "(empty name)"


@register.filter
def at_dots(key: str) -> SafeString:
    """A dotted key that may be broken after its dots, and nowhere else."""
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in re.findall(r"[^.]*\.?", key) if part))


@register.filter
def shown(name: str) -> str:
    """A name as people see it: the empty one has a word."""
    return name or "(empty name)"


@register.simple_tag
def query(**parameters: Any) -> str:
    """A query from nothing: "?a=1&b=2"."""
    return "?" + urlencode(parameters, errors="surrogatepass")


@register.simple_tag(takes_context=True)
def with_query(context: dict[str, Any], **changes: Any) -> str:
    """This page's query with some parameters changed; None or "" drops one."""
    params = {k: v for k, v in context["request"].GET.items() if k != "fragment"}
    for key, value in changes.items():
        if value in (None, ""):
            params.pop(key.rstrip("_"), None)
        else:
            params[key.rstrip("_")] = str(value)
    return "?" + urlencode(params) if params else "?"
