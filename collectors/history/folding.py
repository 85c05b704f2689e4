"""Minutes of the whole cluster into rollups of single owners, and these into coarser ones.

Every step writes a stretch anew from what it was made of, so that a run which was cut short is simply repeated; minutes
go when all rollups that they went into are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from collectors.models import Rollup, RollupFrame, RollupState

from . import blocks, codec, layouts, matrix
from .codec import BadBodyError
from .families import Family, Rolled, merged, row_count
from .slices import GoOn, ask

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

WINDOW = 7200
RESOLUTIONS = (60, 600, 3600)
LONGEST = {60: WINDOW, 600: 86_400, 3600: 31 * 86_400}
"""Seconds that a row is about, at most, by resolution."""
OWNERS_AT_ONCE = 250
FOLD_MINUTES = 10


def stretch(resolution: int, moment: int) -> tuple[int, int]:
    """Begin and end (unix seconds) of the row that holds a moment: two hours, a day, a month of UTC."""
    if resolution == 60:
        begin = moment - moment % WINDOW
        return begin, begin + WINDOW
    if resolution == 600:
        begin = moment - moment % 86_400
        return begin, begin + 86_400
    at = datetime.fromtimestamp(moment, UTC)
    first = datetime(at.year, at.month, 1, tzinfo=UTC)
    after = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()), int(after.timestamp())


def bucket_count(resolution: int, start: int) -> int:
    begin, end = stretch(resolution, start)
    return (end - begin) // resolution


def encode(rolled: Rolled, there: Bools) -> bytes:
    """A row's buckets (n,); those that are not `there` hold nothing."""
    values, known = rolled.rows()
    present = np.broadcast_to(there, values.shape)
    known = known & present
    return matrix.encode(matrix.Matrix(np.where(known, values, 0), known, present))


def decode(family: Family, body: bytes, buckets: int) -> tuple[Rolled, Bools]:
    """The reverse; BadBodyError for what is not a row of this family and length."""
    found = matrix.decode(matrix.open_body(body))
    if found.values.shape[0] < row_count(family) or found.values.shape[1] != buckets:
        raise BadBodyError(f"rollup of {found.values.shape[0]} rows and {found.values.shape[1]} buckets")
    return Rolled.of_rows(family, found.values), found.present[0]


def decode_minute(family: Family, body: bytes, owners: int) -> Rolled:
    """A rollup frame's numbers (owners,)."""
    found = matrix.decode(matrix.open_body(body)).values
    if found.shape[0] < row_count(family) or found.shape[1] != owners:
        raise BadBodyError(f"rollup frame of {found.shape[0]} rows and {found.shape[1]} owners")
    return Rolled.of_rows(family, found)


def fold(cluster_id: int, *, go_on: GoOn) -> int:
    """Put minutes that are over, ten at a time, into their owners' rows; returns the rows written."""
    state = RollupState.objects.filter(cluster_id=cluster_id).first()
    if state is None:
        return 0
    until = state.minute - state.minute % FOLD_MINUTES
    written = 0
    for family in Family:
        frames = RollupFrame.objects.filter(cluster_id=cluster_id, family=family.value, minute__lt=until)
        minutes = list(frames.order_by("minute").values_list("minute", flat=True))
        windows: dict[int, list[int]] = {}
        for minute in minutes:
            windows.setdefault(minute * 60 - minute * 60 % WINDOW, []).append(minute)
        for window, own in windows.items():
            written += _fold_window(cluster_id, family, window, own, go_on)
    return written + _coarsen(state, go_on)


