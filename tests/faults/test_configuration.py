"""Settings, names and variables that must not get through: rows of facts/reliability.md 3.3."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.test import Client

from collectors import roster
from collectors.clusters_yaml import FileRefusedError, read_clusters
from collectors.kafka.reading import Reading, read_settings
from collectors.kafka.settings import ConnectionSettings, SettingsError
from collectors.models import Cluster

ROOT = Path(__file__).resolve().parents[2]
BASE = "bootstrap.servers=a:9092\n"

DANGEROUS = [
    ("plugin.library.paths", "/tmp/x.so"),
    ("ssl.engine.location", "/tmp/x.so"),
    ("ssl.engine.id", "x"),
    ("ssl.providers", "x"),
    ("sasl.kerberos.kinit.cmd", "touch /tmp/x"),
    ("sasl.oauthbearer.assertion.file", "/etc/passwd"),
    ("sasl.oauthbearer.assertion.private.key.file", "/etc/passwd"),
    ("sasl.oauthbearer.jwks.endpoint.url", "file:///etc/passwd"),
    ("metadata.authentication.type", "azure_imds"),
    ("sasl.oauthbearer.metadata.authentication.type", "azure_imds"),
    ("debug", "all"),
    ("builtin.features", "all"),
    ("test.mock.num.brokers", "3"),
    ("interceptor.classes", "x.Y"),
    ("metric.reporters", "x.Y"),
    ("security.providers", "x.Y"),
    ("ssl.engine.factory.class", "x.Y"),
    ("sasl.client.callback.handler.class", "x.Y"),
    ("sasl.login.class", "x.Y"),
    ("config.providers", "file"),
    ("log_level", "7"),
    ("stats_cb", "x"),
    ("ssl.crl.location", "/etc/passwd"),
    ("socket.connect.cb", "x"),
]


def tried(text: str) -> tuple[Reading | None, str]:
    """What was read, or why not."""
    try:
        return read_settings(text), ""
    except SettingsError as error:
        return None, str(error)


@pytest.mark.parametrize(("key", "value"), DANGEROUS, ids=[key for key, _ in DANGEROUS])
def test_g1_keys_that_run_code_read_files_or_call_out_never_reach_a_client(key: str, value: str) -> None:
    found, refusal = tried(f"{BASE}{key}={value}\n")
    if found is None:
        assert key in refusal or key.split(".")[0] in refusal
        return
    assert key in " ".join(found.notes), "left out, and said so"
    for options in (found.settings.for_admin(), found.settings.for_records()):
        assert key not in options
        assert value not in [str(one) for one in options.values()]


@pytest.mark.parametrize(
    "servers",
    ["", " ", ",", "::::,,", "a", "a:", ":9092", "a:99999", "a:-1", "a:9092x", "a:9092,b", "http://169.254.169.254/",
     "a:9092/path", "a@b:9092", "a:9092 b:9092", "[::1]", "a\x00:1", "a\n:1", "ä:1", "a" * 5000 + ":1x",
     ",".join(f"h{n}:9092" for n in range(500))],
)  # fmt: skip
def test_g4_every_server_that_is_none_is_quoted(servers: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ConnectionSettings.from_properties({"bootstrap.servers": servers})
    assert "bootstrap.servers" in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("key", ["request.timeout.ms", "socket.connection.setup.timeout.ms"])
@pytest.mark.parametrize(
    "value", ["99999999999", "-1", "0", "1_000", "1e3", "0x10", "", "NaN", "9" * 400, "1.5", "٣٠٠٠"]
)
def test_g6_a_number_that_a_library_would_wrap_is_refused(key: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ConnectionSettings.from_properties({"bootstrap.servers": "a:1", key: value})
    assert key in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", ["a\nb", "ab\n", "a\x00b", "a b", "a;b", "ä", "x" * 129, "\u202ea"])
def test_g7_a_client_id_is_one_word(value: str) -> None:
    with pytest.raises(SettingsError, match=r"client\.id"):
        ConnectionSettings(bootstrap_servers=("a:1",), client_id=value)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "slug", "field"),
    [
        ("", "", "name"),
        ("n" * 201, "", "name"),
        ("two\nlines", "", "name"),
        ("right\u202eleft", "", "name"),
        ("nul\0", "", "name"),
        ("\U0001f525", "", "slug"),
        ("fine", "../x", "slug"),
        ("fine", "a/b", "slug"),
        ("fine", "<script>", "slug"),
        ("fine", "s" * 65, "slug"),
        ("fine", "add", "slug"),
        ("fine", "ä", "slug"),
    ],
)
def test_g10_a_cluster_s_name_is_text_and_its_address_is_plain(name: str, slug: str, field: str, admin: Client) -> None:
    connection = ConnectionSettings.from_properties(BASE)
    with pytest.raises(roster.RosterError) as caught:
        roster.add(name=name, slug=slug, connection=connection)
    assert caught.value.field == field
    assert not Cluster.objects.exists()
    roster.add(name="<script>alert(1)</script>", slug="plain", connection=connection)
    page = admin.get("/clusters/plain/").content.decode()
    assert "<script>alert" not in page


BOMB = "a: &a [x]\n" + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in itertools.pairwise("abcdefghi"))


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "clusters: &all [*all]\n",
        "clusters: !!python/object/apply:os.system ['touch /tmp/x']\n",
        "clusters:\n- !!python/name:os.system\n",
        "clusters: [{name: a, name: b, properties: {bootstrap.servers: 'a:1'}}]\n",
        "clusters:\n\t- name: a\n",
        "clusters: " + "[" * 100_000,
        "clusters: " + "{a: " * 100_000,
        "clusters:\n" + "- name: a\n" * 200_000,
        "- 1\n---\n- 2\n",
        "clusters: [{name: \x07}]",
        "%YAML 9.9\n---\nclusters: 3\n",
        "clusters: {a: 1}",
        "\ufeffclusters: 5",
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
def test_g15_yaml_that_is_no_list_of_clusters_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(text, encoding="utf-8")
    began = time.monotonic()
    with pytest.raises(FileRefusedError) as caught:
        read_clusters(path, {})
    assert time.monotonic() - began < 5
    assert "clusters.yaml" in str(caught.value)
    assert len(str(caught.value)) < 500


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("STREAMGAUGE_")}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**plain, "STREAMGAUGE_DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def newer_schema(folder: Path) -> None:
    """A database that a version of the future has migrated."""
    assert run(folder, "migrate", "-v0").returncode == 0
    with sqlite3.connect(folder / "streamgauge.sqlite3") as file:
        file.execute(
            "insert into django_migrations (app, name, applied) values ('collectors', '9999_wings', '2030-01-01')"
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"STREAMGAUGE_SECRET_KEY": "short"}, "STREAMGAUGE_SECRET_KEY"),
        ({"STREAMGAUGE_SECRET_KEY": "changeme-changeme-changeme"}, "STREAMGAUGE_SECRET_KEY"),
        ({"STREAMGAUGE_PORT": "eight"}, "STREAMGAUGE_PORT"),
        ({"STREAMGAUGE_ALERT_DAYS": "-1"}, "STREAMGAUGE_ALERT_DAYS"),
        ({"STREAMGAUGE_PUBLIC_URL": "gauge.example"}, "STREAMGAUGE_PUBLIC_URL"),
        ({"STREAMGAUGE_TRUSTED_PROXIES": "proxy"}, "STREAMGAUGE_TRUSTED_PROXIES"),
        ({"STREAMGAUGE_OPEN_READ_ONLY": "perhaps"}, "STREAMGAUGE_OPEN_READ_ONLY"),
        ({"DATABASE_URL": "nosuchthing://x"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgrs://me:hunter2-planted@127.0.0.1:1/x"}, "DATABASE_URL"),
        ({"STREAMGAUGE_CLUSTERS_0_BOOTSTRAP": "a:1"}, "STREAMGAUGE_CLUSTERS_0"),
        pytest.param({}, "newer Streamgauge", marks=pytest.mark.sqlite),  # on PostgreSQL: tests/upgrade
    ],
    ids=lambda value: next(iter(value), "a newer schema") if isinstance(value, dict) else "",
)
def test_g11_g13_g17_a_command_that_cannot_start_says_one_sentence_and_ends_with_two(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    if not environment:
        newer_schema(tmp_path)
    done = run(tmp_path, "serve", "--port", "1", **environment)
    said = done.stderr.strip()
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert words in said
    assert "hunter2-planted" not in said
    assert len(said.splitlines()) == 1, said
