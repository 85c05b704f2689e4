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
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from .company import GROUPS, ORDERS, ORDERS_DLT, PAYMENT_SERVICE, PAYMENTS, RETRIES, SOURCES, GroupPlan, Source
from .letters import Failure, again, fate_of, spoiled

log = logging.getLogger("demo.traffic")

TICK_SECONDS = 0.25
COMMIT_SECONDS = 5.0
PACED_COMMIT_SECONDS = 1.0
TRANSACTION_SECONDS = 3.0
# What one member of the payment service can do: about five times what comes, so that catching up takes its time.
PAYMENTS_PER_SECOND = 60
# Far above the longest act: a frozen member hangs, it is not thrown out.
MAX_POLL_INTERVAL_MS = 1_800_000
RETRY_SHARE = 0.02
RETRY_AFTER_SECONDS = 1.0
ANOMALY_SHARE = 0.01
DRAIN_SECONDS = 1.0
"""At the end nothing new comes for so long: what stays unread would be lost to retention before the next start."""
END_SECONDS = 1.8


class State:
    """What the company is told to do; read by all threads. Each order replaces the one before."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix  # before the name of every topic and group
        self.stop = threading.Event()
        self.closing = threading.Event()  # nothing new comes, what is there is still read
        self.obey({})

    def obey(self, order: dict[str, Any]) -> None:
        """{"frozen": [group], "rush": {topic: factor}, "hot": {topic: share of one key}, "members": {group: count},
        "poison": true}, all by their names without the prefix."""
        self.frozen: frozenset[str] = frozenset(order.get("frozen", ()))
        self.rush: dict[str, float] = dict(order.get("rush", {}))
        self.hot: dict[str, float] = dict(order.get("hot", {}))
        self.members: dict[str, int] = dict(order.get("members", {}))
        self.is_poisoned = bool(order.get("poison"))
        if order:
            log.info("order %s", order)

    def is_away(self, plan: GroupPlan, number: int) -> bool:
        """Whether the member with this number (from 0) is told to be gone."""
        return number >= self.members.get(plan.name, plan.members)


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


def consumer_settings(bootstrap: str, plan: GroupPlan, number: int, prefix: str = "") -> dict[str, Any]:
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": f"{plan.name}-{number + 1}",
        "group.id": prefix + plan.name,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": plan.name != PAYMENT_SERVICE,
        # who is at the limit of what it can do shows its progress evenly
        "auto.commit.interval.ms": int((COMMIT_SECONDS if plan.per_second is None else PACED_COMMIT_SECONDS) * 1000),
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

    def __init__(self, bootstrap: str, prefix: str = "") -> None:
        self._producer = Producer(producer_settings(bootstrap, f"{prefix}company"), logger=log)
        self._prefix = prefix

    def write(self, topic: str, key: str, value: dict[str, Any]) -> None:
        self.pass_on(topic, key.encode(), json.dumps(value).encode(), [])

    def pass_on(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, str | bytes | None]]
    ) -> None:
        while True:
            try:
                self._producer.produce(self._prefix + topic, value, key=key, headers=headers)
            except BufferError:
                self._producer.poll(0.2)
                continue
            self._producer.poll(0)
            return

    def close(self, seconds: float = 2.0) -> None:
        self._producer.flush(seconds)


def run_sources(state: State, desk: Desk) -> None:
    """Write what comes from outside at each source's rate, in ticks."""
    owed = dict.fromkeys((source.topic for source in SOURCES), 0.0)
    number = 0
    last = time.monotonic()
    while not state.closing.wait(TICK_SECONDS):
        now = time.monotonic()
        for source in SOURCES:
            owed[source.topic] += rate_at(source, now, state.rush.get(source.topic, 1.0)) * (now - last)
            whole = int(owed[source.topic])
            owed[source.topic] -= whole
            for _ in range(whole):
                number += 1
                key = key_of(source, state.hot.get(source.topic, 0.0))
                value = json.dumps(_record(source.topic, number, key)).encode()
                if source.topic == ORDERS and state.is_poisoned:
                    value = spoiled(value, random.random())
                desk.pass_on(source.topic, f"{source.topic}-{key}".encode(), value, [])
        last = now


def rate_at(source: Source, now: float, factor: float = 1.0) -> float:
    """Records a second at a moment: a slow swing around the average; in a rush there is no quiet hour."""
    if factor != 1.0:
        return source.per_second * factor
    return source.per_second * (1 + source.swing * math.sin(2 * math.pi * now / source.period_seconds))


def key_of(source: Source, hot_share: float) -> int:
    """The number of the next record's key; `hot_share` of all records have the first."""
    return 0 if random.random() < hot_share else random.randrange(source.keys)


def _record(topic: str, number: int, key: int) -> dict[str, Any]:
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
            return {"order": number, "at": at, "customer": key, "cents": random.randrange(500, 90_000)}
        case "sensors":
            return {"sensor": key, "at": at, "celsius": round(random.gauss(21, 2), 2)}
        case "accounts":
            return {"account": key, "at": at, "event": random.choice(["opened", "credited", "debited"])}
    return {"at": at, "level": random.choice(["info", "info", "info", "warn"]), "text": f"request {number} handled"}


