"""Where notifications may go."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pytest

from dashboard.alerts.addresses import (
    AddressRefusedError,
    AddressUnresolvedError,
    checked_addresses,
    is_allowed,
    parse_networks,
    parse_url,
)
from dashboard.alerts.channels import Outside, Stored
from dashboard.alerts.channels.webhook import Webhook

FORMS: list[tuple[str, str]] = [
    ("file:///etc/passwd", "scheme_not_allowed"),
    ("gopher://example.org/", "scheme_not_allowed"),
    ("javascript:alert(1)", "scheme_not_allowed"),
    ("data:text/plain,x", "scheme_not_allowed"),
    ("//example.org/x", "scheme_not_allowed"),
    ("example.org/x", "scheme_not_allowed"),
    ("ftp://example.org/", "scheme_not_allowed"),
    ("https://ann:secret@example.org/", "credentials_in_address"),
    ("https://ann@example.org/", "credentials_in_address"),
    ("https:///path", "no_host"),
    ("https://example.org:22/", "port_not_allowed"),
    ("https://example.org:25/", "port_not_allowed"),
    ("https://example.org:6379/", "port_not_allowed"),
    ("https://example.org:9092/", "port_not_allowed"),
    ("https://example.org:0/", "port_not_allowed"),
    ("https://example.org:99999/", "bad_address"),
    ("https://example.org:http/", "bad_address"),
    ("https://example.org/a b", "bad_characters"),
    ("https://example.org/a\r\nHost: evil", "bad_characters"),
    ("https://example.org\\@127.0.0.1/", "bad_characters"),
    ("https://example.org/\t", "bad_characters"),
    ("https://[fe80::1%25eth0]/", "bad_address"),
    ("https://exa%mple.org/", "bad_address"),
    ("https://example.org/" + "x" * 3000, "too_long"),
]


@pytest.mark.parametrize(("url", "code"), FORMS, ids=[f"{url[:30]!r} {code}" for url, code in FORMS])
def test_a_form_that_is_refused_says_why(url: str, code: str) -> None:
    with pytest.raises(AddressRefusedError) as caught:
        parse_url(url)
    assert caught.value.code == code


def test_a_refused_password_is_not_repeated() -> None:
    with pytest.raises(AddressRefusedError) as caught:
        parse_url("https://ann:hunter2@example.org/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "header"),
    [
        ("https://example.org", "example.org", 443, "example.org"),
        ("http://example.org/", "example.org", 80, "example.org"),
        ("https://example.org:8443/x?y=1#z", "example.org", 8443, "example.org:8443"),
        ("http://[2001:db8::1]:8080/", "2001:db8::1", 8080, "[2001:db8::1]:8080"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "xn--bcher-kva.example"),
        ("https://①②⑦.0.0.1/", "127.0.0.1", 443, "127.0.0.1"),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, header: str) -> None:
    target = parse_url(url)
    assert (target.host, target.port, target.host_header) == (host, port, header)


def test_people_see_the_address_without_its_path() -> None:
    assert parse_url("https://hooks.example.org/T0/SECRET?k=v").public_text == "https://hooks.example.org/…"


ADDRESSES: list[tuple[str, str, bool]] = [
    ("1.1.1.1", "", True),
    ("2606:4700::1111", "", True),
    ("127.0.0.1", "", False),
    ("127.0.0.1", "loopback", True),
    ("::1", "", False),
    ("::1", "loopback", True),
    ("10.1.2.3", "loopback", False),
    ("10.1.2.3", "private", True),
    ("192.168.7.7", "192.168.7.0/24", True),
    ("192.168.8.7", "192.168.7.0/24", False),
    ("172.16.0.1", "", False),
    ("100.64.0.1", "", False),
    ("100.64.0.1", "private", False),
    ("100.64.0.1", "100.64.0.0/10", True),
    ("169.254.169.254", "", False),
    ("169.254.169.254", "169.254.0.0/16", False),
    ("fe80::1", "fe80::/10", False),
    ("fd00:ec2::254", "private", False),
    ("fd00::1", "", False),
    ("fd00::1", "private", True),
    ("0.0.0.0", "loopback", False),
    ("0.0.0.0", "0.0.0.0/0", False),
    ("::", "loopback", False),
    ("224.0.0.1", "", False),
    ("ff02::1", "", False),
    ("255.255.255.255", "", False),
    ("::ffff:127.0.0.1", "", False),
    ("::ffff:127.0.0.1", "loopback", True),
    ("::ffff:169.254.169.254", "loopback", False),
    ("::ffff:1.1.1.1", "", True),
    ("64:ff9b::7f00:1", "", False),
    ("64:ff9b::a9fe:a9fe", "private", False),
    ("64:ff9b::101:101", "", True),
    ("2002:7f00:1::", "", False),
    ("192.0.2.1", "", False),
]


@pytest.mark.parametrize(("address", "setting", "allowed"), ADDRESSES, ids=[f"{a} with {s!r}" for a, s, _ in ADDRESSES])
def test_an_address_is_allowed_when_public_or_named(address: str, setting: str, allowed: bool) -> None:
    assert is_allowed(ipaddress.ip_address(address), parse_networks(setting.split(","))) is allowed


def answering(*addresses: str) -> object:
    def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    with pytest.raises(AddressRefusedError, match=r"10\.0\.0\.1.*private to STREAMGAUGE_ALLOWED_NETWORKS"):
        checked_addresses(parse_url("https://two.example/"), (), resolver=answering("1.1.1.1", "10.0.0.1"))  # type: ignore[arg-type]  # a plain function


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://017700000001/",
        "http://①②⑦.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
def test_every_way_to_write_loopback_is_refused_by_the_real_resolver(url: str) -> None:
    with pytest.raises(AddressRefusedError, match="STREAMGAUGE_ALLOWED_NETWORKS"):
        checked_addresses(parse_url(url), ())


def test_a_name_is_looked_up_once_and_its_checked_address_is_used() -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["1.1.1.1"] if len(asked) == 1 else ["127.0.0.1"]

    assert checked_addresses(parse_url("https://rebind.example/"), (), resolver=rebinding) == ("1.1.1.1",)
    assert asked == ["rebind.example"]


def test_a_word_in_the_setting_that_is_no_network_is_quoted() -> None:
    with pytest.raises(ValueError, match="'lopback' is no network; write loopback"):
        parse_networks(["lopback"])


def unresolvable(host: str, port: int) -> Sequence[str]:
    raise AddressUnresolvedError(f"{host} could not be looked up")


def checked(url: str, secret: str = "") -> Stored:
    return Webhook().check({"url": url, "secret": secret}, Outside((), resolver=unresolvable))


def test_the_form_takes_a_name_that_cannot_be_looked_up_now_but_no_bare_word() -> None:
    assert checked("https://later.example/x")["url"]
    with pytest.raises(ValueError, match="'alertz'"):
        checked("https://alertz/x")


@pytest.mark.parametrize("secret", ["short", "with space in it", "whsec_*** no base64", "x" * 300])
def test_the_form_refuses_bad_secrets(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64"):
        checked("https://later.example/x", secret)
