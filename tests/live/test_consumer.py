"""The socket's protocol, spoken as a page speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from dashboard.live import consumer, hub, wire
from dashboard.live.consumer import LiveConsumer
from dashboard.models import Role

from .fake import FakeReader


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture(autouse=True)
def live_hub(reader: FakeReader, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Hub]:
    monkeypatch.setattr(hub, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(hub, "GATHER_SECONDS", 0.0)
    made = hub.Hub(reader)
    monkeypatch.setattr(hub, "_hub", made)
    yield made
    made.stop()


class Page:
    """A page that acknowledges when told to."""

    def __init__(self, *, signed_in: bool = True) -> None:
        self.socket = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/")
        self.socket.scope["user"] = SimpleNamespace(is_authenticated=signed_in, is_active=signed_in)
        self.socket.scope["session"] = SimpleNamespace(session_key="session" if signed_in else None)

    async def open(self, subs: list[str] | None = None, seq: str | None = None) -> None:
        assert (await self.socket.connect())[0]
        if subs is not None:
            await self.say({"t": "hello", "subs": subs, "seq": seq})

    async def say(self, message: dict[str, Any]) -> None:
        await self.socket.send_to(orjson.dumps(message).decode())

    async def frame(self, *, ack: bool = True) -> dict[str, Any]:
        frame: dict[str, Any] = orjson.loads(await self.socket.receive_from(timeout=5))
        if ack:
            await self.say({"t": "ack", "n": frame["n"]})
        return frame

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the close that comes; frames before it are read away."""
        while True:
            output = await self.socket.receive_output(timeout=5)
            if output["type"] == "websocket.close":
                return output["code"], output.get("reason", "")


async def test_hello_is_answered_with_position_and_present_state() -> None:
    page = Page()
    await page.open(["g/demo/a"])
    events, state = await page.frame(), await page.frame()
    assert (events["t"], events["seq"]) == ("events", "0.0")
    assert (state["t"], state["rows"]) == ("state", {"g/demo/a": {"lag": 1}})
    await page.socket.disconnect()


@pytest.mark.slow
async def test_the_next_frame_waits_for_the_acknowledgement_and_carries_only_the_newest(
    reader: FakeReader, live_hub: hub.Hub
) -> None:
    page = Page()
    await page.open(["g/demo/a"])
    await page.frame()
    last = await page.frame(ack=False)
    for cycle in range(2, 12):
        reader.cycle, reader.rows["g/demo/a"] = cycle, {"lag": cycle}
        asked = len(reader.asked)
        live_hub.hint(1)
        while len(reader.asked) == asked:
            await asyncio.sleep(0.005)
    assert await page.socket.receive_nothing(timeout=0.3)
    await page.say({"t": "ack", "n": last["n"]})
    frame = await page.frame()
    assert (frame["n"], frame["rows"]) == (last["n"] + 1, {"g/demo/a": {"lag": 11}})
    assert await page.socket.receive_nothing(timeout=0.3)
    await page.socket.disconnect()


async def test_a_page_that_comes_back_gets_the_events_it_missed(reader: FakeReader) -> None:
    reader.fire(1)
    reader.fire(2, "resolved")
    page = Page()
    await page.open(["alerts"], seq="1.0")
    events = await page.frame()
    assert ([item["state"] for item in events["items"]], events["seq"]) == (["resolved"], "2.0")
    await page.socket.disconnect()


async def test_a_socket_that_is_closed_leaves_no_writer_behind() -> None:
    """The end may come at any moment of the writer's waking up: up to Python 3.11 wait_for would miss it there."""
    for _ in range(60):
        page = Page()
        await page.open(["g/demo/a"])
        await page.say({"t": "hello", "subs": []})
        await page.closed()
    await asyncio.sleep(0.3)
    assert [task for task in asyncio.all_tasks() if "LiveConsumer.write" in repr(task)] == []


async def test_an_idle_line_gets_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConsumer, "heartbeat_seconds", 0.1)
    page = Page()
    await page.open([])
    await page.frame()
    beat = await page.frame()
    assert (beat["t"], beat["rows"]) == ("state", {})
    assert beat["now"] > 1_700_000_000
    await page.socket.disconnect()


async def test_who_is_not_signed_in_is_told_so() -> None:
    page = Page(signed_in=False)
    await page.open()
    assert await page.closed() == (4401, "not signed in")


async def test_a_page_that_does_not_acknowledge_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConsumer, "ack_seconds", 0.2)
    page = Page()
    await page.open(["g/demo/a"])
    await page.frame(ack=False)
    assert await page.closed() == (4008, "no acknowledgement for 0.2 s")


