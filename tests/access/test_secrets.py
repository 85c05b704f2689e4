"""Keys: made at first start, rotated with everything readable throughout, weak ones refused and never quoted."""

from __future__ import annotations

import os
import stat
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from collectors import secrets
from collectors.models import Cluster
from dashboard.management.commands.rotatekey import encrypted_fields
from dashboard.models import AuditEntry, Channel

VALUE = {"secret": "opensesame"}


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    one, two = (secrets.load_or_make_keys(tmp_path, None) for _ in range(2))
    assert one.keys == two.keys
    assert stat.S_IMODE((tmp_path / secrets.KEY_FILE).stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [secrets.KEY_FILE]


def test_former_keys_read_and_the_first_one_writes() -> None:
    old, new = secrets.Keyring(["o" * 32]), secrets.Keyring(["n" * 32, "o" * 32])
    assert secrets.decrypt(secrets.encrypt(VALUE, old), new) == VALUE
    fresh = secrets.rewrite(secrets.encrypt(VALUE, old), new)
    assert secrets.decrypt(fresh, "n" * 32) == VALUE
    with pytest.raises(secrets.SecretUnreadableError) as raised:
        secrets.decrypt(fresh, old)
    assert "o" * 32 not in str(raised.value)


@pytest.mark.parametrize("key", ["short", "changeme-changeme-changeme", "django-insecure-abcdefghijkl", "a" * 40])
def test_a_weak_key_is_refused_and_not_quoted(key: str, tmp_path: Path) -> None:
    with pytest.raises(secrets.KeyRefusedError, match="STREAMGAUGE_SECRET_KEY") as raised:
        secrets.load_or_make_keys(tmp_path, key)
    assert key not in str(raised.value)


def test_an_empty_key_file_is_said(tmp_path: Path) -> None:
    (tmp_path / secrets.KEY_FILE).write_text("\n")
    with pytest.raises(secrets.KeyRefusedError, match="is empty"):
        secrets.load_or_make_keys(tmp_path, None)


def test_a_keyring_shows_no_key_and_is_not_pickled() -> None:
    ring = secrets.Keyring(["opensesame-opensesame"])
    assert "opensesame" not in f"{ring!r} {ring} {[ring]}"
    with pytest.raises(TypeError):
        ring.__reduce__()


def test_every_column_of_secrets_is_known_to_the_rotation() -> None:
    assert {(Cluster, "settings_encrypted"), (Channel, "settings_encrypted")} <= set(encrypted_fields())


def plant(ring: secrets.Keyring) -> list[Cluster | Channel]:
    blob = secrets.encrypt(VALUE, ring)
    return [
        Cluster.objects.create(slug="c", name="C", settings_encrypted=blob),
        Channel.objects.create(name="n", kind="webhook", settings_encrypted=blob, target="x"),
    ]


@pytest.mark.django_db
def test_a_running_server_reads_and_writes_on_while_the_key_file_is_rotated(tmp_path: Path, settings: Settings) -> None:
    server = secrets.load_or_make_keys(tmp_path, None)
    former = server.first
    rows = plant(server)
    settings.INSTANCE_KEY = secrets.load_or_make_keys(tmp_path, None)
    call_command("rotatekey", stdout=StringIO())
    for row in rows:
        row.refresh_from_db()
        assert secrets.decrypt(bytes(row.settings_encrypted), server) == VALUE  # the server's own ring, not reloaded
        with pytest.raises(secrets.SecretUnreadableError):
            secrets.decrypt(bytes(row.settings_encrypted), former)
    assert server.keys[1] == former
    out = StringIO()
    call_command("rotatekey", forget_former=True, stdout=out)
    assert len(server.keys) == 1
    assert former not in out.getvalue()
    assert server.first not in out.getvalue()
    rows[0].refresh_from_db()
    assert secrets.decrypt(bytes(rows[0].settings_encrypted), server) == VALUE
    assert AuditEntry.objects.filter(action="key rotated").count() == 2


@pytest.mark.django_db
def test_a_secret_that_no_key_reads_is_named_and_left_alone(tmp_path: Path, settings: Settings) -> None:
    settings.INSTANCE_KEY = secrets.load_or_make_keys(tmp_path, None)
    cluster = plant(secrets.Keyring(["another key, long lost"]))[0]
    before = bytes(cluster.settings_encrypted)
    errors = StringIO()
    call_command("rotatekey", stdout=StringIO(), stderr=errors)
    cluster.refresh_from_db()
    assert bytes(cluster.settings_encrypted) == before
    assert f"cluster {cluster.pk}: no key that is known here can read it" in errors.getvalue()


@pytest.mark.django_db
def test_a_key_of_the_environment_is_rotated_by_the_environment(settings: Settings) -> None:
    settings.INSTANCE_KEY = secrets.Keyring(["only one key here"])
    with pytest.raises(CommandError, match="STREAMGAUGE_SECRET_KEY_FALLBACKS"):
        call_command("rotatekey")
    settings.INSTANCE_KEY = secrets.Keyring(["a second key here", "only one key here"])
    rows = plant(secrets.Keyring(["only one key here"]))
    call_command("rotatekey", stdout=StringIO())
    rows[0].refresh_from_db()
    assert secrets.decrypt(bytes(rows[0].settings_encrypted), "a second key here") == VALUE
