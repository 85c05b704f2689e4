"""Clusters that are away never slow the others: each has loops and connections of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from .served import Served, wait_for

pytestmark = pytest.mark.kafka
CYCLES = 8
SLOWEST_SHARE = 0.5
"""Of the interval of one second, for asking and storing; a second is what a dead neighbour would cost at least."""


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_dead_clusters_are_shown_as_such_and_the_living_one_keeps_its_pace(served: Served, silent: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refusing = f"127.0.0.1:{closed.getsockname()[1]}"
    dead = {"silent": silent, "refusing": refusing, "nameless": "no-such-host.invalid:9092"}
    lines = [f"- {{name: {slug}, interval: 1, properties: {{bootstrap.servers: '{at}'}}}}" for slug, at in dead.items()]
    (served.folder / "data" / "clusters.yaml").write_text("\n".join(["clusters:", *lines]))
    served.start()
    served.wait_alive()
    of = "from collectors_cycle y join collectors_cluster c on c.id = y.cluster_id where c.slug = ?"
    wait_for("each dead one has cycles", lambda: all(newest(served, slug) >= 3 for slug in dead), seconds=60)
    for slug in dead:
        assert served.rows(f"select distinct is_reachable {of}", slug) == [(0,)]
    began = newest(served, "test")
    wait_for("cycles of the living one", lambda: newest(served, "test") >= began + CYCLES, seconds=CYCLES * 2)
    seen = served.rows(
        f"select skipped, is_reachable, (julianday(ended_at) - julianday(started_at)) * 86400 {of} and number > ?",
        "test",
        began,
    )
    assert {(skipped, reached) for skipped, reached, _ in seen} == {(0, 1)}
    took = sorted(seconds for *_, seconds in seen)
    assert took[len(took) * 9 // 10] < SLOWEST_SHARE, took


def newest(served: Served, slug: str) -> int:
    found = served.rows("select last_cycle from collectors_cluster where slug = ?", slug)
    return int(found[0][0]) if found else 0
