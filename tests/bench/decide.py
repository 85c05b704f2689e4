"""Bench: what deciding costs without Kafka: verdicts, storing, and the judge, at 30 000 and 105 000 positions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from django.db import transaction

from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.ownership import Owner, ownership
from collectors.domain.standstills import Told, judge_and_hold
from collectors.domain.topology import Group, GroupType, Member
from collectors.domain.verdicts import GroupRow
from collectors.domain.window import LENGTH, Window
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.history.queries import ages_at, cluster_at

from .history_frames import INTERVAL, Traffic, new_cluster, own_database
from .lines import Line, at_most, line

SIZES = ((30_000, 10, 300), (100_000, 20, 5_000))
TURNS = 10


def run() -> list[Line]:
    lines = []
    for partitions, per_topic, groups in SIZES:
        with own_database():
            lines += _measure(partitions, per_topic, groups)
    return lines


def _measure(partitions: int, per_topic: int, groups: int) -> list[Line]:
    traffic = Traffic(partitions, per_topic, groups)
    positions = len(traffic.commits_layout)
    size = f"{partitions:,} partitions, {groups:,} groups, {positions:,} commits".replace(",", " ")
    rows = {name: GroupRow(name, GroupType.CLASSIC, 2) for name in traffic.commits_layout.owners}
    # all of them owned, and the log starts asked once a minute: that is what a calm cluster costs
    owned = np.full(positions, int(Owner.MEMBER), dtype=np.int8)
    starts = Column(traffic.ends_layout, Numbers(np.zeros(partitions, np.int64), np.ones(partitions, np.bool_)))
    window = Window()
    cluster = new_cluster(f"decide-{partitions}")
    writer = FrameWriter(cluster.pk)
    began = time.time() - INTERVAL * (LENGTH + 2 * TURNS)
    columns: dict[Kind, Column] = {}
    before: tuple[Told, Told] | None = None

    def sample(number: int) -> None:
        nonlocal columns
        columns = traffic.cycle()
        asked = Column(starts.layout, starts.numbers.take(slice(None))) if number % 12 == 0 else None
        at = began + INTERVAL * number
        window.push(at, columns[Kind.COMMITTED], columns[Kind.END], start=asked, owned=owned)

    def judge() -> None:
        """As the sampler does; what it stores only when it changes is stored each time."""
        nonlocal before
        judged = judge_and_hold(window, rows, interval_seconds=INTERVAL, stood=before and before[0].stood)
        told = judged.steadied(*before) if before is not None else judged
        before = judged, told
        columns[Kind.VERDICT], columns[Kind.PARTITION_VERDICT] = told.verdicts, told.partitions

    for number in range(LENGTH):
        sample(number)
        with transaction.atomic():
            writer.write(number + 1, began + INTERVAL * number, columns)
    layout = traffic.commits_layout
    described = [_group(layout, name) for name in layout.owners]
    judging, storing, ageing = [], [], []
    for number in range(LENGTH, LENGTH + TURNS):
        sample(number)
        judging.append(_timed(judge))

        def store(number: int = number) -> None:
            with transaction.atomic():
                writer.write(number + 1, began + INTERVAL * number, columns)

        storing.append(_timed(store))
        now = cluster_at(cluster.pk, number + 1)
        assert now is not None
        ageing.append(_timed(partial(ages_at, now)))
    return [
        at_most(
            f"verdicts and log-end ages of a cycle, {size}",
            statistics.median(map(sum, zip(judging, ageing, strict=True))),
            "ms of CPU",
            200,
        ),
        line(
            f"of these, verdicts of groups and of their partitions over 24 samples, {size}",
            statistics.median(judging),
            "ms of CPU",
        ),
        line(f"who owns what, told anew each 12 s, {size}", _timed(lambda: ownership(layout, described)), "ms of CPU"),
        line(f"of these, log-end ages of all positions, {size}", statistics.median(ageing), "ms of CPU"),
        line(f"storing the frames of a cycle, {size}", statistics.median(storing), "ms of CPU"),
    ]


def _group(layout: Layout, name: str) -> Group:
    """Two members, each with half of what the group reads."""
    where = layout.slice_of(name)
    keys = list(zip(layout.topics[where], layout.partitions[where].tolist(), strict=True))
    halves = keys[: len(keys) // 2], keys[len(keys) // 2 :]
    members = tuple(
        Member(f"{name}-{i}", f"{name}-{i}", "h", None, tuple((topic, (partition,)) for topic, partition in half))
        for i, half in enumerate(halves)
    )
    return Group(name, GroupType.CLASSIC, "Stable", "consumer", members=members)


def _timed(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return (time.thread_time() - began) * 1e3
