"""Fixtures of the history room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from collectors.history.cache import clear_caches

from .recording import Recorder


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    """Tests of this room damage stored frames; a body that was read before would hide it."""
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def recorder(db: None) -> Recorder:
    return Recorder()
