"""Share groups in a cycle: their lag is asked between two looks at the log ends, and becomes positions."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .domain.numbers import Column, Layout
from .domain.share_positions import SharePositions
from .domain.topology import Group, GroupType, Metadata
from .kafka.reasons import PartError
from .kafka.session import Session

LAG_SHARE = 1.3
"""Of a round's budget, both questions together. A coordinator asks other brokers before it answers: in 10 ms, but one
time in ten in about 2 s (Kafka 4.3.1, measured), and nothing else is held up at that broker meanwhile. Later than this,
the lag is not known in that cycle."""


class ShareGroups:
    """For the thread of one sampler: `ask` before the commits are asked, `add_to` when the log ends are there."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._positions = SharePositions()
        self.names: frozenset[str] = frozenset()
        """Of the last cycle."""
        self._lag = Column.empty()
        self._before = Column.empty()

    def ask(
        self, groups: Iterable[Group], ends: Layout, metadata: Metadata, *, budget_seconds: float
    ) -> tuple[PartError, ...]:
        """Ask the lag of those that are share groups; nothing is asked where there is none. Why parts are missing."""
        coordinators = {group.name: group.coordinator for group in groups if group.type is GroupType.SHARE}
        self.names = frozenset(coordinators)
        self._lag = self._before = Column.empty()
        if not coordinators:
            return ()
        began = time.monotonic()
        read = self._positions.topics(ends)
        if len(read):
            # its errors are those of the ends that are asked after, and told there
            self._before = self._session.ask_share_ends(read, metadata, budget_seconds=budget_seconds / 2).column
        left = LAG_SHARE * budget_seconds - (time.monotonic() - began)
        answer = self._session.ask_share_lag(coordinators, budget_seconds=left)
        self._lag = answer.column
        return answer.errors

    def add_to(self, committed: Column, ends: Column) -> Column:
        """The commits, and beside them where share groups stand by these log ends."""
        return self._positions.add_to(committed, self._lag, self._before, ends)
