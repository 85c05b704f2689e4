"""Settings that are right each for itself and wrong together: what `manage.py doctor` says of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from dashboard.access.links import is_loopback
from dashboard.reach import PublicUrl, parse_proxies

SHORTEST_TOKEN = 16
OWN_PREFIX = "STREAMGAUGE_"


class Level(IntEnum):
    OK = 0
    NOTE = 1
    BAD = 2


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings that depend on each other."""

    host: str
    port: int
    public: PublicUrl
    allowed_hosts: Sequence[str]
    trusted_origins: Sequence[str]
    trusted_proxies: Sequence[str]
    allowed_networks: Sequence[str]
    metrics_token: str
    is_debug: bool
    is_demo: bool
    is_open: bool
    is_sqlite: bool
    has_redis: bool
    has_own_key: bool
    has_former_keys: bool

    @property
    def is_reachable(self) -> bool:
        """Others than this machine may reach it."""
        return not is_loopback(self.host) or (bool(self.public.text) and not is_loopback(self.public.host))


def judge(
    setup: Setup,
    *,
    is_origin: Callable[[str], bool],
    check_networks: Callable[[Sequence[str]], object],
) -> list[Finding]:
    """Every wrong combination, each with its fix; none: an empty list."""
    return [
        *_of_reach(setup),
        *_of_proxies(setup),
        *_of_openness(setup),
        *_of_origins(setup, is_origin),
        *_of_processes(setup),
        *_of_networks(setup, check_networks),
    ]


def _of_reach(setup: Setup) -> Iterator[Finding]:
    if not 1 <= setup.port <= 65_535:
        yield Finding(Level.BAD, f"STREAMGAUGE_PORT is {setup.port}", "use a port from 1 to 65535")
    if "*" in setup.allowed_hosts:
        yield Finding(
            Level.BAD,
            "STREAMGAUGE_ALLOWED_HOSTS holds *: a page of any name may act as this site (DNS rebinding)",
            "name the hosts that people type, or set STREAMGAUGE_PUBLIC_URL",
        )
    only_here = all(is_loopback(host.strip("[]")) for host in setup.allowed_hosts)
    if not is_loopback(setup.host) and only_here and not setup.public.text:
        yield Finding(
            Level.BAD,
            f"STREAMGAUGE_HOST is {setup.host}, but every name except localhost is answered by 400",
            "set STREAMGAUGE_PUBLIC_URL to where people reach it, or name its hosts in STREAMGAUGE_ALLOWED_HOSTS",
        )
    if setup.is_reachable and not setup.public.is_secure:
        yield Finding(
            Level.NOTE,
            "passwords and sessions travel without TLS",
            "end TLS at a proxy, and set STREAMGAUGE_PUBLIC_URL=https://… and STREAMGAUGE_TRUSTED_PROXIES",
        )


def _of_proxies(setup: Setup) -> Iterator[Finding]:
    if setup.public.is_secure and not setup.trusted_proxies:
        yield Finding(
            Level.BAD,
            f"STREAMGAUGE_PUBLIC_URL is {setup.public.text}, but no proxy is trusted: everyone seems to come from the "
            "proxy, so that one wrong password too many locks all out, and pages are taken for unencrypted ones",
            "name the proxy in STREAMGAUGE_TRUSTED_PROXIES (on this machine: loopback)",
        )
    if setup.trusted_proxies and not setup.public.text:
        yield Finding(
            Level.NOTE,
            "STREAMGAUGE_TRUSTED_PROXIES is set and STREAMGAUGE_PUBLIC_URL is not: links lead past the proxy",
            "set STREAMGAUGE_PUBLIC_URL to what people type",
        )
    if any(network.prefixlen == 0 for network in parse_proxies(tuple(setup.trusted_proxies))):
        yield Finding(
            Level.BAD,
            "STREAMGAUGE_TRUSTED_PROXIES trusts every address: anyone can claim to be anyone",
            "name the proxy's own address",
        )


