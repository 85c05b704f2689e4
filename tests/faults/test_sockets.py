"""Bad days of the live socket: the rows of facts/reliability.md 3.2 (W) and 2.6 (B) that a client can make.

Daphne refuses a handshake only with 403 and sends only close codes 1000 and 3000 to 4999; a breach of the protocol
itself makes autobahn drop the line without a close frame. So where the catalogue says 404 (W2) it is 403 here, for
1003 and 1008 it is 4003 and 4008, and for 1002, 1007 and 1009 (W5, W6, W14, W15) a cut line. Not made here: B1, B7 (a
sleeping laptop, a browser's clock), B4, B9 (a thousand tabs, eight hours), B6 (needs Redis), W9 (every word is a
viewer's); B8 and N12 are in test_nginx.py.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from tests.e2e.served import Served, wait_for

from .conftest import sign_in_by_link
from .rawsocket import BINARY, CLOSE, PING, PONG, TEXT, Ended, RawSocket, Target, frame

GROWTH_LIMIT = 20_000_000
CLOSED_WITHIN_SECONDS = 30.0
NEXT_FRAME_WITHIN_SECONDS = 1.0
ATTACKERS = 5
MANY_SUBJECTS = [f"g/none/{'x' * 100}{number}" for number in range(200)]


@pytest.fixture(scope="module")
def served(unreachable: Served) -> Served:
    return unreachable


def greeted(target: Target, **how: int) -> RawSocket:
    socket = RawSocket(target, **how).open()
    socket.say(t="hello", subs=["c", "c/none"], seq=None)
    return socket


# -- what is refused at the door


@pytest.mark.parametrize(
    ("row", "origin", "status"),
    [
        ("W1", None, {403}),
        ("W1", "https://evil.example", {403}),
        ("W1", "null", {403}),
        ("W1", "http://127.0.0.1:1", {403}),
        ("W1", "http://[::1", {400, 403}),
        ("W1", "https://h:99999", {400, 403}),
    ],
)
def test_a_foreign_origin_is_refused_in_one_line(
    target: Target, served: Served, row: str, origin: str | None, status: set[int]
) -> None:
    before = served.log.read_text(errors="replace").count("Traceback")
    assert RawSocket(target.but(origin=origin)).handshake()[0] in status
    assert served.log.read_text(errors="replace").count("Traceback") == before


def test_w2_an_unknown_address_is_refused(target: Target) -> None:
    assert RawSocket(target.but(path="/ws/other/")).handshake()[0] == 403


def test_w3_who_is_not_signed_in_is_told_so_after_the_handshake(target: Target) -> None:
    assert RawSocket(target.but(cookie="")).open().ended().code == 4401


def test_w15_compression_is_not_agreed_on(target: Target) -> None:
    socket = RawSocket(target)
    status, head = socket.handshake(Sec_WebSocket_Extensions="permessage-deflate")
    assert status == 101
    assert "permessage-deflate" not in head
    socket.send(b"\x00" * 100, reserved=4)  # RSV1: "this is compressed"
    assert socket.ended().code is None


# -- nonsense: closed at once, with the reason

NONSENSE: list[tuple[str, bytes, dict[str, object], int | None]] = [
    ("W4 a binary frame", b"\x00\x01", {"opcode": BINARY}, 4003),
    ("W5 invalid UTF-8", b"\xff\xfe", {}, None),
    ("W6 two megabytes in a frame", b"x" * 2_000_000, {}, None),
    ("W7 no JSON", b"{", {}, 4003),
    ("W7 an array", b"[]", {}, 4003),
    ("W7 no word", b"{}", {}, 4003),
    ("W7 nested deep", b"[" * 60_000, {}, 4003),
    ("W8 disconnect", b'{"t":"disconnect"}', {}, 4003),
    ("W8 a dunder", b'{"t":"__class__"}', {}, 4003),
    ("W8 a name of Channels", b'{"t":"websocket.close"}', {}, 4003),
    ("W10 201 subjects", b'{"t":"subs","subs":[' + b",".join(b'"g/a/%d"' % n for n in range(201)) + b"]}", {}, 4003),
    ("W14 a reserved opcode", b"x", {"opcode": 0x3}, None),
    ("W14 an unmasked frame", b"x", {"masked": False}, None),
    ("W14 a ping of 126 bytes", b"x" * 126, {"opcode": PING}, None),
    ("W16 a position that is none", b'{"t":"hello","subs":[],"seq":"x"}', {}, 4003),
]


@pytest.mark.parametrize(("row", "payload", "how", "code"), NONSENSE, ids=[row[0] for row in NONSENSE])
def test_nonsense_closes_the_socket_at_once(
    target: Target, row: str, payload: bytes, how: dict[str, object], code: int | None
) -> None:
    socket = RawSocket(target).open()
    with contextlib.suppress(ConnectionError):  # cut while it still talked
        socket.send(payload, **how)  # type: ignore[arg-type]  # the table's keyword arguments
    ended = socket.ended()
    assert ended.code == code
    assert ended.seconds < 5


def test_w11_names_of_any_kind_are_subjects(target: Target) -> None:
    socket = RawSocket(target).open()
    socket.say(t="hello", subs=["t/none/" + "x" * 249, "g/none/a%3Ab%2Fc%20%E2%80%AE", "g/none/~Lg"], seq=None)
    assert {socket.hear()["t"], socket.hear()["t"]} == {"events", "state"}


def test_w16_a_position_from_the_future_gets_everything_anew(target: Target) -> None:
    socket = RawSocket(target).open()
    socket.say(t="hello", subs=["c"], seq="999999.999999")
    frames = [socket.hear(), socket.hear()]
    assert any(one.get("reload") for one in frames), frames


# -- attacks: memory, time, and what the others feel


class Bystander:
    """A page that keeps asking for something else to look at, and measures how long each answer takes."""

    def __init__(self, target: Target) -> None:
        self.socket = greeted(target)
        self.slowest = 0.0
        self.answers = 0
        self.failed: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Bystander:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self.socket.close()

    def _watch(self) -> None:
        try:
            for number in itertools.count():
                if self._stop.wait(0.3):
                    return
                subject = f"g/none/{number}"
                began = time.monotonic()
                self.socket.say(t="subs", subs=[subject])
                while subject not in (self.socket.hear().get("rows") or {}):  # type: ignore[operator]  # a dict of rows
                    pass
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.answers += 1
        except BaseException as error:  # noqa: BLE001 - told to the test below
            self.failed = error


class Memory:
    """The highest resident size of the server while this is open, against the size before."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.before = self.peak = resident_bytes(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, resident_bytes(self.pid))

    @property
    def growth(self) -> int:
        return self.peak - self.before


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


