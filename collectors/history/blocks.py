"""Blocks back to numbers: the positions of chosen owners at chosen samples of compacted spans."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectors.models import Block

from . import matrix
from .cache import LeastRecent
from .codec import BadBodyError, escaped, unescaped
from .kinds import OF_TOPICS, Kind
from .matrix import Opened, Pair

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
log = logging.getLogger(__name__)

NAMES_IN_A_QUERY = 5_000
"""With more owners than this all blocks of a span are read: every parameter of a query costs too."""


def owner_key(owner: str) -> int:
    """A signed 64-bit hash of an owner's name: equal in every process."""
    digest = hashlib.blake2b(escaped(owner).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def usual_pairs(kind: Kind, owner: str, rows: int) -> list[Pair] | None:
    """What the rows of a block are when it does not name them; None where it has to."""
    if kind in OF_TOPICS:
        return [(owner, partition) for partition in range(rows)]
    return [("", -1)] if rows == 1 and kind is not Kind.COMMITTED else None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One readable block: what its rows are, and its numbers, still packed."""

    pairs: list[Pair]
    opened: Opened


Fetched = Mapping[tuple[int, str], Sequence[Part]]
"""(span, owner) -> the blocks of that owner there."""

_told: LeastRecent[int, bool] = LeastRecent(10_000)


def report(block: int, span: int, owner: str, reason: BadBodyError | str) -> None:
    """Say it once per block and process; what the block held is then shown as unknown."""
    if _told.get(block) is None:
        _told.put(block, True)
        log.warning("block unreadable, shown as unknown: span=%s owner=%s reason=%s", span, owner, reason)


def fetch(kind: Kind, spans: Iterable[int], owners: Sequence[str]) -> Fetched:
    """The blocks of some owners in some spans; one query. A damaged block is reported and left out."""
    wanted = list(spans)
    if not wanted or not owners:
        return {}
    names = dict.fromkeys(owners)
    rows = Block.objects.filter(span_id__in=wanted)
    if len(names) <= NAMES_IN_A_QUERY:
        rows = rows.filter(owner_key__in=[owner_key(owner) for owner in names])
    found: dict[tuple[int, str], list[Part]] = {}
    for pk, span, text, body in rows.order_by("span", "part").values_list("pk", "span_id", "owner", "body"):
        owner = unescaped(text)
        if owner not in names:
            continue
        try:
            opened = matrix.open_body(bytes(body))
            pairs = opened.pairs if opened.pairs is not None else usual_pairs(kind, owner, opened.rows)
            if pairs is None:
                raise BadBodyError("block does not say what its rows are")
        except BadBodyError as error:
            report(pk, span, text, error)
            continue
        found.setdefault((span, owner), []).append(Part(pairs, opened))
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block holds wanted members: rows of the block, and the columns of the answer."""

    rows: Ints
    columns: Ints


def read(
    fetched: Fetched,
    span: int,
    samples: Ints,
    members: Mapping[str, Mapping[Pair, int]],
    into: tuple[Ints, Bools, Bools],
) -> None:
    """Put values, known and present at the `samples` (k,) of a span `into` zeroed arrays (k, count).

    `members[owner][(topic, partition)]` is the column of each wanted member.
    """
    for owner, columns in members.items():
        for part in fetched.get((span, owner), ()):
            pairs = [(row, columns[pair]) for row, pair in enumerate(part.pairs) if pair in columns]
            if not pairs:
                continue
            rows, targets = np.array(pairs, dtype=np.int64).T
            take = None if len(rows) == part.opened.rows else rows
            try:
                if len(samples) and int(samples.max()) >= part.opened.columns:
                    raise BadBodyError(f"block has {part.opened.columns} samples, its span more")
                found = matrix.decode(part.opened, take)
            except BadBodyError as error:
                report(-hash((span, owner)), span, owner, error)
                continue
            where = np.s_[:, targets] if not _adjacent(targets) else np.s_[:, int(targets[0]) : int(targets[-1]) + 1]
            whole = len(samples) == part.opened.columns and _adjacent(samples)
            for target, source in zip(into, (found.values, found.known, found.present), strict=True):
                target[where] = source.T if whole else source.T[samples]


def _adjacent(indices: Ints) -> bool:
    return bool(len(indices)) and bool((np.diff(indices) == 1).all())
