"""Each act of the demo on its real Kafka: the sentence in time, the rule after its hold, its end, and nothing else."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.demo.acts import ACTS, LOOP

from .playing import Demo, Receiver, seconds_of, unix
from .served import wait_for

pytestmark = pytest.mark.kafka
BEGIN_SECONDS = 90.0
"""Longest from the sign-in link to the begin of the act."""

Playing = Callable[..., Demo]


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Playing]:
    """Start a demo with an act; it is ended with the test."""
    made: list[Demo] = []

    def play(act: str) -> Demo:
        demo = Demo(tmp_path, "--act", act)
        made.append(demo)
        demo.start()
        demo.wait_signed_in()
        return demo

    yield play
    for demo in made:
        demo.stop()


def wait_said(demo: Demo, rule: str, state: str, *, since: float, within: float) -> float:
    """Seconds after `since` at which the rule's alert came into the state."""
    found = wait_for(
        f"{rule} {state}",
        lambda: [one for one in demo.said() if one.rule == rule and one.state == state],
        seconds=max(1.0, since + within - time.time()),
    )
    return found[0].at - since


def told(demo: Demo) -> list[tuple[str, str, str]]:
    return [(one.rule, one.subject, one.state) for one in demo.said()]


def both(rule: str, subject: str) -> list[tuple[str, str, str]]:
    return [(rule, subject, "firing"), (rule, subject, "resolved")]


def test_freeze(playing: Playing) -> None:
    """In `make test`: its two waits are cut short by the strip's own buttons."""
    demo = playing("freeze")
    demo.wait_mark("calm", "begin", seconds=BEGIN_SECONDS)
    demo.press("next")
    began = demo.wait_mark("freeze", "begin", seconds=10)
    sentence = (
        r"No progress since .* none of \d+ waiting records? read, 3 of 3 partitions stand still; read by payments-"
    )
    demo.wait_text("groups/payments/", sentence, since=began, within=30)
    held = wait_said(demo, "group_no_progress", "firing", since=began, within=100)
    assert held >= 60
    assert "payment service frozen on purpose" in demo.overview()
    demo.press("calm")
    thawed = demo.wait_mark("freeze", "end", seconds=10)
    wait_said(demo, "group_no_progress", "resolved", since=thawed, within=30)
    assert told(demo) == both("group_no_progress", "payments")
    assert "Demo: all is well" in demo.overview()
    assert demo.marks()[-1].act == "calm"


@pytest.mark.long
def test_calm(playing: Playing) -> None:
    demo = playing("calm")
    began = demo.wait_mark("calm", "begin", seconds=BEGIN_SECONDS)
    demo.wait_text("/", "Nothing needs you: 3 brokers up, 12 groups reading", since=began, within=90)
    while time.time() < began + 600:  # ten minutes is what is asked: nothing to be awaited
        assert told(demo) == []
        time.sleep(5)
    assert "Nothing needs you" in demo.overview()
    dead = "select count(*) from collectors_topic where name = 'orders-dlt'"
    assert demo.rows(dead) == [(1,)]
    assert re.search(r"No dead letters arrive at the moment 0 records held", demo.page("dead-letters/"))


@pytest.mark.long
def test_sale(playing: Playing) -> None:
    demo = playing("sale")
    began = demo.wait_mark("sale", "begin", seconds=BEGIN_SECONDS)
    page = "groups/analytics/"
    demo.wait_text(page, r"Falling behind: reads \d+/s while .*/s arrive", since=began, within=30)
    held = wait_said(demo, "group_falls_behind", "firing", since=began, within=180)
    assert held >= 120
    ended = demo.wait_mark("sale", "mend", seconds=120)
    demo.wait_text(page, r"Catching up: .*done in about \d", since=ended, within=30)
    estimates: list[tuple[float, float]] = []

    def caught_up() -> bool:
        if found := re.search(r"Catching up: .*? done in about ((?:\d+\s?(?:min|s)\s?)+)", demo.page(page)):
            estimates.append((time.time(), seconds_of(found[1])))
            return False
        return True

    wait_for("caught up", caught_up, seconds=ACTS["sale"].recovery_seconds + 60)
    done = time.time()
    early = [(done - at, seconds) for at, seconds in estimates if done - at >= 30]
    assert len(early) >= 5
    wrong = [(round(left), seconds) for left, seconds in early if abs(seconds - left) > 0.3 * left]
    assert not wrong, f"(seconds it took, seconds told) {wrong} of {len(early)}"
    wait_said(demo, "group_falls_behind", "resolved", since=ended, within=60)
    demo.wait_mark("sale", "end", seconds=200)
    assert told(demo) == both("group_falls_behind", "analytics")