@dataclass(frozen=True)
class Attack:
    row: str
    how: Callable[[Target], Ended | None]
    codes: tuple[int | None, ...]


def flood(payload: bytes, opcode: int = TEXT, **how: bool) -> Callable[[Target], Ended]:
    """Send as fast as the line takes it, for at most 30 s, then see how it ended."""

    def attack(target: Target) -> Ended:
        socket = greeted(target)
        batch = frame(payload, opcode, **how) * max(1, 200_000 // (len(payload) + 6))
        try:
            while time.monotonic() - socket.began < CLOSED_WITHIN_SECONDS + 1:
                socket.socket.sendall(batch)
        except OSError:
            return Ended(None, "", time.monotonic() - socket.began)
        finally:
            socket.close()
        return Ended(None, "never", time.monotonic() - socket.began)

    return attack


def endless_fragments(target: Target) -> Ended:
    socket = greeted(target)
    try:
        socket.send(b"x", fin=False)
        while time.monotonic() - socket.began < CLOSED_WITHIN_SECONDS + 1:
            socket.socket.sendall(frame(b"", 0, fin=False) * 1000)
    except OSError:
        return Ended(None, "", time.monotonic() - socket.began)
    return Ended(None, "never", time.monotonic() - socket.began)


def never_reads(target: Target) -> Ended | None:
    socket = RawSocket(target, receive_buffer=4096).open()
    socket.say(t="hello", subs=MANY_SUBJECTS, seq=None)
    return socket.ended_unread(CLOSED_WITHIN_SECONDS + 5)


def never_reads_and_pings(target: Target) -> Ended | None:
    """Each ping makes the server write an answer that nobody takes."""
    socket = RawSocket(target, receive_buffer=4096).open()
    try:
        while time.monotonic() - socket.began < CLOSED_WITHIN_SECONDS + 1:
            socket.send(b"x" * 125, PING)
    except OSError:
        return Ended(None, "", time.monotonic() - socket.began)
    return None


def never_acknowledges(target: Target) -> Ended:
    return greeted(target).ended()


def never_says_hello(target: Target) -> Ended:
    return RawSocket(target).open().ended()


def never_ends_the_handshake(target: Target) -> Ended:
    socket = RawSocket(target)
    socket.socket.sendall(b"GET /ws/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    said = b""
    with contextlib.suppress(OSError):
        while part := socket.socket.recv(4096):
            said += part
    status = int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else None
    return Ended(status, "", time.monotonic() - socket.began)


FAST = [
    Attack("W12 small messages", flood(b'{"t":"pong"}'), (None, 4008)),
    Attack("B3 60 kB messages", flood(b'{"t":"pong","x":"' + b"x" * 60_000 + b'"}'), (None, 4008)),
    Attack("W14 pings", flood(b"", PING), (None, 4008)),
    Attack("W14 empty messages", flood(b""), (None, 4003, 4008)),
    Attack("W14 pings, answers unread", never_reads_and_pings, (None, 4008)),
    Attack("W6 endless fragments", endless_fragments, (None, 4008)),
]
SLOW = [
    Attack("W13 B2 never reads", never_reads, (None,)),
    Attack("B2 never acknowledges", never_acknowledges, (4008,)),
    Attack("never says hello", never_says_hello, (4008,)),
    Attack("a handshake that never ends", never_ends_the_handshake, (None, 408)),
]
ROUNDS = [[attack] for attack in FAST] + [SLOW]  # the slow ones together: each of them only waits


@pytest.fixture(scope="module")
def _warm(served: Served, target: Target) -> None:
    """Once through every path, so that what is loaded or cached at first use is not taken for growth."""
    wait_for("the first cycles", lambda: served.last_cycle() > 2, seconds=60)
    for attack in FAST:
        attack.how(target)
    time.sleep(2)


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("attacks", ROUNDS, ids=lambda attacks: ", ".join(attack.row for attack in attacks))
def test_an_offender_is_gone_in_time_and_nobody_else_notices(
    served: Served, target: Target, attacks: list[Attack]
) -> None:
    assert served.process is not None
    with (
        Bystander(target) as bystander,
        Memory(served.process.pid) as memory,
        ThreadPoolExecutor(ATTACKERS * len(attacks)) as attackers,
    ):
        running = [(attack, attackers.submit(attack.how, target)) for attack in attacks for _ in range(ATTACKERS)]
        outcomes = [(attack, future.result()) for attack, future in running]
        wait_for("the bystander's answer", lambda: bystander.answers or bystander.failed, seconds=10)
    assert bystander.failed is None
    assert bystander.slowest < NEXT_FRAME_WITHIN_SECONDS
    assert memory.growth < GROWTH_LIMIT
    for attack, ended in outcomes:
        assert ended is not None, f"{attack.row}: still open"
        assert ended.code in attack.codes, attack.row
        assert ended.seconds < CLOSED_WITHIN_SECONDS, attack.row


def test_b5_a_sign_out_elsewhere_ends_open_sockets_within_half_a_minute(served: Served) -> None:
    visitor = sign_in_by_link(served, "bea")
    target = Target(served.port, visitor.cookie_header(), served.base)
    sockets = [greeted(target) for _ in range(20)]
    with ThreadPoolExecutor(len(sockets)) as readers:
        endings = [readers.submit(read_on, socket) for socket in sockets]
        began = time.monotonic()
        answer = visitor.post(f"{served.base}/settings/account/", path="signout-everywhere/")
        assert answer.url.endswith("/signin/")
        codes = [ending.result(CLOSED_WITHIN_SECONDS) for ending in endings]
    assert time.monotonic() - began < CLOSED_WITHIN_SECONDS
    assert codes == [4401] * len(sockets)


def read_on(socket: RawSocket) -> int | None:
    """Acknowledge every frame until the end, so that nothing but the sign-out is a reason for it."""
    while True:
        got = socket.receive()
        if got is None:
            return None
        opcode, payload = got
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big")
        if opcode == PING:
            socket.send(payload, PONG)
        else:
            socket.say(t="ack", n=orjson.loads(payload)["n"])


def test_the_log_holds_no_traceback(served: Served) -> None:
    """True in any order: whatever was done to the instance so far."""
    assert "Traceback" not in served.log.read_text(errors="replace")
