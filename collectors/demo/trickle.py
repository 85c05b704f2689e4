"""A little traffic on the secured node, by its root, so that there is something to see with few rights."""

from __future__ import annotations

import logging
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing

log = logging.getLogger(__name__)

TOPIC = "audit-trail"
GROUP = "auditor"
PARTITIONS = 3
PER_SECOND = 5.0


class Trickle:
    """Writes and reads back a few records a second until it is stopped."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trickle", daemon=True)

    def start(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._bootstrap}, logger=log)
        if TOPIC not in admin.list_topics(timeout=10).topics:
            for made in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)]).values():
                made.result(20)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(4)

    def _run(self) -> None:
        producer = Producer({"bootstrap.servers": self._bootstrap}, logger=log)
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": GROUP, "auto.offset.reset": "earliest"}, logger=log
        )
        consumer.assign([TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)])
        committed_at = 0.0
        try:
            while not self._stop.wait(1 / PER_SECOND):
                try:
                    producer.produce(TOPIC, f"signed in at {time.time():.3f}".encode())
                    producer.poll(0)
                    consumer.consume(20, timeout=0.05)
                    if time.monotonic() - committed_at > 2:
                        consumer.commit(asynchronous=True)
                        committed_at = time.monotonic()
                except KafkaException as error:
                    log.info("trickle waits: %s", error)
        finally:
            producer.flush(1)
            consumer.close()
