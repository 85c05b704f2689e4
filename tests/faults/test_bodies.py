"""Bodies, numbers and searches as nobody types them: rows of facts/reliability.md 3.1."""

from __future__ import annotations

import time

import pytest
from django.test import Client
from django.urls import URLPattern

from collectors.models import Cluster
from dashboard.alerts.defaults import install_default_rules
from dashboard.models import Rule, Silence
from dashboard.names import topic_path
from tests.access.test_roles import EVERY
from tests.pages.seed import Company, make_company

from .test_http import path_of

pytestmark = pytest.mark.django_db
HUGE = "9" * 5000

BODIES = [
    ("application/json", b'{"a": '),
    ("text/plain", b'{"a": 1}'),
    ("application/json; charset=utf-99", b"{}"),
    ("application/x-www-form-urlencoded; charset=utf-99", b"name=x"),
    ("application/json", b"[" * 100_000),
    ("application/json", HUGE.encode()),
    ("application/json", b'{"a": NaN, "b": Infinity}'),
    ("application/json", b'{"a": 1, "a": 2}'),
    ("application/x-www-form-urlencoded", b"&".join([b"name=%FF%FE&slug=a"] * 300)),
    ("application/x-www-form-urlencoded", b"&".join(b"f%d=1" % number for number in range(2000))),
    ("application/x-www-form-urlencoded", b"name=%00&slug=%00&interval=%00&q=%00"),
    ("multipart/form-data", b"no boundary"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'),
    ("multipart/form-data; boundary=" + "x" * 300, b"--x--"),
    ("\xff/\xfe", b"\x00\x01\x02"),
    ("", b"x" * 100_000),
]


@pytest.mark.parametrize("pattern", EVERY, ids=lambda pattern: str(pattern.name))
def test_h4_to_h9_no_body_however_strange_is_an_error_of_ours(pattern: URLPattern, admin: Client) -> None:
    client = admin
    client.raise_request_exception = False
    for kind, body in BODIES:
        answer = client.generic("POST", path_of(pattern), body, content_type=kind)
        assert answer.status_code < 500 or pattern.name == "readyz", (kind, body[:40], answer.status_code)


RULE = "/alerts/rules/group_no_progress/"
SILENCE = {"rule": "", "cluster": "*", "subject": "*", "reason": "x"}


@pytest.mark.parametrize("value", [HUGE, "NaN", "Infinity", "-Infinity", "1e400", "1_000_000_000", "-1", "0x10", "1e9"])
@pytest.mark.parametrize(
    ("path", "form", "field", "words"),
    [
        ("/clusters/add/", {"name": "x", "properties": "a:1"}, "interval", ("use a number", "outside 1 to 300")),
        (RULE, {"is_enabled": "on", "severity": "critical"}, "hold_seconds", ("is not a number", "is out of range")),
        ("/alerts/silences/new/", SILENCE, "until", ("is not a time", "cannot be read", "can be shown", "away")),
    ],
    ids=["interval of a cluster", "hold of a rule", "end of a silence"],
)
def test_h7_h8_numbers_that_are_none_are_told_beside_their_field(
    admin: Client, path: str, form: dict[str, str], field: str, words: tuple[str, ...], value: str
) -> None:
    install_default_rules()
    page = admin.post(path, {**form, field: value}).content.decode()
    assert [one for one in (*words, "at most") if one in page]
    assert page.count("9" * 100) <= 50, "what is much too long is repeated in its field at most"
    assert not Cluster.objects.exists()
    assert not Silence.objects.exists()
    assert Rule.objects.get(key="group_no_progress").hold_seconds == 60.0


@pytest.mark.parametrize("number", ["0", "-1", "abc", "1e9", "9" * 30, "2.5", "%00", "٣", " 1"])
def test_h1_a_page_that_is_none_is_a_page(viewer: Client, number: str) -> None:
    make_company(Company(cycles=2))
    for path in ("topics/", "groups/", "events/", "brokers/", "dead-letters/"):
        answer = viewer.get(f"/clusters/demo/{path}?page={number}")
        assert answer.status_code == 200, path
    assert "payment-service" in viewer.get(f"/clusters/demo/groups/?page={number}").content.decode()


@pytest.mark.parametrize("text", ["(a+)+$", "(", "[", "\\", "*" * 200, "a{99999}", "%", "_", "'; drop table x; --"])
def test_h21_h22_a_search_is_text_and_no_expression(viewer: Client, text: str) -> None:
    make_company(
        Company(cycles=2, topics={"a" * 200: (1, 1.0), "100%_[sure](a+)": (1, 1.0)}, groups={"g": ("a" * 200,)})
    )
    for path in ("/clusters/demo/topics/", "/clusters/demo/groups/", "/clusters/demo/events/", "/search/"):
        began = time.monotonic()
        assert viewer.get(path, {"q": text}).status_code == 200, path
        assert time.monotonic() - began < 2
    page = viewer.get("/clusters/demo/topics/", {"q": "%_[sure](a+)"}).content.decode()
    assert "100%_[sure](a+)" in page


def test_h15_a_topic_of_249_characters_has_a_page_and_one_of_250_has_none(viewer: Client) -> None:
    longest = "t" * 249
    make_company(Company(cycles=3, topics={longest: (1, 1.0)}, groups={"g": (longest,)}))
    assert viewer.get(topic_path("demo", longest)).status_code == 200
    assert viewer.get(topic_path("demo", longest + "t")).status_code == 404
