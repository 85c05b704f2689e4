"""Accounts: adding, roles, resetting, switching off, the last admin, the audit trail, looking without sign-in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.access import audit, links, people
from dashboard.models import AuditEntry, Person, Role, SignInLink

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return signed_in("ada", Role.ADMIN)


def signed_in(name: str, role: Role) -> Client:
    client = Client()
    client.force_login(people.add(name, role))
    return client


def shown_link(answer: Any) -> str:
    found = re.search(r"data-link>http://testserver(/signin/[^<]+)<", answer.content.decode())
    assert found, answer.content.decode()
    return found[1]


def test_a_new_person_gets_a_link_that_leads_to_a_password(admin: Client) -> None:
    answer = admin.post("/settings/people/add/", {"name": "grace@example.org", "role": "operator"})
    assert "no-store" in answer["Cache-Control"]
    grace = Client()
    assert grace.post(shown_link(answer))["Location"] == "/settings/account/"
    new = {"new": "another long one", "again": "another long one"}
    assert grace.post("/settings/account/", new).status_code == 302
    assert Client().post("/signin/", {"name": "grace@example.org", "password": new["new"]}).status_code == 302
    assert Person.objects.get(user__username="grace@example.org").role == Role.OPERATOR
    assert [one.action for one in AuditEntry.objects.filter(target="grace@example.org")] == [
        "password changed",
        "person added",
    ]


@pytest.mark.parametrize(
    ("name", "role", "field", "said"),
    [
        ("", "viewer", "name", "Type a name"),
        ("<b>", "viewer", "name", "is not a name"),
        ("a\nb", "viewer", "name", "is not a name"),
        ("ADA", "viewer", "name", "already a person"),
        ("x" * 151, "viewer", "name", "at most 150 characters, not 151"),
        ("grace", "root", "role", "“root” is not a role"),
    ],
)
def test_a_person_that_cannot_be_added_is_said_beside_its_field(
    admin: Client, name: str, role: str, field: str, said: str
) -> None:
    answer = admin.post("/settings/people/add/", {"name": name, "role": role})
    assert answer.status_code == 422
    assert said in answer.context["errors"][field]
    assert User.objects.count() == 1


def test_a_reset_drops_password_sessions_and_earlier_links(admin: Client) -> None:
    user = people.add("grace", Role.VIEWER)
    user.set_password("correct horse battery")
    user.save()
    grace = Client()
    grace.post("/signin/", {"name": "grace", "password": "correct horse battery"})
    old = links.issue(user="grace", base_url="")
    link = shown_link(admin.post(f"/settings/people/{user.pk}/reset/"))
    assert grace.get("/").status_code == 302
    assert Client().post(old).status_code == 403
    assert Client().post("/signin/", {"name": "grace", "password": "correct horse battery"}).status_code == 403
    assert Client().post(link)["Location"] == "/settings/account/"


def test_who_is_switched_off_is_out_at_once_and_stays_out(admin: Client) -> None:
    grace = signed_in("grace", Role.OPERATOR)
    link = links.issue(user="grace", base_url="")
    pk = User.objects.get(username="grace").pk
    admin.post(f"/settings/people/{pk}/disable/")
    assert grace.get("/").status_code == 302
    assert Client().post(link).status_code == 403
    assert not SignInLink.objects.exists()
    assert admin.post(f"/settings/people/{pk}/reset/").status_code == 422
    with pytest.raises(CommandError, match="switched off"):
        call_command("signinlink", user="grace")
    admin.post(f"/settings/people/{pk}/enable/")
    assert User.objects.get(pk=pk).is_active


@pytest.mark.parametrize(("what", "sent"), [("role", {"role": "viewer"}), ("disable", {})])
def test_nobody_can_take_away_the_last_admin(admin: Client, what: str, sent: dict[str, str]) -> None:
    people.disable(people.add("former", Role.ADMIN))  # an admin who is off does not count
    ada = User.objects.get(username="ada")
    answer = admin.post(f"/settings/people/{ada.pk}/{what}/", sent)
    assert answer.status_code == 422
    assert "last admin" in answer.content.decode()
    assert admin.get("/settings/people/").status_code == 200
    people.add("second", Role.ADMIN)
    assert admin.post(f"/settings/people/{ada.pk}/{what}/", sent).status_code == 302
    assert people.role_of(ada) == (Role.VIEWER if what == "role" else Role.ADMIN)


def test_the_command_line_cannot_lower_the_last_admin_either(admin: Client) -> None:
    with pytest.raises(CommandError, match="last admin"):
        call_command("signinlink", user="ada", role="viewer")
    assert Person.objects.get().role == Role.ADMIN


def test_a_role_changes_at_the_next_request(admin: Client) -> None:
    grace = signed_in("grace", Role.VIEWER)
    pk = User.objects.get(username="grace").pk
    assert grace.get("/settings/audit/").status_code == 403
    admin.post(f"/settings/people/{pk}/role/", {"role": "admin"})
    assert grace.get("/settings/audit/").status_code == 200
    entry = AuditEntry.objects.get(action="role changed")
    assert (entry.who, entry.target, entry.remote) == ("ada", "grace", "127.0.0.1")
    assert entry.detail == {"before": "viewer", "now": "admin"}


@pytest.mark.parametrize("count", [1, 40])
def test_the_list_asks_the_same_number_of_questions_for_any_number(
    admin: Client, count: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        people.add(f"p{number}", Role.VIEWER)
    admin.get("/settings/people/")
    with django_assert_max_num_queries(16):
        answer = admin.get("/settings/people/")
    assert answer.content.decode().count("<tr><td") == count + 1


def test_the_audit_trail_pages_searches_and_is_text(admin: Client) -> None:
    for number in range(130):
        audit.record("<script>alert(1)</script>", f"thing {number}", "target", note="<b>")
    first = admin.get("/settings/audit/")
    assert len(first.context["rows"]) == 100
    assert b"<script>alert" not in first.content
    second = admin.get("/settings/audit/", {"before": first.context["older"]})
    assert len(second.context["rows"]) == 30
    assert second.context["older"] is None
    assert [one["entry"].action for one in admin.get("/settings/audit/?q=thing 77").context["rows"]] == ["thing 77"]
    for wrong in ("abc", "-1", "0", "9" * 40, "1e3"):
        answer = admin.get("/settings/audit/", {"before": wrong})
        assert answer.status_code == 422
        assert wrong in answer.context["errors"]["before"]


def test_with_open_read_only_strangers_look_and_change_nothing(settings: Settings) -> None:
    settings.OPEN_READ_ONLY = True
    stranger = Client()
    for path in ("/", "/alerts/"):
        assert stranger.get(path).status_code == 200
    for path in ("/settings/account/", "/settings/people/", "/settings/audit/", "/settings/channels/"):
        assert stranger.get(path)["Location"].startswith("/signin/")
    for path in ("/alerts/1/acknowledge/", "/signout/", "/settings/account/", "/", "/alerts/"):
        assert stranger.post(path)["Location"].startswith("/signin/")
    settings.OPEN_READ_ONLY = False
    assert Client().get("/").status_code == 302
