"""The demo on a cluster of somebody else: it says everything before it does anything, and takes it all away again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from collectors.demo import company, elsewhere
from collectors.demo.elsewhere import PREFIX, Elsewhere, NotReachedError
from collectors.demo.nodes import KafkaCluster
from tests.e2e.playing import Demo, plain
from tests.e2e.served import wait_for
from tests.servers import free_port


def test_the_question_names_everything_that_will_be_made() -> None:
    said = elsewhere.question(Elsewhere("kafka-1:9092", "abc", 5, ()))
    for topic in company.TOPICS:
        assert f"{PREFIX}{topic.name} ({topic.partitions})\n" in said
    for group in company.GROUPS:
        assert f"    {PREFIX}{group.name}\n" in said
    assert "cluster abc (kafka-1:9092, 5 brokers)" in said
    assert "3 copies each" in said
    assert f"{PREFIX}payments-1 to -2" in said
    assert "are deleted with all that is in them" in said
    assert "of an earlier demo" not in said


def test_on_one_broker_there_is_one_copy_and_what_is_left_over_is_said() -> None:
    said = elsewhere.question(Elsewhere("h:1", "abc", 1, (f"{PREFIX}clicks",)))
    assert "1 copy each" in said
    assert "1 topic of an earlier demo found" in said


@pytest.mark.kafka
def test_an_address_without_kafka_is_an_error_in_words() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(NotReachedError, match=f"No Kafka answers under {address}"):
        elsewhere.look(address)


def ours(kafka: KafkaCluster) -> list[str]:
    """Topics and groups with the demo's prefix."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap}, logger=logging.getLogger("tests.kafka"))
    groups = admin.list_consumer_groups(request_timeout=10).result(15).valid
    names = [*admin.list_topics(timeout=10).topics, *(group.group_id for group in groups)]
    return sorted(name for name in names if name.startswith(PREFIX))


@pytest.mark.kafka
def test_without_a_yes_nothing_is_made(kafka: KafkaCluster, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--bootstrap", kafka.bootstrap)
    demo.start(typed="no\n")
    assert demo.process is not None
    demo.process.wait(60)
    assert "Nothing was created." in demo.output()
    assert ours(kafka) == []


@pytest.mark.kafka
@pytest.mark.long
def test_the_company_plays_there_loses_records_and_leaves_nothing_behind(kafka: KafkaCluster, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--bootstrap", kafka.bootstrap, "--act", "retention", cluster="demo-elsewhere")
    demo.start(typed="yes\n")
    try:
        demo.wait_signed_in()
        assert set(ours(kafka)) >= {PREFIX + topic.name for topic in company.TOPICS}
        began = demo.wait_mark("retention", "begin", seconds=90)
        demo.wait_text(f"groups/{PREFIX}log-archive/", "No members: nobody reads", since=began, within=30)
        wait_for(
            "records lost",
            lambda: [one for one in demo.said() if one.rule == "records_lost"],
            seconds=120,
        )
        coming = plain(demo.rows("select data from collectors_event where kind = 'act' order by id desc")[0][0])
        assert coming["next"] == "a sale", "broker and blind are left out"
    finally:
        demo.stop(seconds=60)
    assert "All that was made is gone" in demo.output()
    assert ours(kafka) == []
    assert demo.rows("select is_paused from collectors_cluster where slug = 'demo-elsewhere'") == [(True,)]
