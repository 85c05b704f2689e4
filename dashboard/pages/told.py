"""One quantity as *How we know* tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """One quantity: what it is, its value with confidence, and each step with its inputs."""

    name: str
    meaning: str
    value: str
    confidence: str
    steps: tuple[str, ...]