def _fold_window(cluster_id: int, family: Family, window: int, minutes: list[int], go_on: GoOn) -> int:
    found = frames_of(cluster_id, family, minutes)
    owners = sorted({owner for names, _ in found.values() for owner in names})
    written = 0
    for at in range(0, len(owners), OWNERS_AT_ONCE):
        some = owners[at : at + OWNERS_AT_ONCE]
        fresh = _by_owner(family, window, found, some)
        kept = _stored(cluster_id, family, 60, {blocks.owner_key(owner) for owner in some}, {window})
        rows = []
        for owner, (rolled, there) in fresh.items():
            before = kept.get((blocks.owner_key(owner), window))
            if before is not None:
                rolled, there = overlay(before, (rolled, there))
            rows.append(_row(cluster_id, family, owner, 60, window, encode(rolled, there)))
        _upsert(rows, go_on)
        written += len(rows)
    with transaction.atomic():
        ask(go_on)
        RollupFrame.objects.filter(cluster_id=cluster_id, family=family.value, minute__in=minutes).delete()
    return written


def frames_of(cluster_id: int, family: Family, minutes: Sequence[int]) -> dict[int, tuple[Mapping[str, int], Rolled]]:
    """minute -> (place of each owner, numbers); a damaged frame is reported and left out."""
    if not minutes:
        return {}
    rows = RollupFrame.objects.filter(cluster_id=cluster_id, family=family.value, minute__in=minutes)
    found = list(rows.order_by("minute").values_list("pk", "minute", "layout_id", "body"))
    loaded = layouts.load(row[2] for row in found)
    out: dict[int, tuple[Mapping[str, int], Rolled]] = {}
    places: dict[int, Mapping[str, int]] = {}
    for pk, minute, layout, body in found:
        if layout not in loaded:
            continue
        owners = loaded[layout].layout.owners
        try:
            rolled = decode_minute(family, bytes(body), len(owners))
        except BadBodyError as error:
            blocks.report(-pk, minute, f"rollup frame of {family.value}", error)
            continue
        if layout not in places:
            places[layout] = {owner: i for i, owner in enumerate(owners)}
        out[minute] = places[layout], rolled
    return out


def _by_owner(
    family: Family, window: int, frames: Mapping[int, tuple[Mapping[str, int], Rolled]], owners: Sequence[str]
) -> dict[str, tuple[Rolled, Bools]]:
    """The two hours of each owner, filled where its minutes are."""
    buckets = WINDOW // 60
    whole = Rolled.empty(family, (len(owners), buckets))
    there = np.zeros((len(owners), buckets), dtype=np.bool_)
    for minute, (places, rolled) in frames.items():
        at = minute - window // 60
        held = np.array([places.get(owner, -1) for owner in owners], dtype=np.int64)
        mine = held >= 0
        for name, five in rolled.fives.items():
            into = whole.fives[name]
            for target, source in zip(into.parts, five.parts, strict=True):
                target[mine, at] = source[held[mine]]
        if len(whole.shares):
            whole.shares[:, mine, at] = rolled.shares[:, held[mine]]
        there[mine, at] = True
    return {
        owner: (
            Rolled(family, {name: five.take(i) for name, five in whole.fives.items()}, whole.shares[:, i]),
            there[i],
        )
        for i, owner in enumerate(owners)
    }


Filled = tuple[Rolled, Bools]


def overlay(before: Filled, after: Filled) -> Filled:
    """`after` where it has something, else `before`."""
    newer = after[1]
    fives = {name: five.replaced(newer, after[0].fives[name]) for name, five in before[0].fives.items()}
    shares = np.where(newer, after[0].shares, before[0].shares) if len(before[0].shares) else before[0].shares
    return Rolled(before[0].family, fives, shares), before[1] | newer


def _stored(
    cluster_id: int, family: Family, resolution: int, keys: set[int], starts: set[int]
) -> dict[tuple[int, int], Filled]:
    """(owner key, start) -> what is stored; a damaged row is reported and then written anew."""
    rows = Rollup.objects.filter(
        cluster_id=cluster_id, family=family.value, resolution=resolution, owner_key__in=keys, start__in=starts
    )
    out: dict[tuple[int, int], Filled] = {}
    for pk, key, start, owner, body in rows.values_list("pk", "owner_key", "start", "owner", "body"):
        try:
            out[key, start] = decode(family, bytes(body), bucket_count(resolution, start))
        except BadBodyError as error:
            blocks.report(-pk, start, owner, error)
    return out


