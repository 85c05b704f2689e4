"""Clusters from environment variables: canonical names, other tools' names, and what a new start changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors import roster
from collectors.as_code import EnvironmentRefusedError, declared, reconcile
from collectors.models import Cluster

SECRET = "hunter2-planted"
JAAS = f'x.ScramLoginModule required username="u" password="{SECRET}";'
OURS = {
    "STREAMGAUGE_CLUSTERS_0_NAME": "Orders",
    "STREAMGAUGE_CLUSTERS_0_BOOTSTRAP_SERVERS": "a:9093",
    "STREAMGAUGE_CLUSTERS_0_SECURITY_PROTOCOL": "SASL_SSL",
    "STREAMGAUGE_CLUSTERS_0_SASL_MECHANISM": "SCRAM-SHA-512",
    "STREAMGAUGE_CLUSTERS_0_SASL_JAAS_CONFIG": JAAS,
    "STREAMGAUGE_CLUSTERS_0_INTERVAL": "10",
    "STREAMGAUGE_CLUSTERS_1_NAME": "Logs",
    "STREAMGAUGE_CLUSTERS_1_BOOTSTRAP_SERVERS": "b:9092",
}


def test_clusters_are_numbered_and_named() -> None:
    first, second = declared({**OURS, "PATH": "/bin"})
    assert (first.name, first.slug, first.interval, first.connection.password) == ("Orders", "orders", 10.0, SECRET)
    assert (second.name, second.connection.bootstrap_servers) == ("Logs", ("b:9092",))


def test_a_properties_file_stands_for_all_keys(tmp_path: Path) -> None:
    path = tmp_path / "client.properties"
    path.write_text("bootstrap.servers=a:1\ngroup.id=x")
    (one,) = declared({"STREAMGAUGE_CLUSTERS_0_NAME": "x", "STREAMGAUGE_CLUSTERS_0_PROPERTIES_FILE": str(path)})
    assert one.connection.bootstrap_servers == ("a:1",)
    assert "group.id" in one.notes[0]


@pytest.mark.parametrize(
    ("environment", "servers", "protocol", "note"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "a:1"}, ("a:1",), "PLAINTEXT", ""),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "a:1", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_JAAS_CONFIG": JAAS,
             "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
            ("a:1",), "SASL_SSL", "",
        ),
        (
            {"KAFKA_BROKERS": "a:1,b:2", "KAFKA_TLS_ENABLED": "true", "KAFKA_SASL_ENABLED": "true",
             "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": SECRET},
            ("a:1", "b:2"), "SASL_SSL", "canonical: KAFKA_BOOTSTRAP_SERVERS",
        ),
        (
            {"KAFKA_CLUSTERS_0_NAME": "ui", "KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS": "a:1",
             "KAFKA_CLUSTERS_0_PROPERTIES_SECURITY_PROTOCOL": "SSL"},
            ("a:1",), "SSL", "the canonical names are STREAMGAUGE_CLUSTERS_0_",
        ),
    ],
)  # fmt: skip
def test_names_of_other_tools_are_taken_and_told(
    environment: dict[str, str], servers: tuple[str, ...], protocol: str, note: str
) -> None:
    (one,) = declared(environment)
    assert (one.connection.bootstrap_servers, one.connection.security_protocol) == (servers, protocol)
    assert note in " ".join(one.notes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"STREAMGAUGE_CLUSTERS_2_BOOTSTRAP_SERVERS": "a:1"}, "STREAMGAUGE_CLUSTERS_2_NAME is missing"),
        ({"STREAMGAUGE_CLUSTERS_0_BOOTSTRAP": "a:1"}, "STREAMGAUGE_CLUSTERS_0_BOOTSTRAP is unknown"),
        ({"STREAMGAUGE_CLUSTERS_0_INTERVAL": "soon"}, "INTERVAL 'soon': use seconds"),
        ({"STREAMGAUGE_CLUSTERS_0_INTERVAL": "900"}, "outside 1 to 300"),
        ({"STREAMGAUGE_CLUSTERS_1_PROPERTIES": "x=y"}, "stands for all keys"),
        ({"STREAMGAUGE_CLUSTERS_0_SASL_MECHANISM": "GSSAPI"}, "STREAMGAUGE_CLUSTERS_0_…: sasl.mechanism 'GSSAPI'"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(changes: dict[str, str], words: str) -> None:
    with pytest.raises(EnvironmentRefusedError) as caught:
        declared(OURS | changes)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.django_db
def test_a_start_brings_the_stored_clusters_in_line() -> None:
    assert reconcile(OURS) == ["Orders: added from the environment", "Logs: added from the environment"]
    orders = Cluster.objects.get(slug="orders")
    assert orders.managed_by == "environment"
    assert roster.connection_of(orders).password == SECRET
    assert reconcile(OURS) == []
    moved = OURS | {"STREAMGAUGE_CLUSTERS_0_BOOTSTRAP_SERVERS": "c:9093"}
    assert reconcile(moved) == ["Orders: changed as the environment says"]
    assert roster.connection_of(Cluster.objects.get(slug="orders")).bootstrap_servers == ("c:9093",)
    without = {key: value for key, value in OURS.items() if "_1_" not in key}
    assert "Logs: deleted, since the environment no longer names it" in reconcile(without)
    assert [cluster.slug for cluster in Cluster.objects.all()] == ["orders"]
    assert "Logs: changed as the environment says" not in reconcile(OURS)
    assert Cluster.objects.count() == 2


@pytest.mark.django_db
def test_clusters_that_people_added_are_left_alone() -> None:
    (one,) = declared({"KAFKA_BOOTSTRAP_SERVERS": "a:1"})
    roster.add(name="By hand", connection=one.connection)
    reconcile({})
    assert Cluster.objects.get().slug == "by-hand"
