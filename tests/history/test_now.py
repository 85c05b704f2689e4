"""A cluster at one cycle, against a slow and simple computation and in the cases that matter."""

from __future__ import annotations

import gc
import random
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.topology import Reach
from collectors.domain.verdicts import Verdict
from collectors.history.kinds import PARTITION_VERDICT_CYCLES, Kind
from collectors.history.now import without_present
from collectors.history.queries import ClusterNow, cluster_at

from .recording import BEGIN, Recorder, Value, column, singles, topics

pytestmark = pytest.mark.django_db

Commits = dict[str, dict[tuple[str, int], Value]]
Ends = dict[str, list[Value]]


def now_at(recorder: Recorder, cycle: int | None = None) -> ClusterNow:
    found = cluster_at(recorder.id, cycle)
    assert found is not None
    return found


def numbers(values: Numbers) -> list[Any]:
    return [values.at(i) for i in range(len(values))]


def of_group(now: ClusterNow, group: str) -> tuple[Any, str, int]:
    i = now.groups.index[group]
    return now.groups.lag.at(i), now.groups.lag_state[i], int(now.groups.uncommitted[i])


def test_before_the_first_cycle_there_is_nothing(recorder: Recorder) -> None:
    assert cluster_at(recorder.id) is None
    assert cluster_at(recorder.id, 5) is None
    assert cluster_at(987654) is None


def test_lag_is_known_at_the_first_cycle_and_rates_from_the_second(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"a": [100, 50]}), Kind.COMMITTED: column({"g": {("a", 0): 90, ("a", 1): 45}})})
    now = now_at(recorder)
    assert of_group(now, "g") == (15, "known", 0)
    assert numbers(now.groups.consumed_per_second) == [None]
    assert numbers(now.topics.messages_per_second) == [None]
    assert numbers(now.topics.arrived) == [None]
    assert (now.window_samples, now.interval, now.cycle, now.taken_at) == (1, 5.0, 1, BEGIN + 5)
    recorder.write({Kind.END: topics({"a": [150, 60]}), Kind.COMMITTED: column({"g": {("a", 0): 95, ("a", 1): 50}})})
    now = now_at(recorder)
    assert of_group(now, "g") == (65, "known", 0)
    assert numbers(now.groups.consumed_per_second) == [2.0]
    assert numbers(now.groups.arriving_per_second) == [12.0]
    assert numbers(now.topics.messages_per_second) == [12.0]
    assert numbers(now.topics.arrived) == [60]
    assert numbers(now.topics.end_sum) == [210]


LAG_CASES: list[tuple[str, dict[tuple[str, int], Value], tuple[int | None, str, int]]] = [
    ("every position has a commit", {("a", 0): 90, ("a", 1): 50}, (10, "known", 0)),
    ("a commit past the end is no lag, and not zero", {("a", 0): 120, ("a", 1): 50}, (None, "unknown", 0)),
    ("one position without a commit is counted apart", {("a", 0): 90, ("a", 1): NO_COMMIT}, (10, "known", 1)),
    ("no commit anywhere is a state", {("a", 0): NO_COMMIT, ("a", 1): NO_COMMIT}, (None, "no_commit", 2)),
    ("a group known to have no positions has no commit", {}, (None, "no_commit", 0)),
    ("one position unknown makes the sum unknown", {("a", 0): 90, ("a", 1): None}, (None, "unknown", 0)),
    ("all unknown: the coordinator is dead", {("a", 0): None, ("a", 1): None}, (None, "unknown", 0)),
    ("unknown beside no commit is unknown", {("a", 0): None, ("a", 1): NO_COMMIT}, (None, "unknown", 1)),
    ("a topic that is gone is unknown", {("a", 0): 90, ("gone", 0): 5}, (None, "unknown", 0)),
    ("a topic that is gone and never read does not matter", {("a", 0): 90, ("gone", 0): NO_COMMIT}, (10, "known", 1)),
    ("a partition whose end is unknown is unknown", {("a", 0): 90, ("a", 2): 1}, (None, "unknown", 0)),
    ("records that retention deleted are no lag", {("old", 0): 10}, (20, "known", 0)),
]


