"""A sign-in link: the GET shows a button, the POST spends it, a spent one says how to get another."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from dashboard.access import links
from dashboard.models import AuditEntry, Person, Role, SignInLink

BASE = "http://127.0.0.1:8000"
pytestmark = pytest.mark.django_db


def path_of(link: str) -> str:
    return link.removeprefix(BASE)


def test_a_get_does_not_spend_and_a_post_does() -> None:
    path = path_of(links.issue(base_url=BASE))
    for _ in range(3):  # prefetchers and mail scanners
        page = Client().get(path)
        assert page.status_code == 200
        assert b"<form" in page.content
    client = Client()
    assert client.post(path).status_code == 302
    assert client.get("/").status_code == 200
    assert AuditEntry.objects.get(action="sign-in").who == "admin"


@pytest.mark.parametrize(("method", "status"), [("get", 410), ("post", 403)])
def test_a_spent_link_says_how_to_get_another(method: str, status: int) -> None:
    path = path_of(links.issue(base_url=BASE))
    Client().post(path)
    client = Client()
    page = getattr(client, method)(path)
    assert page.status_code == status
    assert b"already been used" in page.content
    assert b"manage.py signinlink" in page.content
    assert client.get("/").status_code == 302


def test_a_link_that_expired_or_was_never_issued_does_not_let_in() -> None:
    late = path_of(links.issue(base_url=BASE, now=timezone.now() - timedelta(hours=25)))
    assert b"expired" in Client().get(late).content
    assert b"not known" in Client().get("/signin/guessed/").content


def test_the_token_is_stored_only_as_a_digest() -> None:
    token = path_of(links.issue(base_url=BASE)).split("/")[2]
    row = SignInLink.objects.get()
    assert row.token_digest == links.digest(token)
    assert token not in row.token_digest


def test_of_two_who_spend_at_once_one_gets_in() -> None:
    token = path_of(links.issue(base_url=BASE)).split("/")[2]
    now = timezone.now()
    outcomes = [links.spend(token, remote="127.0.0.1", now=now) for _ in range(2)]
    assert isinstance(outcomes[0], SignInLink)
    assert outcomes[1] is links.Refusal.SPENT


def test_the_first_link_makes_an_admin_without_a_password() -> None:
    assert links.needs_first_link()
    Client().post(path_of(links.issue(base_url=BASE)))
    admin = User.objects.get()
    assert admin.username == "admin"
    assert not admin.has_usable_password()
    assert Person.objects.get().role == Role.ADMIN
    assert not links.needs_first_link()


def test_the_way_back_is_kept_only_on_this_host() -> None:
    client = Client()
    client.get("/signin/?next=/clusters/demo/groups/a%252Fb/")
    assert client.post(path_of(links.issue(base_url=BASE)))["Location"] == "/clusters/demo/groups/a%2Fb/"
    for elsewhere in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"):
        other = Client()
        other.get("/signin/", {"next": elsewhere})
        assert other.post(path_of(links.issue(base_url=BASE)))["Location"] == "/"


def test_the_demo_s_link_works_again_until_it_is_revoked(settings: Settings) -> None:
    settings.DEMO = True
    path = path_of(links.issue(base_url=BASE, reusable=True))
    for _ in range(2):
        assert Client(REMOTE_ADDR="127.0.0.1").post(path).status_code == 302
    assert Client(REMOTE_ADDR="10.1.2.3").post(path).status_code == 403
    call_command("signinlink", revoke_reusable=True)
    assert Client(REMOTE_ADDR="127.0.0.1").post(path).status_code == 403


@pytest.mark.parametrize(("is_demo", "base"), [(False, BASE), (True, "http://streamgauge.example.org")])
def test_a_reusable_link_is_only_for_the_demo_on_loopback(is_demo: bool, base: str, settings: Settings) -> None:
    settings.DEMO = is_demo
    with pytest.raises(ValueError, match="only for the demo"):
        links.issue(base_url=base, reusable=True)


def test_the_command_prints_a_link_with_the_port_asked_for() -> None:
    out = StringIO()
    link = call_command("signinlink", user="grace", role="viewer", port=9123, stdout=out)
    assert link == out.getvalue().strip()
    assert link.startswith("http://127.0.0.1:9123/signin/")
    assert Person.objects.get(user__username="grace").role == Role.VIEWER
    with pytest.raises(CommandError, match="http"):
        call_command("signinlink", base_url="ftp://x", stdout=out)


def test_signing_out_is_a_post_and_ends_the_session() -> None:
    client = Client()
    client.post(path_of(links.issue(base_url=BASE)))
    assert client.get("/signout/").status_code == 405
    assert client.post("/signout/")["Location"] == "/signin/"
    assert client.get("/").status_code == 302


def test_every_answer_carries_a_policy_without_inline_scripts() -> None:
    client = Client()
    client.post(path_of(links.issue(base_url=BASE)))
    policies = [client.get("/")["Content-Security-Policy"] for _ in range(2)]
    assert policies[0] != policies[1]  # a fresh nonce
    directives = dict(part.strip().split(" ", 1) for part in policies[0].split(";"))
    assert directives["script-src"] == "'self'"
    assert directives["frame-ancestors"] == "'none'"
    assert "ws://testserver" in directives["connect-src"]
    assert "unsafe" not in policies[0]
