"""Open transactions: which topics have one, as last stable offsets that lie below the log end tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .lag import gather, positions_in
from .numbers import Column, Layout, Numbers


class HeldTopics:
    """Topics where an open transaction holds records back, asked for again in each cycle until it has ended.

    The survey's look at all partitions names them: a last stable offset below a log end that was read before it is no
    race. Transactions that end within moments come and go between two looks, and hold nobody up.
    """

    def __init__(self) -> None:
        self._topics: frozenset[str] = frozenset()
        self._looked: object = None
        self._of: object = None
        self.layout = Layout.build({})  # of the partitions of these topics; the same object while they stay

    def look(self, stable: Column, end_before: Column) -> None:
        """A look of the survey, and log ends that were read before it."""
        if stable is self._looked:
            return
        self._looked = stable
        self._topics |= below_end(stable, end_before)

    def partitions(self, every: Layout) -> Layout:
        """Those of all partitions that are to be asked for; an empty layout when there are none."""
        if self._of is not every or self._topics != frozenset(self.layout.owners):
            there = [topic for topic in self._topics if every.owner_index(topic) is not None]
            self._of, self._topics = every, frozenset(there)
            made = Layout.of_topics({topic: every.partitions[every.slice_of(topic)].tolist() for topic in there})
            self.layout = self.layout if made.digest == self.layout.digest else made
        return self.layout

    def settle(self, stable: Column, end_before: Column, end: Column) -> Column:
        """What one cycle found, with the log ends of the cycle before and of this one: the last stable offsets, and the
        log end where no transaction has been open since the cycle before.

        Topics that nothing holds back any more are let go of; not known keeps them.
        """
        unknown = {stable.layout.owners[i] for i in stable.layout.owner_of_position[~stable.numbers.known].tolist()}
        self._topics = self._topics & (below_end(stable, end_before) | unknown)
        is_held, ends = _is_below(stable, end_before), _ends_of(stable, end)
        known = stable.numbers.known & (is_held | ends.known)
        return Column(stable.layout, Numbers(np.where(is_held, stable.numbers.values, ends.values), known))


def below_end(stable: Column, end: Column) -> frozenset[str]:
    """Topics with a partition whose last stable offset lies below its log end."""
    held = _is_below(stable, end)
    return frozenset(stable.layout.owners[i] for i in np.unique(stable.layout.owner_of_position[held]).tolist())


def _is_below(stable: Column, end: Column) -> NDArray[np.bool_]:
    ends = _ends_of(stable, end)
    held: NDArray[np.bool_] = stable.numbers.known & ends.known & (stable.numbers.values < ends.values)
    return held


def _ends_of(stable: Column, end: Column) -> Numbers:
    if stable.layout is end.layout:
        return end.numbers
    return gather(end.numbers, positions_in(stable.layout, end.layout))
