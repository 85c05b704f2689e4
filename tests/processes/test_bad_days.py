"""What happens to two web and two workers when one of the parts dies, stands still, or is away for a minute."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from collectors.demo.nodes import KafkaCluster
from tests.e2e.served import Life, wait_for
from tests.faults.visitor import Visitor

from .fleet import DEAD, LIVE, Fleet, Receiver

pytestmark = [pytest.mark.kafka, pytest.mark.long]

AWAY_SECONDS = 60.0
INTERVAL = 5.0
BLIND = "collector_blind"
STALLED = "group_no_progress"


@pytest.fixture
def life(kafka: KafkaCluster, new_topic: Callable[..., str]) -> Iterator[Life]:
    topic = new_topic("orders", partitions=3)
    with Life(kafka.bootstrap, topic, f"{topic}-readers") as made:
        yield made


def is_told_once(fleet: Fleet, slug: str, since: float, state: str) -> bool:
    return [told for told, _ in fleet.alerts(STALLED, slug, since)] == [state]


def test_the_clusters_of_a_killed_worker_go_on_at_the_other_within_three_intervals(fleet: Fleet, life: Life) -> None:
    """The one that judges, while a group begins to stand still: both are taken over, and it is told once."""
    fleet.rows("update dashboard_rule set hold_seconds = 5 where key = 'group_no_progress' returning 1")
    for slug in LIVE:
        wait_for("the group is sampled", partial(verdict, fleet, slug, life.group), seconds=60)
    (judge,) = fleet.rows("select holder from collectors_lease where name = 'judge' and expires_at > now()")
    victim = next(one for one in fleet.workers if f":{one.pid}:" in judge[0])
    its = [slug for slug in fleet.held_by(victim) if slug != DEAD]
    assert its
    began = fleet.database_now()
    life.frozen.set()
    time.sleep(2 * INTERVAL)
    died = fleet.database_now()
    victim.kill()
    for slug in its:
        fleet.wait_cycle(slug, after=died + 1, seconds=3 * INTERVAL)
    for slug in LIVE:
        wait_for(f"{slug}: it fires", partial(is_told_once, fleet, slug, began, "firing"), seconds=60)
        assert fleet.longest_gap(slug, began) <= 3 * INTERVAL, slug
        assert fleet.alerts(BLIND, slug, began) == [], f"{slug}: nobody was blind"
    life.frozen.clear()
    for slug in LIVE:
        wait_for(f"{slug}: over", partial(is_told_once, fleet, slug, began, "resolved"), seconds=60)
    fleet.assert_whole()

    victim.start()
    wait_for("it gets its share again", lambda: sorted(fleet.spread().values()) == [2, 3], seconds=60)


def test_a_worker_that_stood_still_past_its_lease_writes_nothing_of_what_another_took_over(fleet: Fleet) -> None:
    sleeper = fleet.workers[0]
    its = [slug for slug in fleet.held_by(sleeper) if slug != DEAD]
    epochs = {slug: fleet.cycles(slug)[-1][1] for slug in its}
    began = fleet.database_now()
    sleeper.send(signal.SIGSTOP)
    for slug in its:
        fleet.wait_cycle(slug, after=began + 3, seconds=30)
    sleeper.send(signal.SIGCONT)
    woke = fleet.database_now()
    wait_for("shared out again", lambda: sorted(fleet.spread().values()) == [2, 3], seconds=60)
    wait_for("cycles after it", lambda: all(len(fleet.cycles(s, since=woke)) >= 3 for s in LIVE), seconds=40)
    for slug in its:
        assert all(epoch > epochs[slug] for _, epoch, _, _ in fleet.cycles(slug, since=woke)), slug
    fleet.assert_whole()


def test_both_workers_stood_still_and_go_on_with_new_leases(fleet: Fleet) -> None:
    epochs = {slug: fleet.cycles(slug)[-1][1] for slug in LIVE}
    for worker in fleet.workers:
        worker.send(signal.SIGSTOP)
    stopped = fleet.database_now()
    wait_for("every lease has lapsed", lambda: not fleet.spread(), seconds=30)
    for worker in fleet.workers:
        worker.send(signal.SIGCONT)
    wait_for("cycles again", lambda: all(len(fleet.cycles(s, since=stopped + 1)) >= 3 for s in LIVE), seconds=60)
    for slug in LIVE:
        late = [(epoch, at) for _, epoch, at, _ in fleet.cycles(slug, since=stopped + 1)]
        assert all(epoch > epochs[slug] for epoch, _ in late), f"{slug}: written under a lapsed lease"
    fleet.assert_whole()


def test_with_redis_away_for_a_minute_everything_goes_on_and_pages_look_for_themselves(
    fleet: Fleet, life: Life
) -> None:
    receiver = Receiver()
    fleet.manage("shell", "-v0", "-c", f"from tests.alerts.stage import webhook_channel as w; w(url={receiver.url!r})")
    fleet.rows("update dashboard_rule set hold_seconds = 5 where key = 'group_no_progress' returning 1")
    for slug in LIVE:
        wait_for("the group is sampled", partial(verdict, fleet, slug, life.group), seconds=60)
    visitor = fleet.visitor()
    pages = [fleet.socket(visitor, port, "c", "alerts", *(f"c/{slug}" for slug in LIVE)) for port in fleet.ports]
    began = fleet.database_now()
    fleet.redis.kill()
    try:
        life.frozen.set()
        for slug in LIVE:
            wait_for(f"{slug}: told", partial(receiver.told, "firing", slug), seconds=AWAY_SECONDS)
        left = began + AWAY_SECONDS - fleet.database_now()
        if left > 0:
            time.sleep(left)  # the minute is what is asked for
        ended = fleet.database_now()
    finally:
        fleet.redis.start()
    for slug in LIVE:
        assert fleet.longest_gap(slug, began) <= 2 * INTERVAL, f"{slug}: sampling did not go on"
        assert len(receiver.told("firing", slug)) == 1, f"{slug}: told once"
    for page in pages:
        assert not page.ended.is_set(), "the socket was lost"
        for slug in LIVE:
            heard = [at for at in page.when(slug).values() if began < at < ended]
            late = delays(fleet, slug, page.when(slug), began, ended)
            assert len(heard) >= AWAY_SECONDS / INTERVAL - 3, f"{slug}: {len(heard)} cycles reached the page"
            assert max(late) < 4.0, f"{slug}: {late}"

    # and back: hints are heard again, by themselves
    wait_for("both listen again", lambda: fleet.subscriptions() == 2, seconds=45)
    back = fleet.database_now()
    life.frozen.clear()
    for slug in LIVE:
        wait_for("over", partial(receiver.told, "resolved", slug), seconds=60)
    wait_for("some cycles more", lambda: all(len(fleet.cycles(s, since=back)) >= 5 for s in LIVE), seconds=60)
    for page in pages:
        late = [d for slug in LIVE for d in delays(fleet, slug, page.when(slug), back, time.time())]
        assert statistics.median(late) < 0.8, f"hints make pages fast again: {late}"
        page.close()
    receiver.close()
    fleet.assert_whole()


def test_with_postgres_away_for_a_minute_pages_say_so_and_nothing_is_half_written(fleet: Fleet) -> None:
    visitor = fleet.visitor()
    before = {slug: fleet.cycles(slug)[-1] for slug in LIVE}
    began = time.time()
    fleet.postgres.kill()
    try:
        for port in fleet.ports:
            said = visitor.get(f"http://127.0.0.1:{port}/")
            assert said.status == 503
            assert "The database does not answer" in said.text
            assert fleet.status(port, "/healthz") == 200
            assert fleet.status(port, "/readyz") == 503
        time.sleep(max(0.0, began + AWAY_SECONDS - time.time()))  # the minute is what is asked for
    finally:
        fleet.postgres.start()
    back = time.time()
    for member in fleet.members:
        assert member.is_running, f"{member.name} ended: {member.log.read_text()[-2000:]}"
    for port in fleet.ports:
        wait_for("pages again", partial(shows, visitor, port), seconds=15)
    for slug in LIVE:
        fleet.wait_cycle(slug, after=back, seconds=3 * INTERVAL)
    wait_for("some cycles more", lambda: all(len(fleet.cycles(s, since=back)) >= 3 for s in LIVE), seconds=40)
    for slug in LIVE:
        number, _, at, _ = before[slug]
        after = [one for one in fleet.cycles(slug) if one[0] > number]
        due = (after[-1][2] - at) / INTERVAL
        accounted = len(after) + sum(skipped for *_, skipped in after)
        assert abs(due - accounted) <= 3, f"{slug}: {due:.1f} cycles were due, {accounted} stored or counted as skipped"
    fleet.assert_whole()


def test_a_rolling_restart_of_all_loses_at_most_one_cycle_at_a_time(fleet: Fleet) -> None:
    began = fleet.database_now()
    for member in fleet.members:
        assert member.stop() == 0, member.name
        member.start()
        for port in (*fleet.ports, *fleet.probes.values()):
            wait_for(f"port {port} is ready", partial(fleet.is_ready, port), seconds=120)
        if member in fleet.workers:
            wait_for("shared out again", lambda: sorted(fleet.spread().values()) == [2, 3], seconds=60)
    ended = fleet.database_now()
    wait_for("cycles after it", lambda: all(len(fleet.cycles(s, since=ended)) >= 2 for s in LIVE), seconds=40)
    for slug in LIVE:
        # one cycle lost is a gap of two intervals; taking over comes on top
        assert fleet.longest_gap(slug, began) < 3 * INTERVAL, slug
        assert fleet.alerts(BLIND, slug, began) == []
    fleet.assert_whole()


def shows(visitor: Visitor, port: int) -> bool:
    return visitor.get(f"http://127.0.0.1:{port}/").status == 200


def verdict(fleet: Fleet, slug: str, group: str) -> bool:
    found = fleet.rows(
        "select 1 from collectors_group g join collectors_cluster c on c.id = g.cluster_id "
        "where c.slug = %s and g.name = %s and g.verdict_since is not null",
        slug,
        group,
    )
    return bool(found)


def delays(fleet: Fleet, slug: str, heard: dict[int, float], since: float, until: float) -> list[float]:
    """Seconds from a cycle's end to the moment at which the page had it."""
    stored = fleet.rows(
        "select y.number, extract(epoch from y.ended_at) from collectors_cycle y "
        "join collectors_cluster c on c.id = y.cluster_id where c.slug = %s "
        "and y.ended_at > to_timestamp(%s) and y.ended_at < to_timestamp(%s)",
        slug,
        since + INTERVAL,
        until - INTERVAL,
    )
    return [heard[number] - float(at) for number, at in stored if number in heard]
