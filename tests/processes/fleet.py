"""Web, worker and beat as processes of their own, each with a data folder of its own, as on many machines."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import orjson
import psycopg

from tests.e2e.served import ROOT, wait_for
from tests.faults.rawsocket import RawSocket, Target
from tests.faults.visitor import Visitor
from tests.servers import Postgres, Redis, free_port

KEY = "one-key-on-all-machines-1f6d"
STARTED = "Streamgauge's"
LIVE = ("one", "two", "three", "four")
DEAD = "dead"


@dataclass
class Member:
    """One process of the fleet, started again under the same name."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    asked: list[subprocess.Popen[bytes] | None] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *self.command],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def ask(self) -> None:
        """To end; once, for a second time means at once."""
        if self.process not in self.asked:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            self.asked.append(self.process)

    def stop(self) -> int:
        """Asked to end; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.ask()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid


class Fleet:
    """Two web, two workers, one beat; four entries for one living cluster, and one whose address is dead."""

    def __init__(self, folder: Path, postgres: Postgres, redis: Redis, bootstrap: str, *, interval: float) -> None:
        self.folder, self.postgres, self.redis, self.interval = folder, postgres, redis, interval
        self.database_url = postgres.create(f"fleet_{os.urandom(6).hex()}")
        self.clusters = {
            f"STREAMGAUGE_CLUSTERS_{number}_{key}": value
            for number, slug in enumerate((*LIVE, DEAD))
            for key, value in {
                "NAME": slug.capitalize(),
                "SLUG": slug,
                "INTERVAL": f"{interval:g}",
                "BOOTSTRAP_SERVERS": bootstrap if slug != DEAD else "127.0.0.1:1",
            }.items()
        }
        self.ports = [free_port(), free_port()]
        self.probes = {name: free_port() for name in ("worker-1", "worker-2", "beat")}
        self.webs = [self._member(f"web-{n}", ["web", "--port", str(port)]) for n, port in enumerate(self.ports, 1)]
        self.workers = [self._probed(f"worker-{n}", "worker") for n in (1, 2)]
        self.beat = self._probed("beat", "beat")

    def _probed(self, name: str, command: str) -> Member:
        return self._member(name, [command, "--probes", str(self.probes[name])])

    def _member(self, name: str, command: list[str]) -> Member:
        environment = {
            **os.environ,
            **self.clusters,
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url,
            "STREAMGAUGE_SECRET_KEY": KEY,
            "STREAMGAUGE_DATA_DIR": str(self.folder / name),
            "STREAMGAUGE_ALLOWED_NETWORKS": "loopback",
        }
        return Member(name, command, environment, self.folder / f"{name}.log")

    @property
    def members(self) -> list[Member]:
        return [*self.webs, *self.workers, self.beat]

    def __enter__(self) -> Self:
        for member in self.members:
            member.start()
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            if member.is_running:
                member.ask()
        for member in self.members:
            member.stop()

    def settle(self) -> None:
        """Everything runs, each worker has its share, every living cluster has fresh cycles."""
        for member in self.members:
            if not member.is_running:
                member.start()
        for port in (*self.ports, *self.probes.values()):
            wait_for(f"port {port} is ready", partial(self.is_ready, port), seconds=120)
        wait_for("the clusters are shared out", lambda: sorted(self.spread().values()) == [2, 3], seconds=60)
        at = self.database_now()
        wait_for("fresh cycles", lambda: all(self.newest(slug) > at for slug in LIVE), seconds=60)

    # what machines and people see

    def is_ready(self, port: int) -> bool:
        return self.status(port, "/readyz") == 200

    def status(self, port: int, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=8) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def manage(self, *arguments: str, member: Member | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=(member or self.webs[0]).environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def visitor(self, user: str = "ada") -> Visitor:
        """Signed in at the first web, and with the same cookies at the second."""
        visitor = Visitor()
        visitor.post(self.manage("signinlink", "--user", user, "--port", str(self.ports[0])).splitlines()[-1])
        return visitor

    def socket(self, visitor: Visitor, port: int, *subs: str) -> Watcher:
        base = f"http://127.0.0.1:{port}"
        return Watcher(RawSocket(Target(port, visitor.cookie_header(), base)).open(), subs)

    # what the database says

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, connect_timeout=3) as connection:
            return connection.execute(sql, values).fetchall()

    def database_now(self) -> float:
        return float(self.rows("select extract(epoch from now())")[0][0])

    def spread(self) -> Counter[str]:
        """Clusters held by each worker, by its process number."""
        held = self.rows(
            "select holder from collectors_lease where name like 'cluster:%%' and holder <> '' and expires_at > now()"
        )
        return Counter(holder.split(":")[1] for (holder,) in held)

    def held_by(self, member: Member) -> list[str]:
        """The slugs of the clusters that a worker holds."""
        return [
            slug
            for (slug,) in self.rows(
                "select c.slug from collectors_lease l join collectors_cluster c on l.name = 'cluster:' || c.id "
                "where l.holder like %s and l.expires_at > now() order by c.slug",
                f"%:{member.pid}:%",
            )
        ]

    def newest(self, slug: str) -> float:
        found = self.cycles(slug)
        return found[-1][2] if found else 0.0

    def wait_cycle(self, slug: str, *, after: float, seconds: float) -> None:
        wait_for(f"{slug} goes on", lambda: self.newest(slug) > after, seconds=seconds)

    def cycles(self, slug: str, *, since: float = 0.0) -> list[tuple[int, int, float, int]]:
        """(number, epoch, taken at, skipped before it), in order."""
        return [
            (int(number), int(epoch), float(at), int(skipped))
            for number, epoch, at, skipped in self.rows(
                "select y.number, y.epoch, extract(epoch from y.taken_at), y.skipped from collectors_cycle y "
                "join collectors_cluster c on c.id = y.cluster_id "
                "where c.slug = %s and y.taken_at > to_timestamp(%s) order by y.number",
                slug,
                since,
            )
        ]

    def longest_gap(self, slug: str, since: float) -> float:
        """Seconds between two cycles, from the last one before `since` on."""
        before = [at for _, _, at, _ in self.cycles(slug) if at <= since][-1:]
        times = before + [at for _, _, at, _ in self.cycles(slug, since=since)]
        return max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)

    def alerts(self, rule: str, slug: str, since: float = 0.0) -> list[tuple[str, float]]:
        """(state, fired at) of a rule's alerts for a cluster that began after `since`."""
        return [
            (state, float(at or 0))
            for state, at in self.rows(
                "select a.state, extract(epoch from a.fired_at) from dashboard_alert a "
                "join dashboard_rule r on r.id = a.rule_id join collectors_cluster c on c.id = a.cluster_id "
                "where r.key = %s and c.slug = %s and a.started_at > to_timestamp(%s) order by a.id",
                rule,
                slug,
                since,
            )
        ]

    def assert_whole(self) -> None:
        """Every cycle once and in order, no former holder after its successor, no half cycle, no transition lost."""
        for slug in (*LIVE, DEAD):
            cycles = self.cycles(slug)
            numbers = [number for number, *_ in cycles]
            assert numbers == list(range(1, len(numbers) + 1)), f"{slug}: each number once, none left out"
            epochs = [epoch for _, epoch, _, _ in cycles]
            assert epochs == sorted(epochs), f"{slug}: a former holder wrote after its successor"
            times = [at for _, _, at, _ in cycles]
            assert times == sorted(times), f"{slug}: two wrote at once"
        half = self.rows(
            "select f.cluster_id, f.kind, f.cycle from collectors_frame f left join collectors_cycle y "
            "on y.cluster_id = f.cluster_id and y.number = f.cycle where y.id is null limit 3"
        )
        assert half == [], "frames without their cycle"
        bare = self.rows(
            "select y.cluster_id, y.number from collectors_cycle y where y.completeness > 0 and not exists (select 1 "
            "from collectors_frame f where f.cluster_id = y.cluster_id and f.cycle = y.number and f.kind = 'end') "
            "and y.number > (select max(z.number) - 100 from collectors_cycle z where z.cluster_id = y.cluster_id) "
            "limit 3"
        )
        assert bare == [], "cycles without their frames"
        chains: dict[int, list[tuple[str, str]]] = {}
        for alert, old, new in self.rows("select alert_id, old_state, new_state from dashboard_transition order by id"):
            chains.setdefault(alert, []).append((old, new))
        for chain in chains.values():
            for (_, reached), (left, _) in itertools.pairwise(chain):
                assert left == reached, f"a transition is lost or doubled: {chain}"
        states = dict(self.rows("select id, state from dashboard_alert"))
        # one that calmed before it had held is over, too: its row says resolved
        last = {alert: chain[-1][1].replace("inactive", "resolved") for alert, chain in chains.items()}
        assert last == states

    def subscriptions(self) -> int:
        """Processes that listen for hints at Redis."""
        from redis import Redis as Client

        with Client(port=self.redis.port) as client:
            channels = [
                name for name in client.pubsub_channels() if re.search(rb"group__streamgauge\.hints$", bytes(name))
            ]
            return sum(int(count) for _, count in client.pubsub_numsub(*channels)) if channels else 0


