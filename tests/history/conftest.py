"""Fixtures of the history room."""

from __future__ import annotations

import pytest

from .recording import Recorder


@pytest.fixture
def recorder(db: None) -> Recorder:
    return Recorder()
