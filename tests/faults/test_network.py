"""Bad lines between us and a real Kafka: rows of facts/reliability.md 2.5."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collectors.demo.nodes import KafkaCluster
from collectors.domain.topology import Reach
from collectors.models import Cycle
from tests.conftest import produce

from .badline import BadLine, Weather, bad_lines
from .watch import Watch, watching

pytestmark = [pytest.mark.kafka, pytest.mark.django_db]
PARTITIONS = 6
RECORDS = 30
LONGEST_CYCLE_SECONDS = 2.5
"""An interval (two budgets of 0.8 s, and what is stored), and some more on a busy machine."""


@pytest.fixture
def lines(kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[int, BadLine]]:
    with bad_lines(kafka, monkeypatch) as made:
        yield made


@pytest.fixture
def topic(kafka: KafkaCluster, new_topic: Callable[..., str]) -> str:
    name = new_topic("far", partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        produce(kafka.bootstrap, name, [b"x"] * (RECORDS + partition), partition=partition)
    return name


RIGHT = {partition: RECORDS + partition for partition in range(PARTITIONS)}


@pytest.fixture
def watch(kafka: KafkaCluster, lines: dict[int, BadLine], topic: str) -> Iterator[Watch]:
    """After a cycle over fine lines in which everything is known."""
    with watching(kafka.bootstrap) as made:
        made.look()
        made.until("all is known", lambda: made.ends(topic) == RIGHT, seconds=15)
        yield made


def timed_cycle(watch: Watch) -> tuple[Cycle, float]:
    began = time.monotonic()
    cycle = watch.cycle()
    return cycle, time.monotonic() - began


def leaders(watch: Watch, topic: str) -> dict[int, int]:
    return {number: row[0] for number, row in enumerate(watch.topic(topic).partitions)}


def by_leader(watch: Watch, topic: str, silent: set[int]) -> dict[int, int | None]:
    """What must be known when these brokers do not answer."""
    return {p: None if leader in silent else RIGHT[p] for p, leader in leaders(watch, topic).items()}


@pytest.mark.parametrize("weather", [Weather(swallows_requests=True), Weather(swallows_answers=True)])
def test_n1_n4_a_broker_whose_answers_are_lost_is_a_timeout_and_nobody_waits_for_it(
    watch: Watch, lines: dict[int, BadLine], topic: str, weather: Weather
) -> None:
    victim = leaders(watch, topic)[0]
    lines[victim].weather = weather
    for number in range(3):
        cycle, seconds = timed_cycle(watch)
        assert seconds < LONGEST_CYCLE_SECONDS, number
        assert watch.ends(topic) == by_leader(watch, topic, {victim})
    assert watch.reach()[victim] == Reach.SUSPECT
    assert {(e["reason"], e["broker"]) for e in cycle.errors if e["part"] == "end_offsets"} == {("timeout", victim)}
    lines[victim].weather = Weather()
    lines[victim].reset()  # as the library's own time-out would do after 15 s
    watch.until("it answers again", lambda: watch.ends(topic) == RIGHT, seconds=20)
    watch.until("and is up", lambda: watch.reach()[victim] == Reach.UP, seconds=10)
    watch.assert_nothing_negative()


def test_n2_connections_that_are_reset_are_said_and_made_anew(
    watch: Watch, lines: dict[int, BadLine], topic: str
) -> None:
    for line in lines.values():
        line.weather = Weather(refuses=True)
        line.reset()
    cycle, seconds = timed_cycle(watch)
    assert seconds < LONGEST_CYCLE_SECONDS
    assert not cycle.is_reachable
    assert set(watch.ends(topic).values()) <= {None}
    of_lines = {error["reason"] for error in cycle.errors if error["part"] != "group_names"}  # names of other tests
    assert of_lines <= {"closed", "refused", "not connected", "timeout"}
    for line in lines.values():
        line.weather = Weather()
    watch.until("all is known again", lambda: watch.ends(topic) == RIGHT, seconds=20)
    assert watch.events("topic_deleted", "group_gone") == []


@pytest.mark.parametrize(
    ("weather", "cycles", "is_known"),
    [
        (Weather(stall_share=0.3), 8, True),
        (Weather(delay_seconds=0.25, bytes_a_second=20_000), 5, False),
        (Weather(delay_seconds=0.8, bytes_a_second=20_000), 5, False),
        (Weather(bytes_a_second=20), 4, False),  # a byte at a time
    ],
    ids=["30 % loss", "slow", "very slow", "trickle"],
)
def test_n3_n5_n6_a_bad_line_is_slower_and_stays_right(
    watch: Watch, lines: dict[int, BadLine], topic: str, weather: Weather, cycles: int, is_known: bool
) -> None:
    for line in lines.values():
        line.weather = weather
    complete = 0
    for _ in range(cycles):
        _, seconds = timed_cycle(watch)
        assert seconds < LONGEST_CYCLE_SECONDS, "two budgets and what is stored"
        seen = watch.ends(topic)
        for partition, end in seen.items():
            assert end in (None, RIGHT[partition])
        complete += seen == RIGHT
        watch.assert_nothing_negative()
    assert complete or not is_known
    for line in lines.values():
        line.weather = Weather()
        line.reset()
    watch.until("all is known again", lambda: watch.ends(topic) == RIGHT, seconds=20)


def test_n7_who_sees_one_broker_of_three_calls_the_others_suspect_and_not_down(
    watch: Watch, lines: dict[int, BadLine], topic: str
) -> None:
    near = leaders(watch, topic)[0]
    far = set(lines) - {near}
    for node in far:
        lines[node].weather = Weather(swallows_requests=True)
    watch.until("both are suspect", lambda: all(watch.reach()[node] == Reach.SUSPECT for node in far), seconds=10)
    cycle = watch.cycle()
    assert cycle.is_reachable
    assert watch.ends(topic) == by_leader(watch, topic, far)
    assert watch.reach()[near] == Reach.UP
    assert watch.events("broker_down") == [], "the cluster still lists them: it is only from here"
    for node in far:
        lines[node].weather = Weather()
        lines[node].reset()
    watch.until("all is known again", lambda: watch.ends(topic) == RIGHT, seconds=20)


def test_n8_a_flapping_link_is_never_a_broker_that_is_down(watch: Watch, lines: dict[int, BadLine], topic: str) -> None:
    victim = leaders(watch, topic)[0]
    for _ in range(4):
        lines[victim].weather = Weather(refuses=True)
        lines[victim].reset()
        watch.until("suspect", lambda: watch.reach()[victim] == Reach.SUSPECT, seconds=5)
        lines[victim].weather = Weather()
        watch.until("up", lambda: watch.reach()[victim] == Reach.UP, seconds=15)
    watch.until("all is known again", lambda: watch.ends(topic) == RIGHT, seconds=15)
    assert watch.events("broker_down") == []
    assert len(watch.events("broker_suspect")) >= 4
    assert len(watch.events("broker_up")) >= 4


def test_n9_a_name_that_moves_to_another_address_is_looked_up_again(
    kafka: KafkaCluster, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(kafka.bootstrap.split(",")[0].rpartition(":")[2])
    addresses = {"kafka.example": "127.0.0.9"}  # where nobody listens
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: Any, **more: Any) -> Any:
        asked.append(host)
        return real(addresses.get(host, host), *args, **more)

    monkeypatch.setattr("collectors.kafka.link.socket.getaddrinfo", getaddrinfo)
    with watching(f"kafka.example:{port}", patience=1.0) as watch:
        assert not watch.cycle().is_reachable
        addresses["kafka.example"] = "127.0.0.1"
        watch.until("the new address is used", lambda: watch.ends(topic) == RIGHT, seconds=25)
    assert asked.count("kafka.example") > 1
