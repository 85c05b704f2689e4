"""How many notifications went out, counted from the outbox."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Case, Count, F, Sum, When
from django.db.models.functions import Greatest

from dashboard.models import Channel, Delivery

from .text import clean_labels

OUTCOMES = ("delivered", "dead", "failed_attempt")


def notification_counts() -> Iterable[tuple[tuple[str, str], int]]:
    """((channel, outcome), count) for each channel and outcome, 0 included; two queries.

    A try that failed is each attempt but the one that delivered. Deleting old deliveries would let a counter
    fall, which Prometheus reads as a restart.
    """
    counts = {
        (channel_id, state): (number, attempts or 0)
        for channel_id, state, number, attempts in Delivery.objects.order_by()
        .values_list("channel_id", "state")
        .annotate(number=Count("id"))
        .annotate(
            attempts=Sum(
                Case(
                    When(state=Delivery.State.DELIVERED, then=Greatest(F("attempts") - 1, 0)),
                    # an attempt that is under way has not failed
                    When(state=Delivery.State.CLAIMED, then=Greatest(F("attempts") - 1, 0)),
                    default=F("attempts"),
                )
            )
        )
    }
    channels = list(Channel.objects.order_by("name").values_list("id", "name"))
    for (channel_id, _), text in zip(channels, clean_labels([name for _, name in channels]), strict=True):
        of_channel = {state: counts.get((channel_id, state), (0, 0)) for state in Delivery.State.values}
        yield (text, "delivered"), of_channel[Delivery.State.DELIVERED][0]
        yield (text, "dead"), of_channel[Delivery.State.DEAD][0]
        yield (text, "failed_attempt"), sum(attempts for _, attempts in of_channel.values())