@pytest.mark.parametrize(("sentence", "commits", "expected"), LAG_CASES, ids=[case[0] for case in LAG_CASES])
def test_group_lag(
    recorder: Recorder,
    sentence: str,
    commits: dict[tuple[str, int], Value],
    expected: tuple[int | None, str, int],
) -> None:
    recorder.write(
        {
            Kind.END: topics({"a": [100, 50, None], "old": [100]}),
            Kind.START: topics({"a": [0, 0, 0], "old": [80]}),
            Kind.COMMITTED: column({"g": commits, "other": {("a", 0): 99}}),
        }
    )
    now = now_at(recorder)
    assert of_group(now, "g") == expected, sentence
    assert of_group(now, "other") == (1, "known", 0)


def test_a_dead_coordinator_leaves_no_old_rate_standing(recorder: Recorder) -> None:
    for i in range(6):
        known = i < 5
        recorder.write(
            {
                Kind.END: topics({"a": [100 * i]}),
                Kind.COMMITTED: column({"g": {("a", 0): 100 * i if known else None}}),
            }
        )
    now = now_at(recorder)
    assert of_group(now, "g") == (None, "unknown", 0)
    assert numbers(now.groups.consumed_per_second) == [None]
    assert numbers(now.topics.messages_per_second) == [20.0]
    assert numbers(now_at(recorder, 5).groups.consumed_per_second) == [20.0]


def test_a_rewound_group_has_no_negative_rate(recorder: Recorder) -> None:
    for value in (100, 150, 20, 70, 120):
        recorder.write({Kind.END: topics({"a": [1000]}), Kind.COMMITTED: column({"g": {("a", 0): value}})})
    assert numbers(now_at(recorder, 3).groups.consumed_per_second) == [10.0]
    assert numbers(now_at(recorder, 5).groups.consumed_per_second) == [10.0]


def test_a_topic_made_anew_has_no_negative_rate(recorder: Recorder) -> None:
    for value in (1000, 1100, 5):
        recorder.write({Kind.END: topics({"a": [value]})})
    now = now_at(recorder)
    assert numbers(now.topics.messages_per_second) == [20.0]
    assert numbers(now.topics.arrived) == [None]


def test_rates_follow_partitions_through_changes_of_layout(recorder: Recorder) -> None:
    recorder.write({Kind.END: topics({"b": [100]}), Kind.COMMITTED: column({"g": {("b", 0): 50}})})
    recorder.write(
        {
            Kind.END: topics({"a": [7], "b": [150, 0]}),
            Kind.COMMITTED: column({"f": {("a", 0): 1}, "g": {("b", 0): 60, ("b", 1): NO_COMMIT}}),
        }
    )
    now = now_at(recorder)
    assert now.topics.names == ("a", "b")
    assert numbers(now.topics.messages_per_second) == [None, None], "a new partition's rate needs two samples"
    assert now.groups.consumed_per_second.at(now.groups.index["g"]) == 2.0
    assert now.groups.arriving_per_second.at(now.groups.index["g"]) == 10.0
    assert now.groups.consumed_per_second.at(now.groups.index["f"]) is None


