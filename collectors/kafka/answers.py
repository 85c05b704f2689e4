"""What asking a cluster gives: always an answer, whole or in part, with the reasons for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ..domain.configuration import Config
from ..domain.numbers import Column, Numbers
from ..domain.topology import LogDir
from .reasons import PartError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OffsetsAnswer:
    """`column.layout` is the layout that was given; partitions without an answer are not known."""

    column: Column
    asked_at: float  # unix time
    requests: int
    errors: tuple[PartError, ...]
    has_moved: bool = False  # some leader is not where the metadata says

    def filled_by(self, later: OffsetsAnswer) -> OffsetsAnswer:
        """What is known here, and of the rest what a later answer for the same layout knows."""
        mine, its = self.column.numbers, later.column.numbers
        numbers = Numbers(np.where(mine.known, mine.values, its.values), mine.known | its.known)
        requests = self.requests + later.requests
        return OffsetsAnswer(
            Column(self.column.layout, numbers), self.asked_at, requests, later.errors, later.has_moved
        )

    def raised_by(self, other: OffsetsAnswer) -> OffsetsAnswer:
        """What is known here, or the higher of the two where the other answer, for some of the owners, knows one."""
        values = self.column.numbers.values.copy()
        for owner in other.column.layout.owners:
            mine, its = self.column.layout.slice_of(owner), other.column.of(owner)
            values[mine] = np.where(its.known, np.maximum(values[mine], its.values), values[mine])
        numbers = Numbers(values, self.column.numbers.known)
        errors = (*self.errors, *other.errors)
        return OffsetsAnswer(Column(self.column.layout, numbers), self.asked_at, self.requests + other.requests, errors)


@dataclass(frozen=True, slots=True)
class CommitsAnswer:
    """`column.layout` is {group: partitions it has committed}, the same object while that stays the same.

    A group that did not answer keeps the partitions of its last good answer, not known; it is missing from the
    layout if there never was one. A group in the layout without partitions has answered that it has no commits.
    `epochs` (n,) are the leader epochs of the records before the committed offsets, as the clients told them, and -1
    where they told none; known where the column is.
    """

    column: Column
    epochs: Numbers
    answered: frozenset[str]
    asked_at: float
    requests: int
    errors: tuple[PartError, ...]


@dataclass(frozen=True, slots=True)
class ShareLagAnswer:
    """`column` is the lag that the brokers count for share groups; its layout as that of commits. Not known where the
    broker does not know it: before the first record was acknowledged there."""

    column: Column
    answered: frozenset[str]
    asked_at: float
    requests: int
    errors: tuple[PartError, ...]


@dataclass(frozen=True, slots=True)
class LogDirsAnswer:
    """`sizes` are bytes of each partition's leader replica; a broker that did not answer has no directories here."""

    dirs: tuple[LogDir, ...]
    sizes: Column
    brokers: frozenset[int]  # who answered
    asked_at: float
    errors: tuple[PartError, ...]


@dataclass(frozen=True, slots=True)
class ConfigsAnswer:
    """Configurations by the name of the topic or the id of the broker; `refused`: why, by name, of those
    that were answered with an error."""

    found: dict[str, Config]
    refused: Mapping[str, str]
    errors: tuple[PartError, ...]


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """A slow fact, or None when nobody answered."""

    value: T | None
    asked_at: float
    errors: tuple[PartError, ...]
