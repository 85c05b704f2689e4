"""Log-end ages out of stored samples: newest ones, a ladder, blocks; the same after a restart and for the past."""

from __future__ import annotations

import time

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from collectors.domain.ages import Method
from collectors.domain.numbers import NO_COMMIT
from collectors.history import age_histories, ages, compaction, minutes, ranges
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.history.now import ClusterNow, cluster_at
from collectors.models import Span

from . import recording
from .recording import Recorder, column, singles, topics

RATE = 10
"""Records that come in each cycle of 5 s."""


def forget() -> None:
    """As a process that has just started."""
    clear_caches()


def write(recorder: Recorder, commits: dict[str, int | None], end: int | None = None, start: int = 0) -> None:
    end = recorder.cycle * RATE + RATE if end is None else end
    recorder.write(
        {
            Kind.END: topics({"orders": [end]}),
            Kind.START: topics({"orders": [start]}),
            Kind.COMMITTED: column({group: {("orders", 0): commit} for group, commit in commits.items()}),
            Kind.VERDICT: singles(dict.fromkeys(commits, 0)),
        }
    )


def now_of(recorder: Recorder) -> ClusterNow:
    found = cluster_at(recorder.id, recorder.cycle)
    assert found is not None
    return found


def age_of(found: ages.AgesNow, now: ClusterNow, group: str) -> tuple[float, float, float, Method]:
    at = now.groups.index[group]
    one = found.groups
    return float(one.seconds[at]), float(one.low[at]), float(one.high[at]), Method(int(one.method[at]))


def test_each_group_has_the_age_of_its_oldest_record(recorder: Recorder) -> None:
    for _ in range(12):
        write(recorder, {"fresh": recorder.cycle * RATE + RATE, "behind": 85, "new": NO_COMMIT, "unseen": None})
    now = now_of(recorder)
    found = ages.ages_at(now)
    assert age_of(found, now, "fresh") == (0.0, 0.0, 0.0, Method.EXACT)
    seconds, low, high, method = age_of(found, now, "behind")
    # the end stood at 80 in cycle 8 and at 90 in cycle 9: 20 s to 15 s before cycle 12
    assert (low, high, method) == (15.0, 20.0, Method.INTERPOLATED)
    assert seconds == pytest.approx(17.25)
    assert age_of(found, now, "new")[3] is Method.UNKNOWN
    assert age_of(found, now, "unseen")[3] is Method.UNKNOWN


@pytest.mark.parametrize("is_new_process", [False, True])
def test_an_age_far_beyond_the_newest_samples_is_as_exact_after_a_restart(
    recorder: Recorder, is_new_process: bool
) -> None:
    for _ in range(400):
        write(recorder, {"stuck": 57})
        if not is_new_process and recorder.cycle > 5:
            ages.ages_at(now_of(recorder))
    forget() if is_new_process else None
    now = now_of(recorder)
    seconds, low, high, method = age_of(ages.ages_at(now), now, "stuck")
    assert (low, high) == (394 * 5.0, 395 * 5.0)
    assert method is Method.INTERPOLATED
    assert seconds == pytest.approx(394 * 5.0 + 1.25)


def test_a_group_that_reads_on_far_behind_is_never_told_from_an_old_bracket(recorder: Recorder) -> None:
    for _ in range(100):
        write(recorder, {"slow": 50})
    ages.ages_at(now_of(recorder))
    for _ in range(3):
        write(recorder, {"slow": 500})
    now = now_of(recorder)
    _, low, high, _ = age_of(ages.ages_at(now), now, "slow")
    assert (low, high) == (52 * 5.0, 53 * 5.0)


def test_what_came_before_the_first_sample_is_carried_on_at_the_rate_since(recorder: Recorder) -> None:
    for _ in range(40):
        write(recorder, {"old": 100}, end=1000 + recorder.cycle * RATE)
    now = now_of(recorder)
    seconds, low, high, method = age_of(ages.ages_at(now), now, "old")
    assert method is Method.RATE_ONLY
    assert low == 39 * 5.0
    assert high == np.inf
    assert seconds == pytest.approx(39 * 5.0 + 900 / (RATE / 5.0))


def test_samples_that_were_compacted_are_read_by_topic(recorder: Recorder) -> None:
    recorder.now = time.time() - 3 * 3600 - 60
    for _ in range(2160):
        write(recorder, {"stuck": 57})
    compaction.run(before_cycles={recorder.id: recorder.cycle})
    assert Span.objects.filter(cluster=recorder.cluster, is_ready=True).exists()
    forget()
    now = now_of(recorder)
    _, low, high, method = age_of(ages.ages_of(now, "stuck"), now, "stuck")
    assert (low, high, method) == (2154 * 5.0, 2155 * 5.0, Method.INTERPOLATED)


