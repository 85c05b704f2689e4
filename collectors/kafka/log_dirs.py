"""The log directories of each broker: asked, and the answers read with numpy, or by the library where not plain."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from kafka.protocol.admin import DescribeLogDirsRequest
from numpy.typing import NDArray

from ..domain.numbers import Column, Layout, Numbers
from ..domain.topology import LogDir
from .answers import LogDirsAnswer
from .exchange import Exchange
from .flexible import Cursor, IrregularError
from .link import Answer, Link, Request
from .offsets import positions_of
from .reasons import Tally, reason_of_code
from .slow import UNREADABLE, ask_each

_OFFLINE_DIR = 56
_REPLICA = np.dtype([("partition", ">i4"), ("size", ">i8"), ("lag", ">i8"), ("future", "u1"), ("tags", "u1")])


@dataclass(frozen=True, slots=True)
class ReplicaSizes:
    topic: str
    partitions: NDArray[np.int64]
    sizes: NDArray[np.int64]  # bytes
    future: NDArray[np.bool_]  # a copy that is being moved here from another directory


@dataclass(frozen=True, slots=True)
class DirectoryAnswer:
    error: int
    path: str
    total: int | None
    usable: int | None
    replicas: tuple[ReplicaSizes, ...] = field(default=())


def ask_log_dirs(
    exchange: Exchange,
    link: Link,
    layout: Layout,
    leaders: NDArray[np.int64],
    brokers: Iterable[int],
    deadline: float,
    tally: Tally,
) -> LogDirsAnswer:
    """Log directories of each broker alone; suspect brokers are not asked, they would only make us wait."""
    asked_at = time.time()
    values = np.zeros(len(layout), dtype=np.int64)
    known = np.zeros(len(layout), dtype=np.bool_)
    dirs: list[LogDir] = []
    answered: set[int] = set()

    def make() -> Request:
        return Request(DescribeLogDirsRequest(topics=None))

    for node, answer in ask_each(exchange, link, "log_dirs", make, brokers, deadline, tally):
        try:
            error, found = _read_log_dirs(answer)
        except UNREADABLE:
            tally.add("log_dirs", "unreadable answer", node)
            continue
        if error or not found:
            # Before 3.2 a missing right looks like a broker without directories, and no broker has none.
            tally.add("log_dirs", reason_of_code(error) if error else "not authorised", node)
            continue
        answered.add(node)
        for one in found:
            size = 0
            for replicas in one.replicas:
                size += int(replicas.sizes.sum())
                positions = positions_of(layout, replicas.topic, replicas.partitions)
                own = (positions >= 0) & ~replicas.future
                own[own] = leaders[positions[own]] == node
                values[positions[own]] = replicas.sizes[own]
                known[positions[own]] = True
            why = None if not one.error else "offline" if one.error == _OFFLINE_DIR else reason_of_code(one.error)
            dirs.append(LogDir(node, one.path, size, one.total, one.usable, why))
    dirs.sort(key=lambda d: (d.broker_id, d.path))
    return LogDirsAnswer(
        tuple(dirs), Column(layout, Numbers(values, known)), frozenset(answered), asked_at, tally.errors()
    )


def _read_log_dirs(answer: Answer) -> tuple[int, tuple[DirectoryAnswer, ...]]:
    try:
        return read_log_dirs(answer.body, answer.version)
    except IrregularError:
        decoded = answer.decode()
    found = []
    for one in decoded.results:
        replicas = tuple(
            ReplicaSizes(
                t.name,
                np.array([p.partition_index for p in t.partitions], dtype=np.int64),
                np.array([p.partition_size for p in t.partitions], dtype=np.int64),
                np.array([bool(p.is_future_key) for p in t.partitions], dtype=np.bool_),
            )
            for t in one.topics
        )
        total, usable = getattr(one, "total_bytes", None), getattr(one, "usable_bytes", None)
        found.append(
            DirectoryAnswer(
                one.error_code,
                one.log_dir,
                total if total is not None and total >= 0 else None,
                usable if usable is not None and usable >= 0 else None,
                replicas,
            )
        )
    return getattr(decoded, "error_code", None) or 0, tuple(found)


def read_log_dirs(body: bytes, version: int) -> tuple[int, tuple[DirectoryAnswer, ...]]:
    """(error code, directories) of a DescribeLogDirs v2 to v5 body; IrregularError where it is not plain."""
    if not 2 <= version <= 5:
        raise IrregularError(f"DescribeLogDirs version {version}")
    cursor = Cursor(body, 4)
    error = cursor.int16() if version >= 3 else 0
    found = []
    for _ in range(cursor.count()):
        code, path, replicas = cursor.int16(), cursor.text(), []
        for _ in range(cursor.count()):
            topic = cursor.text()
            _, entries = cursor.entries(_REPLICA)
            cursor.end_tags()
            replicas.append(
                ReplicaSizes(
                    topic,
                    entries["partition"].astype(np.int64),
                    entries["size"].astype(np.int64),
                    entries["future"] != 0,
                )
            )
        total, usable = (cursor.int64(), cursor.int64()) if version >= 4 else (-1, -1)
        if version >= 5:
            cursor.skip(1)
        cursor.end_tags()
        found.append(
            DirectoryAnswer(code, path, total if total >= 0 else None, usable if usable >= 0 else None, tuple(replicas))
        )
    cursor.finish()
    return error, tuple(found)
