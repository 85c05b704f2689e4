"""Words, colours and icons for states: one table, used by the templates and handed to the page's scripts."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from collectors.domain import words
from collectors.domain.words import THIN
from collectors.domain.words import size as size


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is shown: never by colour alone."""

    word: str
    tone: str  # class: is-ok, is-warn, is-bad, is-info, is-unknown, is-quiet
    icon: str
    cell: str = ""  # class of a cell of the health wall
    glyph: str = ""  # in the cell


UNKNOWN = Look("unknown", "is-unknown", "i-unknown", "u", "?")

VERDICTS: dict[str, Look] = {
    # collectors.domain.verdicts.Verdict
    "ok": Look("ok", "is-ok", "i-ok"),
    "unknown": UNKNOWN,
    "not_committing": Look("not committing", "is-warn", "i-warn", "w", "!"),
    "no_members": Look("no members", "is-quiet", "i-empty", "e"),
    "falling_behind": Look("falling behind", "is-bad", "i-behind", "b", "↑"),
    "no_progress": Look("no progress", "is-bad", "i-stalled", "b", "!"),
    "catching_up": Look("catching up", "is-warn", "i-catching", "w", "↓"),
    "rewound": Look("rewound", "is-warn", "i-back", "w", "!"),
    "rebalancing": Look("rebalancing too often", "is-warn", "i-warn", "w", "!"),
    "losing_data": Look("losing data", "is-bad", "i-bad", "b", "!"),
    "unowned": Look("unowned partitions", "is-bad", "i-stalled", "b", "!"),
    # clusters
    "warn": Look("needs a look", "is-warn", "i-warn", "w", "!"),
    "bad": Look("critical", "is-bad", "i-bad", "b", "!"),
    # brokers
    "up": Look("up", "is-ok", "i-ok"),
    "suspect": Look("suspect", "is-warn", "i-warn"),
    "down": Look("down", "is-bad", "i-bad"),
    # alerts
    "pending": Look("pending", "is-warn", "i-clock"),
    "firing": Look("firing", "is-bad", "i-bad"),
    "recovering": Look("recovering", "is-warn", "i-catching"),
    "resolved": Look("resolved", "is-ok", "i-ok"),
    "taken_back": Look("taken back", "is-quiet", "i-back"),
    "no_data": Look("no data", "is-unknown", "i-unknown"),
    "silenced": Look("silenced", "is-quiet", "i-mute"),
    "unsilenced": Look("told now", "is-bad", "i-bell"),
    # partitions
    "no_commit": Look("no commit yet", "is-quiet", "i-empty"),
    "offline": Look("no leader", "is-bad", "i-bad"),
    "under_replicated": Look("under-replicated", "is-warn", "i-warn"),
    "in_sync": Look("in sync", "is-ok", "i-ok"),
    # deliveries
    "waiting": Look("waiting", "is-quiet", "i-clock"),
    "claimed": Look("sending", "is-quiet", "i-send"),
    "delivered": Look("delivered", "is-ok", "i-ok"),
    "dead": Look("given up", "is-bad", "i-bad"),
    "skipped": Look("not needed", "is-quiet", "i-mute"),
}

SEVERITIES: dict[str, Look] = {
    "critical": Look("critical", "is-bad", "i-bad"),
    "warning": Look("warning", "is-warn", "i-warn"),
    "info": Look("info", "is-info", "i-info"),
}

EVENTS: dict[str, tuple[str, str]] = {
    # kind -> (icon, tone)
    "broker_suspect": ("i-server", "is-warn"),
    "broker_down": ("i-server", "is-bad"),
    "broker_up": ("i-server", "is-ok"),
    "controller_moved": ("i-swap", ""),
    "leaders_moved": ("i-swap", ""),
    "topic_created": ("i-topics", ""),
    "topic_deleted": ("i-topics", ""),
    "topic_recreated": ("i-topics", "is-warn"),
    "topic_grown": ("i-topics", ""),
    "config_changed": ("i-sliders", ""),
    "rights_changed": ("i-unknown", "is-warn"),
    "group_new": ("i-groups", ""),
    "group_gone": ("i-groups", ""),
    "members_changed": ("i-rebal", ""),
    "records_lost": ("i-warn", "is-bad"),
    "verdict_changed": ("i-mark", ""),
    "cycles_skipped": ("i-clock", "is-warn"),
    "clock_stepped": ("i-clock", "is-warn"),
    "collector_took_over": ("i-play", ""),
    "act": ("i-flag", "is-info"),
}


def look(state: str | None) -> Look:
    """The look of a state; a state that has none is shown by its own word."""
    if state is None:
        return UNKNOWN
    return VERDICTS.get(state) or Look(state.replace("_", " "), "is-quiet", "i-info")


def for_scripts() -> dict[str, dict[str, str]]:
    """The table as plain JSON, so that what scripts draw agrees with the first paint."""
    return {state: {k: v for k, v in asdict(one).items() if v} for state, one in VERDICTS.items()}


def number(value: float) -> str:
    return words.count(value)


def rate(value: float) -> str:
    """Records per second without the unit, which stands in the column's head: "0", "0.4", "1 240"."""
    if 0 < value < 0.05:
        return "< 0.1"
    return f"{value:.1f}" if value < 9.95 and value != round(value) else words.count(value)


def percent(share: float) -> str:
    """A share of 1 as per cent, small ones not rounded away: "12 %", "0.4 %", "under 0.01 %"."""
    value = share * 100
    if 0 < value < 0.01:
        return f"under 0.01{THIN}%"
    text = number(value) if value >= 9.95 else f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{text}{THIN}%"


def short(value: float) -> str:
    """A number for narrow places: "842", "12.4 k", "1.85 M"."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= factor:
            scaled = value / (1e3 if unit == "k" else factor)
            return f"{scaled:.3g}{THIN}{unit}"
    return words.count(value)
