"""The real sampler, survey and session on a real Kafka, turned by the test."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.conf import settings

from collectors import secrets
from collectors.history import queries
from collectors.history.kinds import Kind
from collectors.history.now import ClusterNow
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import Survey
from collectors.models import Broker, Cluster, Cycle, Event, Group, Lease, Topic
from collectors.sampler import Sampler

from .pretend import values_of

T = TypeVar("T")
INTERVAL = 2.0


class Watch:
    """One cluster under watch, a cycle at a time."""

    def __init__(self, cluster: Cluster, sampler: Sampler, survey: Survey) -> None:
        self.cluster = cluster
        self.sampler = sampler
        self.survey = survey

    def cycle(self) -> Cycle:
        number = self.sampler.cycle(due_at=time.time())
        return Cycle.objects.get(cluster=self.cluster, number=number)

    def look(self, *parts: str) -> Cycle:
        """Have the slow facts asked anew (metadata and groups unless told), then a cycle."""
        parts = parts or ("metadata", "groups")
        for part in parts:
            began = time.monotonic()
            self.survey.poke(part)
            wait_until(
                f"a new answer about {part}",
                lambda part=part, began=began: (  # type: ignore[misc]  # bound now
                    self.survey.newest().ages.get(part, 1e9) < time.monotonic() - began
                ),
                seconds=15,
            )
        return self.cycle()

    def until(self, what: str, look: Callable[[], T | None], *, seconds: float) -> T:
        """Cycles, half a second apart, until `look` has something."""

        def turn() -> T | None:
            self.cycle()
            found = look()
            if not found:
                time.sleep(0.5)
            return found

        return wait_until(what, turn, seconds=seconds, pause=0)

    @property
    def number(self) -> int:
        return Cluster.objects.values_list("last_cycle", flat=True).get(pk=self.cluster.pk)

    def topic(self, name: str) -> Topic:
        return Topic.objects.get(cluster=self.cluster, name=name)

    def group(self, name: str) -> Group:
        return Group.objects.get(cluster=self.cluster, name=name)

    def reach(self) -> dict[int, int]:
        return dict(Broker.objects.filter(cluster=self.cluster).values_list("node_id", "reach"))

    def events(self, *kinds: str) -> list[str]:
        return list(
            Event.objects.filter(cluster=self.cluster, kind__in=kinds).order_by("id").values_list("text", flat=True)
        )

    def now(self) -> ClusterNow:
        found = queries.cluster_at(self.cluster.pk, self.number)
        assert found is not None
        return found

    def ends(self, topic: str) -> dict[int, int | None]:
        """{partition: end offset} of the newest cycle."""
        found = queries.column_at(self.cluster.pk, Kind.END, self.number)
        values = values_of(found[0] if found is not None and found[2] == self.number else None)
        return {partition: value for (owner, _, partition), value in values.items() if owner == topic}

    def lag(self, group: str) -> int | float | None:
        now = self.now().groups
        return now.lag.at(now.index[group]) if group in now.index else None

    def rate(self, topic: str) -> int | float | None:
        now = self.now().topics
        return now.messages_per_second.at(now.index[topic]) if topic in now.index else None

    def assert_nothing_negative(self) -> None:
        now = self.now()
        for numbers in (
            *(now.topics.end_sum, now.topics.arrived, now.topics.messages_per_second, now.topics.size_bytes),
            *(now.groups.lag, now.groups.consumed_per_second, now.groups.arriving_per_second, now.groups.gt_lag),
        ):
            assert (numbers.values[numbers.known] >= 0).all()


@contextmanager
def watching(
    bootstrap: str, *, slug: str = "real", client_id: str = "streamgauge", patience: float = 20.0
) -> Iterator[Watch]:
    """A cluster at this address, under watch from its first answers on."""
    connection = ConnectionSettings.from_properties({"bootstrap.servers": bootstrap, "client.id": client_id})
    stored = secrets.encrypt(connection.to_stored(), settings.INSTANCE_KEY)
    cluster = Cluster.objects.create(slug=slug, name=slug, settings_encrypted=stored, interval_seconds=INTERVAL)
    # a test may stand still for longer than an interval
    epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder="test", seconds=600)
    assert epoch is not None
    session = Session(connection)
    survey = Survey(session)
    sampler = Sampler(cluster, session, survey, holder="test", epoch=epoch, announce=lambda kind, data: None)
    sampler.remember()
    survey.start()
    try:
        survey.wait_first(patience)
        yield Watch(cluster, sampler, survey)
    finally:
        survey.stop(5)
        session.close()


def wait_until(what: str, look: Callable[[], T | None], *, seconds: float, pause: float = 0.1) -> T:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
    return found


def raw_ask(host: str, port: int, key: int, version: int, body: bytes) -> bytes:
    """One request with the header of versions that are not flexible, past every client; the body of its answer."""
    with socket.create_connection((host, port), timeout=20) as line:
        head = struct.pack(">hhih", key, version, 7, 3) + b"raw"
        line.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]:
            part = line.recv(65536)
            assert part, "the broker closed the line"
            answer += part
    return answer[8:]