@pytest.mark.long
def test_poison(playing: Playing) -> None:
    demo = playing("poison")
    began = demo.wait_mark("poison", "begin", seconds=BEGIN_SECONDS)
    sentence = r"dead letters/s arrive in orders-dlt, \d[\d.]* % of what comes to orders"
    demo.wait_text("dead-letters/", sentence, since=began, within=2 * 5 + 3)
    wait_said(demo, "dead_letters_arriving", "firing", since=began, within=15)
    ended = demo.wait_mark("poison", "mend", seconds=90)
    shares = re.findall(r"([\d.]+)\s% of what comes to orders", demo.page("dead-letters/"))
    assert shares
    assert 2.5 <= float(shares[0]) <= 7.5, "three and two in a hundred"
    over = wait_said(demo, "dead_letters_arriving", "resolved", since=ended, within=ACTS["poison"].recovery_seconds)
    assert over >= 115
    assert told(demo) == both("dead_letters_arriving", "orders-dlt")


@pytest.mark.long
def test_hot(playing: Playing) -> None:
    demo = playing("hot")
    began = demo.wait_mark("hot", "begin", seconds=BEGIN_SECONDS)
    _, text = demo.wait_text("topics/sensors/", r"Hot partition: \d+ % of the records come to", since=began, within=60)
    partition = re.search(r"come to partition (\d)", text)
    assert partition
    sentence = rf"sensors-{partition[1]} is hot: it gets \d+ % of what comes to that topic, read by sensor-archive-\d"
    demo.wait_text("groups/sensor-archive/", sentence, since=began, within=60)
    held = wait_said(demo, "partition_skew", "firing", since=began, within=170)
    assert held >= 120
    ended = demo.wait_mark("hot", "mend", seconds=120)
    wait_said(demo, "partition_skew", "resolved", since=ended, within=45)
    assert told(demo) == both("partition_skew", "sensors")


@pytest.mark.long
def test_leave(playing: Playing) -> None:
    demo = playing("leave")
    began = demo.wait_mark("leave", "begin", seconds=BEGIN_SECONDS)
    sentence = (
        r"Group sensor-archive rebalanced: 2 members, 2 fewer \(sensor-archive-3, sensor-archive-4 left\); "
        "no partition unowned"
    )
    demo.wait_text("groups/sensor-archive/", sentence, since=began, within=15 + 5 + 5)
    ended = demo.wait_mark("leave", "mend", seconds=80)
    demo.wait_text("groups/sensor-archive/", "rebalanced: 4 members, 2 more", since=ended, within=25)
    demo.wait_mark("leave", "end", seconds=60)
    assert told(demo) == []


@pytest.mark.long
def test_retention(playing: Playing) -> None:
    demo = playing("retention")
    began = demo.wait_mark("retention", "begin", seconds=BEGIN_SECONDS)
    page = "groups/log-archive/"
    demo.wait_text(page, r"No members: nobody reads, .*\d records? waits?, .*/s arrive", since=began, within=30)
    held = wait_said(demo, "group_no_members", "firing", since=began, within=100)
    assert held >= 60
    lost = wait_said(demo, "records_lost", "firing", since=began, within=110)
    demo.wait_text(page, r"\d records? were lost before being read", since=began + lost, within=30)
    ended = demo.wait_mark("retention", "mend", seconds=120)
    wait_said(demo, "group_no_members", "resolved", since=ended, within=40)
    over = wait_said(demo, "records_lost", "resolved", since=ended, within=150)
    assert over >= 100
    (end,) = [one for one in demo.said() if one.rule == "records_lost" and one.state == "resolved"]
    counted = re.search(r"; ([\d\u202f]+) records since ", end.sentence)
    assert counted
    assert int(counted[1].replace("\u202f", "")) > 100
    assert sorted(told(demo)) == sorted(
        [*both("group_no_members", "log-archive"), *both("records_lost", "log-archive")]
    )


@pytest.mark.long
def test_broker(playing: Playing) -> None:
    demo = playing("broker")
    began = demo.wait_mark("broker", "begin", seconds=BEGIN_SECONDS)
    suspect = wait_for("suspect", lambda: demo.events("broker_suspect"), seconds=10)
    assert suspect[0][0] - began <= 5
    assert wait_said(demo, "broker_down", "firing", since=began, within=20) <= 15
    demo.wait_text("", r"Broker 3 is down, \d+ topics under-replicated, none offline", since=began, within=30)
    ended = demo.wait_mark("broker", "mend", seconds=100)
    assert ended - began >= 90
    wait_said(demo, "broker_down", "resolved", since=ended, within=45)
    demo.wait_mark("broker", "end", seconds=60)
    demo.wait_text("", "Nothing needs you", since=time.time(), within=60)
    assert told(demo) == both("broker_down", "3")


@pytest.mark.long
def test_blind(playing: Playing) -> None:
    demo = playing("blind")
    began = demo.wait_mark("blind", "begin", seconds=BEGIN_SECONDS)
    fired = wait_said(demo, "collector_blind", "firing", since=began, within=30)
    assert 10 <= fired <= 25, "three intervals after the last cycle"
    _, overview = demo.wait_text("/", r"No new samples since", since=began, within=25)
    assert "Nothing needs you" not in overview
    group = demo.page("groups/payments/")
    assert not re.search(r"Lag 0 records|Arriving 0 /s", group), "unknown is not zero"
    ended = demo.wait_mark("blind", "mend", seconds=90)
    wait_said(demo, "collector_blind", "resolved", since=ended, within=20)
    demo.wait_mark("blind", "end", seconds=60)
    assert told(demo) == both("collector_blind", "")
    rows = demo.rows("select taken_at from collectors_cycle order by number")
    steps = [unix(after) - unix(before) for (before,), (after,) in pairwise(rows)]
    assert 50 <= max(steps) <= 90, "nothing was stored meanwhile"
    span = f"from={int(began - 60) * 1000}&to={int(time.time()) * 1000}"
    chart = demo.json(f"series/?subject=g&name=payments&what=lag&{span}")
    assert max(gap["to"] - gap["from"] for gap in chart["gaps"]) >= 50, "and the curve has a hole there"


