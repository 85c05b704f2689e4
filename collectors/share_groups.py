"""Share groups in a cycle: their lag is asked between two looks at the log ends, and becomes positions.

A coordinator asks other brokers before it answers: in 10 ms, but one time in ten in about 2 s (Kafka 4.3.1, measured).
So they are looked at on a thread of their own. A cycle waits for a look that is quick, and else goes on with the one
before, which then has log ends of its own: lag can only be overstated, by what arrived since.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from .domain.numbers import Column, Layout, Numbers
from .domain.share_positions import SharePositions, read_by
from .domain.topology import Group, GroupType, Metadata
from .kafka.answers import ShareLagAnswer
from .kafka.exchange import NO_ANSWER
from .kafka.reasons import PartError
from .kafka.session import Session
from .kafka.share_lag import PART

PATIENCE_SHARE = 0.2
"""Of a round's budget, for a look that is under way, where there is one from before."""
FIRST_SHARE = 1.0
"""The same where there is none yet."""
OLDEST_INTERVALS = 2.0
"""A look that began longer ago says nothing of where a group stands now."""


@dataclass(frozen=True, slots=True)
class Look:
    """`before` and `after` are log ends from before and after the lag was asked; without `after` those of the cycle
    that waited for it are meant."""

    before: Column
    lag: ShareLagAnswer
    after: Column | None
    began: float


class ShareGroups:
    """For the thread of one sampler: `ask` before the commits are asked, `add_to` when the log ends are there."""

    def __init__(self, session: Session, *, interval: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._interval = interval
        self._monotonic = monotonic
        self._positions = SharePositions()
        self.names: frozenset[str] = frozenset()
        """Of the last cycle."""
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="share groups")
        self._under_way: tuple[Future[Look], threading.Event] | None = None  # the event: no cycle waits for it any more
        self._look: Look | None = None  # the newest that is over
        self._lag = self._before = Column.empty()
        self._after: Column | None = None

    def close(self) -> None:
        """After the session: a look under way then ends."""
        self._aside.shutdown(wait=False, cancel_futures=True)

    def ask(
        self, groups: Iterable[Group], ends: Layout, metadata: Metadata, *, budget_seconds: float
    ) -> tuple[PartError, ...]:
        """Ask the lag of those that are share groups; nothing is asked where there is none. Why parts are missing."""
        coordinators = {group.name: group.coordinator for group in groups if group.type is GroupType.SHARE}
        self.names = frozenset(coordinators)
        self._lag, self._before, self._after = Column.empty(), Column.empty(), None
        if not coordinators:
            self._look = None
            return ()
        self._take()
        if self._under_way is None:
            was_late = threading.Event()
            read = self._positions.topics(ends)
            look = self._aside.submit(self._look_at, coordinators, read, ends, metadata, budget_seconds / 2, was_late)
            self._under_way = look, was_late
        share = FIRST_SHARE if self._look is None else PATIENCE_SHARE
        self._wait(share * budget_seconds)
        return self._use()

    def add_to(self, committed: Column, ends: Column) -> Column:
        """The commits, and beside them where share groups stand by these log ends."""
        return self._positions.add_to(committed, self._lag, self._before, self._after or ends)

    def _wait(self, seconds: float) -> None:
        if self._under_way is None:
            return
        look, was_late = self._under_way
        wait([look], timeout=seconds)
        if look.done():
            self._take()
        else:
            was_late.set()

    def _take(self) -> None:
        """The look under way, if it is over; one that ended while its cycle gave up on it has no log ends of after."""
        if self._under_way is None or not self._under_way[0].done():
            return
        look, was_late = self._under_way
        self._under_way = None
        found = look.result()
        if found.after is not None or not was_late.is_set():
            self._look = found

    def _use(self) -> tuple[PartError, ...]:
        look = self._look
        # of a group that is gone, or is another's by now, nothing may be told
        if look is None or not self.names.issuperset(look.lag.column.layout.owners):
            return (PartError(PART, NO_ANSWER, None, len(self.names)),)
        self._lag, self._before, self._after = look.lag.column, look.before, look.after
        if self._monotonic() - look.began > OLDEST_INTERVALS * self._interval:
            self._lag = Column(self._lag.layout, Numbers.unknown(len(self._lag.layout)))
            return (PartError(PART, NO_ANSWER, None, len(self.names)),)
        return look.lag.errors

    def _look_at(
        self,
        coordinators: Mapping[str, int | None],
        read: Layout,
        ends: Layout,
        metadata: Metadata,
        seconds: float,
        was_late: threading.Event,
    ) -> Look:
        """On the thread aside. `read` is the part of `ends` that share groups read, as far as it is known."""
        began = self._monotonic()
        before = Column.empty()
        if len(read):
            # its errors are those of the ends that each cycle asks, and told there
            before = self._session.ask_share_ends(read, metadata, budget_seconds=seconds).column
        lag = self._session.ask_share_lag(coordinators, budget_seconds=self._interval)
        after = None
        if was_late.is_set():
            read = read_by(ends, lag.column.layout)
            after = self._session.ask_share_ends(read, metadata, budget_seconds=seconds).column
        return Look(before, lag, after, began)
