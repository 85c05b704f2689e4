"""Share groups in a cycle: their lag is asked after a look at the log ends, and becomes positions.

A coordinator asks other brokers before it answers: in 10 ms, but one time in ten in about 2 s (Kafka 4.3.1, measured).
So they are looked at on a thread of their own: a cycle waits for a look that is quick, and else goes on with the one
before: lag is then overstated by what arrived since, or the broker's own of an interval ago (`share_positions`). Where
no look tells, the positions stay and are not known: without them what is known of their past would be lost.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from .domain.numbers import Column, Layout, Numbers
from .domain.share_positions import SharePositions
from .domain.topology import Group, GroupType, Metadata
from .kafka.answers import ShareLagAnswer
from .kafka.exchange import NO_ANSWER
from .kafka.reasons import PartError
from .kafka.session import Session
from .kafka.share_lag import PART

log = logging.getLogger(__name__)

PATIENCE_SHARE = 0.1
"""Of a round's budget, for a look that is under way, where there is one from before: no longer than a sample may come
late and still end a span that is due (`questions.EARLY_SHARE`)."""
FIRST_SHARE = 1.0
"""The same where there is none."""
OLDEST_INTERVALS = 2.0
"""A look that began longer ago says nothing of where a group stands now."""


@dataclass(frozen=True, slots=True)
class Look:
    before: Column  # log ends from before the lag was asked
    lag: ShareLagAnswer
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
        self._under_way: Future[Look] | None = None
        self._look: Look | None = None  # the newest that is over
        self._failures: Counter[str] = Counter()  # of looks, by kind
        self._layout = Layout.build({})  # what share groups read, as last told
        self._lag = self._before = Column.empty()

    def remember(self, layout: Layout) -> None:
        """What share groups read before this process: not known until the first look tells."""
        self._layout = layout

    def close(self) -> None:
        """After the session: a look under way then ends."""
        self._aside.shutdown(wait=False, cancel_futures=True)

    def ask(
        self, groups: Iterable[Group], ends: Layout, metadata: Metadata, *, budget_seconds: float
    ) -> tuple[PartError, ...]:
        """Ask the lag of those that are share groups; nothing is asked where there is none. Why parts are missing."""
        coordinators = {group.name: group.coordinator for group in groups if group.type is GroupType.SHARE}
        self.names = frozenset(coordinators)
        if not coordinators:
            self._look = None
            self._hold(Column.empty(), Column.empty())
            return ()
        has_failed = self._take()
        if self._under_way is None:
            read = self._positions.topics(ends)
            self._under_way = self._aside.submit(self._look_at, coordinators, read, metadata, budget_seconds / 2)
        wait([self._under_way], timeout=(FIRST_SHARE if self._look is None else PATIENCE_SHARE) * budget_seconds)
        has_failed |= self._take()
        told = self._use(self._look)
        if told is not None and not has_failed:
            return told
        return (*(told or ()), PartError(PART, "failed" if has_failed else NO_ANSWER, None, len(self.names)))

    def add_to(self, committed: Column, ends: Column) -> Column:
        """The commits, and beside them where share groups stand by these log ends."""
        return self._positions.add_to(committed, self._lag, self._before, ends)

    def _take(self) -> bool:
        """The look under way, if it is over; whether it failed: the one before is then still the newest."""
        if (under_way := self._under_way) is None or not under_way.done():
            return False
        self._under_way = None
        try:
            self._look = under_way.result()
        except Exception as error:
            # a mistake in reading one answer must not end the sampling of all groups: the cycle tells it
            kind = f"{type(error).__name__}: {str(error)[:80]}"
            self._failures[kind] += 1
            count = self._failures[kind]
            if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th … of its kind
                log.exception("look at share groups failed kind=%r count=%s", kind, count)
            return True
        return False

    def _use(self, look: Look | None) -> tuple[PartError, ...] | None:
        """Go by a look: why parts of it are missing, or None where it tells nothing of now and all is unknown."""
        if look is None or self._monotonic() - look.began > OLDEST_INTERVALS * self._interval:
            self._hold(Column(self._layout, Numbers.unknown(len(self._layout))), Column.empty())
            return None
        self._hold(look.lag.column, look.before)
        return look.lag.errors

    def _hold(self, lag: Column, before: Column) -> None:
        """For this cycle. A group that is gone has no part in it: its name may be that of another kind by now."""
        if not self.names.issuperset(lag.layout.owners):
            layout, at = lag.layout.of_owners(self.names)
            lag = Column(layout, lag.numbers.take(at))
        self._lag, self._before, self._layout = lag, before, lag.layout

    def _look_at(
        self, coordinators: Mapping[str, int | None], read: Layout, metadata: Metadata, seconds: float
    ) -> Look:
        """On the thread aside. `read`: the log ends of what share groups read, as far as that is known."""
        began = self._monotonic()
        before = Column.empty()
        if len(read):
            # its errors are those of the ends that each cycle asks, and told there
            before = self._session.ask_share_ends(read, metadata, budget_seconds=seconds).column
        return Look(before, self._session.ask_share_lag(coordinators, budget_seconds=self._interval), began)