async def test_a_socket_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveConsumer, "ack_seconds", 0.2)
    page = Page()
    await page.open()
    assert (await page.closed())[0] == 4008


async def test_a_flooder_is_closed_and_not_read_any_further(live_hub: hub.Hub) -> None:
    page = Page()
    await page.open(["g/demo/a"])
    await page.frame(ack=False)
    for _ in range(consumer.MESSAGES_A_SECOND + 5):
        await page.say({"t": "pong"})
    code, reason = await page.closed()
    assert (code, reason) == (4008, "more than 20 messages a second")
    await asyncio.wait_for(page.socket.future, 2)  # the consumer has ended
    while live_hub.sockets:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ('{"t":"constructor"}', "unknown word"),
        ('{"t":"ack","n":99}', "not sent yet"),
        ('{"t":"hello","subs":[]}', "hello was said before"),
        ('{"t":"subs","subs":["' + "x" * 70_000 + '"]}', "at most 65536"),
        (orjson.dumps({"t": "subs", "subs": [f"g/demo/{i}" for i in range(201)]}).decode(), "201 subscriptions"),
    ],
)
async def test_what_breaks_the_rules_closes_the_socket_with_the_rule(text: str, reason: str) -> None:
    page = Page()
    await page.open([])
    await page.socket.send_to(text)
    code, said = await page.closed()
    assert code == 4003
    assert reason in said
    assert len(said.encode()) <= 123  # RFC 6455, 5.5: what fits in a close frame


async def test_a_word_is_heard_only_from_who_has_its_role(reader: FakeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MESSAGES", {**wire.MESSAGES, "subs": Role.OPERATOR})
    monkeypatch.setattr(hub, "SESSIONS_SECONDS", 0.05)
    low = Page()
    await low.open([])
    await low.say({"t": "subs", "subs": []})
    assert await low.closed() == (4003, "this needs the role operator")
    reader.sessions["session"] = Role.OPERATOR
    high = Page()
    await high.open(["g/demo/a"])
    await high.frame()
    while high_role(hub.get_hub()) != Role.OPERATOR:  # the hub reads the session's role anew
        await asyncio.sleep(0.02)
    await high.say({"t": "subs", "subs": ["c/demo"]})
    while "c/demo" not in (await high.frame()).get("rows", {}):
        pass


def high_role(of: hub.Hub) -> Role | None:
    return next((outlet.role for outlet in of._seats), None)


async def test_binary_frames_and_words_before_hello_close_the_socket() -> None:
    page = Page()
    await page.open()
    await page.socket.send_to(bytes_data=b"\x00")
    assert (await page.closed())[0] == 4003
    other = Page()
    await other.open()
    await other.say({"t": "subs", "subs": []})
    assert await other.closed() == (4003, "hello comes first")


async def test_a_sign_out_elsewhere_closes_the_socket_also_while_it_waits(
    reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SESSIONS_SECONDS", 0.1)
    page = Page()
    await page.open(["g/demo/a"])
    await page.frame(ack=False)
    reader.sessions.clear()
    assert await page.closed() == (4401, "signed out")


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/ws/", b"http://localhost:9999"),
        ("/ws/", b"https://localhost:8000"),
        ("/ws/", None),
        ("/ws/other/", b"http://localhost:8000"),
        ("/", b"http://localhost:8000"),
    ],
)
@pytest.mark.django_db(transaction=True)
async def test_foreign_origins_and_unknown_addresses_are_refused_at_the_door(path: str, origin: bytes | None) -> None:
    from dashboard.asgi import application

    headers = [(b"host", b"localhost:8000"), *([(b"origin", origin)] if origin else [])]
    assert await WebsocketCommunicator(application, path, headers=headers).connect() == (False, 4003)


@pytest.mark.django_db(transaction=True)
async def test_a_signed_in_browser_gets_through_the_whole_application(reader: FakeReader) -> None:
    from dashboard.asgi import application

    def sign_in() -> str:
        client = Client()
        client.force_login(get_user_model().objects.create_user("ann"))
        return client.cookies[settings.SESSION_COOKIE_NAME].value

    cookie = await database_sync_to_async(sign_in)()
    reader.sessions[cookie] = reader.sessions["session"]
    headers = [
        (b"host", b"localhost:8000"),
        (b"origin", b"http://localhost:8000"),
        (b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()),
    ]
    socket = WebsocketCommunicator(application, "/ws/", headers=headers)
    assert (await socket.connect())[0]
    await socket.send_to('{"t":"hello","subs":["g/demo/a"],"seq":null}')
    assert orjson.loads(await socket.receive_from(timeout=5))["t"] == "events"
    await socket.disconnect()
