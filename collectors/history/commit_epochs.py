"""Leader epochs of the commits of one cycle, and which of these are of another log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectors.domain.commit_epochs import read_epochs
from collectors.domain.lag import gather
from collectors.domain.numbers import Numbers

from .kinds import Kind
from .layouts import stored
from .now import ClusterNow
from .percycle import PerCycle
from .queries import column_at


@dataclass(frozen=True, slots=True, eq=False)
class CommitEpochsNow:
    """By position of the committed layout."""

    epochs: Numbers  # (n,) domain.commit_epochs.NO_EPOCH where the client told none
    of_another_log: NDArray[np.bool_]


def commit_epochs_at(now: ClusterNow) -> CommitEpochsNow:
    """One query a cycle, and only if it is asked for: few cycles have a question that epochs answer."""
    return _kept(now)


def _read(now: ClusterNow) -> CommitEpochsNow:
    layout = now.committed.layout
    newest = column_at(now.cluster_id, Kind.EPOCH, now.cycle)
    if newest is None:
        return CommitEpochsNow(Numbers.unknown(len(layout)), np.zeros(len(layout), dtype=np.bool_))
    numbers = gather(newest[0].numbers, stored(newest[0].layout).positions_of(stored(layout)))
    epochs, other = read_epochs(numbers.values)
    return CommitEpochsNow(Numbers(epochs, numbers.known), other & numbers.known)


_kept: PerCycle[CommitEpochsNow] = PerCycle(_read, 1_000_000, lambda one: 2 * len(one.epochs) + 1_000)
