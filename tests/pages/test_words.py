"""Words of Kafka's protocol as they are read."""

from __future__ import annotations

import pytest

from dashboard.templatetags.sg import spelt


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("Stable", "stable"),
        ("CompletingRebalance", "completing rebalance"),
        ("PreparingRebalance", "preparing rebalance"),
        ("NotReady", "not ready"),
        ("", ""),
    ],
)
def test_a_state_of_the_protocol_is_spelt_in_words(state: str, expected: str) -> None:
    assert spelt(state) == expected