LOOP_SAYS = [
    *both("group_falls_behind", "analytics"),
    *both("group_no_progress", "payments"),
    *both("dead_letters_arriving", "orders-dlt"),
    *both("partition_skew", "sensors"),
    *both("group_no_members", "log-archive"),
    *both("records_lost", "log-archive"),
    *both("broker_down", "3"),
    *both("collector_blind", ""),
]
"""All that one loop tells, in alphabetical order compared, since two rules of one act overlap."""


SHOWN = {
    "sale": (
        ("groups/analytics/", r"Falling behind: reads \d+/s while .*/s arrive"),
        ("groups/analytics/", r"producer burst: .*/s arrive, before that it were .*/s .* would do"),
    ),
    "freeze": (
        ("groups/payments/", r"No progress since .* none of .* waiting records read, 3 of 3 partitions stand still"),
        ("groups/payments/", r"stuck members: .* Look what they all wait for .*; a restart helps only against a hang"),
    ),
    "poison": (
        ("dead-letters/", r"dead letters/s arrive in orders-dlt, .* % of what comes to orders"),
        ("topics/orders-dlt/", r"Dead letters arrive, .*/s"),
        ("groups/payments/", r"Stay calm Keeps up: "),
    ),
    "hot": (
        ("topics/sensors/", r"Hot partition: \d+ % of the records come to partition \d"),
        ("groups/sensor-archive/", r"Keeps up: .*sensors-\d is hot: it gets \d+ % of what comes to that topic"),
    ),
    "leave": (
        ("groups/sensor-archive/", r"rebalanced: 2 members, 2 fewer .*; no partition unowned"),
        ("groups/sensor-archive/", r"Stay calm Keeps up: .* 2 members"),
    ),
    "retention": (
        (
            "groups/log-archive/",
            r"No members: nobody reads, .* records wait, .*; .* records were lost before being read",
        ),
        ("groups/log-archive/", r"missing members: nobody is in the group; retention has begun .* Start its members"),
        ("groups/log-archive/", r"Retention countdown lost already"),
    ),
    "broker": (
        ("", r"Broker 3 is down, \d+ topics under-replicated, none offline"),
        ("groups/payments/", r"Stay calm Keeps up: "),
    ),
    "blind": (
        ("/", r"No new samples since"),
        ("groups/payments/", r"Stay calm Unknown: not sampled since"),
    ),
}
"""What an operator reads in each act, between its begin and its mend: verdict, likely cause and next step."""


class Reading(threading.Thread):
    """Looks at the pages of the act that plays; `missed` is what none of them has said so far."""

    def __init__(self, demo: Demo) -> None:
        super().__init__(daemon=True)
        self.demo = demo
        self.missed = [(act, page, pattern) for act, all_of in SHOWN.items() for page, pattern in all_of]
        self.failure: Exception | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            while not self.stopped.wait(5.0):
                newest = self.demo.marks()[-1:]
                for act, page, pattern in tuple(self.missed):
                    if newest and (newest[0].act, newest[0].phase) == (act, "begin"):
                        text = self.demo.overview() if page == "/" else self.demo.page(page)
                        if re.search(pattern.replace(" ", r"\s"), text):
                            self.missed.remove((act, page, pattern))
        except Exception as failure:  # noqa: BLE001  # told by the test
            self.failure = failure


@pytest.mark.long
def test_one_loop_tells_exactly_this_and_nothing_else(tmp_path: Path) -> None:
    receiver = Receiver()
    demo = Demo(tmp_path)
    demo.manage("migrate", "-v0")
    made = f"from tests.alerts.stage import webhook_channel; webhook_channel('ops', {receiver.address!r})"
    demo.manage("shell", "--no-imports", "-c", made)
    try:
        demo.start()
        demo.wait_signed_in()
        reading = Reading(demo)
        reading.start()
        demo.wait_mark(LOOP[-1].name, "end", seconds=45 * 60)
        reading.stopped.set()
        wait_for("the last message", lambda: len(receiver.got) >= len(LOOP_SAYS), seconds=30)
    finally:
        demo.stop()
        receiver.close()
    assert sorted((rule, subject, event) for event, rule, subject in receiver.got) == sorted(LOOP_SAYS)
    assert sorted(told(demo)) == sorted(LOOP_SAYS)
    marks = demo.marks()
    begun = [mark.act for mark in marks if mark.phase == "begin" and mark.act != "calm"]
    assert begun[: len(LOOP)] == [act.name for act in LOOP]
    assert (reading.missed, reading.failure) == ([], None)
