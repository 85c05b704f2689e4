"""Whose pages may open a socket."""

from __future__ import annotations

import pytest

from dashboard.live.origin import why_refused

HERE = "localhost:8000"
HOSTS = ["localhost", "127.0.0.1", "[::1]", "gauge.example"]


@pytest.mark.parametrize(
    ("origin", "host", "is_secure", "trusted"),
    [
        ("http://localhost:8000", HERE, False, []),
        ("http://LOCALHOST:8000", HERE, False, []),
        ("http://[::1]:8000", "[::1]:8000", False, []),
        ("http://gauge.example", "gauge.example", False, []),
        ("http://gauge.example", "gauge.example:80", False, []),
        ("https://gauge.example", "gauge.example", True, []),
        ("https://gauge.example", "127.0.0.1:8000", False, ["https://gauge.example"]),
    ],
)
def test_its_own_pages_are_let_in(origin: str, host: str, is_secure: bool, trusted: list[str]) -> None:
    assert why_refused(origin, host, is_secure=is_secure, allowed_hosts=HOSTS, trusted=trusted) == ""


@pytest.mark.parametrize(
    ("origin", "host", "is_secure"),
    [
        (None, HERE, False),
        ("null", HERE, False),
        ("", HERE, False),
        ("http://localhost:9999", HERE, False),
        ("http://localhost", HERE, False),
        ("https://localhost:8000", HERE, False),
        ("ftp://localhost:8000", HERE, False),
        ("http://localhost:8000/x", HERE, False),
        ("http://user@localhost:8000", HERE, False),
        ("http://127.0.0.1:8000", HERE, False),
        ("http://localhost.evil.example:8000", HERE, False),
        ("http://[::1", HERE, False),
        ("https://h:99999", HERE, False),
        ("http://gauge.example", "gauge.example", True),
        ("http://evil.example", "evil.example", False),  # DNS rebinding: the Host is not ours either
        ("http://localhost:8000", "", False),
    ],
)
def test_all_others_are_refused_with_a_reason(origin: str | None, host: str, is_secure: bool) -> None:
    assert why_refused(origin, host, is_secure=is_secure, allowed_hosts=HOSTS, trusted=[]) != ""


def test_a_star_for_hosts_does_not_open_the_origin() -> None:
    assert why_refused("http://evil.example", HERE, is_secure=False, allowed_hosts=["*"], trusted=[]) != ""
