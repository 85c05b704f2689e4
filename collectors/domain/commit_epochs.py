"""Leader epochs of commits: whether an offset is of the log that is there now (KIP-320)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import words

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NO_EPOCH = -1
"""Of a commit whose client told none, and of a partition whose epoch is not known."""
_OTHER_LOG = -2
"""Stored epochs of commits of another log count down from here."""


def are_of_another_log(epochs: Ints, leader_epochs: Ints) -> Bools:
    """(n,) commits that are not of the partition's log: epochs only grow, and none is ahead of the leader's.

    The topic was made anew (epochs begin at 0 again) while its reader went on committing where it stood, or the offset
    was brought along from elsewhere. A reader finds that out and begins as auto.offset.reset says; lag is not told.
    """
    other: Bools = (leader_epochs != NO_EPOCH) & (epochs > leader_epochs)
    return other


def stored_epochs(epochs: Ints, of_another_log: Bools) -> Ints:
    """(n,) one number for both: the epoch, or below NO_EPOCH that of another log."""
    return np.where(of_another_log, _OTHER_LOG - epochs, epochs)


def read_epochs(stored: Ints) -> tuple[Ints, Bools]:
    """(epochs, whether they are of another log) of what `stored_epochs` made."""
    other: Bools = stored <= _OTHER_LOG
    return np.where(other, _OTHER_LOG - stored, stored), other


def why_past_end(epoch: int, leader_epoch: int) -> str:
    """Why an offset lies past the end, by its epoch and that of the partition's leader; "" where they do not say."""
    if NO_EPOCH in (epoch, leader_epoch) or epoch == leader_epoch:
        return ""
    if epoch > leader_epoch:
        return said_other_log(epoch, leader_epoch)
    return (
        f"the log was cut off when its leader changed: committed in leader epoch {words.count(epoch)}, "
        f"the partition is in {words.count(leader_epoch)}"
    )


def said_other_log(epoch: int, leader_epoch: int) -> str:
    now = "" if leader_epoch == NO_EPOCH else f", the partition is in {words.count(leader_epoch)}"
    return f"the offset is of another log of that name: committed in leader epoch {words.count(epoch)}{now}"
