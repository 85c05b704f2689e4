"""Fixtures of the alert tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .receiver import Receiver, listening


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as found:
        yield found
