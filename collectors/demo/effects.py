"""What acts break beside the traffic: a broker, the sampling, the retention of a topic."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its stubs re-export nothing
from django.db import models
from django.db.models.functions import Now

from collectors.models import Lease

from .acts import SHORT_RETENTION
from .company import LOGS, TOPICS
from .nodes import KafkaCluster
from .topics import set_configs

log = logging.getLogger(__name__)

CUT_HOLDER = 'the demo\'s act "blind"'
CUT_AT_MOST_SECONDS = 120.0
"""A killed demo leaves nobody blind for longer: the lease lapses."""


class Effect(Protocol):
    def begin(self) -> None: ...

    def end(self, *, stopping: bool) -> None:
        """Mend it; `stopping`: the demo ends, and what ends with it need not be mended."""


class BrokerAway:
    """One node is killed, and started again."""

    def __init__(self, nodes: KafkaCluster, node: int) -> None:
        self.nodes, self.node = nodes, node

    def begin(self) -> None:
        self.nodes.kill(self.node)

    def end(self, *, stopping: bool) -> None:
        if not stopping:
            self.nodes.restart(self.node)


class SamplingCut:
    """The cluster's lease is taken from whoever samples it: no cycle is stored until it is given back."""

    def __init__(self, cluster_id: int) -> None:
        self.name = f"cluster:{cluster_id}"

    def begin(self) -> None:
        expires = Now() + timedelta(seconds=CUT_AT_MOST_SECONDS)
        Lease.objects.get_or_create(name=self.name)
        Lease.objects.filter(name=self.name).update(holder=CUT_HOLDER, epoch=models.F("epoch") + 1, expires_at=expires)

    def end(self, *, stopping: bool) -> None:
        Lease.objects.filter(name=self.name, holder=CUT_HOLDER).update(holder="", expires_at=Now())


class ShortRetention:
    """The topic `logs` keeps its records for half a minute only."""

    def __init__(self, bootstrap: str, prefix: str = "") -> None:
        self.bootstrap, self.topic = bootstrap, prefix + LOGS

    def begin(self) -> None:
        set_configs(self.bootstrap, {self.topic: SHORT_RETENTION})

    def end(self, *, stopping: bool) -> None:
        if not stopping:  # the next start brings it in line
            plan = next(topic for topic in TOPICS if topic.name == LOGS)
            set_configs(self.bootstrap, {self.topic: {key: plan.config[key] for key in SHORT_RETENTION}})


class Deleting:
    """The same on a cluster of somebody else, whose brokers may look at retention only every five minutes: what is
    older than half a minute is deleted by request."""

    def __init__(self, bootstrap: str, prefix: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        plan = next(topic for topic in TOPICS if topic.name == LOGS)
        self.partitions = [TopicPartition(prefix + LOGS, number) for number in range(plan.partitions)]
        self.bootstrap = bootstrap
        self.monotonic = monotonic
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="demo retention", daemon=True)
        self._thread.start()

    def end(self, *, stopping: bool) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0 if stopping else 15.0)

    def _run(self, stop: threading.Event) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap}, logger=log)
        seen: deque[tuple[float, list[TopicPartition]]] = deque()
        keep = int(SHORT_RETENTION["retention.ms"]) / 1000
        while not stop.wait(5.0):
            try:
                newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # its stubs leave that out
                asked = admin.list_offsets(dict.fromkeys(self.partitions, newest), request_timeout=5)
                ends = [
                    TopicPartition(one.topic, one.partition, answer.result(10).offset) for one, answer in asked.items()
                ]
                seen.append((self.monotonic(), ends))
                old = [ends for at, ends in seen if at <= self.monotonic() - keep]
                while len(old) > 1 and seen:
                    seen.popleft()
                    old.pop(0)
                if old:
                    for deleted in admin.delete_records(old[0], operation_timeout=5).values():
                        deleted.result(10)
            except KafkaException as error:
                log.warning("records of %s not deleted: %s", self.partitions[0].topic, error)
