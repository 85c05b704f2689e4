"""Nothing that changes Kafka leaves by the road of the collectors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.metadata as metadata
import kafka.protocol.producer as producer
import pytest

from collectors.kafka.link import Request, WritesRequestError, changes_nothing

ROOM = Path(__file__).resolve().parents[2] / "collectors" / "kafka"
WRITES = (
    "AddOffsets", "AddPartitions", "Alter", "Create", "Delete", "ElectLeaders", "EndTxn", "Heartbeat", "Incremental",
    "InitProducer", "JoinGroup", "LeaveGroup", "OffsetCommit", "OffsetDelete", "Produce", "SyncGroup", "TxnOffset",
    "UpdateFeatures", "WriteTxn",
)  # fmt: skip
EVERY = {
    name: getattr(module, name)
    for module in (admin, metadata, consumer, producer)
    for name in dir(module)
    if name.endswith("Request")
}


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_request_that_would_change_something_cannot_be_made(name: str) -> None:
    assert changes_nothing(name) != name.startswith(WRITES)
    if name.startswith(WRITES):
        with pytest.raises(WritesRequestError):
            Request(EVERY[name]())


def imported() -> Iterator[tuple[str, str]]:
    for path in sorted(ROOM.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                yield from ((path.name, alias.name) for alias in node.names if alias.name.endswith("Request"))


def test_no_module_even_imports_one() -> None:
    found = [(path, name) for path, name in imported() if name != "Request" and not name.startswith("Sasl")]
    assert len(found) > 10
    assert [one for one in found if not changes_nothing(one[1])] == []
