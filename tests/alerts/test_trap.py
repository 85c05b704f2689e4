"""Nothing that a person can type makes Streamgauge connect inside: a trap listens on loopback and counts."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dashboard.alerts import heartbeat
from dashboard.alerts.channels import FieldError, Message, Outcome, Outside
from dashboard.alerts.channels.kinds import KINDS

MESSAGE = Message("k" * 40, "firing", 1, {"sentence": "x", "severity": "critical"}, "k" * 40)

# Hosts that lead to this machine, or inside, by the system's own resolver or on their face (reliability 3.7, U1, U2).
HOSTS = [
    "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001",
    "017700000001", "0177.0.0.1", "127.000.000.001", "127.255.255.254", "0.0.0.0", "0",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[0:0:0:0:0:0:0:1]", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021", "\u24dbocalhost",
    "169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1",
    "[fd00::1]", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "[::ffff:10.0.0.1]",
]  # fmt: skip
SHAPES = ["http://{host}:{port}/", "https://{host}:{port}/x?y=1", "http://{host}:{port}/a/../b"]
ODD = [
    "http://example.org@127.0.0.1:{port}/", "http://127.0.0.1:{port}@example.org/",
    "http://127.0.0.1:{port}#@example.org/", "http://example.org\\@127.0.0.1:{port}/", "http:/\\127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\r\nHost: x/", "//127.0.0.1:{port}/", "http:127.0.0.1:{port}",
    "HTTP://127.0.0.1:{port}/", "http://127.0.0.1:{port}", "gopher://127.0.0.1:{port}/_x",
    "file://127.0.0.1:{port}/etc/passwd", "ftp://127.0.0.1:{port}/", "http://127.0.0.1:0{port}/",
    "http://%31%32%37.0.0.1:{port}/", "http://127.0.0.1%00:{port}/",
]  # fmt: skip


@dataclass
class Trap:
    """A listener on every address of this machine; `caught` grows with each connection."""

    port: int
    caught: list[Any] = field(default_factory=list)


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", 0))
    listener.listen()
    made = Trap(listener.getsockname()[1])

    def count() -> None:
        while True:
            try:
                taken, who = listener.accept()
            except OSError:
                return
            made.caught.append(who)
            taken.close()

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    for address in ("127.0.0.1", "::1"):  # it catches, by both families
        with socket.create_connection((address, made.port)):
            pass
    while len(made.caught) < 2:
        thread.join(0.01)
    made.caught.clear()
    yield made
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def webhook(url: str) -> dict[str, str]:
    return {"url": url, "secret": ""}


ENTRIES: dict[str, Callable[[str], dict[str, str]]] = {
    "webhook": webhook,
    "slack": lambda url: {"token": "xoxb-1111-2222-3333", "channel": "#x", "api": url},
    "slack_webhook": webhook,
    "pagerduty": lambda url: {"routing_key": "a" * 32, "api": url},
    "alertmanager": lambda url: {"url": url, "token": ""},
    "teams": webhook,
}


def forms(port: int) -> list[str]:
    plain = [shape.format(host=host, port=port) for host in HOSTS for shape in SHAPES]
    return plain + [odd.format(port=port) for odd in ODD]


@pytest.mark.parametrize("kind", ENTRIES)
@pytest.mark.slow
def test_no_address_of_a_channel_reaches_inside(kind: str, trap: Trap) -> None:
    """Typed, each is refused; stored all the same (by another version, say), it is refused where it is sent."""
    addresses = forms(trap.port)
    assert len(addresses) >= 80
    for address in addresses:
        settings = ENTRIES[kind](address)
        with pytest.raises(FieldError):
            KINDS[kind].check(settings, Outside())
        answer = KINDS[kind].send(settings, MESSAGE, Outside(seconds=1.0))
        assert answer.outcome is not Outcome.DELIVERED, address
    assert trap.caught == []


def test_no_mail_server_inside_is_reached(trap: Trap) -> None:
    base = {"recipients": "a@b.org", "sender": "a@b.org", "security": "none", "user": "", "password": ""}
    for host in [host.strip("[]") for host in HOSTS] + ["a@127.0.0.1", "127.0.0.1\r\nx", "127.0.0.1/", " "]:
        settings = {**base, "host": host, "port": str(trap.port)}
        with pytest.raises(FieldError):
            KINDS["email"].check(settings, Outside())
        assert KINDS["email"].send(settings, MESSAGE, Outside(seconds=1.0)).outcome is not Outcome.DELIVERED
    assert trap.caught == []


def test_no_heartbeat_reaches_inside(db: None, trap: Trap, settings: Any) -> None:
    settings.ALLOWED_NETWORKS = []
    for address in forms(trap.port):
        settings.HEARTBEAT_URL = address
        assert heartbeat._beat().outcome is not Outcome.DELIVERED
    assert trap.caught == []


@pytest.mark.parametrize("kind", [*ENTRIES, "email"])
def test_a_name_that_changes_between_look_up_and_connect_gains_nothing(kind: str, trap: Trap) -> None:
    """The first look-up says something public, each later one loopback: only the first is asked for."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["192.0.0.9"] if len(asked) == 1 else ["127.0.0.1"]  # a public address that nobody routes

    assert ipaddress.ip_address("192.0.0.9").is_global
    if kind == "email":
        settings = {
            "recipients": "a@b.org", "sender": "a@b.org", "security": "none", "user": "", "password": "",
            "host": "rebind.example", "port": str(trap.port),
        }  # fmt: skip
    else:
        settings = ENTRIES[kind](f"http://rebind.example:{trap.port}/")
    answer = KINDS[kind].send(settings, MESSAGE, Outside(seconds=0.4, resolver=rebinding))
    assert answer.outcome is Outcome.RETRY
    assert asked == ["rebind.example"]
    assert trap.caught == []


@pytest.mark.parametrize("found", [["9.9.9.9", "127.0.0.1"], ["127.0.0.1", "9.9.9.9"], ["2620:fe::fe", "::1"]], ids=str)
def test_one_bad_address_of_several_is_enough_to_refuse(found: list[str], trap: Trap) -> None:
    mixed = Outside(seconds=0.4, resolver=lambda host, port: found)
    settings = webhook(f"http://mixed.example:{trap.port}/")
    with pytest.raises(FieldError, match="not a public address"):
        KINDS["webhook"].check(settings, mixed)
    assert KINDS["webhook"].send(settings, MESSAGE, mixed).outcome is Outcome.RETRY
    assert trap.caught == []
