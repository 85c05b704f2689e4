"""What rollups hold: quantities by family, five numbers of each for a stretch of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from collectors.domain.verdicts import Verdict

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

MILLI = 1000
"""Rates are kept in thousandths of a record per second: what charts round to."""
TOTAL = ""
"""The owner whose numbers are those of the whole cluster; no topic, group or broker is called so."""


class Family(StrEnum):
    """The words are stored in the rollup tables: never rename."""

    TOPIC = "topic"
    GROUP = "group"
    BROKER = "broker"


QUANTITIES: Mapping[Family, tuple[str, ...]] = {
    Family.TOPIC: ("rate", "size"),
    Family.GROUP: ("lag", "arriving", "consumed", "verdict", "age"),
    Family.BROKER: ("disk", "leaders", "reach"),
}
"""In stored order: new ones are put at the end. `age` is the log-end age of a group's oldest position at the end of
each minute, in milliseconds."""
BEHIND = frozenset({"age"})
"""Came after the verdicts' shares, and is stored behind them."""
RATES = frozenset({"rate", "arriving", "consumed"})
IN_THOUSANDTHS = RATES | {"age"}
FIELDS = ("low", "high", "last", "sum", "count")
VERDICTS = len(Verdict)


FIRST_VERDICTS = 6
"""How many there were at first: rollups of that time have as many rows, and those of the others are zero."""
SHARES = 11
"""Rows of verdicts before what is stored behind them; those of a twelfth verdict would come last of all."""


def _front_rows(family: Family) -> int:
    """Rows of the quantities that came first; the shares of groups follow."""
    return len(FIELDS) * sum(name not in BEHIND for name in QUANTITIES[family])


def row_count(family: Family) -> int:
    """Rows of a stored rollup at least: five a quantity, and of groups one for each verdict that there was then."""
    return _front_rows(family) + (FIRST_VERDICTS if family is Family.GROUP else 0)


def first_row(family: Family, quantity: str) -> int:
    """Where the five rows of a quantity begin."""
    names = QUANTITIES[family]
    behind = SHARES if quantity in BEHIND else 0
    return len(FIELDS) * names.index(quantity) + behind


