"""Two web, two workers and beat on PostgreSQL and Redis: who samples, and what pages see."""

from __future__ import annotations

from functools import partial

import pytest

from collectors.demo.nodes import KafkaCluster
from tests.e2e.served import wait_for
from tests.servers import Postgres, Redis

from .fleet import DEAD, LIVE, Fleet, Watcher

pytestmark = pytest.mark.kafka


def test_two_workers_share_five_clusters_and_both_webs_show_them_at_once(
    kafka: KafkaCluster, postgres: Postgres, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("together")
    with Fleet(folder, postgres, redis_server, kafka.bootstrap, interval=1.0) as fleet:
        fleet.settle()
        visitor = fleet.visitor()
        pages = [fleet.socket(visitor, port, "c", "alerts", *(f"c/{slug}" for slug in LIVE)) for port in fleet.ports]
        assert {fleet.status(port, "/readyz") for port in fleet.ports} == {200}
        assert fleet.subscriptions() == len(fleet.webs), "one subscription per process, not per page"

        # toasts: the collector of the dead address is blind after fifteen seconds; with the rule off that is over
        wait_for("the alert", lambda: [s for s, _ in fleet.alerts("collector_blind", DEAD)] == ["firing"], seconds=40)
        fleet.rows("update dashboard_rule set is_enabled = false where key = 'collector_blind' returning key")
        for page in pages:
            wait_for("the toast", partial(page.toasts, "Collector blind", "resolved"), seconds=10)
            wait_for("some cycles", partial(heard_enough, page), seconds=40)
        for page in pages:
            assert len(page.toasts("Collector blind", "resolved")) == 1
            page.close()

        for page in pages:
            for slug in LIVE:
                heard = sorted(page.when(slug))[1:]
                # looking by itself every two seconds, a hub would show every other of the cycles of a second
                assert len(heard) > 0.7 * (heard[-1] - heard[0] + 1), f"{slug}: {heard}"

        for port in fleet.ports:
            shown = visitor.get(f"http://127.0.0.1:{port}/clusters/{LIVE[0]}/")
            assert shown.status == 200, "who signed in at one web is signed in at the other"
            assert "the same Kafka cluster" in shown.text
            assert "Two" in shown.text
        fleet.assert_whole()
        assert len(fleet.cycles(DEAD)) >= 3
    assert [member.process.returncode for member in fleet.members if member.process] == [0] * 5


def heard_enough(page: Watcher) -> bool:
    return all(len(page.when(slug)) >= 10 for slug in LIVE)
