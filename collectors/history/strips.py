"""Rollups back to numbers: the stretches of a range for chosen owners, out of every storey that holds some of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from collectors.models import Rollup, RollupFrame, RollupState

from . import blocks, codec, folding
from .codec import BadBodyError
from .families import Family, Rolled
from .folding import LONGEST, RESOLUTIONS

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One owner's stretches, oldest first, none over another: (n,) begin and length in seconds, and their numbers."""

    starts: Ints
    lengths: Ints
    rolled: Rolled

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def ends(self) -> Ints:
        return self.starts + self.lengths

    @classmethod
    def empty(cls, family: Family) -> Strip:
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, Rolled.empty(family, (0,)))


def resolution_for(seconds: float, points: int) -> int | None:
    """The coarsest rollup that still gives a point its own stretch; None: the samples themselves are asked for."""
    width = seconds / max(1, points)
    return next((resolution for resolution in reversed(RESOLUTIONS) if width >= resolution), None)


def read(
    cluster_id: int, family: Family, owners: Sequence[str], since: float, until: float, resolution: int
) -> dict[str, Strip]:
    """Stretches that begin in [since, until), of `resolution` seconds where there are, at the end finer ones (what is
    not yet coarsened), before the oldest coarser ones. Three queries, however many owners."""
    state = RollupState.objects.filter(cluster_id=cluster_id).values_list("coarsened", "measured_since").first()
    if state is None:
        return {owner: Strip.empty(family) for owner in owners}
    coarsened = max(state)  # hours before the first sample are coarse from the beginning
    pieces = _rows(cluster_id, family, owners, since, until, resolution, coarsened)
    minutes = _minutes(cluster_id, family, owners, since, until)
    return {
        owner: _joined(family, pieces.get(owner, {}), minutes.get(owner), since, until, resolution, coarsened)
        for owner in owners
    }


_Pieces = dict[int, list[tuple[Ints, Rolled]]]  # resolution -> (starts, numbers)


def _rows(
    cluster_id: int,
    family: Family,
    owners: Sequence[str],
    since: float,
    until: float,
    resolution: int,
    coarsened: int,
) -> dict[str, _Pieces]:
    where = Q()
    for each in RESOLUTIONS:
        begin = since - LONGEST[each]
        if each == 60 and resolution != 60:
            begin = max(begin, coarsened - 1)  # older ones are in the coarse rows
        elif each < resolution:
            continue
        where |= Q(resolution=each, start__gt=begin, start__lt=until)
    rows = Rollup.objects.filter(
        where, cluster_id=cluster_id, family=family.value, owner_key__in=[blocks.owner_key(one) for one in owners]
    )
    wanted = set(owners)
    out: dict[str, _Pieces] = {}
    for pk, text, each, start, body in rows.order_by("start").values_list("pk", "owner", "resolution", "start", "body"):
        owner = codec.unescaped(text)
        if owner not in wanted:
            continue
        try:
            rolled, there = folding.decode(family, bytes(body), folding.bucket_count(each, start))
        except BadBodyError as error:
            blocks.report(-pk, start, text, error)
            continue
        at = np.flatnonzero(there)
        out.setdefault(owner, {}).setdefault(each, []).append((start + at * each, rolled.take(at)))
    return out


def _minutes(
    cluster_id: int, family: Family, owners: Sequence[str], since: float, until: float
) -> dict[str, tuple[Ints, Rolled]]:
    """The newest minutes, which are not in rows yet."""
    rows = RollupFrame.objects.filter(
        cluster_id=cluster_id, family=family.value, minute__gte=since // 60, minute__lt=until / 60
    )
    found = folding.frames_of(cluster_id, family, list(rows.values_list("minute", flat=True)))
    out: dict[str, tuple[Ints, Rolled]] = {}
    for owner in owners:
        own = [(minute, places[owner], rolled) for minute, (places, rolled) in found.items() if owner in places]
        if own:
            starts = np.array([minute * 60 for minute, _, _ in own], dtype=np.int64)
            out[owner] = starts, Rolled.stacked(family, [rolled.take(place) for _, place, rolled in own])
    return out


def _joined(
    family: Family,
    pieces: _Pieces,
    minutes: tuple[Ints, Rolled] | None,
    since: float,
    until: float,
    resolution: int,
    coarsened: int,
) -> Strip:
    parts: list[tuple[Ints, int, Rolled]] = []
    if minutes is not None:
        parts.append((minutes[0], 60, minutes[1]))
    fine = pieces.get(60, [])
    for starts, rolled in fine:
        keep = np.ones(len(starts), dtype=np.bool_) if resolution == 60 else starts >= coarsened
        if minutes is not None:
            keep &= ~np.isin(starts, minutes[0])
        parts.append((starts[keep], 60, rolled.take(keep)))
    if resolution != 60:
        for starts, rolled in pieces.get(resolution, []):
            keep = starts < coarsened
            parts.append((starts[keep], resolution, rolled.take(keep)))
    for coarser in RESOLUTIONS:
        if coarser <= resolution:
            continue
        oldest = min((int(starts[0]) for starts, _, _ in parts if len(starts)), default=int(until) + coarser)
        for starts, rolled in pieces.get(coarser, []):
            keep = (starts + coarser <= oldest) & (starts < coarsened)
            parts.append((starts[keep], coarser, rolled.take(keep)))
    parts = [part for part in parts if len(part[0])]
    if not parts:
        return Strip.empty(family)
    starts = np.concatenate([part[0] for part in parts])
    lengths = np.concatenate([np.full(len(part[0]), part[1], dtype=np.int64) for part in parts])
    whole = Rolled.joined(family, [part[2] for part in parts])
    order = np.argsort(starts, kind="stable")
    order = order[(starts[order] + lengths[order] > since) & (starts[order] < until)]
    return Strip(starts[order], lengths[order], whole.take(order))