@dataclass(frozen=True, slots=True, eq=False)
class Five:
    """One quantity over stretches of time, all of one shape; where `count` is 0 nothing was known."""

    low: Ints
    high: Ints
    last: Ints
    sum: Ints
    count: Ints

    @property
    def known(self) -> Bools:
        known: Bools = self.count > 0
        return known

    def take(self, where: int | slice | Ints | Bools | tuple[int, Ints]) -> Five:
        return Five(self.low[where], self.high[where], self.last[where], self.sum[where], self.count[where])

    @classmethod
    def where_known(cls, low: Ints, high: Ints, last: Ints, total: Ints, count: Ints) -> Five:
        """Zero where nothing was counted."""
        there = count > 0
        parts = [np.where(there, part, 0) for part in (low, high, last, total)]
        return cls(parts[0], parts[1], parts[2], parts[3], count)

    @property
    def parts(self) -> tuple[Ints, Ints, Ints, Ints, Ints]:
        return self.low, self.high, self.last, self.sum, self.count

    def rows(self) -> tuple[Ints, Bools]:
        """(5, n) as stored, see `Rolled.rows`."""
        relative = (self.low, self.high - self.low, self.last - self.low, self.sum - self.low * self.count, self.count)
        return np.stack(relative), np.stack([self.known] * 4 + [np.ones(self.count.shape, dtype=np.bool_)])

    def replaced(self, where: Bools, other: Five) -> Five:
        """The numbers of `other` at some places."""
        low, high, last, total, count = (np.where(where, b, a) for a, b in zip(self.parts, other.parts, strict=True))
        return Five(low, high, last, total, count)

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Five:
        return cls(*(np.zeros(shape, dtype=np.int64) for _ in FIELDS))


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """All quantities of a family over the same stretches. `shares` (verdicts, …): samples with each verdict."""

    family: Family
    fives: Mapping[str, Five]
    shares: Ints

    def take(self, where: int | slice | Ints | Bools) -> Rolled:
        return Rolled(self.family, {name: five.take(where) for name, five in self.fives.items()}, self.shares[:, where])

    @classmethod
    def empty(cls, family: Family, shape: tuple[int, ...]) -> Rolled:
        fives = {name: Five.empty(shape) for name in QUANTITIES[family]}
        count = VERDICTS if family is Family.GROUP else 0
        return cls(family, fives, np.zeros((count, *shape), dtype=np.int64))

    @classmethod
    def stacked(cls, family: Family, parts: Sequence[Rolled]) -> Rolled:
        """Single stretches made one after the other."""
        return cls._combined(family, parts, lambda arrays: np.stack(arrays, axis=-1))

    @classmethod
    def joined(cls, family: Family, parts: Sequence[Rolled]) -> Rolled:
        """Series of stretches made one."""
        return cls._combined(family, parts, lambda arrays: np.concatenate(arrays, axis=-1))

    @classmethod
    def _combined(cls, family: Family, parts: Sequence[Rolled], join: Callable[[list[Ints]], Ints]) -> Rolled:
        fives = {}
        for name in QUANTITIES[family]:
            low, high, last, total, count = (
                join(list(each)) for each in zip(*(part.fives[name].parts for part in parts), strict=True)
            )
            fives[name] = Five(low, high, last, total, count)
        return cls(family, fives, join([part.shares for part in parts]))

    def rows(self) -> tuple[Ints, Bools]:
        """(rows, n) as stored: the last, highest and summed numbers relative to the lowest, which keeps them small."""
        names = QUANTITIES[self.family]
        everywhere = np.ones(self.shares.shape, dtype=np.bool_)
        parts = [self.fives[name].rows() for name in names if name not in BEHIND]
        parts.append((self.shares[:SHARES], everywhere[:SHARES]))
        parts += [self.fives[name].rows() for name in names if name in BEHIND]
        parts.append((self.shares[SHARES:], everywhere[SHARES:]))
        return np.concatenate([values for values, _ in parts]), np.concatenate([known for _, known in parts])

    @classmethod
    def of_rows(cls, family: Family, values: Ints) -> Rolled:
        """The reverse. What an older program did not store is unknown, what a younger one added at the end left out."""
        fives = {}
        for name in QUANTITIES[family]:
            at = first_row(family, name)
            if at + len(FIELDS) > len(values):
                fives[name] = Five.empty(values.shape[1:])
                continue
            low, high, last, total, count = values[at : at + len(FIELDS)]
            fives[name] = Five.where_known(low, high + low, last + low, total + low * count, count)
        if family is not Family.GROUP:
            return cls(family, fives, values[:0])
        at = _front_rows(family)
        after = at + SHARES + len(FIELDS) * len(BEHIND)
        shares = np.concatenate((values[at : at + SHARES], values[after : after + VERDICTS - SHARES]))
        if len(shares) < VERDICTS:
            missing = np.zeros((VERDICTS - len(shares), *shares.shape[1:]), dtype=shares.dtype)
            shares = np.concatenate((shares, missing))
        return cls(family, fives, shares)


def merged(family: Family, parts: Rolled, starts: Ints) -> Rolled:
    """Neighbouring stretches (n, oldest first) joined: those from one of `starts` up to the next make one."""
    if not len(starts):
        return parts.take(slice(0, 0))
    fives = {}
    for name, five in parts.fives.items():
        known = five.known
        most, least = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        low = np.minimum.reduceat(np.where(known, five.low, most), starts)
        high = np.maximum.reduceat(np.where(known, five.high, least), starts)
        count = np.add.reduceat(five.count, starts)
        newest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
        ends = np.append(starts[1:], len(known)) - 1
        last = five.last[np.maximum(newest[ends], 0)]
        total = np.add.reduceat(np.where(known, five.sum, 0), starts)
        fives[name] = Five.where_known(low, high, last, total, count)
    shares = np.add.reduceat(parts.shares, starts, axis=1) if len(parts.shares) else parts.shares[:, : len(starts)]
    return Rolled(family, fives, shares)
