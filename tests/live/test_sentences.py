"""What a cluster comes to, in a sentence that a tired person reads once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from collectors.domain.verdicts import Verdict
from dashboard.live.sentences import ClusterFacts, cluster_sentence, plain_reason, why_unknown

FACTS = ClusterFacts(
    name="c", is_paused=False, interval=5.0, taken_at=1_000.0, sampled_at=1_000.0, is_reachable=True, errors=[],
    brokers=3, brokers_up=3, away=[], topics_under_replicated=0, topics_offline=0, groups=12, troubled=0,
    worst_group="", worst_verdict=Verdict.OK,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdict", "sentence"),
    [
        ({}, "ok", "Nothing needs you: 3 brokers up, 12 groups reading"),
        ({"troubled": 1, "worst_group": "payments", "worst_verdict": Verdict.NO_PROGRESS}, "warn",
         "Group payments makes no progress"),
        ({"troubled": 1, "worst_group": "auditor", "worst_verdict": Verdict.NO_MEMBERS}, "warn",
         "Group auditor has no members"),
        ({"troubled": 3, "worst_group": "payments", "worst_verdict": Verdict.FALLING_BEHIND}, "warn",
         "3 of 12 groups need a look, first payments: it falls behind"),
        ({"troubled": 1, "worst_group": "p", "worst_verdict": Verdict.NOT_COMMITTING, "alerts": {"critical": 1}}, "bad",
         "1 critical alert firing; group p does not commit"),
    ],
)  # fmt: skip
def test_the_sentence_of_a_cluster(changes: dict[str, object], verdict: str, sentence: str) -> None:
    facts = replace(FACTS, **changes)  # type: ignore[arg-type]  # fields by name
    assert cluster_sentence(facts, 1_003.0) == (verdict, sentence)


@pytest.mark.parametrize("verdict", Verdict)
def test_only_of_a_group_that_is_not_known_the_cluster_says_so(verdict: Verdict) -> None:
    facts = replace(FACTS, troubled=1, worst_group="g", worst_verdict=verdict)
    _, sentence = cluster_sentence(facts, 1_003.0)
    assert sentence.startswith("Group g ")
    assert ("not known" in sentence) == (verdict is Verdict.UNKNOWN)


def test_what_a_broker_says_by_names_of_the_protocol_is_told_in_words() -> None:
    error = {"part": "end_offsets", "reason": "not_leader_for_partition", "broker": 2}
    assert why_unknown([error]) == "broker 2: it does not lead that partition any more (end offsets)"
    assert plain_reason("some_new_error") == "some new error"
    assert plain_reason("not authorised") == "not authorised"
