"""Dead-letter topics are known by the frameworks' conventions."""

from __future__ import annotations

import pytest

from collectors.domain.deadletters import dead_letters_of

EXISTING = {"orders", "payments.settled", "sensors", "error.orders.billing", "retry-orders"}


@pytest.mark.parametrize(
    ("topic", "source"),
    [
        ("orders-dlt", "orders"),
        ("orders.DLT", "orders"),
        ("orders-dlq", "orders"),
        ("orders_dead_letter", "orders"),
        ("orders.dead-letter-queue", "orders"),
        ("payments.settled-dlt", "payments.settled"),
        ("orders__billing__dlq", "orders"),
        ("error.orders.billing", "orders"),
        ("gone-dlt", "?"),
        ("dlq-lcc-7x", "?"),
        ("dead-letter-topic-prices", "?"),
        ("orders", None),
        ("orders-retry-0", None),
        ("deadline-events", None),
        ("middleton", None),
        ("adlter", None),
    ],
)
def test_source_of_a_dead_letter_topic(topic: str, source: str | None) -> None:
    assert dead_letters_of(topic, EXISTING) == source
