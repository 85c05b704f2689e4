"""Which minutes are over and not yet rolled up, and their writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from django.db import transaction

from collectors.domain.numbers import Layout
from collectors.models import Layout as LayoutRow
from collectors.models import RollupFrame, RollupState

from . import codec, matrix
from .families import Family, Rolled
from .kinds import EVERY_CYCLE
from .layouts import stored
from .minutes import MINUTE, minutes_of
from .reading import first_segments
from .slices import GoOn, always, ask

MINUTES_AT_ONCE = 30
HEADS_AT_ONCE = 20_000


def roll(cluster_id: int, *, go_on: GoOn = always) -> int:
    """Write the minutes that are over and not yet rolled up; returns how many were written.

    A minute that samples came for later (the clock was set back) is written anew while its frames are there.
    """
    state, _ = RollupState.objects.get_or_create(cluster_id=cluster_id)
    written = 0
    while pending := _pending(cluster_id, state.cycle):
        minutes, cycle, open_minute = pending
        for first, last in _runs(minutes):
            written += _write(cluster_id, first, last, go_on)
        state.cycle, state.minute = cycle, max(state.minute, open_minute)
        earliest = minutes[0] * MINUTE if minutes else state.coarsened
        state.coarsened = min(state.coarsened, earliest - earliest % 7200) if state.coarsened else state.coarsened
        state.save()
    return written


def _pending(cluster_id: int, after: int) -> tuple[list[int], int, int] | None:
    """Minutes to write, oldest first; the cycle up to which all are then done; the minute that is open still."""
    found: dict[int, float] = {}
    for kind in EVERY_CYCLE:
        rows = first_segments(cluster_id, kind).filter(cycle__gt=after).order_by("cycle")
        found.update(rows.values_list("cycle", "taken_at")[:HEADS_AT_ONCE])
    if not found:
        return None
    cycles = sorted(found)
    places = [int(found[cycle] // MINUTE) for cycle in cycles]
    done = next((i for i, place in enumerate(places) if place == places[-1]), len(places))
    if done == 0:
        return None
    return sorted(set(places[:done])), cycles[done - 1], places[-1]


def _runs(minutes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of stretches that are written together; minutes without a sample in between cost nothing."""
    first = minutes[0]
    for before, after in zip(minutes, [*minutes[1:], None], strict=True):
        if after is None or after - first >= MINUTES_AT_ONCE:
            yield first, before
            first = after if after is not None else first


def _write(cluster_id: int, first: int, last: int, go_on: GoOn) -> int:
    made = minutes_of(cluster_id, first, last, go_on=go_on)
    if not made:
        return 0
    with transaction.atomic():
        ask(go_on)
        layout_rows: dict[tuple[Family, tuple[str, ...]], int] = {}
        for family, _, owners, _ in made:
            if (family, owners) not in layout_rows:
                layout_rows[family, owners] = _layout_row(cluster_id, family, owners)
        rows = [
            RollupFrame(
                cluster_id=cluster_id,
                family=family.value,
                minute=minute,
                layout_id=layout_rows[family, owners],
                body=encode_minute(rolled),
            )
            for family, minute, owners, rolled in made
        ]
        RollupFrame.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["cluster", "family", "minute"],
            update_fields=["layout", "body"],
        )
    return len({minute for _, minute, _, _ in made})


def encode_minute(rolled: Rolled) -> bytes:
    """(rows, owners): neighbours have nothing to do with each other, so numbers are kept as they are."""
    values, known = rolled.rows()
    everywhere = np.ones(values.shape, dtype=np.bool_)
    return matrix.encode(matrix.Matrix(np.where(known, values, 0), everywhere, everywhere), differences=False)


def _layout_row(cluster_id: int, family: Family, owners: Sequence[str]) -> int:
    layout = stored(Layout.single(owners))
    row, _ = LayoutRow.objects.get_or_create(
        cluster_id=cluster_id,
        kind=f"r:{family.value}",
        digest=layout.layout.digest,
        defaults={"members": codec.encode_layout(layout.layout, layout.cuts)},
    )
    return int(row.pk)
