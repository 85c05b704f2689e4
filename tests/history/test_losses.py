"""Records deleted unread, as stored log starts and commits tell: also those that a reader was set past."""

from __future__ import annotations

import pytest

from collectors.domain.numbers import Column
from collectors.history.kinds import Kind
from collectors.history.losses import lost_between, lost_since
from collectors.history.queries import cluster_at
from collectors.models import Configuration, Cycle
from collectors.models.moments import aware

from .recording import Recorder, column, topics

pytestmark = pytest.mark.django_db


def write(recorder: Recorder, columns: dict[Kind, Column]) -> None:
    number, at = recorder.write(columns), aware(recorder.now)
    Cycle.objects.create(
        cluster=recorder.cluster, number=number, epoch=1, due_at=at, started_at=at, taken_at=at, ended_at=at,
        is_reachable=True, requests=1, completeness=1.0,
    )  # fmt: skip


def record(commits: list[int], starts: dict[int, int]) -> Recorder:
    recorder = Recorder()
    for row, commit in enumerate(commits):
        columns = {Kind.END: topics({"t": [100_000]}), Kind.COMMITTED: column({"g": {("t", 0): commit}})}
        if row in starts:
            columns[Kind.START] = topics({"t": [starts[row]]})
        write(recorder, columns)
    return recorder


def told(recorder: Recorder) -> tuple[int | float | None, int | None]:
    now, before = cluster_at(recorder.id, recorder.cycle), cluster_at(recorder.id, recorder.cycle - 1)
    assert now is not None
    return lost_since(now, before).at(0), lost_between(recorder.id, "g", 0.0, recorder.now)


READS = [1_000 + 50 * i for i in range(8)]


def test_what_lies_below_the_log_start_is_lost() -> None:
    assert told(record(READS, {0: 0, 7: 2_000})) == (650, 650)


def test_what_a_reader_was_set_past_is_lost() -> None:
    assert told(record([*READS, 3_010, 3_050], {0: 0, 9: 3_000})) == (1_600, 1_600)


def test_both_are_told_over_a_stretch() -> None:
    recorder = record([*READS, 3_010, 3_050, 3_100, 3_100], {0: 0, 9: 3_000, 11: 3_200})
    assert told(recorder) == (100, 1_700)


def test_who_reads_past_the_new_log_start_has_lost_nothing() -> None:
    assert told(record(READS, {0: 0, 7: 1_330})) == (0, 0)


def test_what_compaction_took_is_no_loss() -> None:
    recorder = record([*READS, 3_010, 3_050, 3_050], {0: 0, 9: 3_000, 10: 3_100})
    Configuration.objects.create(
        cluster=recorder.cluster, kind=Configuration.Kind.TOPIC, name="t", changed_at=aware(recorder.now),
        entries={"cleanup.policy": ["compact", "topic"]},
    )  # fmt: skip
    assert told(recorder) == (0, 0)
    now = cluster_at(recorder.id, recorder.cycle)
    assert now is not None
    assert now.lost.at(0) == 0
    assert now.lag.at(0) == 100_000 - 3_100


def test_a_neighbour_that_reads_on_makes_no_loss_count_twice() -> None:
    recorder = Recorder()
    for row in range(8):
        columns = {
            Kind.END: topics({"t": [100_000, 100_000]}),
            Kind.COMMITTED: column({"g": {("t", 0): 1_000, ("t", 1): 1_000 + 50 * row}}),
        }
        if row in (0, 7):
            columns[Kind.START] = topics({"t": [0, 0] if not row else [1_100, 1_210]})
        write(recorder, columns)
    assert told(recorder) == (100, 100)
