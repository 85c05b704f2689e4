"""The traffic of the demo's company: one process, a thread for each member of each service.

Orders come as JSON lines on standard input ({"act": "freeze", "frozen": ["payments"]}); when the input closes, the
parent is gone and so is the traffic.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import random
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from .company import GROUPS, PAYMENT_SERVICE, SOURCES, GroupPlan, Source

log = logging.getLogger("demo.traffic")

TICK_SECONDS = 0.25
COMMIT_SECONDS = 5.0
TRANSACTION_SECONDS = 3.0
# What one member of the payment service can do: about five times what comes, so that catching up takes its time.
PAYMENTS_PER_SECOND = 60
# Far above the longest act: a frozen member hangs, it is not thrown out.
MAX_POLL_INTERVAL_MS = 1_800_000
RETRY_SHARE = 0.02
ANOMALY_SHARE = 0.01
END_SECONDS = 3.0


class State:
    """What the company is told to do; read by all threads."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.frozen: frozenset[str] = frozenset()

    def obey(self, order: dict[str, Any]) -> None:
        self.frozen = frozenset(order.get("frozen", ()))
        log.info("order %s", order)


def producer_settings(bootstrap: str, name: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": name,
        "linger.ms": 500,
        "compression.type": "lz4",
        "acks": "all",
        # a broker pays per batch: keep one partition's batch until linger is over
        "sticky.partitioning.linger.ms": 500,
    }


def consumer_settings(bootstrap: str, plan: GroupPlan, number: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": f"{plan.name}-{number + 1}",
        "group.id": plan.name,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": plan.name != PAYMENT_SERVICE,
        "auto.commit.interval.ms": int(COMMIT_SECONDS * 1000),
        "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
        "isolation.level": "read_committed" if plan.reads_committed else "read_uncommitted",
        "fetch.min.bytes": 20_000,
        "fetch.wait.max.ms": 500,
        "queued.max.messages.kbytes": 4096,
    }
    if plan.is_kip848:
        settings["group.protocol"] = "consumer"
    else:
        settings["session.timeout.ms"] = 10_000
        settings["partition.assignment.strategy"] = "cooperative-sticky"
    return settings


class Desk:
    """The producer that sources and services share; a full queue drops nothing, it waits."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(producer_settings(bootstrap, "company"), logger=log)

    def write(
        self, topic: str, key: str, value: dict[str, Any], headers: list[tuple[str, str | bytes | None]] | None = None
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, json.dumps(value).encode(), key=key.encode(), headers=headers or [])
            except BufferError:
                self._producer.poll(0.2)
                continue
            self._producer.poll(0)
            return

    def close(self) -> None:
        self._producer.flush(2.0)


def run_sources(state: State, desk: Desk) -> None:
    """Write what comes from outside at each source's rate, in ticks."""
    owed = dict.fromkeys((source.topic for source in SOURCES), 0.0)
    number = 0
    last = time.monotonic()
    while not state.stop.wait(TICK_SECONDS):
        now = time.monotonic()
        for source in SOURCES:
            owed[source.topic] += rate_at(source, now) * (now - last)
            whole = int(owed[source.topic])
            owed[source.topic] -= whole
            for _ in range(whole):
                number += 1
                desk.write(
                    source.topic, f"{source.topic}-{random.randrange(source.keys)}", _record(source.topic, number)
                )
        last = now


def rate_at(source: Source, now: float) -> float:
    """Records a second at a moment: a slow swing around the average."""
    return source.per_second * (1 + source.swing * math.sin(2 * math.pi * now / source.period_seconds))


def _record(topic: str, number: int) -> dict[str, Any]:
    at = int(time.time() * 1000)
    match topic:
        case "clicks":
            return {
                "id": number,
                "at": at,
                "page": f"/p/{random.randrange(300)}",
                "agent": "browser",
                "ms": random.randrange(900),
            }
        case "orders":
            return {
                "order": number,
                "at": at,
                "customer": random.randrange(4000),
                "cents": random.randrange(500, 90_000),
            }
        case "sensors":
            return {"sensor": random.randrange(120), "at": at, "celsius": round(random.gauss(21, 2), 2)}
        case "accounts":
            return {
                "account": random.randrange(1500),
                "at": at,
                "event": random.choice(["opened", "credited", "debited"]),
            }
    return {"at": at, "level": random.choice(["info", "info", "info", "warn"]), "text": f"request {number} handled"}


Handle = Callable[[list[Message]], None]


def run_member(state: State, bootstrap: str, plan: GroupPlan, number: int, handle: Handle) -> None:
    """One member of a service that reads and lets the client commit."""
    consumer = Consumer(consumer_settings(bootstrap, plan, number), logger=log)
    replay = plan.name == "audit"

    def assigned(client: Consumer, partitions: list[TopicPartition]) -> None:
        # event sourcing: the state is built anew from the first record at each start
        for partition in partitions:
            partition.offset = 0
        client.incremental_assign(partitions)

    consumer.subscribe(list(plan.topics), **({"on_assign": assigned} if replay else {}))
    try:
        while not state.stop.is_set():
            if plan.name in state.frozen:
                state.stop.wait(0.2)
                continue
            messages = [m for m in consumer.consume(500, 0.5) if _is_record(m)]
            if messages:
                handle(messages)
    finally:
        consumer.close()


