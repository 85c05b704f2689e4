"""The likely cause and the next step: a table of situations, each with what an experienced operator would say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors.domain.causes import NO_CAUSE, Hot, Situation, Stuck, likely_cause, scaling_advice
from collectors.domain.verdicts import Verdict

V = Verdict

SLOW = Situation(V.FALLING_BEHIND, members=6, partitions=12, consumed=900.0, arriving=1100.0, arriving_before=1000.0)
STANDS = Situation(V.NO_PROGRESS, members=3, partitions=12, stuck=(Stuck("t-3", 88_120, "m2"), Stuck("t-4", 7, "m2")))
HOT = Hot("t-3", 0.61, "m2", backlog=0.8)

CASES: list[tuple[str, Situation, str, str]] = [
    ("members read less than comes", SLOW, "slow consumer", "8 would do; more than 12 is useless"),
    ("more than twice as much comes as before", replace(SLOW, arriving_before=400.0), "producer burst", "8 would do"),
    ("most of what waits is in one hot partition", replace(SLOW, hot=HOT), "hot partition", "Spread the keys"),
    ("a hot partition that keeps up is not why", replace(SLOW, hot=replace(HOT, backlog=0.1)), "slow consumer", "8"),
    ("members come and go", replace(SLOW, is_storm=True), "rebalance storm", "max.poll.interval.ms"),
    ("a broker does not answer", replace(SLOW, trouble="broker 3: timed out"), "broker trouble", "that broker first"),
    ("what waits is deleted already", replace(SLOW, lost=7), "retention", "Raise retention.ms"),
    ("all that stands belongs to one of three", STANDS, "stuck member", "restart it"),
    ("one partition stands, its member reads others", replace(
        STANDS, stuck=STANDS.stuck[:1], moving_owners=frozenset({"m2"})
    ), "a record that cannot be processed", "offset 88\u202f120 of t-3"),
    ("partitions of several members stand", replace(
        STANDS, stuck=(*STANDS.stuck, Stuck("t-5", 1, "m1"))
    ), "stuck members", "what they all wait for"),
    ("the only member stands", replace(STANDS, members=1), "stuck member", "helps only against a hang"),
    ("who reads is no member", replace(STANDS, members=0), "stuck reader", "Kafka does not know who"),
    ("who reads too slowly is no member", replace(SLOW, members=0), "slow consumer", "what it calls"),
    ("nobody knows whose they are", replace(STANDS, stuck=(Stuck("t-3", 1),)), "stuck members", "wait for"),
    ("a storm lets nothing move", replace(STANDS, is_storm=True), "rebalance storm", "group.instance.id"),
    ("the leader does not answer", replace(STANDS, trouble="broker 1: refused"), "broker trouble", "first"),
    ("nobody is there", Situation(V.NO_MEMBERS, members=0), "missing members", "Start its members"),
    ("nobody was given some", Situation(V.UNOWNED, members=2), "missing members", "fails while it joins"),
    ("retention is faster", replace(SLOW, verdict=V.LOSING_DATA), "retention", "8 would do"),
    ("back to the begin of the log", Situation(V.REWOUND, went_to_start=True), "offsets reset", "auto.offset.reset"),
    ("back by some", Situation(V.REWOUND), "offsets reset", "is that safe?"),
    ("never commits", Situation(V.NOT_COMMITTING, members=1), "no commits", "Turn commits on"),
    ("rebalances all the time", Situation(V.REBALANCING, is_storm=True), "rebalance storm", "who leaves"),
    ("some broker did not answer", Situation(V.UNKNOWN, trouble="broker 2: timed out"), "broker trouble", "first"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "situation", "word", "step"), CASES, ids=[case[0] for case in CASES])
def test_cause(sentence: str, situation: Situation, word: str, step: str) -> None:
    cause = likely_cause(situation)
    assert cause.word == word, sentence
    assert step in cause.step, sentence
    assert cause.because


@pytest.mark.parametrize("verdict", [V.OK, V.CATCHING_UP, V.UNKNOWN])
def test_nothing_is_blamed_where_nothing_is_wrong_or_known(verdict: Verdict) -> None:
    assert likely_cause(Situation(verdict, members=3, arriving=5.0)) is NO_CAUSE


@pytest.mark.parametrize(
    ("members", "partitions", "consumed", "arriving", "said"),
    [
        (6, 12, 900.0, 1100.0,
         "6 members on 12 partitions read 900/s, 1\u202f100/s arrive: 8 would do; more than 12 is useless"),
        (12, 12, 900.0, 1100.0, "more members are useless"),
        (20, 12, 900.0, 1100.0, "more members are useless"),
        (3, 4, 90.0, 1100.0, "even 4, one a partition, would not do"),
        (1, 4, 10.0, 11.0, "1 member on 4 partitions reads 10/s, 11/s arrive: 2 would do"),
        (6, 12, 1100.0, 900.0, ""),
        (0, 12, 0.0, 1100.0, ""),
        (None, 12, 900.0, 1100.0, ""),
        (6, 12, None, 1100.0, ""),
        (6, 12, 0.0, 1100.0, ""),
    ],
)  # fmt: skip
def test_advice_on_members(
    members: int | None, partitions: int, consumed: float | None, arriving: float | None, said: str
) -> None:
    found = scaling_advice(members, partitions, consumed, arriving)
    assert said in found
    assert bool(said) is bool(found)
