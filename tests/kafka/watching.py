"""A cluster sampled cycle by cycle within a test, with the real session, survey and database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from collectors import roster
from collectors.domain.scope import ALL, Scope
from collectors.history.cache import clear_caches
from collectors.history.now import ClusterNow
from collectors.kafka.commit_tail import CommitTail
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import EVERY_SECONDS, Survey
from collectors.models import Cluster, Lease
from collectors.sampler import Sampler
from collectors.waiting import release
from dashboard.live import clusterrows, rows
from dashboard.pages.summaries import now_of

Rows = dict[str, Any]
HOLDER = "a test"


class Watch:
    """One cluster under watch; `step` takes a cycle."""

    def __init__(self, cluster: Cluster, sampler: Sampler) -> None:
        self.cluster = cluster
        self.sampler = sampler

    def step(self, *parts: str) -> None:
        """One cycle, after having the survey ask these parts anew as soon as it may."""
        for part in parts or EVERY_SECONDS:
            self.sampler.survey.poke(part)
        time.sleep(0.35)
        self.sampler.cycle(due_at=time.time())
        self.cluster.refresh_from_db()

    def until(
        self,
        what: str,
        look: Callable[[], Any],
        *,
        seconds: float = 30.0,
        each: Callable[[], None] = lambda: None,
    ) -> None:
        """Cycles until `look` is true; `each` is called after every one of them."""
        self.until_nothing(lambda: [] if look() else [what], seconds=seconds, each=each)

    def until_nothing(
        self, missing: Callable[[], list[str]], *, seconds: float = 30.0, each: Callable[[], None] = lambda: None
    ) -> None:
        """Cycles until nothing is missing any more."""
        deadline = time.monotonic() + seconds
        while still := missing():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {still}"
            self.step()
            each()

    @property
    def now(self) -> ClusterNow:
        found = now_of(self.cluster)
        assert found is not None
        return found

    def group(self, name: str) -> Rows:
        found = rows.group_row(self.cluster, self.now, name)
        assert found is not None, f"group {name} is gone"
        return found

    def topic(self, name: str) -> Rows:
        found = rows.topic_rows(self.cluster, self.now, [name]).get(name)
        assert found is not None, f"topic {name} is gone"
        return found

    def overall(self) -> Rows:
        return clusterrows.cluster_rows([self.cluster], {self.cluster.pk: self.now})[self.cluster.slug]

    def off(self) -> dict[str, str]:
        """{right: why} of those that are not met, beside that to read records, which no profile but admin has."""
        return {one.key: one.why for one in self.cluster.rights.all() if one.why and one.key != "heads"}


@contextmanager
def watching(
    properties: Mapping[str, Any],
    *,
    slug: str = "watched",
    scope: Scope = ALL,
    cluster: Cluster | None = None,
    commit_times: bool = False,
) -> Iterator[Watch]:
    """The cluster of these properties, sampled from now on; `cluster` goes on with one that is there."""
    settings = ConnectionSettings.from_properties(properties)
    clear_caches()
    one = cluster or roster.add(
        name=slug, slug=slug, connection=settings, interval=5.0, scope=scope, commit_times=commit_times
    )
    epoch = Lease.objects.acquire(f"cluster:{one.pk}", holder=HOLDER, seconds=600)
    assert epoch is not None
    session = Session(settings, scope=scope)
    survey = Survey(session)
    tail = CommitTail(settings, scope=scope) if one.reads_commit_times else None
    sampler = Sampler(one, session, survey, holder=HOLDER, epoch=epoch, announce=lambda kind, data: None, tail=tail)
    try:
        if tail is not None:
            tail.start()
        sampler.remember()
        survey.start()
        assert survey.wait_first(15)
        yield Watch(one, sampler)
    finally:
        if tail is not None:
            tail.stop(10)
        survey.stop(5)
        session.close()
        release(f"cluster:{one.pk}", holder=HOLDER, epoch=epoch)
