"""Connecting, changing, pausing and deleting clusters by pages; no secret ever comes back."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from collectors import roster
from collectors.demo.pki import Authority
from collectors.history import keep
from collectors.kafka.settings import ConnectionSettings
from collectors.management.commands import addcluster
from collectors.models import Cluster
from dashboard.models import AuditEntry

pytestmark = pytest.mark.django_db
SECRET = "hunter2-planted"
TEXT = (
    "bootstrap.servers=kafka.example.org:9093\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
    f'sasl.jaas.config=x.ScramLoginModule required username="observer" password="{SECRET}";'
)


def made(admin: Client, **changes: Any) -> Cluster:
    form = {"name": "Orders EU", "way": "properties", "properties": TEXT, "interval": "10", **changes}
    response = admin.post("/clusters/add/", form)
    assert response.status_code == 302, response.content.decode()[-3000:]
    return Cluster.objects.get()


def test_a_pasted_text_makes_a_cluster_and_no_page_shows_its_secret(admin: Client) -> None:
    cluster = made(admin)
    assert (cluster.slug, cluster.name, cluster.interval_seconds) == ("orders-eu", "Orders EU", 10.0)
    assert roster.connection_of(cluster).password == SECRET
    assert SECRET.encode() not in bytes(cluster.settings_encrypted)
    assert SECRET not in str(AuditEntry.objects.get(action="cluster added").detail)
    for path in ("/clusters/orders-eu/edit/", "/clusters/orders-eu/", "/clusters/add/"):
        assert SECRET not in admin.get(path).content.decode()
    assert "SCRAM-SHA-512 as observer" in admin.get("/clusters/orders-eu/edit/").content.decode()


def test_single_fields_make_the_same_cluster(admin: Client) -> None:
    fields = {
        "way": "fields",
        "bootstrap": "kafka.example.org:9093",
        "protocol": "SASL_SSL",
        "mechanism": "SCRAM-SHA-512",
        "username": "observer",
        "password": SECRET,
        "token_url": "not asked for by this mechanism",
    }
    cluster = made(admin, properties="", **fields)
    assert roster.connection_of(cluster) == ConnectionSettings.from_properties(TEXT)


def test_a_store_comes_with_the_form_and_no_path_is_read(admin: Client) -> None:
    authority = Authority()
    text = "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.truststore.location=/etc/passwd"
    refused = admin.post("/clusters/add/", {"name": "x", "properties": text}).content.decode()
    assert "are not read from a page" in refused
    assert not Cluster.objects.exists()
    upload = SimpleUploadedFile("ca.pem", authority.pem.encode())
    cluster = made(admin, properties=text, truststore=upload)
    assert roster.connection_of(cluster).ca_pem == authority.pem


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": " "}, "Give it a name of 1 to 200"),
        ({"name": "a\x07b"}, "control character"),
        ({"name": "\u65e5\u672c"}, "No address can be made from the name"),
        ({"slug": "add"}, "not &#x27;add&#x27; or &#x27;new&#x27;"),
        ({"slug": "a/b"}, "cannot be used: 1 to 64 letters"),
        ({"interval": "0.5"}, "outside 1 to 300 seconds"),
        ({"interval": "soon"}, "use a number of seconds"),
        ({"interval": "nan"}, "use a number of seconds"),
        ({"properties": ""}, "bootstrap.servers is missing"),
        ({"properties": TEXT + "\nsasl.kerberos.service.name=x"}, "Kerberos (GSSAPI) is not offered"),
        ({"properties": TEXT.replace(";", "")}, "has to end with a semicolon"),
    ],
)
def test_what_cannot_be_saved_is_told_in_words(admin: Client, changes: dict[str, str], words: str) -> None:
    form = {"name": "x", "properties": TEXT, "interval": "5", **changes}
    content = admin.post("/clusters/add/", form).content.decode()
    assert words in content
    assert SECRET not in content
    assert not Cluster.objects.exists()


def test_an_address_that_is_taken_is_told(admin: Client) -> None:
    made(admin)
    again = admin.post("/clusters/add/", {"name": "Orders EU", "properties": TEXT, "interval": "5"})
    assert "is there already" in again.content.decode()


def test_the_connection_test_shows_its_steps_and_saves_nothing(admin: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    form = {"properties": f"127.0.0.1:{port}", "name": "<b>"}
    content = admin.post("/clusters/add/test/", form).content.decode()
    assert "refuses connections: the host is there, and nothing listens on that port" in content
    assert content.count("Waits for: Connection") == 5
    assert not Cluster.objects.exists()
    assert SECRET not in admin.post("/clusters/add/test/", {"properties": TEXT + "x"}).content.decode()


def test_an_edit_keeps_what_is_left_empty(admin: Client) -> None:
    before = roster.connection_of(made(admin))
    answer = admin.post("/clusters/orders-eu/edit/", {"name": "Orders", "interval": "30", "properties": ""})
    assert answer.status_code == 302
    cluster = Cluster.objects.get()
    assert (cluster.name, cluster.slug, cluster.interval_seconds) == ("Orders", "orders-eu", 30.0)
    assert roster.connection_of(cluster) == before
    admin.post("/clusters/orders-eu/edit/", {"name": "Orders", "interval": "30", "properties": "other:9092"})
    assert roster.connection_of(Cluster.objects.get()).bootstrap_servers == ("other:9092",)


def test_the_days_left_of_stored_certificates_are_shown(admin: Client) -> None:
    authority = Authority("Ours")
    ending = authority.client("observer", days=5.9)
    text = "bootstrap.servers=a:1\nsecurity.protocol=SSL\n" + "".join(
        f"{key}={' '.join(pem.split())}\n"
        for key, pem in {
            "ssl.truststore.certificates": authority.pem,
            "ssl.keystore.certificate.chain": ending.certificate_pem,
            "ssl.keystore.key": ending.key_pem,
        }.items()
    )
    made(admin, properties=text)
    content = admin.get("/clusters/orders-eu/edit/").content.decode()
    assert content.index('Client certificate <span class="name">observer</span>: valid for 6 d') < content.index("Ours")
    assert "PRIVATE KEY" not in content
    rights = admin.get("/clusters/orders-eu/rights/").content.decode()
    assert rights.index("client certificate") < rights.index("authority")
    assert "6 d</span>" in rights
    assert "PRIVATE KEY" not in rights


def test_pausing_and_going_on(admin: Client) -> None:
    made(admin)
    admin.post("/clusters/orders-eu/pause/")
    assert Cluster.objects.get().is_paused
    assert "Paused: nothing is asked" in admin.get("/clusters/orders-eu/").content.decode()
    admin.post("/clusters/orders-eu/pause/", {"resume": ""})
    assert not Cluster.objects.get().is_paused


def test_a_deleted_cluster_is_out_of_sight_and_can_be_restored_for_a_day(admin: Client) -> None:
    cluster = made(admin)
    assert admin.get("/clusters/orders-eu/delete/").status_code == 200
    assert Cluster.objects.exists()
    admin.post("/clusters/orders-eu/delete/")
    assert not Cluster.objects.exists()
    assert admin.get("/clusters/orders-eu/").status_code == 404
    assert "Restore with its history" in admin.get("/clusters/add/").content.decode()
    again = admin.post("/clusters/add/", {"name": "Orders EU", "properties": TEXT, "interval": "5"})
    assert "was deleted less than a day ago" in again.content.decode()
    assert admin.post("/clusters/orders-eu/restore/").status_code == 302
    assert Cluster.objects.get() == cluster
    roster.delete(cluster, now=timezone.now() - timedelta(days=1, seconds=5))
    assert admin.post("/clusters/orders-eu/restore/").status_code == 404
    keep.forget_old(now=timezone.now().timestamp())
    assert not Cluster.everything.exists()


def test_what_comes_from_the_environment_is_locked(admin: Client) -> None:
    made(admin)
    Cluster.objects.update(managed_by="environment")
    assert "comes from the environment" in admin.get("/clusters/orders-eu/edit/").content.decode()
    admin.post("/clusters/orders-eu/edit/", {"name": "Other", "interval": "30"})
    admin.post("/clusters/orders-eu/delete/")
    assert Cluster.objects.get().name == "Orders EU"


def test_the_command_takes_a_file_and_files_that_it_names(tmp_path: Any) -> None:
    (tmp_path / "ca.pem").write_text(Authority().pem)
    properties = tmp_path / "client.properties"
    properties.write_text(f"{TEXT}\nssl.truststore.location={tmp_path / 'ca.pem'}\ngroup.id=x")
    call_command("addcluster", "Orders", properties=str(properties))
    assert roster.connection_of(Cluster.objects.get()).ca_pem
    with pytest.raises(CommandError, match="is there already"):
        call_command("addcluster", "Orders", properties=str(properties))
    properties.write_text(f"{TEXT}\nssl.truststore.location={tmp_path / 'none.pem'}")
    with pytest.raises(CommandError, match=r"none\.pem' cannot be read: No such file"):
        call_command("addcluster", "Other", properties=str(properties))


def test_the_command_takes_single_properties_and_asks_for_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return SECRET

    monkeypatch.setattr(addcluster, "getpass", getpass)
    single = ["security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512", "sasl.username=observer"]
    call_command("addcluster", "Orders", bootstrap="kafka.example.org:9093", set=single, secret=["sasl.password"])
    assert roster.connection_of(Cluster.objects.get()) == ConnectionSettings.from_properties(TEXT)
    assert asked == ["sasl.password: "]
    with pytest.raises(CommandError, match="use KEY=VALUE"):
        call_command("addcluster", "Other", bootstrap="a:1", set=["sasl.mechanism"])
    with pytest.raises(CommandError, match="go with --bootstrap"):
        call_command("addcluster", "Other", properties="x", set=single)


def test_the_command_line_is_in_the_audit_trail_as_the_form_is(admin: Client) -> None:
    call_command("addcluster", "Orders", bootstrap="a:9092", slug="orders")
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action, entry.target, entry.remote) == ("command line", "cluster added", "orders", "")
    assert entry.detail["servers"] == ["a:9092"]
    assert "cluster added" in admin.get("/settings/audit/").content.decode()
    with pytest.raises(CommandError):
        call_command("addcluster", "Orders", bootstrap="b:9092", slug="orders")
    assert AuditEntry.objects.count() == 1
