"""The first n of many owners over a range are those that their own curves say, whatever storey holds the range."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from collectors.history import compaction, queries, rolling
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.history.queries import Quantity
from collectors.models import Rollup

from .recording import BEGIN, Recorder, column, topics

TOPICS = 6


@pytest.fixture
def recorder(db: None) -> Recorder:
    return Recorder(interval=300.0)


def living(recorder: Recorder, count: int) -> None:
    """Topic i gets i records a second, but topic 0 in the last third 500; group i is 10 i behind, group 3 once 900."""
    ends = [0] * TOPICS
    for cycle in range(count):
        for i in range(TOPICS):
            ends[i] += 300 * (500 if i == 0 and cycle > count * 0.7 else i)
        behind = [900 if i == 3 and cycle == count // 3 else 10 * i for i in range(TOPICS)]
        groups = {f"g{i}": {(f"t{i}", 0): ends[i] - behind[i]} for i in range(TOPICS)}
        recorder.write({Kind.END: topics({f"t{i}": [ends[i]] for i in range(TOPICS)}), Kind.COMMITTED: column(groups)})


def settle(recorder: Recorder) -> None:
    while compaction.run(before_cycles={}).spans or rolling.roll(recorder.id):
        pass
    compaction.run(before_cycles={})
    clear_caches()


def names(recorder: Recorder, quantity: Quantity, since: float, until: float, n: int = 3) -> list[str]:
    return [one.owner for one in queries.top(recorder.id, quantity, since, until, n)]


def ranked_by_curves(recorder: Recorder, quantity: Quantity, since: float, until: float, n: int = 3) -> list[str]:
    """What the owners' own curves say: a rate by its mean, all else by its highest."""
    values = {}
    for i in range(TOPICS):
        owner = f"{'t' if quantity is Quantity.RATE else 'g'}{i}"
        band = queries.curve(recorder.id, quantity, owner, since, until, 5000).values
        some = band.last[band.known] if quantity is Quantity.RATE else band.high[band.known]
        values[owner] = float(np.mean(some) if quantity is Quantity.RATE else np.max(some)) if len(some) else -1.0
    return sorted(values, key=lambda owner: -values[owner])[:n]


@pytest.mark.parametrize("quantity", [Quantity.RATE, Quantity.LAG])
@pytest.mark.parametrize("hours", [2.0, 7.0])
def test_the_first_are_those_that_their_own_curves_say(recorder: Recorder, quantity: Quantity, hours: float) -> None:
    living(recorder, int(hours * 12))
    settle(recorder)
    for since, until in ((BEGIN, recorder.now), (recorder.now - hours * 1200, recorder.now)):
        assert names(recorder, quantity, since, until) == ranked_by_curves(recorder, quantity, since, until)


def test_a_topic_that_was_busy_long_ago_is_first_of_that_time_only(recorder: Recorder) -> None:
    living(recorder, 12 * 6)
    settle(recorder)
    last = recorder.now - 1200, recorder.now
    assert names(recorder, Quantity.RATE, *last, 1) == ["t0"]
    assert names(recorder, Quantity.RATE, BEGIN, recorder.now - 3 * 3600, 1) == ["t5"]
    assert names(recorder, Quantity.LAG, BEGIN, recorder.now, 1) == ["g3"]
    found = queries.top(recorder.id, Quantity.LAG, *last, 2)
    assert [(one.owner, one.value) for one in found] == [("g5", 50.0), ("g4", 40.0)]
    [rate] = queries.top(recorder.id, Quantity.RATE, BEGIN + 3600, BEGIN + 3 * 3600, 1)
    assert rate.value == pytest.approx(5.0, rel=0.02)


def test_some_owners_can_be_asked_for_alone_or_left_out(recorder: Recorder) -> None:
    living(recorder, 40)
    settle(recorder)
    some = queries.top(recorder.id, Quantity.LAG, BEGIN, recorder.now, 9, among={"g1", "g2", "nobody"})
    assert [one.owner for one in some] == ["g2", "g1"]
    skipped = queries.top(recorder.id, Quantity.LAG, BEGIN, recorder.now, 1, skip=lambda name: name == "g3")
    assert [one.owner for one in skipped] == ["g5"]


def test_a_young_cluster_is_ranked_by_its_newest_cycle(recorder: Recorder) -> None:
    living(recorder, 3)
    assert names(recorder, Quantity.LAG, recorder.now - 60, recorder.now, 2) == ["g5", "g4"]
    assert names(recorder, Quantity.RATE, recorder.now - 60, recorder.now, 2) == ["t5", "t4"]
    assert names(recorder, Quantity.LAG, BEGIN - 900, BEGIN - 600, 2) == []


def test_hours_answer_where_minutes_are_no_longer_kept(recorder: Recorder) -> None:
    living(recorder, 12 * 8)
    settle(recorder)
    before = names(recorder, Quantity.LAG, BEGIN + 900, BEGIN + 5 * 3600, 3)
    assert Rollup.objects.filter(resolution__lt=3600).delete()[0]
    clear_caches()
    assert names(recorder, Quantity.LAG, BEGIN + 900, BEGIN + 5 * 3600, 3) == before == ["g3", "g5", "g4"]


def test_the_number_of_queries_does_not_depend_on_that_of_owners(recorder: Recorder) -> None:
    living(recorder, 12 * 3)
    settle(recorder)
    with CaptureQueriesContext(connection) as few:
        names(recorder, Quantity.RATE, BEGIN, recorder.now)
    assert len(few) <= 12
