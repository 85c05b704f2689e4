"""Names and passwords: the same words for every wrong pair, a limit, and a change that ends all other sessions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.access import throttle
from dashboard.models import AuditEntry, FailedSignIn, Person, Role, SignedIn

PASSWORD = "correct horse battery"
pytestmark = pytest.mark.django_db


def make(name: str = "ada", role: Role = Role.ADMIN) -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    Person.objects.create(user=user, role=role)
    return user


def sign_in(name: str, password: str, remote: str = "127.0.0.1") -> tuple[Client, int]:
    client = Client(REMOTE_ADDR=remote)
    return client, client.post("/signin/", {"name": name, "password": password}).status_code


def test_the_right_pair_lets_in_and_goes_back_to_the_page_asked_for() -> None:
    make()
    answer = Client().post("/signin/", {"name": "ada", "password": PASSWORD, "next": "/alerts/"})
    assert answer["Location"] == "/alerts/"
    away = Client().post("/signin/", {"name": "ada", "password": PASSWORD, "next": "//evil.example/"})
    assert away["Location"] == "/"
    assert AuditEntry.objects.filter(who="ada", action="sign-in", target="password").count() == 2


def test_a_password_is_kept_as_argon2() -> None:
    assert make().password.startswith("argon2$argon2id$")


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD), ("linked", ""), ("linked", "!")]
)
def test_every_wrong_pair_gets_the_same_words(name: str, password: str) -> None:
    make()
    User.objects.filter(pk=make("off").pk).update(is_active=False)
    User.objects.create(username="linked", password="!unusable")
    client = Client()
    answer = client.post("/signin/", {"name": name, "password": password or " "})
    assert answer.status_code == 403
    assert b"Name and password do not belong together." in answer.content
    assert client.get("/").status_code == 302


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"name": "", "password": "x"}, b"Type your name."),
        ({"name": "ada", "password": ""}, b"Type your password."),
        ({"name": "a\0b", "password": "x"}, b"no control characters"),
    ],
)
def test_what_is_missing_is_said_beside_its_field(sent: dict[str, str], said: bytes) -> None:
    answer = Client().post("/signin/", sent)
    assert answer.status_code == 422
    assert said in answer.content


def test_ten_wrong_ones_lock_the_pair_of_account_and_address_alone() -> None:
    make()
    statuses = [sign_in("ada", f"wrong {n}")[1] for n in range(throttle.PAIR_LIMIT + 1)]
    assert statuses == [403] * throttle.PAIR_LIMIT + [429]
    client = Client()
    locked = client.post("/signin/", {"name": "ADA", "password": PASSWORD})  # the right one does not help now
    assert locked.status_code == 429
    assert 0 < int(locked["Retry-After"]) <= 900
    assert sign_in("ada", PASSWORD, remote="10.9.8.7")[1] == 302


def test_knocking_on_does_not_prolong_the_lock() -> None:
    make()
    now = timezone.now()
    for _ in range(throttle.PAIR_LIMIT):
        assert throttle.begin("ada", "10.0.0.1", now=now).attempt is not None
    for minutes in (5, 10, 14):
        assert throttle.begin("ada", "10.0.0.1", now=now + timedelta(minutes=minutes)).attempt is None
    assert throttle.begin("ada", "10.0.0.1", now=now + timedelta(minutes=15, seconds=1)).attempt is not None


def test_one_address_cannot_try_accounts_without_end() -> None:
    now = timezone.now()
    tries = [throttle.begin(f"user{n}", "10.0.0.1", now=now).attempt for n in range(throttle.ADDRESS_LIMIT + 1)]
    assert [one is None for one in tries] == [False] * throttle.ADDRESS_LIMIT + [True]


def test_the_right_password_clears_the_count_of_its_pair() -> None:
    make()
    for _ in range(throttle.PAIR_LIMIT - 1):
        sign_in("ada", "wrong")
    assert sign_in("ada", PASSWORD)[1] == 302
    assert not FailedSignIn.objects.exists()


def test_what_was_typed_as_name_is_not_stored_in_clear() -> None:
    sign_in("my secret by mistake", "x")
    assert "secret" not in FailedSignIn.objects.get().account


def test_a_changed_password_ends_all_other_sessions_and_keeps_this_one() -> None:
    make()
    here, there = sign_in("ada", PASSWORD)[0], sign_in("ada", PASSWORD)[0]
    answer = here.post("/settings/account/", {"old": PASSWORD, "new": "another long one", "again": "another long one"})
    assert answer.status_code == 302
    assert here.get("/settings/account/").status_code == 200
    assert there.get("/settings/account/").status_code == 302
    assert SignedIn.objects.count() == 1
    assert sign_in("ada", PASSWORD)[1] == 403
    assert sign_in("ada", "another long one")[1] == 302


@pytest.mark.parametrize(
    ("sent", "field", "said"),
    [
        ({"old": "wrong", "new": "another long one", "again": "another long one"}, "old", "not your present"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "new", "too short"),
        ({"old": PASSWORD, "new": "12345678901234", "again": "12345678901234"}, "new", "numeric"),
        ({"old": PASSWORD, "new": "another long one", "again": "another long 0ne"}, "again", "not what stands above"),
        ({"old": PASSWORD, "new": "", "again": ""}, "new", "Type a new password"),
        ({"old": PASSWORD, "new": "x" * 1025, "again": "x" * 1025}, "new", "at most 1024"),
    ],
)
def test_a_change_that_is_not_right_says_so_beside_its_field(sent: dict[str, str], field: str, said: str) -> None:
    make()
    client = sign_in("ada", PASSWORD)[0]
    answer = client.post("/settings/account/", sent)
    assert answer.status_code == 422
    assert said in answer.context["errors"][field]
    assert sign_in("ada", PASSWORD)[1] == 302


def test_an_open_page_is_no_way_to_guess_the_password() -> None:
    make()
    client = sign_in("ada", PASSWORD)[0]
    for _ in range(throttle.PAIR_LIMIT):
        client.post("/settings/account/", {"old": "wrong", "new": "another long one", "again": "another long one"})
    sent = {"old": PASSWORD, "new": "another long one", "again": "another long one"}
    assert "Too many" in client.post("/settings/account/", sent).context["errors"]["old"]


def test_signing_out_everywhere_ends_every_session() -> None:
    make()
    one, two = sign_in("ada", PASSWORD)[0], sign_in("ada", PASSWORD)[0]
    assert one.post("/settings/account/signout-everywhere/").status_code == 302
    assert [client.get("/").status_code for client in (one, two)] == [302, 302]


def test_another_persons_session_is_as_unknown_as_none() -> None:
    make()
    make("bob")
    mine, theirs = sign_in("ada", PASSWORD)[0], sign_in("bob", PASSWORD)[0]
    row = SignedIn.objects.get(user__username="bob")
    assert mine.post(f"/settings/account/sessions/{row.pk}/end/").status_code == 404
    assert theirs.get("/").status_code == 200
    assert theirs.post(f"/settings/account/sessions/{row.pk}/end/").status_code == 302
    assert theirs.get("/").status_code == 302