def _row(cluster_id: int, family: Family, owner: str, resolution: int, start: int, body: bytes) -> Rollup:
    return Rollup(
        cluster_id=cluster_id,
        family=family.value,
        owner_key=blocks.owner_key(owner),
        owner=codec.escaped(owner),
        resolution=resolution,
        start=start,
        body=body,
    )


def _upsert(rows: Sequence[Rollup], go_on: GoOn) -> None:
    with transaction.atomic():
        ask(go_on)
        Rollup.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["cluster", "family", "owner_key", "resolution", "start"],
            update_fields=["body"],
        )


def _coarsen(state: RollupState, go_on: GoOn) -> int:
    """Tens of minutes and hours out of the minutes of two hours that are over."""
    closed = state.minute * 60 - state.minute * 60 % WINDOW
    windows = Rollup.objects.filter(cluster_id=state.cluster_id, resolution=60, start__lt=closed)
    written = 0
    for window in (
        windows.filter(start__gte=state.coarsened).order_by("start").values_list("start", flat=True).distinct()
    ):
        for family in Family:
            rows = windows.filter(start=window, family=family.value).order_by("owner_key")
            after = None
            while some := list(
                (rows if after is None else rows.filter(owner_key__gt=after)).values_list(
                    "pk", "owner_key", "owner", "body"
                )[:OWNERS_AT_ONCE]
            ):
                after = some[-1][1]
                written += _coarsen_some(state.cluster_id, family, window, some, go_on)
        state.coarsened = window + WINDOW
        state.save()
    if state.coarsened < closed:
        state.coarsened = closed
        state.save()
    return written


def _coarsen_some(
    cluster_id: int,
    family: Family,
    window: int,
    some: Sequence[tuple[int, int, str, bytes | memoryview]],
    go_on: GoOn,
) -> int:
    written = 0
    for resolution in RESOLUTIONS[1:]:
        start, _ = stretch(resolution, window)
        kept = _stored(cluster_id, family, resolution, {key for _, key, _, _ in some}, {start})
        count, first = bucket_count(resolution, start), (window - start) // resolution
        per = resolution // 60
        rows = []
        for pk, key, owner, body in some:
            try:
                minutes, there = decode(family, bytes(body), WINDOW // 60)
            except BadBodyError as error:
                blocks.report(-pk, window, owner, error)
                continue
            small = merged(family, minutes, np.arange(0, WINDOW // 60, per))
            filled = Rolled.empty(family, (count,))
            where = slice(first, first + WINDOW // resolution)
            for name, five in small.fives.items():
                for target, source in zip(filled.fives[name].parts, five.parts, strict=True):
                    target[where] = source
            if len(filled.shares):
                filled.shares[:, where] = small.shares
            held = np.zeros(count, dtype=np.bool_)
            held[where] = there.reshape(-1, per).any(axis=1)
            whole: Filled = (filled, held)
            if (key, start) in kept:
                whole = overlay(kept[key, start], whole)
            rows.append(_row(cluster_id, family, codec.unescaped(owner), resolution, start, encode(*whole)))
        _upsert(rows, go_on)
        written += len(rows)
    return written


def put_rows(
    cluster_id: int, family: Family, resolution: int, rolled: Mapping[tuple[str, int], Filled], go_on: GoOn
) -> None:
    """Store stretches by (owner, start) where nothing is stored yet: what is there was measured, and stays."""
    places = list(rolled)
    for at in range(0, len(places), OWNERS_AT_ONCE):
        some = places[at : at + OWNERS_AT_ONCE]
        keys, starts = {blocks.owner_key(owner) for owner, _ in some}, {start for _, start in some}
        kept = _stored(cluster_id, family, resolution, keys, starts)
        rows = []
        for owner, start in some:
            whole = rolled[owner, start]
            before = kept.get((blocks.owner_key(owner), start))
            if before is not None:
                whole = overlay(whole, before)
            rows.append(_row(cluster_id, family, owner, resolution, start, encode(*whole)))
        _upsert(rows, go_on)
