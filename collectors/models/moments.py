"""Moments as rows keep them."""

from __future__ import annotations

from datetime import UTC, datetime


def aware(at: float) -> datetime:
    """Unix seconds as the moment that a column holds, in UTC."""
    return datetime.fromtimestamp(at, UTC)
