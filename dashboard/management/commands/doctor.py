"""`manage.py doctor`: what is wrong with this installation, and what mends it. Exit code 1 when something is."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connection
from django.utils import timezone

from collectors import as_code, storage
from collectors.domain.words import counted
from collectors.models import Cycle
from dashboard import schema
from dashboard import settings as settings_module
from dashboard.access.combinations import Finding, Level, Setup, judge, unknown_variables
from dashboard.alerts.addresses import parse_networks
from dashboard.live.origin import parse_origin
from dashboard.management.commands.rotatekey import unreadable_secrets
from dashboard.management.commands.signinlink import address_host
from dashboard.models import Refused, Role

LITTLE_DISK_BYTES = 1_000_000_000
CLOCK_AHEAD = timedelta(seconds=30)
RECENT = timedelta(days=7)
WAIT_SECONDS = 5.0
READ_ELSEWHERE = {"STREAMGAUGE_CHROMIUM": "", "STREAMGAUGE_REQUIRE_SYSTEM": ""}
MARKS = {Level.OK: "ok  ", Level.NOTE: "note", Level.BAD: "BAD "}


class Command(BaseCommand):
    help = "Check settings, data folder, keys, database, Redis, port and clock; exit code 1 when something is wrong."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reach", action="store_true", help="also ask STREAMGAUGE_PUBLIC_URL whether it answers")

    def handle(self, *args: Any, **options: Any) -> None:
        checks: list[Callable[[], Iterator[Finding]]] = [
            combinations,
            clusters,
            folder,
            keys,
            database,
            people,
            broker,
            port,
        ]
        checks += [clock, refusals, *([public_url] if options["reach"] else [])]
        worst = Level.OK
        for check in checks:
            for finding in check():
                worst = max(worst, finding.level)
                self.stdout.write(f"{MARKS[finding.level]} {finding.what}")
                if finding.fix:
                    self.stdout.write(f"       {finding.fix}")
        if worst == Level.BAD:
            sys.exit(1)


def combinations() -> Iterator[Finding]:
    setup = Setup(
        host=settings.HOST,
        port=settings.PORT,
        public=settings.PUBLIC,
        allowed_hosts=settings.ALLOWED_HOSTS,
        trusted_origins=settings.CSRF_TRUSTED_ORIGINS,
        trusted_proxies=settings.TRUSTED_PROXIES,
        allowed_networks=settings.ALLOWED_NETWORKS,
        metrics_token=settings.METRICS_TOKEN,
        is_debug=settings.DEBUG,
        is_demo=settings.DEMO,
        is_open=settings.OPEN_READ_ONLY,
        is_sqlite=connection.vendor == "sqlite",
        has_redis=bool(settings.REDIS_URL),
        has_own_key=bool(os.environ.get("STREAMGAUGE_SECRET_KEY")),
        has_former_keys=bool(os.environ.get("STREAMGAUGE_SECRET_KEY_FALLBACKS")),
    )
    found = judge(setup, is_origin=lambda text: parse_origin(text) is not None, check_networks=parse_networks)
    numbered = dict.fromkeys(filter(as_code.reads, os.environ))
    found += unknown_variables(os.environ, {**settings_module.env.dump(), **READ_ELSEWHERE, **numbered})
    yield from found or [Finding(Level.OK, "settings fit together")]


def clusters() -> Iterator[Finding]:
    """What the file and the environment name, as the next start will read it."""
    file = as_code.clusters_file(settings.CLUSTERS_FILE, settings.DATA_DIR)
    try:
        named = [*as_code.in_file(file, os.environ), *as_code.declared(os.environ)]
    except as_code.EnvironmentRefusedError as error:
        yield Finding(Level.BAD, str(error), "`manage.py serve` will not start before this is mended")
        return
    if file is not None or named:
        where = f"{file} and the environment" if file is not None else "the environment"
        yield Finding(Level.OK, f"{counted(len(named), 'cluster')} by {where}")


def folder() -> Iterator[Finding]:
    place: Path = settings.DATA_DIR
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding(Level.BAD, f"the data folder {place} cannot be written", f"chown it to user {os.getuid()}")
        return
    yield Finding(Level.OK, f"the data folder {place} can be written")
    if free := _little_disk(place):
        yield Finding(Level.BAD, f"only {free / 1e6:.0f} MB are free in {place}", "make room; history is kept there")
    for file in sorted(place.glob("*.sqlite3*")):
        if stat.S_IMODE(file.stat().st_mode) & 0o007:
            yield Finding(Level.NOTE, f"{file.name} may be read by every user of this machine", f"chmod o-rwx {file}")


def _little_disk(place: Path) -> int:
    free = shutil.disk_usage(place).free
    return free if free < LITTLE_DISK_BYTES else 0


def keys() -> Iterator[Finding]:
    path = settings.INSTANCE_KEY.path
    if path is None:
        yield Finding(Level.OK, "the key comes from the environment")
    else:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Finding(Level.BAD, f"the key file {path} has mode {mode:04o}", f"chmod 600 {path}")
        else:
            yield Finding(Level.OK, f"the key file {path} is its owner's alone")
    former = len(settings.INSTANCE_KEY.keys) - 1
    if former:
        yield Finding(
            Level.NOTE,
            f"{former} former keys still read",
            "after `manage.py rotatekey` and a restart: --forget-former, or empty STREAMGAUGE_SECRET_KEY_FALLBACKS",
        )
    try:
        unreadable = list(unreadable_secrets())
    except DatabaseError:
        return  # said by the next check
    for name in unreadable:
        yield Finding(
            Level.BAD,
            f"the stored secrets of {name} cannot be read with any key here",
            "put the former key back (STREAMGAUGE_SECRET_KEY_FALLBACKS), or type its credentials again",
        )


def database() -> Iterator[Finding]:
    try:
        found = schema.read_schema()
    except DatabaseError as error:
        if storage.why(error) == storage.DAMAGED:
            yield _damaged(str(error))
            return
        yield Finding(
            Level.BAD,
            f"the database does not answer ({type(error).__name__})",
            "check DATABASE_URL: host, port, name, user and password",
        )
        return
    if found.newer:
        yield Finding(
            Level.BAD,
            f"the database was written by a newer Streamgauge ({', '.join(found.newer[:3])})",
            "install that version, or restore a backup of this one",
        )
    elif found.waiting:
        yield Finding(Level.BAD, f"{len(found.waiting)} migrations were not run", "manage.py upgrade, or start serve")
    else:
        yield Finding(Level.OK, f"the database answers and is up to date ({connection.vendor})")
    if damage := storage.damage():
        yield _damaged(damage)


def _damaged(what: str) -> Finding:
    return Finding(
        Level.BAD,
        f"the database file is damaged: {what}",
        "stop Streamgauge and put a backup in its place; what still can be read: sqlite3 FILE .recover",
    )


def people() -> Iterator[Finding]:
    try:
        admins = User.objects.filter(is_active=True, person__role=Role.ADMIN).count()
    except DatabaseError:
        return
    if admins:
        yield Finding(Level.OK, f"admins who can sign in: {admins}")
    else:
        yield Finding(Level.NOTE, "no admin can sign in yet", "manage.py signinlink prints a link")


def broker() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield Finding(Level.OK, "no Redis: one process by `manage.py serve`")
        return
    try:
        client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=WAIT_SECONDS, socket_connect_timeout=WAIT_SECONDS
        )
        client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        # the text may hold the address with its password
        yield Finding(Level.BAD, f"Redis does not answer ({type(error).__name__})", "check REDIS_URL, or leave it out")
    else:
        yield Finding(Level.OK, "Redis answers")


def port() -> Iterator[Finding]:
    here = f"http://{address_host(settings.HOST)}:{settings.PORT}"
    status, said = _ask(f"{here}/healthz")
    if status == 200 and "alive" in said:
        yield Finding(Level.OK, f"Streamgauge answers at {here}")
    elif status is None:
        yield Finding(Level.NOTE, f"nothing answers at {here}", "manage.py serve starts it")
    else:
        yield Finding(
            Level.BAD, f"something else answers at {here} (status {status})", "set another STREAMGAUGE_PORT or stop it"
        )


def public_url() -> Iterator[Finding]:
    if not settings.PUBLIC_URL:
        return
    status, said = _ask(f"{settings.PUBLIC_URL}/healthz")
    if status == 200 and "alive" in said:
        yield Finding(Level.OK, f"Streamgauge answers at {settings.PUBLIC_URL}")
    else:
        found = "nothing answers" if status is None else f"the answer has status {status}"
        yield Finding(Level.BAD, f"{settings.PUBLIC_URL}: {found}", "check the proxy's address, path and TLS")


def _ask(url: str) -> tuple[int | None, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=WAIT_SECONDS) as answer:
            return answer.status, answer.read(1000).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, ValueError):
        return None, ""


def clock() -> Iterator[Finding]:
    try:
        newest = Cycle.objects.select_related("cluster").order_by("-taken_at").first()
    except DatabaseError:
        return
    now = timezone.now()
    ahead = newest.taken_at - now if newest else timedelta(0)
    if now < datetime(2026, 1, 1, tzinfo=UTC):
        yield Finding(Level.BAD, f"this machine's clock says {now:%Y-%m-%d %H:%M}", "set the clock")
    elif newest and ahead > CLOCK_AHEAD:
        yield Finding(
            Level.BAD,
            f"the newest cycle of {newest.cluster} lies {ahead.total_seconds():.0f} s ahead of this machine's clock",
            "let all machines that run Streamgauge take their time from one source (NTP)",
        )
    else:
        yield Finding(Level.OK, f"the clock says {now:%Y-%m-%d %H:%M:%S} UTC")


def refusals() -> Iterator[Finding]:
    """What was turned away lately: the shortest way to a setting that does not fit."""
    try:
        for one in Refused.objects.filter(last_at__gt=timezone.now() - RECENT):
            yield Finding(
                Level.NOTE,
                f"{one.count} × a {one.get_kind_display()} was refused, last {one.last_at:%b %d %H:%M} UTC: {one.seen}",
                one.advice,
            )
    except DatabaseError:
        return
