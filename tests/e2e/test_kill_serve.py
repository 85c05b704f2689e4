"""kill -9 of the whole program, again and again: no half cycle, no doubled or lost transition."""

from __future__ import annotations

import itertools
import json
import random
import time

import pytest

from .served import Life, Served, wait_for

pytestmark = pytest.mark.kafka
KILLS = 20


def test_twenty_kills_leave_no_half_cycle_and_no_doubled_transition(served: Served, life: Life) -> None:
    for number in range(KILLS):
        if number == 3:
            life.frozen.set()
        if number == 14:
            life.frozen.clear()
        before = served.last_cycle()
        served.start()
        wait_for_cycle(served, before + 1)
        wait_for_cycle(served, before + 3)
        # at any moment of a cycle, not at its end
        time.sleep(random.uniform(0, 1))
        served.kill()
    assert_whole(served)


def wait_for_cycle(served: Served, number: int) -> None:
    wait_for(f"cycle {number}", lambda: served.last_cycle() >= number, seconds=120)


def assert_whole(served: Served) -> None:
    numbers = [row[0] for row in served.rows("select number from collectors_cycle order by number")]
    assert numbers == list(range(1, len(numbers) + 1)), "each number once, none left out"
    assert served.last_cycle() == numbers[-1]

    epochs = [row[0] for row in served.rows("select epoch from collectors_cycle order by number")]
    assert epochs == sorted(epochs), "a former holder never wrote after its successor"
    assert len(set(epochs)) >= KILLS - 1

    frames = served.rows("select kind, cycle, count(*) from collectors_frame group by kind, cycle")
    whole = {(kind, cycle) for kind, cycle, _ in frames}
    reached = [row[0] for row in served.rows("select number from collectors_cycle where completeness > 0")]
    assert {("end", n) for n in reached} <= whole
    # a first cycle may come before the list of groups on a busy machine; then it has no commits, and says so
    for n in {n for n in reached if ("committed", n) not in whole}:
        assert epochs[n - 1] not in epochs[: n - 1], f"cycle {n}, which is not the first of its epoch, has no commits"
        (said,) = served.rows(f"select errors from collectors_cycle where number = {n}")
        assert any(error["part"] == "groups" for error in json.loads(said[0])), (
            f"cycle {n} hides that it has no commits"
        )
    assert {cycle for _, cycle, _ in frames} <= set(numbers), "no frame without its cycle"

    judged = served.rows("select judged_cycle from dashboard_judgement")
    assert judged, "the judge judged nothing"
    assert 0 < judged[0][0] <= numbers[-1]

    chains: dict[int, list[tuple[str, str]]] = {}
    for alert, old, new in served.rows("select alert_id, old_state, new_state from dashboard_transition order by id"):
        chains.setdefault(alert, []).append((old, new))
    assert chains, "the frozen consumer brought no alert at all"
    for chain in chains.values():
        for (_, reached_state), (left_state, _) in itertools.pairwise(chain):
            assert left_state == reached_state, f"a transition is lost or doubled: {chain}"
    states = dict(served.rows("select id, state from dashboard_alert"))
    # one that calmed before it had held is over, too: its row says resolved
    last = {alert: chain[-1][1].replace("inactive", "resolved") for alert, chain in chains.items()}
    assert last == states
