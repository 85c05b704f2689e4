"""One group in its window, looked at closely: what its sentence, its evidence and its likely cause are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from . import words
from .causes import Hot, Situation, Stuck
from .commit_epochs import NO_EPOCH, said_other_log, why_past_end
from .commit_times import StandingCommits, newest, said, standing_commits
from .numbers import NO_COMMIT, Numbers
from .positions import Positions, positions
from .questions import UNOWNED_SECONDS
from .rates import rate_per_second
from .skew import times_even
from .topology import GroupType
from .trends import recent_rows
from .verdicts import GroupRow, Verdict, is_read_alone
from .window import GAP_STEPS, Window

Epochs = dict[tuple[str, int], tuple[int, int]]
"""(topic, partition) -> leader epoch of the commit, and of the partition; each NO_EPOCH where nobody told it."""
SHORTEST_STALE_SECONDS = 15.0
SELDOM_SHARE = 0.2
"""Of the samples: with commits in no more of them, the ends of the window decide what is read between these."""
PAST_END_SAMPLES = 2
"""A commit past the end in one sample alone may be a race."""


@dataclass(frozen=True)
class Look:
    """`owners` names the member of each (topic, partition), as far as it was asked for; `lost` are the records between
    commits and log starts that the group can no longer read (None: not known); `epochs` are of commits past the end,
    and of those that are not known since they are of another log."""

    row: GroupRow
    window: Window
    verdict: Verdict
    owners: Mapping[tuple[str, int], str]
    reason: str
    lost: int | None
    markers: int = 0  # of the lag, what transaction markers make
    epochs: Epochs = field(default_factory=dict)
    now: float = 0.0  # unix seconds at which it is told
    arriving_before: float | None = None  # records a second before the verdict, where more than the window tells that
    standing: frozenset[tuple[str, int]] = frozenset()  # partitions that were told to stand still
    is_old: bool = False  # the newest sample is too old to speak of now, whatever the window tells of its pace

    @cached_property
    def where(self) -> slice:
        return self.window.layout.slice_of(self.row.name)

    @cached_property
    def facts(self) -> Positions:
        return positions(self.window, self.where, only_forward=self.is_shared)

    @property
    def is_shared(self) -> bool:
        return self.row.type is GroupType.SHARE

    @cached_property
    def keys(self) -> list[tuple[str, int]]:
        return self.window.layout.keys_of(self.row.name)

    @cached_property
    def waiting(self) -> int:
        """Records that wait and can still be read."""
        return max(0, int(self.facts.lag[self.facts.known].sum()) - (self.lost or 0) - self.markers)

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Positions of which something is not known, so that more may wait than is counted."""
        return ~(self.facts.known | self.facts.uncommitted)

    @property
    def uncommitted_records(self) -> int:
        """Records in logs where no offset was ever committed, of those whose log start is known."""
        newest = self.window.samples[-1]
        if newest.start is None:
            return 0
        start, end = newest.start.take(self.where), newest.end.take(self.where)
        return int((end.values - start.values)[self.facts.uncommitted & start.known].sum())

    @cached_property
    def stale_since(self) -> float | None:
        """When the newest sample was taken, where that is longer ago than samples usually take; else None."""
        times = self.window.times
        newest = float(times[-1])
        if self.is_old:
            return newest
        if self.now - newest <= SHORTEST_STALE_SECONDS:
            return None  # nearly always, and asked of every group
        usual = float(np.median(np.diff(times))) if len(times) > 1 else SHORTEST_STALE_SECONDS
        return newest if self.now - newest > GAP_STEPS * usual else None

    def rates(self, rows: slice = slice(None)) -> tuple[float | None, float | None]:
        """(read, arriving) records per second over these samples; None where not known."""
        committed, committed_known, end, end_known = self.arrays
        times, has_commit = self.window.times[rows], committed_known & (committed != NO_COMMIT)
        read = _sum(rate_per_second(times, committed[rows], has_commit[rows]))
        return read, _sum(rate_per_second(times, end[rows], end_known[rows]))

    @cached_property
    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.bool_]]:
        return self.window.arrays(self.where)

    @cached_property
    def speeds(self) -> tuple[float | None, float | None]:
        """(read, arriving) over the whole window."""
        return self.rates()

    @property
    def recent(self) -> slice:
        return slice(recent_rows(self.window.times), None)

    @cached_property
    def beyond(self) -> NDArray[np.int64]:
        """By how much the commit lies past the log end; 0 where it does not, or one of them is not known."""
        committed, committed_known, end, end_known = (array[-1] for array in self.arrays)
        past: NDArray[np.int64] = np.maximum(committed - end, 0) * (committed_known & end_known)
        return past

    def past_end(self, at: int) -> str:
        """Why the commit of one position lies past the log end: a race of readings, a shorter log, a reset.

        Commits are read before log ends, so that it cannot be what was read meanwhile; a follower that became leader
        may know an older end for a moment.
        """
        committed, committed_known, end, end_known = (array[:, at] for array in self.arrays)
        rows = np.flatnonzero(committed_known & end_known)
        ends, commits = end[rows], committed[rows]
        is_seen_again = (commits > ends).sum() >= PAST_END_SAMPLES
        if is_seen_again and (said := why_past_end(*self.epochs.get(self.keys[at], (NO_EPOCH, NO_EPOCH)))):
            return said
        if (np.diff(ends) < 0).any():
            return "the log became shorter: truncated after a change of leaders, or the topic was made anew"
        if not is_seen_again:
            return "perhaps only a reading between two leaders"
        jumped = np.flatnonzero(commits[1:] > ends[1:])
        if len(jumped) and commits[jumped[0]] <= ends[jumped[0]]:
            return "the offset was set there, by a reset"
        return "since before what is looked back on: set there, or of another topic of that name"

    def astray(self, most: int) -> list[str]:
        """The first commits that are no places in the logs, in words: past the end, then those of another log."""
        said = [
            f"{name_of(*self.keys[i])}: committed {words.count(int(self.beyond[i]))} past the end: {self.past_end(i)}"
            for i in np.flatnonzero(self.beyond)[:most].tolist()
        ]
        others = (
            key
            for key, is_other in zip(self.keys, (self.missing & (self.beyond == 0)).tolist(), strict=True)
            if is_other and key in self.epochs
        )
        if self.epochs:
            said += [f"{name_of(*key)}: {said_other_log(*self.epochs[key])}" for key in islice(others, most)]
        return said[:most]

    def stable_at(self, at: int) -> int:
        """The last stable offset of a position where one is known."""
        stable = self.window.samples[-1].stable
        assert stable is not None
        return int(stable.take(self.where).values[at])

    @cached_property
    def still(self) -> NDArray[np.bool_]:
        """Where records wait and no commit moved since a sample or more, or since before the only one; of a group that
        was told to stand still, where that was told of."""
        facts = self.facts
        waits: NDArray[np.bool_] = facts.known & (facts.lag > 0)
        waits &= (facts.samples_since > 0) | ~facts.base_is_seen
        told = waits & np.array([key in self.standing for key in self.keys], np.bool_) if self.standing else waits
        return told if told.any() else waits

    @cached_property
    def commits_seldom(self) -> bool:
        """Whether the window shows too few commits of somebody who reads alone to tell how much it reads."""
        if not is_read_alone(self.row.members, self.verdict):
            return False
        committed, known = self.arrays[0], self.arrays[1]
        moved = (committed[1:] != committed[:-1]) & known[1:] & known[:-1]
        return int(moved.any(axis=1).sum()) <= SELDOM_SHARE * len(moved)

    @cached_property
    def moved_at(self) -> float | None:
        """When a commit last moved; None where the window does not show it."""
        seen = self.facts.base_is_seen & (self.facts.lag > 0)
        return float(self.window.times[self.facts.base[seen].max()]) if seen.any() else None

    @cached_property
    def commits(self) -> StandingCommits | None:
        """What was committed where the group stands; None where commits are not read, or it makes none."""
        return None if self.is_shared else standing_commits(self.window, self.where, self.facts.base)

    def commit_said(self, at: NDArray[np.int64]) -> str:
        """The newest of some positions' commits: "last commit 3 s ago"; "" where it is not known."""
        if self.commits is None or not len(at):
            return ""
        return said(newest(self.commits.times.take(at)), now=float(self.window.times[-1]))

    @cached_property
    def unowned(self) -> NDArray[np.bool_]:
        """Partitions that no member has, of topics of which members have others."""
        read = {topic for topic, _ in self.owners}
        told = self.facts.unowned_seconds >= UNOWNED_SECONDS
        if self.owners:
            told |= np.array([topic in read and (topic, p) not in self.owners for topic, p in self.keys], np.bool_)
        return told & ((self.facts.lag > 0) | self.facts.uncommitted)

    @cached_property
    def hot(self) -> tuple[Hot | None, int]:
        """The hottest of the partitions that the group reads, by the newest records, and how many are hot."""
        _, _, end, end_known = self.arrays
        first = recent_rows(self.window.times)
        if len(end) - first < 2:
            return None, 0
        layout = self.window.layout
        topics, partitions = layout.topics[self.where], layout.partitions[self.where]
        names, topic_of = np.unique(np.array(topics, dtype=object), return_inverse=True)
        step = end[-1] - end[first]
        records = Numbers(np.maximum(step, 0), end_known[-1] & end_known[first] & (step >= 0))
        times = times_even(records, topic_of.astype(np.int64), len(names))
        hot = np.flatnonzero(times.known & (times.values > 1))
        if not len(hot):
            return None, 0
        worst = int(hot[np.argmax(times.values[hot])])
        came = int(step[topic_of == topic_of[worst]].sum())
        topic, partition = topics[worst], int(partitions[worst])
        waits = int(self.facts.lag.sum())
        return (
            Hot(
                partition=name_of(topic, partition),
                share=int(step[worst]) / came,
                owner=words.visible(self.owners.get((topic, partition), "")),
                backlog=int(self.facts.lag[worst]) / waits if waits else 0.0,
            ),
            len(hot),
        )

    @property
    def situation(self) -> Situation:
        """What the table of causes asks about."""
        consumed, arriving = self.rates(self.recent)
        third = max(2, len(self.window.samples) // 3)
        before = self.arriving_before
        keys, offsets = self.keys, self.arrays[0][-1]
        stuck = np.flatnonzero(self.still)
        moves = self.facts.known & ~self.still & (self.facts.samples_since == 0) & self._moved
        facts = self.facts
        start = self.window.samples[-1].start
        went_back = facts.rewound_from > facts.rewound_to
        went_to_start = False
        if went_back.any() and start is not None:
            begins = start.take(self.where)
            went_to_start = bool((begins.known & (facts.rewound_to <= begins.values))[went_back].all())
        held = facts.held > 0
        return Situation(
            verdict=self.verdict,
            is_shared=self.is_shared,
            members=self.row.members,
            partitions=len(facts.known),
            consumed=consumed,
            arriving=arriving,
            arriving_before=before if before is not None else self.rates(slice(0, third))[1],
            stuck=tuple(
                Stuck(name_of(*keys[i]), int(offsets[i]), words.visible(self.owners.get(keys[i], "")))
                for i in stuck.tolist()
            ),
            moving_owners=frozenset(
                words.visible(self.owners[keys[i]]) for i in np.flatnonzero(moves).tolist() if keys[i] in self.owners
            ),
            hot=self.hot[0],
            is_storm=self.row.is_storm,
            trouble=self.reason,
            lost=self.lost,
            went_to_start=went_to_start,
            held=int(facts.held.sum()) if held.any() and held[self.still].all() else 0,
            committing=self.commits.of(self.still) if self.commits is not None else None,
            commit_said=self.commit_said(stuck),
        )

    @property
    def _moved(self) -> NDArray[np.bool_]:
        """Positions whose commit is another than when it was first known in the window."""
        committed, known = self.arrays[0], self.arrays[1]
        first = committed[known.argmax(axis=0), np.arange(committed.shape[1])]
        moved: NDArray[np.bool_] = (committed[-1] != first) & known[-1]
        return moved


def name_of(topic: str, partition: int) -> str:
    """A partition as people write it: "orders-3"."""
    return f"{words.visible(topic)}-{partition}"


def _sum(rates: Numbers) -> float | None:
    return float(rates.values[rates.known].sum()) if rates.known.any() else None
