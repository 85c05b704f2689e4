"""Hours before the first sample, as the log offsets of that time tell them: stored as hours, told apart by a date."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collectors.models import RollupState

from .families import MILLI, TOTAL, Family, Rolled
from .folding import bucket_count, put_rows, stretch
from .slices import GoOn, always

HOUR = 3600


def wanted_before(cluster_id: int, first_sample: float) -> int | None:
    """The hour (unix seconds) before which hours can be reconstructed; None when that was done, or cannot be."""
    state, _ = RollupState.objects.get_or_create(cluster_id=cluster_id)
    if state.past_done:
        return None
    return int(state.measured_since or first_sample - first_sample % HOUR)


def finish(cluster_id: int) -> None:
    RollupState.objects.filter(cluster_id=cluster_id).update(past_done=True)


def reconstructed_before(cluster_id: int) -> int | None:
    """Hours before this moment (unix seconds) were reconstructed; None when none were."""
    found = RollupState.objects.filter(cluster_id=cluster_id).values_list("measured_since", flat=True).first()
    return found or None


def store(
    cluster_id: int, hours: Mapping[int, Mapping[str, float]], *, measured_since: int, go_on: GoOn = always
) -> None:
    """Store messages per second by hour (unix seconds) and topic; of topics that are left out nothing is known."""
    rolled: dict[tuple[str, int], tuple[Rolled, np.ndarray]] = {}
    for hour, rates in hours.items():
        whole = {**rates, TOTAL: sum(rates.values())} if rates else {}
        start, _ = stretch(HOUR, hour)
        for topic, rate in whole.items():
            if (topic, start) not in rolled:
                count = bucket_count(HOUR, start)
                rolled[topic, start] = Rolled.empty(Family.TOPIC, (count,)), np.zeros(count, dtype=np.bool_)
            filled, there = rolled[topic, start]
            at, value = (hour - start) // HOUR, round(rate * MILLI)
            for part, number in zip(filled.fives["rate"].parts, (value, value, value, value, 1), strict=True):
                part[at] = number
            there[at] = True
    put_rows(cluster_id, Family.TOPIC, HOUR, rolled, go_on)
    RollupState.objects.filter(cluster_id=cluster_id).update(measured_since=measured_since)
