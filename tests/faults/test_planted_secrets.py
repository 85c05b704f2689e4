"""Twenty-five secrets are planted wherever one can be typed; none is seen in a page, metric, log, error or `repr`."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from collectors import secrets
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster
from dashboard.access import links, people
from dashboard.alerts import outbox
from dashboard.models import AuditEntry, Channel, Refused, Role
from dashboard.reach import parse_public_url
from tests.access.test_roles import EVERY

from .test_http import path_of

pytestmark = pytest.mark.django_db
COUNT = 25
MARK = "pLanted{:02d}sEcret{:02d}xyz"
PASSWORD = "correct horse battery"


class Planter:
    """Hands out the secrets, each once, and keeps what was said when they were typed."""

    def __init__(self) -> None:
        self.where: dict[str, str] = {}
        self.said: list[str] = []

    def one(self, where: str) -> str:
        number = len(self.where) + 1
        secret = MARK.format(number, number)
        self.where[secret] = where
        return secret

    def note(self, answer: Any) -> Any:
        self.said.append(f"{answer.content.decode()} {dict(answer.headers)}")
        return answer


def properties(tmp_path: Path, name: str, lines: list[str], planter: Planter) -> None:
    """`addcluster` with a client.properties; what it says, also when it refuses, is kept."""
    file = tmp_path / f"{name}.properties"
    file.write_text("\n".join(["bootstrap.servers=127.0.0.1:1", *lines]))
    out = StringIO()
    try:
        call_command("addcluster", name, properties=str(file), stdout=out, stderr=out)
    except CommandError as error:
        out.write(str(error))
    planter.said.append(out.getvalue())


def plant_in_settings(planter: Planter, settings: Settings, tmp_path: Path) -> None:
    ring = [planter.one("STREAMGAUGE_SECRET_KEY"), planter.one("STREAMGAUGE_SECRET_KEY_FALLBACKS")]
    settings.INSTANCE_KEY = secrets.load_or_make_keys(tmp_path, ring[0], ring[1:])
    settings.METRICS_TOKEN = planter.one("STREAMGAUGE_METRICS_TOKEN")
    settings.REDIS_URL = f"redis://:{planter.one('REDIS_URL')}@127.0.0.1:1/0"
    with pytest.raises(ValueError, match="STREAMGAUGE_PUBLIC_URL") as raised:
        parse_public_url(f"https://me:{planter.one('STREAMGAUGE_PUBLIC_URL')}@h/")
    planter.said.append(str(raised.value))
    with pytest.raises(secrets.KeyRefusedError) as weak:
        secrets.load_or_make_keys(tmp_path, "sample" + planter.one("a weak key"))
    planter.said.append(str(weak.value))


def plant_in_clusters(planter: Planter, tmp_path: Path) -> None:
    sasl = ["security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"]
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    jaas = f'sasl.jaas.config={module} username="u" password="{planter.one("a JAAS password")}";'
    properties(tmp_path, "jaas", [*sasl, jaas], planter)
    broken = f'sasl.jaas.config={module} username="u" password="{planter.one("a JAAS value that is not closed")};'
    properties(tmp_path, "broken", [*sasl, broken], planter)
    rdkafka = ["sasl.username=u", f"sasl.password={planter.one('sasl.password')}"]
    properties(tmp_path, "rdkafka", [*sasl, *rdkafka], planter)
    properties(tmp_path, "unknown", [f"my.own.password={planter.one('an unknown key')}"], planter)
    properties(tmp_path, "keypass", [f"ssl.key.password={planter.one('ssl.key.password')}"], planter)
    properties(tmp_path, "store", [f"ssl.truststore.password={planter.one('ssl.truststore.password')}"], planter)
    properties(tmp_path, "pem", [f"ssl.keystore.key=-----BEGIN {planter.one('a broken PEM key')}-----"], planter)


def plant_in_channels(planter: Planter, admin: Client) -> None:
    path, query = planter.one("the path of a webhook"), planter.one("the query of a webhook")
    form = {"name": "hook", "url": f"http://127.0.0.1:9/{path}?t={query}", "is_enabled": "on"}
    kept = planter.note(admin.post("/settings/channels/new/", {**form, "secret": planter.one("a webhook's secret")}))
    assert kept.status_code == 302
    bad = planter.one("a secret that is not base64")
    wrong = {"name": "bad", "url": "http://127.0.0.1:9/", "secret": f"whsec_{bad}%"}
    planter.note(admin.post("/settings/channels/new/", wrong))
    lost = secrets.encrypt({"url": planter.one("a secret of a lost key"), "secret": ""}, "a key that is lost")
    Channel.objects.create(name="lost", kind="webhook", settings_encrypted=lost, target="x")


def plant_in_accounts(planter: Planter, admin: Client) -> User:
    user = people.add("grace", Role.VIEWER)
    user.set_password(mine := planter.one("a password"))
    user.save()
    grace = Client()
    planter.note(grace.post("/signin/", {"name": "grace", "password": planter.one("a wrong password")}))
    planter.note(grace.post("/signin/", {"name": planter.one("a password typed as name"), "password": "x"}))
    assert planter.note(grace.post("/signin/", {"name": "grace", "password": mine})).status_code == 302
    new = {"old": planter.one("a wrong old password"), "new": planter.one("a refused new password")}
    planter.note(grace.post("/settings/account/", {**new, "again": "different"}))
    planter.note(grace.post("/settings/account/", {**new, "again": new["new"]}))
    link = links.issue(user="grace", base_url="")
    planter.where[link.split("/")[2]] = "a link that was not used"
    bearer = planter.one("a wrong bearer token")
    planter.note(admin.get("/metrics", headers={"Authorization": f"Bearer {bearer}"}))
    for session in Session.objects.all():
        planter.where[session.session_key] = "a session"
    return user


def every_page(admin: Client, user: User, token: str) -> Iterator[str]:
    ids = [str(user.pk), *(str(pk) for pk in Channel.objects.values_list("pk", flat=True))]
    slugs = list(Cluster.objects.values_list("slug", flat=True))
    for pattern in EVERY:
        for pk in ids:
            for slug in slugs:
                answer = admin.get(path_of(pattern, {"slug": slug, "pk": pk, "name": "x", "token": "x"}))
                yield f"{pattern.name}: {answer.content.decode()} {dict(answer.headers)}"
    yield admin.get("/metrics", headers={"Authorization": f"Bearer {token}"}).content.decode()


def every_repr(settings: Settings) -> Iterator[str]:
    yield f"{settings.INSTANCE_KEY!r} {settings.INSTANCE_KEY}"
    for cluster in Cluster.objects.all():
        found = ConnectionSettings.from_stored(
            secrets.decrypt(bytes(cluster.settings_encrypted), settings.INSTANCE_KEY)
        )
        yield f"{cluster!r} {vars(cluster)} {found!r} {found}"
    for channel in Channel.objects.exclude(name="lost"):
        webhook = outbox.settings_of(channel)
        yield f"{channel!r} {vars(channel)} {webhook!r} {[webhook]}"
    for row in [*AuditEntry.objects.all(), *Refused.objects.all()]:
        yield f"{row!r} {vars(row)}"


def test_none_of_the_planted_secrets_is_seen(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.ALLOWED_NETWORKS = ["loopback"]
    planter = Planter()
    admin = Client(raise_request_exception=False)
    admin.force_login(people.add("ada", Role.ADMIN))
    plant_in_settings(planter, settings, tmp_path)
    plant_in_clusters(planter, tmp_path)
    plant_in_channels(planter, admin)
    user = plant_in_accounts(planter, admin)
    assert len(planter.where) >= COUNT
    assert Cluster.objects.count() >= 2, planter.said  # else nothing was stored that could leak

    doctor = StringIO()
    with pytest.raises(SystemExit):  # Redis does not answer, and one channel's key is lost
        call_command("doctor", stdout=doctor)
    seen = {
        "pages": "\n".join(every_page(admin, user, settings.METRICS_TOKEN)),
        "answers and errors": "\n".join(planter.said),
        "log": caplog.text,
        "repr": "\n".join(every_repr(settings)),
        "doctor": doctor.getvalue(),
    }
    assert all(text for text in seen.values())
    found = [
        f"{where} is seen in {place}"
        for secret, where in planter.where.items()
        for place, text in seen.items()
        if secret in text and not is_own_typing(where, place)
    ]
    assert found == []


def is_own_typing(where: str, place: str) -> bool:
    """The name field shows its own typing again to who typed it: the one thing that cannot be told from a name."""
    return where == "a password typed as name" and place == "answers and errors"


def test_a_planted_secret_would_be_found() -> None:
    """The search itself can fail: a dataclass that shows its secret is seen."""

    @dataclasses.dataclass
    class Careless:
        password: str

    planter = Planter()
    assert planter.one("here") in repr(Careless(next(iter(planter.where))))
