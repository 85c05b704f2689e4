"""A silenced alert is recorded and not told; it is told when the silence ends and it still fires."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from collectors.domain.topology import Reach
from dashboard.alerts import silences
from dashboard.alerts.defaults import install_default_rules
from dashboard.models import Alert, AuditEntry, Rule, Silence, Transition

from .stage import Stage, only_alert, settle, story, told, webhook_channel

pytestmark = pytest.mark.django_db


def silence(*, rule: str | None = None, cluster: str = "*", subject: str = "*", minutes: float = 60.0) -> Silence:
    now = timezone.now()
    install_default_rules()
    return Silence.objects.create(
        rule=Rule.objects.get(key=rule) if rule else None,
        cluster=cluster,
        subject=subject,
        starts_at=now - timedelta(minutes=1),
        ends_at=now + timedelta(minutes=minutes),
        reason="rolling restart",
        created_by="otto",
    )


def down(stage: Stage) -> None:
    stage.brokers["2"] = Reach.DOWN
    stage.cycle()


@pytest.mark.parametrize(
    ("said", "fields", "is_covered"),
    [
        ("everything", {}, True),
        ("this rule", {"rule": "broker_down"}, True),
        ("another rule", {"rule": "collector_blind"}, False),
        ("clusters that begin so", {"cluster": "pro*"}, True),
        ("another cluster", {"cluster": "test"}, False),
        ("this broker", {"subject": "2"}, True),
        ("another broker", {"subject": "1"}, False),
        ("one of two letters", {"subject": "[12]"}, True),
        ("capital letters count", {"cluster": "PROD"}, False),
        ("it was over before", {"minutes": -0.5}, False),
    ],
)
def test_what_a_silence_covers(said: str, fields: dict[str, object], is_covered: bool) -> None:
    stage = Stage()
    webhook_channel()
    silence(**fields)  # type: ignore[arg-type]  # fields of the table above
    stage.cycles(2)
    judge = stage.judge()
    down(stage)
    settle(judge)
    alert = only_alert("broker_down")
    assert alert.state == Alert.State.FIRING, "recorded either way"
    assert alert.is_held_back is is_covered, said
    assert told() == ([] if is_covered else [("ops", "broker_down", "firing")]), said


def test_when_a_silence_ends_what_still_fires_is_told_once() -> None:
    stage = Stage()
    webhook_channel()
    one = silence()
    judge = stage.judge()
    stage.cycle()
    down(stage)
    settle(judge)
    assert Transition.objects.get(alert__rule__key="broker_down").numbers["silenced_by"] == "otto"
    assert silences.end(one.pk, "ada")
    assert not silences.end(one.pk, "otto"), "only one of two people ends it"
    judge.turn()
    judge.turn()
    assert told() == [("ops", "broker_down", "firing")]
    assert story("broker_down") == [("", "firing"), ("firing", "unsilenced")]
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    assert told() == [("ops", "broker_down", "firing"), ("ops", "broker_down", "resolved")]
    assert AuditEntry.objects.get(action="silence ended").who == "ada"


def test_what_is_over_before_the_silence_ends_is_never_told() -> None:
    stage = Stage()
    webhook_channel()
    one = silence()
    judge = stage.judge()
    stage.cycle()
    down(stage)
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    silences.end(one.pk, "ada")
    judge.turn()
    assert only_alert("broker_down").state == Alert.State.RESOLVED
    assert not only_alert("broker_down").is_held_back
    assert told() == []


def test_the_end_is_told_to_who_heard_the_beginning_though_silenced_meanwhile() -> None:
    stage = Stage()
    webhook_channel()
    judge = stage.judge()
    stage.cycle()
    down(stage)
    settle(judge)
    silence()
    stage.brokers["2"] = Reach.UP
    stage.cycle()
    settle(judge)
    assert told() == [("ops", "broker_down", "firing"), ("ops", "broker_down", "resolved")]


def test_what_somebody_acknowledged_under_the_silence_is_not_told_afterwards() -> None:
    stage = Stage()
    webhook_channel()
    one = silence()
    judge = stage.judge()
    stage.cycle()
    down(stage)
    settle(judge)
    Alert.objects.update(acknowledged_at=timezone.now(), acknowledged_by="ada")
    silences.end(one.pk, "ada")
    judge.turn()
    assert told() == []
    assert not only_alert("broker_down").is_held_back


def test_a_second_silence_keeps_holding_back() -> None:
    stage = Stage()
    webhook_channel()
    one, _ = silence(), silence(subject="2")
    judge = stage.judge()
    stage.cycle()
    down(stage)
    settle(judge)
    silences.end(one.pk, "ada")
    judge.turn()
    assert told() == []
