"""Points of sparklines that belong to a whole cluster."""

from __future__ import annotations

from collectors.history import queries

from .summaries import Summary
from .times import spark_range

TOPICS_SUMMED = 400
"""More topics than this are not summed: reading them all for a picture of 64 pixels is not worth a slow page."""


def cluster_rate(one: Summary) -> list[float | None]:
    """Messages/s over the last while, summed over the topics; a moment with an unknown topic is a gap."""
    if one.now is None or not one.now.topics.names or len(one.now.topics.names) > TOPICS_SUMMED:
        return []
    since, until = spark_range(one.now.taken_at)
    lines = queries.sparklines(one.cluster.pk, "topic_rate", list(one.now.topics.names), since, until)
    out: list[float | None] = []
    for moment in zip(*lines.values(), strict=True):
        known = [value for value in moment if value is not None]
        out.append(sum(known) if known else None)
    return out
