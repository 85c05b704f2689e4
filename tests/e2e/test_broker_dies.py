"""A broker that dies, seen through the whole program: its page, /metrics and the alert."""

from __future__ import annotations

import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collectors.demo.nodes import KafkaCluster
from collectors.domain.topology import Reach

from .served import Life, Served, wait_for

pytestmark = pytest.mark.kafka
VICTIM = 2


def test_a_killed_broker_is_suspect_at_once_then_down_and_comes_back_by_itself(
    kafka: KafkaCluster, served: Served, life: Life
) -> None:
    served.start()
    served.wait_alive()
    wait_for("the first cycles", lambda: served.last_cycle() >= 5, seconds=60)
    assert reach_of(served, VICTIM) is Reach.UP
    assert under_replicated(served, life.topic) == 0

    kafka.kill(VICTIM)
    killed = time.monotonic()
    try:
        wait_for("suspect", lambda: reach_of(served, VICTIM) is Reach.SUSPECT, seconds=4)
        wait_for("down", lambda: reach_of(served, VICTIM) is Reach.DOWN, seconds=15 - (time.monotonic() - killed))
        # three partitions, each with a replica on all three nodes
        wait_for("replicas are missing", lambda: under_replicated(served, life.topic) == 3, seconds=5)
        assert sample(served, "streamgauge_topic_offline_partitions", topic=life.topic) == 0
        assert sample(served, "streamgauge_broker_up", broker=str(VICTIM)) == 0
        wait_for("the alert", lambda: alert_states(served) == ["firing"], seconds=10)
    finally:
        kafka.restart(VICTIM)
        kafka.wait_ready()
    wait_for("up again", lambda: reach_of(served, VICTIM) is Reach.UP, seconds=20)
    wait_for("all replicas again", lambda: under_replicated(served, life.topic) == 0, seconds=30)
    wait_for("the alert is over", lambda: alert_states(served) == ["resolved"], seconds=20)


def reach_of(served: Served, broker: int) -> Reach | None:
    found = served.rows("select reach from collectors_broker where node_id = ?", broker)
    return Reach(found[0][0]) if found else None


def under_replicated(served: Served, topic: str) -> float:
    return sample(served, "streamgauge_topic_under_replicated_partitions", topic=topic)


def sample(served: Served, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"{served.base}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    (value,) = [
        one.value
        for family in families
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    ]
    return value


def alert_states(served: Served) -> list[str]:
    sql = (
        "select a.state from dashboard_alert a join dashboard_rule r on r.id = a.rule_id"
        " where r.key = 'broker_down' and a.subject = ? order by a.id"
    )
    return [row[0] for row in served.rows(sql, str(VICTIM))]
