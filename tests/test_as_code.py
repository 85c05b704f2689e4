"""Clusters from clusters.yaml and environment variables: names, mistakes with their place, what a new start changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import DatabaseError

from collectors import roster
from collectors.as_code import EnvironmentRefusedError, clusters_file, declared, in_file, reconcile
from collectors.domain.scope import Scope
from collectors.models import Cluster
from dashboard.models import AuditEntry

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


FILE = """# our clusters
clusters:
  - name: Orders
    interval: 10
    topics: {include: ["orders*", payments], exclude: "*.tmp"}
    groups:
      exclude: [console-consumer-*]
    properties:
      bootstrap.servers: a:9093,b:9093
      security.protocol: SASL_SSL
      sasl.mechanism: SCRAM-SHA-512
      sasl.jaas.config: x.ScramLoginModule required username="u" password="${ORDERS_PASSWORD}";
      request.timeout.ms: 30000
  - name: Logs
    slug: logs-eu
    properties: |
      bootstrap.servers=c:9092
"""


def file_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "clusters.yaml"
    path.write_text(text)
    return path


def test_a_file_names_clusters_and_the_environment_fills_in_secrets(tmp_path: Path) -> None:
    orders, logs = in_file(file_of(tmp_path, FILE), {"ORDERS_PASSWORD": 'hun"ter;2='.replace('"', "")})
    assert (orders.name, orders.slug, orders.interval) == ("Orders", "orders", 10.0)
    assert orders.connection.password == "hunter;2="
    assert orders.connection.request_timeout_ms == 30_000
    assert orders.scope == Scope(("orders*", "payments"), ("*.tmp",), (), ("console-consumer-*",))
    assert (logs.slug, logs.connection.bootstrap_servers) == ("logs-eu", ("c:9092",))
    assert in_file(file_of(tmp_path, "clusters:\n"), {}) == []
    assert in_file(file_of(tmp_path, "# nothing yet\n"), {}) == []


@pytest.mark.parametrize(
    ("changed", "to", "line", "words"),
    [
        ("interval: 10", "interval: soon", 4, "interval 'soon': use seconds, 1 to 300"),
        ("interval: 10", "interval: 900", 3, "The interval 900 is outside 1 to 300 seconds"),
        ("interval: 10", "pause: 10", 4, "'pause' is unknown: use name, slug, interval"),
        ("interval: 10", "name: Again", 4, "'name' is given twice"),
        ("interval: 10", "interval: [10]", 4, "interval: one value is expected"),
        ("- name: Orders", "- slug: orders", 3, "name is missing"),
        ("- name: Logs", "- just a text", 15, "this is no YAML"),
        ("clusters:", "cluster:", 2, "'cluster' is unknown: use clusters"),
        ("      bootstrap.servers=c:9092", "      bootstrap.servers=c", 14, "bootstrap.servers 'c': use host:port"),
        ("SCRAM-SHA-512", "GSSAPI", 3, "'GSSAPI' is not offered"),
        ("request.timeout.ms: 30000", "sasl.kerberos.service.name: x", 3, "Kerberos (GSSAPI) is not offered"),
        ("${ORDERS_PASSWORD}", "${OTHER}", 12, "${OTHER} stands for a variable that is not set"),
        ("    properties: |", "    properties_file: /no/such/file\n    x: |", 17, "'x' is unknown"),
        ("{include:", "{only:", 5, "'only' is unknown: use include, exclude"),
        ("[console-consumer-*]", "{a: b}", 7, "groups exclude of another shape: use a list"),
        ("    interval: 10", "\tinterval: 10", 4, "this is no YAML"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_line(
    tmp_path: Path, changed: str, to: str, line: int, words: str
) -> None:
    assert changed in FILE
    path = file_of(tmp_path, FILE.replace(changed, to, 1))
    with pytest.raises(EnvironmentRefusedError) as caught:
        in_file(path, {"ORDERS_PASSWORD": SECRET})
    assert f"clusters.yaml, line {line}" in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefusedError, match=r"none\.yaml cannot be read: No such file"):
        in_file(tmp_path / "none.yaml", {})
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(EnvironmentRefusedError, match="is not UTF-8"):
        in_file(tmp_path / "x.yaml", {})
    # nodes that stand for each other a billion times over are never built
    bomb = "clusters:\n- &a {name: x, properties: &b {k: v}}\n" + "- *a\n" * 10
    with pytest.raises(EnvironmentRefusedError):
        in_file(file_of(tmp_path, bomb), {})


def test_the_usual_file_is_read_when_it_is_there(tmp_path: Path) -> None:
    assert clusters_file("", tmp_path) is None
    assert clusters_file("", file_of(tmp_path, FILE).parent) == tmp_path / "clusters.yaml"
    assert clusters_file("other.yaml", tmp_path) == Path("other.yaml")


@pytest.mark.django_db
def test_file_and_environment_are_brought_in_line_together(tmp_path: Path) -> None:
    path = file_of(tmp_path, FILE.replace("${ORDERS_PASSWORD}", SECRET))
    said = reconcile({"KAFKA_BOOTSTRAP_SERVERS": "d:1"}, path)
    assert [line for line in said if "added" in line] == [
        "Orders: added from clusters.yaml", "Logs: added from clusters.yaml", "Kafka: added from the environment",
    ]  # fmt: skip
    assert {c.slug: c.managed_by for c in Cluster.objects.all()} == {
        "orders": "clusters.yaml", "logs-eu": "clusters.yaml", "kafka": "environment",
    }  # fmt: skip
    assert roster.scope_of(Cluster.objects.get(slug="orders")).topics_exclude == ("*.tmp",)
    path.write_text(
        path.read_text().replace('exclude: "*.tmp"', 'exclude: "*.old"').replace("slug: logs-eu", "slug: l")
    )
    said = reconcile({}, path)
    assert "Orders: changed as clusters.yaml says" in said
    assert "Logs: deleted, since clusters.yaml no longer names it" in said
    assert "Kafka: deleted, since the environment no longer names it" in said
    with pytest.raises(EnvironmentRefusedError, match="two clusters have the address 'orders'"):
        reconcile({"STREAMGAUGE_CLUSTERS_0_NAME": "orders", "STREAMGAUGE_CLUSTERS_0_BOOTSTRAP_SERVERS": "x:1"}, path)


def test_patterns_come_by_variables_too() -> None:
    (one, _) = declared(OURS | {"STREAMGAUGE_CLUSTERS_0_TOPICS_EXCLUDE": "__*, tmp-*"})
    assert one.scope == Scope(topics_exclude=("__*", "tmp-*"))
    with pytest.raises(EnvironmentRefusedError, match="CLUSTERS_0_GROUPS_INCLUDE: The pattern"):
        declared(OURS | {"STREAMGAUGE_CLUSTERS_0_GROUPS_INCLUDE": "a\x07b"})


@pytest.mark.django_db
def test_what_a_start_changes_is_in_the_audit_trail_without_secrets() -> None:
    def trail() -> list[tuple[str, str, str]]:
        found = list(AuditEntry.objects.order_by("id").values_list("who", "action", "target"))
        assert SECRET not in str(list(AuditEntry.objects.values_list("detail", flat=True)))
        AuditEntry.objects.all().delete()
        return found

    reconcile(OURS)
    assert AuditEntry.objects.get(target="orders").detail == {
        "servers": ["a:9093"], "protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "identity": "u",
    }  # fmt: skip
    assert trail() == [("environment", "cluster added", "orders"), ("environment", "cluster added", "logs")]
    reconcile(OURS)
    assert trail() == []  # nothing changed
    reconcile({**OURS, "STREAMGAUGE_CLUSTERS_1_INTERVAL": "30"})
    assert trail() == [("environment", "cluster changed", "logs")]
    reconcile({key: value for key, value in OURS.items() if "_0_" in key})
    assert trail() == [("environment", "cluster deleted", "logs")]
    reconcile(OURS)
    assert trail() == [("environment", "cluster restored", "logs"), ("environment", "cluster changed", "logs")]


@pytest.mark.django_db
def test_a_start_that_is_refused_changes_nothing_and_notes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(roster, "delete", full)
    Cluster.objects.create(slug="old", name="Old", settings_encrypted=b"", managed_by="environment")
    with pytest.raises(DatabaseError):
        reconcile(OURS)
    assert list(Cluster.objects.values_list("slug", flat=True)) == ["old"]
    assert not AuditEntry.objects.exists()