def test_rates_are_smooth_over_the_sawtooth_of_commits(recorder: Recorder) -> None:
    for i in range(20):
        committed = 100 * (i // 2)  # commits come every second cycle
        recorder.write({Kind.END: topics({"a": [50 * i]}), Kind.COMMITTED: column({"g": {("a", 0): committed}})})
        if i >= 8:
            assert now_at(recorder).groups.consumed_per_second.at(0) == pytest.approx(10.0, rel=0.01)


def test_the_window_is_fifteen_seconds_at_least_and_six_steps(recorder: Recorder) -> None:
    for _ in range(30):
        recorder.write({Kind.END: topics({"a": [1]})})
    assert now_at(recorder).window_samples == 7
    quick = Recorder("quick", 1.0)
    for _ in range(30):
        quick.write({Kind.END: topics({"a": [1]})})
    assert now_at(quick).window_samples == 16


def test_a_rate_does_not_reach_over_a_long_pause(recorder: Recorder) -> None:
    for i in range(8):
        recorder.write({Kind.END: topics({"a": [100 * i]})})
    recorder.write({Kind.END: topics({"a": [10_000]})}, after=3600.0)
    now = now_at(recorder)
    assert now.window_samples == 1
    assert numbers(now.topics.messages_per_second) == [None]
    assert now.interval == 5.0


def test_what_is_older_than_three_cycles_is_unknown(recorder: Recorder) -> None:
    both = {Kind.END: topics({"a": [10]}), Kind.COMMITTED: column({"g": {("a", 0): 4}})}
    recorder.write({**both, Kind.VERDICT: singles({"g": int(Verdict.OK)}), Kind.START: topics({"a": [0]})})
    lags = []
    for _ in range(5):
        recorder.write({Kind.END: topics({"a": [10]})})
        lags.append(of_group(now_at(recorder), "g"))
    assert lags == [(6, "known", 0)] * 3 + [(None, "unknown", 0)] * 2
    now = now_at(recorder)
    assert numbers(now.groups.verdict) == [None]
    assert numbers(now.start.numbers) == [0], "the survey's facts have their own pace"
    assert now.groups.names == ("g",), "the group is still listed"


def test_verdicts_of_partitions_hold_as_long_as_those_of_groups_are_written(recorder: Recorder) -> None:
    ok, still = int(PartitionVerdict.OK), int(PartitionVerdict.NO_PROGRESS)
    told = {
        Kind.END: topics({"a": [10, 10]}),
        Kind.COMMITTED: column({"g": {("a", 0): 4, ("a", 1): 10}}),
        Kind.VERDICT: singles({"g": int(Verdict.NO_PROGRESS)}),
    }
    recorder.write(told)
    assert numbers(now_at(recorder).partition_verdicts) == [None, None], "an older program stored none"
    recorder.write({**told, Kind.PARTITION_VERDICT: column({"g": {("a", 0): still, ("a", 1): ok}})})
    for _ in range(PARTITION_VERDICT_CYCLES - 1):
        recorder.write(told)
        assert numbers(now_at(recorder).partition_verdicts) == [still, ok]
    assert numbers(without_present(now_at(recorder)).partition_verdicts) == [None, None]
    for seen in (still, still, still, None):
        recorder.write({Kind.END: topics({"a": [10, 10]})})
        assert numbers(now_at(recorder).partition_verdicts)[0] == seen
    recorder.write({**told, Kind.COMMITTED: column({"f": {("a", 0): 1}, "g": {("a", 1): 10}})})
    assert numbers(now_at(recorder).partition_verdicts) == [None, ok], "it follows its position"


def test_start_and_size_are_the_newest_up_to_the_cycle(recorder: Recorder) -> None:
    end = topics({"a": [10, 20], "b": [5]})
    recorder.write({Kind.END: end})
    recorder.write({Kind.END: end, Kind.SIZE: topics({"a": [1000, 500]}), Kind.START: topics({"a": [1, 2]})})
    recorder.write({Kind.END: end})
    recorder.write({Kind.END: end, Kind.SIZE: topics({"a": [2000, None], "b": [7]})})
    assert [numbers(now_at(recorder, c).topics.size_bytes) for c in (1, 2, 3, 4)] == [
        [None, None],
        [1500, None],
        [1500, None],
        [None, 7],
    ]
    assert len(now_at(recorder, 1).start.layout) == 0
    assert numbers(now_at(recorder, 4).start.numbers) == [1, 2]


def test_brokers_and_verdicts(recorder: Recorder) -> None:
    recorder.write(
        {
            Kind.END: topics({"a": [10]}),
            Kind.COMMITTED: column({"g": {("a", 0): 4}, "h": {("a", 0): 4}}),
            Kind.VERDICT: singles({"f": int(Verdict.NO_MEMBERS), "g": int(Verdict.NO_PROGRESS)}),
            Kind.BROKER: singles({"1": int(Reach.UP), "10": int(Reach.DOWN), "2": None}),
        }
    )
    now = now_at(recorder)
    assert now.brokers.ids == (1, 10, 2)
    assert numbers(now.brokers.reach) == [int(Reach.UP), int(Reach.DOWN), None]
    assert now.groups.names == ("f", "g", "h")
    assert numbers(now.groups.verdict) == [int(Verdict.NO_MEMBERS), int(Verdict.NO_PROGRESS), None]
    assert [of_group(now, name) for name in "fgh"] == [(None, "unknown", 0), (6, "known", 0), (6, "known", 0)]
    assert now.groups.pairs() == [("g", "a"), ("h", "a")]


def test_a_cycle_of_an_unreachable_cluster_is_a_cycle_too(recorder: Recorder) -> None:
    recorder.write({Kind.BROKER: singles({"1": int(Reach.SUSPECT)})})
    now = now_at(recorder)
    assert (now.cycle, now.taken_at) == (1, BEGIN + 5)
    assert (now.topics.names, now.groups.names, len(now.lag)) == ((), (), 0)
    recorder.write({Kind.END: topics({}), Kind.COMMITTED: column({})})
    assert now_at(recorder).groups.pairs() == []


def test_by_group_and_topic(recorder: Recorder) -> None:
    for i in (0, 10):
        recorder.write(
            {
                Kind.END: topics({"a": [100, 100], "b": [50]}),
                Kind.COMMITTED: column(
                    {
                        "g": {("a", 0): 40 + i, ("a", 1): 60 + i, ("b", 0): None, ("gone", 0): 5},
                        "h": {("b", 0): 20 + i, ("b", 1): NO_COMMIT},
                    }
                ),
            }
        )
    groups = now_at(recorder).groups
    assert groups.pairs() == [("g", "a"), ("g", "b"), ("g", "gone"), ("h", "b")]
    assert groups.gt_group.tolist() == [0, 0, 0, 1]
    assert groups.gt_topic.tolist() == [0, 1, -1, 1]
    assert numbers(groups.gt_lag) == [80, None, None, 20]
    assert numbers(groups.gt_consumed_per_second) == [4.0, None, 0.0, 2.0]
    assert groups.gt_uncommitted.tolist() == [0, 0, 0, 1]


# Against a slow and simple computation


def naive_rate(times: list[float], values: list[Value]) -> float | None:
    """Steps between neighbouring known samples that do not go back; None without one, or when the last is unknown."""
    pairs = [(t, v) for t, v in zip(times, values, strict=True) if v is not None and v != NO_COMMIT]
    if len(pairs) < 2 or values[-1] is None or values[-1] == NO_COMMIT:
        return None
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(pairs) if b[1] >= a[1]]
    seconds = sum(step[0] for step in steps)
    return sum(step[1] for step in steps) / seconds if seconds else None


