"""The sampler and its tail of commits: begun and ended together, stored with each cycle, told as a right."""

from __future__ import annotations

import threading
from collections.abc import Collection

import numpy as np
import pytest
from django.conf import settings

from collectors import loop
from collectors.domain.numbers import Column, Layout, Numbers
from collectors.domain.rights import NOT_ASKED, NOT_AUTHORISED
from collectors.history import queries
from collectors.kafka.commit_tail import CommitTail, TailState
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster, CollectorTotals, Event
from collectors.sampler import Sampler
from collectors.secrets import encrypt
from dashboard.loops import ResidentLoops
from tests.faults.pretend import Clock, cycles, make_cluster, sampler_of, shop

pytestmark = pytest.mark.django_db
AT = 1_700_000_000_000


class Tail:
    """Knows the same moment of everything, or says why it does not read."""

    def __init__(self) -> None:
        self.state = TailState("", 12.0, 0.01, 3)
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self, timeout: float) -> None:
        self.calls.append("stop")

    def mark(self) -> None:
        self.calls.append("mark")

    def column(self, layout: Layout, *, without: Collection[str] = ()) -> Column | None:
        if self.state.why:
            return None
        return Column(layout, Numbers(np.full(len(layout), AT), np.ones(len(layout), dtype=np.bool_)))


def with_tail(clock: Clock) -> tuple[Cluster, Sampler, Tail]:
    cluster, tail = make_cluster(), Tail()
    sampler = sampler_of(cluster, shop(), clock)
    sampler.tail = tail  # type: ignore[assignment]  # it does what the sampler asks
    return cluster, sampler, tail


def test_it_begins_and_ends_with_the_sampler() -> None:
    _, sampler, tail = with_tail(Clock())
    stop = threading.Event()
    stop.set()
    sampler.run(stop)
    assert tail.calls == ["start", "stop"]


def test_what_it_knows_is_stored_with_the_cycle_and_how_it_goes_with_the_totals() -> None:
    clock = Clock()
    cluster, sampler, tail = with_tail(clock)
    cycles(sampler, clock, 2)
    assert tail.calls == ["mark", "mark"], "times are of the moment before offsets are asked for"
    now = queries.cluster_at(cluster.pk)
    assert now is not None
    assert len(now.committed_at) > 0
    assert set(now.committed_at.values.tolist()) == {AT}
    totals = CollectorTotals.objects.get(cluster=cluster)
    assert totals.commit_tail == {
        "why": "", "records_per_second": 12.0, "cpu_share": 0.01, "kept": 3, "passed": {},
    }  # fmt: skip
    tail.state = TailState(NOT_AUTHORISED)
    cycles(sampler, clock, 1)
    now = queries.cluster_at(cluster.pk)
    assert now is not None
    assert not now.committed_at.known.any()
    sampler.tail = None
    cycles(sampler, clock, 1)
    totals.refresh_from_db()
    assert totals.commit_tail is None


def test_a_right_that_comes_and_goes_is_an_event() -> None:
    clock = Clock()
    cluster, sampler, tail = with_tail(clock)
    tail.state = TailState(NOT_ASKED)
    cycles(sampler, clock, 1)
    assert cluster.rights.get(key="commit_times").why == NOT_ASKED
    for why in ("", NOT_AUTHORISED, ""):
        tail.state = TailState(why)
        cycles(sampler, clock, 1)
        assert cluster.rights.get(key="commit_times").why == why
    told = Event.objects.filter(cluster=cluster, kind=Event.Kind.RIGHTS_CHANGED).order_by("pk")
    assert list(told.values_list("text", flat=True)) == [
        "Commit times: no longer visible: not authorised",
        "Commit times: visible again",
    ]


def test_only_a_cluster_that_wants_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, loop.Loop] = {}
    monkeypatch.setattr(ResidentLoops, "_start", lambda self, name, made: found.update({name: made}))
    stored = encrypt(
        ConnectionSettings.from_properties({"bootstrap.servers": "127.0.0.1:1"}).to_stored(), settings.INSTANCE_KEY
    )
    for slug, is_on in (("off", False), ("on", True)):
        Cluster.objects.create(slug=slug, name=slug, settings_encrypted=stored, reads_commit_times=is_on)
    ResidentLoops(on_fatal=lambda name: pytest.fail(f"{name} ended the process"))._keep_samplers()
    tails = {name: made.tail for name, made in found.items() if isinstance(made, Sampler)}
    assert tails["sampler off"] is None
    assert isinstance(tails["sampler on"], CommitTail)
