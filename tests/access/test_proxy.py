"""Behind a reverse proxy: what is forwarded counts only from a trusted one; a sub-path stands before every address."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.template import engines
from django.test import Client, RequestFactory
from django.urls import set_script_prefix
from pytest_django import Settings

from dashboard import names
from dashboard.access.proxy import plain_scope
from dashboard.access.refusals import why_csrf
from dashboard.models import Refused
from dashboard.reach import client_of, parse_proxies, parse_public_url

LOOPBACK = parse_proxies(("loopback",))
NEAR = parse_proxies(("loopback", "10.0.0.0/8"))


def scope(
    headers: dict[str, str], *, peer: str = "127.0.0.1", path: str = "/", kind: str = "http", **more: Any
) -> dict[str, Any]:
    sent = [(name.lower().encode(), value.encode()) for name, value in {"host": "inside:8000", **headers}.items()]
    scheme = {} if kind == "websocket" else {"scheme": "http"}
    return {"type": kind, "path": path, "client": [peer, 4711], "headers": sent, **scheme, **more}


def host_of(found: dict[str, Any]) -> list[bytes]:
    return [value for name, value in found["headers"] if name == b"host"]


FORWARDED = {
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "gauge.example.org",
}


def test_a_trusted_proxy_tells_who_asks_how_and_for_what() -> None:
    found = plain_scope(scope(FORWARDED), LOOPBACK, "")
    assert (found["client"][0], found["scheme"], host_of(found)) == ("203.0.113.9", "https", [b"gauge.example.org"])
    assert plain_scope(scope(FORWARDED, kind="websocket"), LOOPBACK, "")["scheme"] == "wss"


@pytest.mark.parametrize("proxies", [(), NEAR])
def test_a_stranger_who_forwards_is_not_believed(proxies: Any) -> None:
    found = plain_scope(scope({**FORWARDED, "forwarded": "for=1.2.3.4"}, peer="198.51.100.7"), proxies, "")
    assert (found["client"][0], found["scheme"], host_of(found)) == ("198.51.100.7", "http", [b"inside:8000"])
    assert not [name for name, _ in found["headers"] if b"forwarded" in name]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9"),  # the left one is what the client wrote
        ("127.0.0.1", "203.0.113.9:1234", "203.0.113.9"),
        ("127.0.0.1", "[2001:db8::1]:1234", "2001:db8::1"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, rubbish, 10.1.1.1", "10.1.1.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("203.0.113.1", "6.6.6.6", "203.0.113.1"),
    ],
)
def test_who_asks_is_the_nearest_address_that_is_no_proxy(peer: str, forwarded: str, client: str) -> None:
    assert client_of(peer, forwarded, NEAR) == client


@pytest.mark.parametrize("path", ["/alerts/", "/kafka/alerts/"])
def test_a_sub_path_is_there_whether_the_proxy_strips_it_or_not(path: str) -> None:
    assert plain_scope(scope({}, path=path), (), "/kafka")["path"] == "/kafka/alerts/"


def test_a_neighbour_whose_path_begins_alike_is_not_ours() -> None:
    assert plain_scope(scope({}, path="/kafkaesque/"), (), "/kafka")["path"] == "/kafka/kafkaesque/"


def test_a_root_path_that_a_client_sends_is_not_believed() -> None:
    assert plain_scope(scope({}, root_path="/evil"), (), "")["root_path"] == ""


@pytest.mark.parametrize("path", ["/ws/", "/kafka/ws/"])
def test_the_socket_is_found_with_and_without_the_sub_path(path: str) -> None:
    assert plain_scope(scope({}, path=path, kind="websocket"), (), "/kafka")["path"] == "/ws/"


@pytest.mark.parametrize(
    ("text", "origin", "sub_path"),
    [
        ("https://gauge.example.org", "https://gauge.example.org", ""),
        ("https://Example.org:443/kafka/", "https://example.org", "/kafka"),
        ("http://10.0.0.1:8080/a/b", "http://10.0.0.1:8080", "/a/b"),
        ("http://[::1]:8000", "http://[::1]:8000", ""),
        ("", "", ""),
    ],
)
def test_a_public_url_is_taken_apart(text: str, origin: str, sub_path: str) -> None:
    found = parse_public_url(text)
    assert (found.origin, found.sub_path, found.text) == (origin, sub_path, origin + sub_path)


@pytest.mark.parametrize(
    "text",
    [
        "gauge.example.org", "ftp://x", "https://", "https://h:99999", "https://h/?a=1", "https://h/#a",
        "https://h/a b", "https://h/a/../b", "https://h/<script>", "http://[::1",
    ],
)  # fmt: skip
def test_what_is_no_public_url_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="STREAMGAUGE_PUBLIC_URL") as raised:
        parse_public_url(text)
    assert repr(text) in str(raised.value)


def test_a_password_in_the_public_url_is_refused_and_not_quoted() -> None:
    with pytest.raises(ValueError, match="user name or password") as raised:
        parse_public_url("https://me:hunter2hunter2@h/")
    assert "hunter2" not in str(raised.value)


def test_what_is_no_network_is_quoted() -> None:
    with pytest.raises(ValueError, match=r"STREAMGAUGE_TRUSTED_PROXIES: 'nginx'"):
        parse_proxies(("10.0.0.1", "nginx"))


# -- the sub-path in what is made


@pytest.fixture
def under_kafka(settings: Settings) -> Any:
    settings.SUB_PATH = "/kafka"
    settings.FORCE_SCRIPT_NAME = "/kafka"
    settings.LOGIN_URL = "/kafka/signin/"
    settings.STATIC_URL = "/kafka/static/"
    set_script_prefix("/kafka/")  # the ASGI handler does this for each request, the test client's does not
    _forget_templates()
    yield
    _forget_templates()
    set_script_prefix("/")


def _forget_templates() -> None:
    for loader in engines["django"].engine.template_loaders:  # type: ignore[attr-defined]  # the engine of Django's own backend
        loader.reset()


@pytest.mark.usefixtures("under_kafka")
def test_names_lead_below_the_sub_path() -> None:
    assert names.group_path("demo", "a/b") == "/kafka/clusters/demo/groups/a%2Fb/"
    assert names.cluster_path("demo") == "/kafka/clusters/demo/"


ADDRESS = re.compile(r"""\s(?:href|src|action|hx-get|hx-post|data-socket|data-src|data-plotly)=["'](/[^"']*)""")


@pytest.mark.django_db
@pytest.mark.usefixtures("under_kafka")
@pytest.mark.parametrize(
    "path",
    ["/", "/alerts/", "/settings/channels/", "/settings/channels/new/", "/settings/people/", "/settings/people/add/",
     "/settings/account/", "/settings/audit/", "/signin/", "/nothing/"],
)  # fmt: skip
def test_every_address_on_a_page_stands_below_the_sub_path(path: str) -> None:
    from dashboard.access import people
    from dashboard.models import Role

    client = Client()
    if path != "/signin/":
        client.force_login(people.add("ada", Role.ADMIN))
    found = ADDRESS.findall(client.get(path).content.decode())
    assert found
    assert [one for one in found if not one.startswith("/kafka/")] == []


@pytest.mark.django_db
@pytest.mark.usefixtures("under_kafka")
def test_a_stranger_is_sent_to_the_sign_in_page_below_the_sub_path() -> None:
    assert Client().get("/alerts/")["Location"] == "/kafka/signin/?next=%2Fkafka%2Falerts%2F"


# -- a refused form says what was seen


@pytest.mark.django_db
def test_a_form_of_a_foreign_origin_is_told_which_setting_changes_it() -> None:
    client = Client(enforce_csrf_checks=True)
    answer = client.post("/signin/", {"name": "a", "password": "b"}, headers={"Origin": "https://gauge.example.org"})
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "https://gauge.example.org" in text
    assert "http://testserver" in text
    assert "STREAMGAUGE_PUBLIC_URL" in text
    kept = Refused.objects.get(kind=Refused.Kind.FORM)
    assert "https://gauge.example.org" in kept.seen


@pytest.mark.parametrize(
    ("reason", "secure", "said"),
    [
        ("CSRF cookie not set.", True, "cookies are sent over https only"),
        ("CSRF cookie not set.", False, "Allow cookies"),
        ("CSRF token missing.", False, "Cookie and Set-Cookie"),
        ("CSRF token from POST incorrect.", False, "load the page again"),
    ],
)
def test_every_reason_of_a_refused_form_has_its_advice(
    reason: str, secure: bool, said: str, settings: Settings
) -> None:
    settings.CSRF_COOKIE_SECURE = secure
    settings.PUBLIC_URL = "https://gauge.example.org" if secure else ""
    assert said.lower() in why_csrf(RequestFactory().post("/"), reason).advice.lower()