def _of_openness(setup: Setup) -> Iterator[Finding]:
    if setup.is_debug and setup.is_reachable:
        yield Finding(
            Level.BAD,
            "STREAMGAUGE_DEBUG is on where others reach it: it shows settings and code",
            "switch it off",
        )
    if setup.is_demo and setup.is_reachable:
        yield Finding(
            Level.BAD,
            "STREAMGAUGE_DEMO is on where others reach it: its sign-in link is reusable",
            "leave it to `make demo`",
        )
    if setup.is_open and setup.is_reachable:
        yield Finding(
            Level.NOTE,
            "STREAMGAUGE_OPEN_READ_ONLY is on: whoever reaches it sees names of topics and groups",
            "leave it out unless that is meant",
        )
    if setup.is_reachable and not setup.metrics_token:
        yield Finding(
            Level.NOTE, "/metrics answers everyone who reaches it", "set STREAMGAUGE_METRICS_TOKEN, or mean it so"
        )
    if setup.metrics_token and len(setup.metrics_token) < SHORTEST_TOKEN:
        yield Finding(
            Level.BAD,
            f"STREAMGAUGE_METRICS_TOKEN has {len(setup.metrics_token)} characters",
            f"use at least {SHORTEST_TOKEN}, like the output of `openssl rand -hex 24`",
        )


def _of_origins(setup: Setup, is_origin: Callable[[str], bool]) -> Iterator[Finding]:
    for one in setup.trusted_origins:
        if not is_origin(one):
            yield Finding(
                Level.BAD,
                f"STREAMGAUGE_TRUSTED_ORIGINS holds {one[:100]!r}, which is no whole origin",
                "give scheme, host and port, like https://gauge.example.org",
            )
        elif setup.public.is_secure and one.startswith("http://"):
            yield Finding(
                Level.NOTE,
                f"{one} is trusted without TLS, but cookies are sent over https only",
                "take it out, or give it as https",
            )


def _of_processes(setup: Setup) -> Iterator[Finding]:
    if setup.is_sqlite and setup.has_redis:
        yield Finding(
            Level.NOTE,
            "REDIS_URL is set, for several processes, but the database is SQLite, for one machine with few writers",
            "set DATABASE_URL to PostgreSQL, or leave REDIS_URL out and run `manage.py serve`",
        )
    if setup.has_redis and not setup.is_sqlite and not setup.has_own_key:
        yield Finding(
            Level.NOTE,
            "the key is a file of this data folder: a process with another data folder cannot read stored credentials, "
            "and knows nobody who signed in here",
            "give all processes the same STREAMGAUGE_SECRET_KEY (the file's first line keeps what is stored readable)",
        )
    if setup.has_former_keys and not setup.has_own_key:
        yield Finding(
            Level.BAD,
            "STREAMGAUGE_SECRET_KEY_FALLBACKS is set without STREAMGAUGE_SECRET_KEY: the key file cannot be rotated",
            "put former keys into the key file, a line each, below the present one",
        )


def _of_networks(setup: Setup, check: Callable[[Sequence[str]], object]) -> Iterator[Finding]:
    try:
        check(setup.allowed_networks)
    except ValueError as error:
        yield Finding(Level.BAD, str(error), "name loopback, private or CIDRs in STREAMGAUGE_ALLOWED_NETWORKS")


def unknown_variables(environment: Iterable[str], known: Mapping[str, object]) -> list[Finding]:
    """Variables with our prefix that nothing reads: mostly a slip of the pen."""
    found = []
    for name in sorted(environment):
        if not name.startswith(OWN_PREFIX) or name in known:
            continue
        near = difflib.get_close_matches(name, list(known), n=1)
        fix = f"did you mean {near[0]}?" if near else "see the README, “Configuration”"
        found.append(Finding(Level.BAD, f"nothing reads the variable {name}", fix))
    return found