def total(values: list[Any]) -> Any:
    return sum(values) if values and None not in values else None


def evolve(chance: random.Random, ends: dict[tuple[str, int], int], commits: Commits) -> tuple[Ends, Commits]:
    if chance.random() < 0.2:
        name = chance.choice("abcdef")
        count = len([1 for topic, _ in ends if topic == name])
        ends[name, count] = chance.randrange(1000)
    if chance.random() < 0.05 and ends:
        gone = chance.choice(sorted(ends))[0]
        for key in [key for key in ends if key[0] == gone]:
            del ends[key]
    for key in ends:
        ends[key] = chance.choice([ends[key] + chance.randrange(500), ends[key], max(0, ends[key] - 300)])
    for group in "vwxyz":
        own = commits.setdefault(group, {}) if chance.random() < 0.3 or group in commits else None
        if own is None:
            continue
        for key in ends:
            if chance.random() < 0.2:
                own[key] = chance.choice([NO_COMMIT, max(0, ends[key] - 20), ends[key] + 20])
        if chance.random() < 0.05:
            del commits[group]
    shown: Ends = {}
    for topic, partition in sorted(ends):
        shown.setdefault(topic, []).append(None if chance.random() < 0.05 else ends[topic, partition])
    return shown, {g: {k: None if chance.random() < 0.05 else v for k, v in own.items()} for g, own in commits.items()}


@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_a_naive_computation_then_and_later(recorder: Recorder, seed: int) -> None:
    chance = random.Random(seed)
    ends: dict[tuple[str, int], int] = {}
    commits: Commits = {}
    past: list[tuple[float, Ends, Commits]] = []
    starts: Ends = {}
    answers = []
    for cycle in range(1, 61):
        shown, committed = evolve(chance, ends, commits)
        columns = {Kind.END: topics(shown), Kind.COMMITTED: column(committed)}
        if cycle % 9 == 0:
            starts = {topic: [chance.randrange(900) for _ in own] for topic, own in shown.items()}
            columns[Kind.START] = topics(starts)
        recorder.write(columns)
        past.append((recorder.now, shown, committed))
        answers.append(summary(now_at(recorder)))
        assert answers[-1] == expected(past[-7:], starts)
    for cycle in chance.sample(range(1, 61), 20):
        assert summary(now_at(recorder, cycle)) == answers[cycle - 1], "an old cycle is as it was when it was new"