def test_a_second_look_at_a_cycle_asks_nothing(recorder: Recorder) -> None:
    for _ in range(30):
        write(recorder, {"behind": 5})
    now = now_of(recorder)
    ages.ages_at(now)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        ages.ages_at(now)
    assert len(asked) == 0


def test_a_new_cycle_costs_no_query_while_no_commit_that_waits_moves(recorder: Recorder) -> None:
    for _ in range(30):
        write(recorder, {"behind": 5})
    ages.ages_at(now_of(recorder))
    write(recorder, {"behind": 5})
    now = now_of(recorder)
    with CaptureQueriesContext(connection) as asked:
        ages.ages_at(now)
    assert len(asked) == 0


def test_the_curve_of_the_past_agrees_with_what_was_told_then(recorder: Recorder) -> None:
    told = []
    for _ in range(60):
        commit = 50 if recorder.cycle < 40 else recorder.cycle * RATE
        write(recorder, {"froze": commit})
        forget()
        now = now_of(recorder)
        told.append(age_of(ages.ages_at(now), now, "froze")[0])
    curve = age_histories.age_history(recorder.id, "froze", recording.BEGIN, recorder.now + 1, points=300)
    assert curve.age.last[4:].tolist() == pytest.approx(told[4:])
    assert curve.age.known.tolist() == [False] * 4 + [True] * 56, "at first its commit lies past the end"
    assert (curve.age.low <= curve.age.last).all()
    assert (curve.age.last <= curve.age.high).all()


def test_a_topic_made_anew_does_not_draw_on_the_log_before(recorder: Recorder) -> None:
    for _ in range(20):
        write(recorder, {"reader": recorder.cycle * RATE + RATE})
    for i in range(6):
        write(recorder, {"reader": 3}, end=i * 4)
    now = now_of(recorder)
    _, low, high, _ = age_of(ages.ages_at(now), now, "reader")
    assert (low, high) == (4 * 5.0, 5 * 5.0)
    curve = age_histories.age_history(recorder.id, "reader", recording.BEGIN, recorder.now + 1)
    assert curve.age.last[-1] == pytest.approx(age_of(ages.ages_at(now), now, "reader")[0])


def test_a_range_older_than_the_samples_says_the_ages_of_the_minutes(recorder: Recorder) -> None:
    """Five hours; the reader stands still for the first half hour, then reads all at once, and so on."""
    while recorder.now < recording.BEGIN + 5 * 3600:
        write(recorder, {"froze": recorder.cycle // 360 * 360 * RATE, "quick": recorder.cycle * RATE + RATE})
    compaction.run(before_cycles={})
    forget()
    since, until = recording.BEGIN + 60, recording.BEGIN + 3600
    whole = ranges.age_history(recorder.id, "froze", since, until)
    assert whole.age.high.max() == pytest.approx(1800, abs=10)
    for span in Span.objects.all():
        compaction.delete_span(span.pk)
    forget()
    found = ranges.age_history(recorder.id, "froze", since, until)
    assert 55 <= len(found.times) <= 60
    assert found.age.known.all()
    for moment, age in zip(found.times.tolist(), found.age.last.tolist(), strict=True):
        at = int(np.searchsorted(whole.times, moment, side="right")) - 1
        assert age == pytest.approx(whole.age.last[at], abs=65), "the end of its minute, to a sample"
    quick = ranges.age_history(recorder.id, "quick", since, until)
    assert quick.age.high.max() <= 2 * recording.STEP
    both = ranges.age_history(recorder.id, "froze", recording.BEGIN, recorder.now)
    assert both.times[0] < recording.BEGIN + 120
    assert both.times[-1] > recorder.now - 120


def test_rollups_of_before_they_held_ages_leave_the_curve_to_the_samples(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    while recorder.now < recording.BEGIN + 3 * 3600:
        write(recorder, {"froze": recorder.cycle // 360 * 360 * RATE})
    monkeypatch.setattr(minutes, "_add_ages", lambda series, now: minutes._add_nothing(series, "age"))
    compaction.run(before_cycles={})
    forget()
    curve = ranges.age_history(recorder.id, "froze", recording.BEGIN + 60, recorder.now + 30, points=100)
    assert len(curve.times) > 90
    assert curve.age.known.all()
    assert curve.age.high.max() > 1500
