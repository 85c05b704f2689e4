"""Orders that cannot be paid, and the headers with which Spring's retry topics pass them on to their end."""

from __future__ import annotations

import json
import struct
from enum import Enum

from confluent_kafka import Message

UNDECODABLE_SHARE = 0.03
CONSTRAINT_SHARE = 0.02
BACKOFF_MS = 1000

Headers = list[tuple[str, str | bytes | None]]


class Failure(Enum):
    """Why an order is not paid: the class of the cause, what it says, and the first lines of its stack."""

    UNDECODABLE = (
        "org.springframework.kafka.support.serializer.DeserializationException",
        "failed to deserialize; Invalid UTF-8 start byte 0xff",
        "com.example.payments.OrderReader.read(OrderReader.java:41)",
    )
    CONSTRAINT = (
        "org.springframework.dao.DataIntegrityViolationException",
        'new row for relation "payment" violates check constraint "payment_cents_positive"',
        "com.example.payments.PaymentRepository.insert(PaymentRepository.java:88)",
    )
    BANK = (
        "com.example.payments.BankNotReachedException",
        "bank did not answer within 2000 ms",
        "com.example.payments.Bank.charge(Bank.java:63)",
    )


def spoiled(order: bytes, luck: float) -> bytes:
    """An order as a broken shop writes it; `luck` from 0 to 1 decides which break it gets, most get none."""
    if luck < UNDECODABLE_SHARE:
        return b"\xff\xfe\x00" + order[: len(order) // 2]
    if luck < UNDECODABLE_SHARE + CONSTRAINT_SHARE:
        return json.dumps({**json.loads(order), "cents": 0}).encode()
    return order


def fate_of(value: bytes | None) -> Failure | None:
    """What becomes of an order at the payment service: None when it can be paid."""
    try:
        order = json.loads(value or b"")
    except ValueError:  # of which undecodable text is one
        return Failure.UNDECODABLE
    return Failure.CONSTRAINT if order["cents"] <= 0 else None


def again(message: Message, failure: Failure, group: str, now: float) -> Headers:
    """The headers with which a record goes on to a retry topic, or from there to the dead-letter topic.

    As RetryTopic of spring-kafka 4.1 writes them (facts: kafka-live.md 7): where the record came from is said once,
    by the first hop; what failed, the attempt and the time to try again are added by each.
    """
    raw = message.headers() or []
    before: Headers = list(raw.items() if isinstance(raw, dict) else raw)
    attempts = 2 + sum(name == "retry_topic-attempts" for name, _ in before)
    cause, says, at = failure.value
    _, written_ms = message.timestamp()
    exception: Headers = [
        ("kafka_exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
        ("kafka_exception-cause-fqcn", cause.encode()),
        ("kafka_exception-message", f"Listener failed; {says}".encode()),
        ("kafka_exception-stacktrace", _stack(cause, says, at).encode()),
    ]
    original: Headers = [
        ("kafka_original-topic", (message.topic() or "").encode()),
        ("kafka_original-partition", struct.pack(">i", message.partition() or 0)),
        ("kafka_original-offset", struct.pack(">q", message.offset() or 0)),
        ("kafka_original-timestamp", struct.pack(">q", written_ms)),
        ("kafka_original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", group.encode()),
        ("retry_topic-original-timestamp", _shortest(written_ms)),
    ]
    hop: Headers = [
        ("retry_topic-attempts", struct.pack(">i", attempts)),
        ("retry_topic-backoff-timestamp", _shortest(int(now * 1000) + BACKOFF_MS)),
    ]
    if not before:
        return [*exception, *original, *hop]
    kept = [one for one in before if not one[0].startswith("kafka_exception-")]
    return [*kept, *exception, *hop]


def _shortest(ms: int) -> bytes:
    """As Java's BigInteger.toByteArray: big-endian, no byte more than needed (six for the present time)."""
    return ms.to_bytes((ms.bit_length() + 8) // 8, "big")


def _stack(cause: str, says: str, at: str) -> str:
    return (
        "org.springframework.kafka.listener.ListenerExecutionFailedException: Listener failed\n"
        "\tat org.springframework.kafka.listener.adapter.MessagingMessageListenerAdapter.invokeHandler"
        "(MessagingMessageListenerAdapter.java:471)\n"
        f"Caused by: {cause}: {says}\n\tat {at}\n"
    )