def run_payment_member(state: State, bootstrap: str, plan: GroupPlan, number: int, desk: Desk) -> None:
    """A member of the payment service: reads orders, writes payments and its own offsets in one transaction."""
    consumer = Consumer(consumer_settings(bootstrap, plan, number), logger=log)
    settings = producer_settings(bootstrap, f"payments-{number + 1}")
    producer = Producer({**settings, "transactional.id": f"payments-{number + 1}", "linger.ms": 50}, logger=log)
    producer.init_transactions(30.0)
    consumer.subscribe(list(plan.topics))
    began: float | None = None
    positions: dict[tuple[str, int], int] = {}
    try:
        while not state.stop.is_set():
            if plan.name in state.frozen:
                if began is not None:
                    _commit(producer, consumer, positions)
                    began = None
                state.stop.wait(0.2)
                continue
            messages = [m for m in consumer.consume(PAYMENTS_PER_SECOND, 0.5) if _is_record(m)]
            for message in messages:
                if began is None:
                    producer.begin_transaction()
                    began = time.monotonic()
                _pay(producer, desk, message)
                positions[message.topic() or "", message.partition() or 0] = (message.offset() or 0) + 1
            state.stop.wait(len(messages) / PAYMENTS_PER_SECOND)
            if began is not None and time.monotonic() - began >= TRANSACTION_SECONDS:
                _commit(producer, consumer, positions)
                began = None
    finally:
        if began is not None:
            try:
                producer.abort_transaction(2.0)
            except KafkaException:
                log.info("transaction left to its timeout")
        consumer.close()


def _commit(producer: Producer, consumer: Consumer, positions: dict[tuple[str, int], int]) -> None:
    offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 10.0)
    producer.commit_transaction(10.0)
    positions.clear()


def _pay(producer: Producer, desk: Desk, message: Message) -> None:
    order = json.loads(message.value() or b"{}")
    if random.random() < RETRY_SHARE:
        desk.write("orders-retry-0", f"order-{order.get('order')}", order, spring_headers(message, attempts=2))
        return
    payment = {"payment": order.get("order"), "cents": order.get("cents"), "at": int(time.time() * 1000)}
    producer.produce("payments", json.dumps(payment).encode(), key=message.key())
    producer.poll(0)


def spring_headers(message: Message, *, attempts: int) -> list[tuple[str, str | bytes | None]]:
    """Headers as Spring's RetryTopic writes them (facts: kafka-live.md 7)."""
    _, at = message.timestamp()
    return [
        ("kafka_exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
        ("kafka_exception-cause-fqcn", b"com.example.payments.BankNotReachedException"),
        ("kafka_exception-message", b"Listener failed; bank did not answer within 2000 ms"),
        ("kafka_original-topic", (message.topic() or "").encode()),
        ("kafka_original-partition", struct.pack(">i", message.partition() or 0)),
        ("kafka_original-offset", struct.pack(">q", message.offset() or 0)),
        ("kafka_original-timestamp", struct.pack(">q", at)),
        ("kafka_original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", PAYMENT_SERVICE.encode()),
        ("retry_topic-attempts", struct.pack(">i", attempts)),
    ]


def handlers(desk: Desk) -> dict[str, Handle]:
    """What services write because of what they read."""

    def ship(messages: list[Message]) -> None:
        for message in messages:
            payment = json.loads(message.value() or b"{}")
            desk.write("shipments", str(payment.get("payment")), {"shipment": payment.get("payment")})

    def watch(messages: list[Message]) -> None:
        for message in messages:
            if random.random() < ANOMALY_SHARE:
                desk.write("sensor-anomalies", "anomaly", json.loads(message.value() or b"{}"))

    return {"shipments": ship, "sensor-alarms": watch}


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() != KafkaError._PARTITION_EOF:
        log.info("consumer: %s", error)
    return False


def _guarded(state: State, work: Callable[[], None], name: str) -> None:
    """Keep a thread's work going through broker failures: the company does not close when Kafka hiccups."""
    while not state.stop.is_set():
        try:
            work()
        except (KafkaException, ValueError):
            log.exception("%s starts again", name)
            state.stop.wait(2.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m collectors.demo.traffic", description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--folder", default="", help="named only so that a later start knows this process as its own")
    options, _ = parser.parse_known_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    state, desk = State(), Desk(options.bootstrap)
    made = handlers(desk)
    works: list[tuple[str, Callable[[], None]]] = [("sources", lambda: run_sources(state, desk))]
    for plan in GROUPS:
        for number in range(plan.members):
            name = f"{plan.name}-{number + 1}"
            if plan.name == PAYMENT_SERVICE:
                works.append((name, _bind(run_payment_member, state, options.bootstrap, plan, number, desk)))
            else:
                handle = made.get(plan.name, lambda messages: None)
                works.append((name, _bind(run_member, state, options.bootstrap, plan, number, handle)))
    threads = [threading.Thread(target=_guarded, args=(state, work, name), daemon=True) for name, work in works]
    for thread in threads:
        thread.start()
    for line in sys.stdin:
        state.obey(json.loads(line))
    state.stop.set()
    deadline = time.monotonic() + END_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    desk.close()
    os._exit(0)  # a librdkafka handle that waits for a dead broker must not hold the end up


def _bind(work: Callable[..., None], *args: Any) -> Callable[[], None]:
    return lambda: work(*args)


if __name__ == "__main__":
    main()
