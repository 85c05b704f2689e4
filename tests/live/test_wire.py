"""What a page may say, and how subjects are named."""

from __future__ import annotations

import orjson
import pytest

from dashboard.live import wire
from dashboard.live.wire import MESSAGES, Ack, BadMessage, Hello, Pong, Position, Subs
from dashboard.models import Role

EXAMPLES = {
    "hello": ({"t": "hello", "subs": ["g/demo/a"], "seq": "3.7"}, Hello(("g/demo/a",), Position(3, 7))),
    "ack": ({"t": "ack", "n": 4}, Ack(4)),
    "subs": ({"t": "subs", "subs": ["alerts", "c/demo"]}, Subs(("alerts", "c/demo"))),
    "pong": ({"t": "pong"}, Pong()),
}


def test_every_word_declares_a_role_and_has_an_example() -> None:
    assert set(MESSAGES) == set(EXAMPLES)
    assert all(isinstance(role, Role) for role in MESSAGES.values())


@pytest.mark.parametrize("word", sorted(MESSAGES))
def test_a_word_is_read_with_its_role(word: str) -> None:
    said, expected = EXAMPLES[word]
    assert wire.parse_message(orjson.dumps(said).decode()) == (MESSAGES[word], expected)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "unknown word"),
        ("null", "unknown word"),
        ('{"subs":[]}', "unknown word"),
        ('{"t":"__class__"}', "unknown word"),
        ('{"t":"websocket.close"}', "unknown word"),
        ('{"t":"disconnect"}', "unknown word"),
        ('{"t":["hello"]}', "unknown word"),
        ('{"t":"ack"}', "needs n"),
        ('{"t":"ack","n":true}', "needs n"),
        ('{"t":"ack","n":"1"}', "needs n"),
        ('{"t":"hello"}', "list of subject ids"),
        ('{"t":"hello","subs":"g/demo/a"}', "list of subject ids"),
        ('{"t":"hello","subs":[1]}', "list of subject ids"),
        ('{"t":"hello","subs":[],"seq":7}', "seq"),
        ('{"t":"hello","subs":[],"seq":"7"}', "seq"),
        ('{"t":"hello","subs":[],"seq":"-1.2"}', "seq"),
        ('{"t":"hello","subs":[],"seq":"²1.2"}', "seq"),
        ('{"t":"subs","subs":["x/demo/a"]}', "not a subject id"),
        ('{"t":"subs","subs":["g"]}', "not a subject id"),
        ('{"t":"subs","subs":["c/demo/x"]}', "c/slug"),
        ('{"t":"subs","subs":["G/demo"]}', "lacks a name"),
        ('{"t":"subs","subs":["g/demo/~!"]}', "base64url"),
    ],
)
def test_what_breaks_the_rules_is_refused_with_the_rule(text: str, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        wire.parse_message(text)


def test_a_page_may_have_two_hundred_subscriptions_and_not_one_more() -> None:
    subs = [f"g/demo/{i}" for i in range(wire.MAX_SUBSCRIPTIONS)]
    wire.parse_message(orjson.dumps({"t": "subs", "subs": [*subs, subs[0]]}).decode())  # the same twice counts once
    with pytest.raises(BadMessage, match="201 subscriptions"):
        wire.parse_message(orjson.dumps({"t": "subs", "subs": [*subs, "g/demo/x"]}).decode())


def test_a_message_over_64_thousand_characters_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadMessage, match="at most 65536"):
        wire.parse_message("[" * 70_000)


@pytest.mark.parametrize("name", ["a", "a b", "a/b", "", ".", "..", "~x", "ü\u202e", "100%", "%2F", "\n", '"><b>'])
def test_names_from_strangers_survive_the_way_into_an_id_and_back(name: str) -> None:
    subject = wire.parse_subject(wire.subject_id("g", "demo", name))
    assert subject is not None
    assert (subject.kind, subject.slug, subject.name, subject.is_list) == ("g", "demo", name, False)


def test_an_id_without_a_name_is_the_list() -> None:
    subject = wire.parse_subject("g/demo")
    assert subject is not None
    assert subject.is_list


def test_frames_are_json_with_the_rows_as_they_were_encoded() -> None:
    rows = [wire.encode_row('g/demo/"', {"lag": None}), wire.encode_row("c/demo", None)]
    clusters = {"demo": {"cycle": 2, "taken_at": 1.5, "interval": 5.0}}
    assert orjson.loads(wire.state_frame(3, 10.5, rows, clusters, {"g/demo"})) == {
        "t": "state", "n": 3, "now": 10.5, "clusters": clusters, "hint": ["g/demo"],
        "rows": {'g/demo/"': {"lag": None}, "c/demo": None},
    }  # fmt: skip
    frame = wire.events_frame(4, 11.0, Position(3, 9), [wire.encode_item({"type": "mark"})], reload=False)
    assert orjson.loads(frame) == {
        "t": "events", "n": 4, "now": 11.0, "seq": "3.9", "reload": False, "items": [{"type": "mark"}],
    }  # fmt: skip