@dataclass
class Watcher:
    """A page's socket, read by a thread of its own: when which cycle came, and which events."""

    socket: RawSocket
    subs: tuple[str, ...]
    cycles: list[tuple[float, str, int]] = field(default_factory=list)  # when, cluster, cycle
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ended = threading.Event()
        self.socket.say(t="hello", subs=list(self.subs), seq=None)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            while not self.ended.is_set():
                said: Any = self.socket.hear()
                if said["t"] == "state":
                    self.cycles += [(time.time(), slug, one["cycle"]) for slug, one in said["clusters"].items()]
                else:
                    self.events += said["items"]
        except (AssertionError, OSError):
            self.ended.set()

    def close(self) -> None:
        self.ended.set()
        self.socket.close()

    def when(self, slug: str) -> dict[int, float]:
        """When the page first heard of each cycle."""
        first: dict[int, float] = {}
        for at, name, cycle in self.cycles:
            if name == slug:
                first.setdefault(cycle, at)
        return first

    def toasts(self, rule: str, state: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["type"] == "alert" and e["rule"] == rule and e["state"] == state]


class Receiver:
    """A webhook's address that keeps what it was sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append(orjson.loads(body) | {"key": self.headers["Idempotency-Key"]})
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def told(self, event: str, slug: str) -> list[str]:
        """Idempotency keys of the messages about a cluster."""
        return [one["key"] for one in self.got if one["event"] == event and one["cluster"]["slug"] == slug]
