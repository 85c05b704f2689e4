"""What a message adds to its sentence: how bad it is, which way it goes, what to do next. Pure, from its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.domain import words

_NEXT: dict[str, str] = {
    # by the key of the rule, then by its quantity
    "broker_down": "Look at the broker's machine and its process; if it runs, at the network to the others.",
    "group_no_progress": "Look at the members named: a restart of one that hangs hands its partitions to others.",
    "group_falls_behind": "Look at the group's page: a rush passes, a group that is too slow needs more members.",
    "group_no_members": "Start the group's members; its page says when the last ones left.",
    "records_lost": "Start the reader, or give the topic more retention: what is deleted does not come back.",
    "retention_soon": "Start or speed up its readers, or give the topic more retention before the time is over.",
    "group_far_behind": "Look at the group's page: its verdict says whether it reads, and whether fast enough.",
    "group_head_old": "Look at the group's page: who holds that partition, and whether its commit moves.",
    "group_head_age": "Look at the group's page: who holds that partition, and whether its commit moves.",
    "group_lag_high": "Look at the group's page: its verdict and drain estimate say whether the records get fewer.",
    "group_lag": "Look at the group's page: its verdict and drain estimate say whether the records get fewer.",
    "group_drain_long": "Add members while there are partitions for them; the group's page says how many would do.",
    "group_drain": "Add members while there are partitions for them; the group's page says how many would do.",
    "group_countdown": "Start or speed up its readers, or give the topic more retention before the time is over.",
    "group_log_end_age": "Look at the group's page: its verdict says whether it reads, and whether fast enough.",
    "partition_skew": "Look at the keys of that topic's producers: one key, or none, gets most of the records.",
    "dead_letters_arriving": "Open the newest dead letters: their headers say which service gave up, and why.",
    "collector_blind": "Test the connection on the cluster's page; it says at which step it ends.",
    "under_replicated": "Look at the broker that lags behind: is it up, is its disk full or slow, is the network?",
    "group_verdict": "Look at the group's page: which partitions wait, and which member has them.",
    "broker_reach": "Look at the broker's machine, its process and the network to it.",
}
_OTHERWISE = "Open the page that the link leads to: it shows what was measured around that moment."


def next_step(rule_key: str, quantity: str) -> str:
    return _NEXT.get(rule_key) or _NEXT.get(quantity) or _OTHERWISE


def how_bad(numbers: Mapping[str, Any]) -> str:
    """The size of it in a few words; "" where the numbers say none."""
    if (share := _number(numbers, "share")) is not None:
        return f"{100 * share:.0f}{words.THIN}% in one partition"
    lag, up, brokers = (_number(numbers, name) for name in ("lag", "brokers_up", "brokers"))
    if (lost := _number(numbers, "lost")) is not None:
        return f"{words.counted(lost, 'record')} lost"
    if lag is not None:
        return f"{words.counted(lag, 'record')} behind"
    if up is not None and brokers is not None:
        return f"{words.count(up)} of {words.counted(brokers, 'broker')} up"
    if (behind := _number(numbers, "partitions_behind")) is not None:
        return f"{words.counted(behind, 'partition')} with a copy too few"
    if (share := _number(numbers, "share")) is not None:
        return f"one partition gets {share:.0%} of all"
    if (arrived := _number(numbers, "arrived")) is not None:
        held = _number(numbers, "held")
        return f"{words.counted(arrived, 'record')} came" + (f", {words.count(held)} held" if held is not None else "")
    if (age := _number(numbers, "age_seconds")) is not None:
        return f"nothing measured for {words.duration(age)}"
    return ""


def trend(numbers: Mapping[str, Any]) -> str:
    """Which way it goes; "" where the numbers do not say (unknown is not standing still)."""
    arriving, consumed = _number(numbers, "arriving_per_second"), _number(numbers, "consumed_per_second")
    if arriving is None or consumed is None:
        return ""
    rates = f"{words.rate(arriving)} arrive, {words.rate(consumed)} are read"
    step = arriving - consumed
    if abs(step) < max(0.05, 0.02 * arriving):
        return f"the lag stays as it is: {rates}"
    if step > 0:
        return f"the lag grows by {words.count(round(step * 60))} a minute: {rates}"
    return f"the lag shrinks by {words.count(round(-step * 60))} a minute: {rates}"


def _number(numbers: Mapping[str, Any], name: str) -> float | None:
    value = numbers.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