def rounded(value: Any) -> Any:
    return None if value is None else round(value, 6)


def summary(now: ClusterNow) -> dict[str, Any]:
    groups, of_topics = now.groups, now.topics
    return {
        "groups": {
            name: (
                groups.lag.at(i),
                groups.lag_state[i],
                int(groups.uncommitted[i]),
                rounded(groups.consumed_per_second.at(i)),
                rounded(groups.arriving_per_second.at(i)),
            )
            for i, name in enumerate(groups.names)
        },
        "topics": {
            name: (of_topics.end_sum.at(i), of_topics.arrived.at(i), rounded(of_topics.messages_per_second.at(i)))
            for i, name in enumerate(of_topics.names)
        },
    }


def expected(past: list[tuple[float, Ends, Commits]], starts: Ends) -> dict[str, Any]:
    times = [at for at, _, _ in past]
    _, ends, commits = past[-1]

    def end(sample: int, key: tuple[str, int]) -> Value:
        own = past[sample][1].get(key[0], [])
        return own[key[1]] if key[1] < len(own) else None

    def start(key: tuple[str, int]) -> int:
        own = starts.get(key[0], [])
        return own[key[1]] or 0 if key[1] < len(own) else 0

    def arriving(key: tuple[str, int]) -> float | None:
        return naive_rate(times, [end(i, key) for i in range(len(past))])

    out: dict[str, Any] = {"groups": {}, "topics": {}}
    for group, own in commits.items():
        keys = [key for key, value in own.items() if value != NO_COMMIT]
        lags: list[Value] = []
        for key in keys:
            committed, last = own[key], end(-1, key)
            if committed is None or last is None or committed > last:
                lags.append(None)
            else:
                lags.append(max(0, last - max(committed, start(key))))
        lag = total(lags)
        out["groups"][group] = (
            lag,
            "known" if lag is not None else "unknown" if keys else "no_commit",
            len(own) - len(keys),
            rounded(total([naive_rate(times, [c.get(group, {}).get(key) for _, _, c in past]) for key in keys])),
            rounded(total([arriving(key) for key in keys])),
        )
    for topic, values in ends.items():
        places = [(topic, p) for p in range(len(values))]
        steps = []
        for key in places:
            now, before = end(-1, key), end(-2, key) if len(past) > 1 else None
            steps.append(None if now is None or before is None or now < before else now - before)
        out["topics"][topic] = (total(list(values)), total(steps), rounded(total([arriving(key) for key in places])))
    return out


def test_the_answer_is_kept_and_its_queries_do_not_grow(
    recorder: Recorder, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def write(value: int) -> None:
        recorder.write(
            {
                Kind.END: topics({f"t{i}": [value] * 20 for i in range(100)}),
                Kind.COMMITTED: column({f"g{i}": {(f"t{i}", p): 0 for p in range(20)} for i in range(100)}),
                Kind.VERDICT: singles({f"g{i}": 0 for i in range(100)}),
                Kind.BROKER: singles({"1": 0}),
            }
        )

    for value in range(10):
        write(value)
    first = now_at(recorder)
    with django_assert_num_queries(2):
        assert now_at(recorder) is first
    with django_assert_num_queries(2):
        assert now_at(recorder, recorder.cycle) is first
    write(11)
    with django_assert_num_queries(6):  # two to find, one per kind with a new frame
        assert now_at(recorder) is not first


def test_a_small_cluster_s_cycles_do_not_pile_up_in_memory(recorder: Recorder) -> None:
    """A process that looked at each of an hour's cycles is no larger for it than one that looked at a few."""

    def look(count: int) -> int:
        for _ in range(count):
            ends = topics({"a": [100 + recorder.cycle, 50]})
            recorder.write({Kind.END: ends, Kind.COMMITTED: column({"g": {("a", 0): 90, ("a", 1): 45}})})
            now_at(recorder)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early, late = look(120), look(120)
    finally:
        tracemalloc.stop()
    assert late - early < 1_000_000  # a result and its columns are some 30 kB
