"""Countdowns of a cluster's groups as its cycles tell them: after a gap, and of groups that nobody reads for."""

from __future__ import annotations

import pytest
from django.utils import timezone

from collectors.domain.countdown import Outcome
from collectors.domain.drain import DrainOutcome
from collectors.domain.verdicts import Verdict
from collectors.history.kinds import Kind
from collectors.history.queries import ClusterNow, cluster_at, countdowns_at, drains_at
from collectors.models import Configuration

from .recording import Recorder, column, singles, topics

pytestmark = pytest.mark.django_db

NOBODY, READERS = "nobody", "readers"


def keep_an_hour(recorder: Recorder) -> None:
    entries = {"retention.ms": ["3600000", "topic"], "retention.bytes": ["-1", "default"]}
    Configuration.objects.create(
        cluster=recorder.cluster, kind=Configuration.Kind.TOPIC, name="orders", changed_at=timezone.now(),
        entries=entries | {"cleanup.policy": ["delete", "default"]},
    )  # fmt: skip


def write(recorder: Recorder, end: int, *, nobody: int, readers: int, after: float = 5.0) -> ClusterNow:
    commits = {NOBODY: {("orders", 0): nobody}, READERS: {("orders", 0): readers}}
    columns = {
        Kind.END: topics({"orders": [end]}),
        Kind.START: topics({"orders": [0]}),
        Kind.COMMITTED: column(commits),
        Kind.VERDICT: singles({NOBODY: int(Verdict.NO_MEMBERS), READERS: int(Verdict.OK)}),
    }
    recorder.write(columns, after=after)
    found = cluster_at(recorder.id)
    assert found is not None
    return found


def told(now: ClusterNow, group: str) -> tuple[Outcome, float | None]:
    found, at = countdowns_at(now).groups, now.groups.index[group]
    return Outcome(int(found.outcome[at])), found.numbers.at(at)


def test_after_a_gap_only_who_has_no_members_is_known_to_read_nothing(recorder: Recorder) -> None:
    keep_an_hour(recorder)
    for i in range(10):
        now = write(recorder, 100 * i, nobody=50, readers=100 * i - 3)
    assert told(now, READERS) == (Outcome.OUTREAD, None)
    outcome, before = told(now, NOBODY)
    assert outcome is Outcome.BY_TIME
    assert before is not None
    now = write(recorder, 20_000, nobody=50, readers=19_000, after=900.0)
    assert now.groups.consumed_per_second.at(now.groups.index[READERS]) is None
    assert told(now, READERS) == (Outcome.READING_UNKNOWN, None)
    outcome, left = told(now, NOBODY)
    assert outcome is Outcome.BY_TIME
    assert left == pytest.approx(before - 900.0, abs=5.0)
    now = write(recorder, 20_100, nobody=50, readers=20_090)
    assert told(now, READERS)[0].is_never


def test_what_a_tool_sets_of_a_group_without_members_is_nothing_that_was_read(recorder: Recorder) -> None:
    keep_an_hour(recorder)
    for i in range(10):
        now = write(recorder, 10_000 + 50 * i, nobody=100, readers=10_000 + 50 * i)
    _, before = told(now, NOBODY)
    now = write(recorder, 10_500, nobody=10_200, readers=10_500)  # kafka-consumer-groups --reset-offsets
    at = now.groups.index[NOBODY]
    assert now.groups.consumed_per_second.at(at) == 0.0
    assert now.groups.gt_consumed_per_second.at(now.groups.pairs().index((NOBODY, "orders"))) == 0.0
    assert now.moved.at(now.committed.layout.slice_of(NOBODY).start) == pytest.approx(10_100 / 30)
    assert DrainOutcome(int(drains_at(now).outcome[at])) is DrainOutcome.NOT_DRAINING
    outcome, left = told(now, NOBODY)
    assert outcome is Outcome.BY_TIME
    assert before is not None
    assert left is not None
    assert before < left <= 3600.0, "by the age of what it was set to"
    assert now.groups.consumed_per_second.at(now.groups.index[READERS]) == pytest.approx(10.0)


def test_a_commit_past_the_log_end_has_no_countdown_and_says_why(recorder: Recorder) -> None:
    keep_an_hour(recorder)
    for i in range(4):
        now = write(recorder, 100 * i, nobody=50, readers=100 * i + 7)
    assert told(now, READERS) == (Outcome.PAST_END, None)
