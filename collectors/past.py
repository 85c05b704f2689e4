"""The past of a new cluster: how many records came in each hour before the first sample, asked for by timestamp.

One request a cycle and broker at most, from the newest hour backwards, until retention has taken what came before.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collectors.domain.numbers import Layout, Numbers
from collectors.domain.topology import Metadata
from collectors.history import past
from collectors.history.past import HOUR
from collectors.kafka.session import Session

log = logging.getLogger(__name__)

MOST_HOURS = 7 * 24
MANY_POSITIONS = 10_000
MOST_HOURS_OF_MANY = 24
HOURS_AT_ONCE = 24
TRIES = 3


@dataclass(slots=True)
class Past:
    """Reconstructs one cluster's hours, a step a cycle; state is in memory and, for what is stored, in the database."""

    cluster_id: int
    is_done: bool = False
    _layout: Layout | None = None
    _starts: Numbers | None = None
    _upper: Numbers | None = None  # offsets at the later end of the next hour
    _before: int = 0  # unix seconds of that end
    _top: int = 0  # where it began
    _left: int = 0
    _failures: int = 0
    _hours: dict[int, dict[str, float]] = field(default_factory=dict)

    def step(
        self, session: Session, layout: Layout, metadata: Metadata, *, first_sample: float, budget_seconds: float
    ) -> None:
        """Ask one moment more, if anything is left to ask."""
        if self.is_done or not len(layout):
            return
        if self._layout is None:
            self._begin(session, layout, metadata, first_sample, budget_seconds)
            return
        layout = self._layout  # topics that came since then have no past
        assert self._upper is not None
        assert self._starts is not None
        lower = self._ask(session, self._before - HOUR, layout, metadata, budget_seconds)
        if lower is None:
            return
        hour = self._before - HOUR
        rates = rates_of(layout, lower, self._upper, self._starts)
        self._hours[hour] = rates
        self._before, self._upper, self._left = hour, lower, self._left - 1
        at_beginning = lower.known & self._starts.known & (lower.values <= self._starts.values)
        is_over = self._left <= 0 or not rates or bool(at_beginning.all())
        if is_over or len(self._hours) >= HOURS_AT_ONCE:
            self._flush()
        if is_over:
            past.finish(self.cluster_id)
            self.is_done = True

    def _begin(
        self, session: Session, layout: Layout, metadata: Metadata, first_sample: float, budget_seconds: float
    ) -> None:
        """Log starts, and the offsets at the hour of the first sample; after a restart all is asked anew."""
        before = past.wanted_before(self.cluster_id, first_sample)
        if before is None:
            self.is_done = True
            return
        starts = session.ask_start_offsets(layout, metadata, budget_seconds=budget_seconds)
        upper = self._ask(session, before, layout, metadata, budget_seconds)
        if upper is None:
            return
        self._layout, self._starts, self._upper, self._before = layout, starts.column.numbers, upper, before
        self._left = MOST_HOURS if len(layout) <= MANY_POSITIONS else MOST_HOURS_OF_MANY
        self._top = before

    def _ask(
        self, session: Session, moment: int, layout: Layout, metadata: Metadata, budget_seconds: float
    ) -> Numbers | None:
        """Offsets at a moment, log ends where no record is younger; None when brokers did not answer in time."""
        answer = session.ask_offsets_at(moment, layout, metadata, budget_seconds=budget_seconds)
        numbers = answer.column.numbers
        if answer.errors:
            self._failures += 1
            if self._failures >= TRIES:
                log.info("past not reconstructed further: cluster=%s reason=%s", self.cluster_id, answer.errors[0])
                self._flush()
                self.is_done = True  # a restart tries again
            return None
        self._failures = 0
        if numbers.known.all():
            return numbers
        ends = session.ask_end_offsets(layout, metadata, budget_seconds=budget_seconds).column.numbers
        return Numbers(np.where(numbers.known, numbers.values, ends.values), numbers.known | ends.known)

    def _flush(self) -> None:
        if self._hours:
            past.store(self.cluster_id, self._hours, measured_since=self._top)
            self._hours = {}


def rates_of(layout: Layout, lower: Numbers, upper: Numbers, starts: Numbers) -> dict[str, float]:
    """Messages per second of each topic in an hour: of those only whose every partition still had all of it.

    Where the offset at the hour's beginning is the log's start, retention may have taken records; at 0 it has not.
    """
    whole = lower.known & upper.known & starts.known & (upper.values >= lower.values)
    whole &= (lower.values > starts.values) | (starts.values == 0)
    owners, count = layout.owner_of_position, len(layout.owners)
    members = np.bincount(owners, minlength=count)
    good: NDArray[np.int64] = np.bincount(owners[whole], minlength=count)
    came = np.zeros(count, dtype=np.int64)
    np.add.at(came, owners[whole], (upper.values - lower.values)[whole])
    return {layout.owners[i]: came[i].item() / HOUR for i in np.flatnonzero((members > 0) & (good == members)).tolist()}