Handle = Callable[[list[Message]], None]


def run_member(state: State, bootstrap: str, plan: GroupPlan, number: int, handle: Handle) -> None:
    """One member of a service that reads and lets the client commit; it leaves and comes back as it is told."""
    while not state.stop.is_set():
        if state.is_away(plan, number):
            state.stop.wait(0.2)
        else:
            _read(state, bootstrap, plan, number, handle)


def _read(state: State, bootstrap: str, plan: GroupPlan, number: int, handle: Handle) -> None:
    """Read until the end, or until the member is told to leave."""
    consumer = Consumer(consumer_settings(bootstrap, plan, number, state.prefix), logger=log)

    def assigned(client: Consumer, partitions: list[TopicPartition]) -> None:
        # event sourcing: the state is built anew from the first record at each start
        for partition in partitions:
            partition.offset = 0
        client.incremental_assign(partitions)

    replay = plan.name == "audit"
    consumer.subscribe([state.prefix + topic for topic in plan.topics], **({"on_assign": assigned} if replay else {}))
    at_once = 500 if plan.per_second is None else max(1, round(plan.per_second * TICK_SECONDS))
    free_at = time.monotonic()
    try:
        while not state.stop.is_set() and not state.is_away(plan, number):
            if plan.name in state.frozen:
                state.stop.wait(0.2)
                continue
            messages = [m for m in consumer.consume(at_once, 0.5) if _is_record(m)]
            if messages:
                handle(messages)
            if plan.per_second is not None:
                # by the clock, so that time lost in a call is no loss of speed; idle time is not saved up
                free_at = max(free_at + len(messages) / plan.per_second, time.monotonic() - TICK_SECONDS)
                state.stop.wait(max(0.0, free_at - time.monotonic()))
    finally:
        consumer.close()


def run_payment_member(state: State, bootstrap: str, plan: GroupPlan, number: int, desk: Desk) -> None:
    """A member of the payment service: reads orders, writes payments and its own offsets in one transaction."""
    consumer = Consumer(consumer_settings(bootstrap, plan, number, state.prefix), logger=log)
    name = f"{state.prefix}payments-{number + 1}"
    settings = producer_settings(bootstrap, name)
    producer = Producer({**settings, "transactional.id": name, "linger.ms": 50}, logger=log)
    producer.init_transactions(30.0)
    consumer.subscribe([state.prefix + topic for topic in plan.topics])
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
                _pay(producer, desk, message, state.prefix)
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


def _pay(producer: Producer, desk: Desk, message: Message, prefix: str) -> None:
    failure = fate_of(message.value())
    if failure is None and random.random() < RETRY_SHARE:
        failure = Failure.BANK
    if failure is not None:
        desk.pass_on(RETRIES, message.key(), message.value(), again(message, failure, PAYMENT_SERVICE, time.time()))
        return
    producer.produce(prefix + PAYMENTS, _payment(message), key=message.key())
    producer.poll(0)


def _payment(message: Message) -> bytes:
    order = json.loads(message.value() or b"{}")
    return json.dumps({"payment": order["order"], "cents": order["cents"], "at": int(time.time() * 1000)}).encode()


def handlers(state: State, desk: Desk) -> dict[str, Handle]:
    """What services write because of what they read."""

    def ship(messages: list[Message]) -> None:
        for message in messages:
            payment = json.loads(message.value() or b"{}")
            desk.write("shipments", str(payment.get("payment")), {"shipment": payment.get("payment")})

    def watch(messages: list[Message]) -> None:
        for message in messages:
            if random.random() < ANOMALY_SHARE:
                # keyed by itself: the act "hot" is about one topic
                desk.write(
                    "sensor-anomalies", f"anomaly-{random.randrange(10_000)}", json.loads(message.value() or b"{}")
                )

    def retry(messages: list[Message]) -> None:
        state.stop.wait(RETRY_AFTER_SECONDS)
        for message in messages:
            failure = fate_of(message.value())
            if failure is None:  # the bank answers this time
                desk.pass_on(PAYMENTS, message.key(), _payment(message), [])
            else:
                headers = again(message, failure, PAYMENT_SERVICE, time.time())
                desk.pass_on(ORDERS_DLT, message.key(), message.value(), headers)

    return {"shipments": ship, "sensor-alarms": watch, "payments-retry": retry}


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
    parser.add_argument("--prefix", default="", help="before the name of every topic and group")
    options, _ = parser.parse_known_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    state, desk = State(options.prefix), Desk(options.bootstrap, options.prefix)
    made = handlers(state, desk)
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
    state.closing.set()
    desk.close(DRAIN_SECONDS)
    time.sleep(DRAIN_SECONDS)
    state.stop.set()
    deadline = time.monotonic() + END_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    desk.close(0.2)
    os._exit(0)  # a librdkafka handle that waits for a dead broker must not hold the end up


def _bind(work: Callable[..., None], *args: Any) -> Callable[[], None]:
    return lambda: work(*args)


if __name__ == "__main__":
    main()
