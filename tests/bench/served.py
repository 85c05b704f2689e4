"""Bench: a real `manage.py serve` on a real Kafka: CPU, memory, pages, /metrics, live pages, and what brokers pay."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from tests.e2e.served import Served, wait_for

from .lines import Line, at_most, line
from .peers import peer_lines
from .proc import Meter, peak_resident_bytes, resident_bytes
from .sockets import Crowd, Door, page_of_groups
from .stages import STAGES, Stage
from .visitor import Visitor

SLUG = "bench"
INTERVAL = 5.0
ALONE_SECONDS = 30.0
WATCHED_SECONDS = 60.0
PAGE_FETCHES = 40
SCRAPES = 20
SCRAPE_REST_SECONDS = 0.73  # beats with the cycles: scrapes come at all distances from the newest one
CROWDS = (1, 100, 500)
CROWD_SECONDS = 20.0
PROCESS_GOAL_MB = 250
"""At the demo's size."""
METRICS_GOAL_MS = 20.0


def run(size: str) -> list[Line]:
    with STAGES[size]() as stage, tempfile.TemporaryDirectory() as name:
        time.sleep(5)  # after its start a cluster is busy with itself
        alone = Meter.of(stage.broker_pids)
        time.sleep(ALONE_SECONDS)
        brokers_alone = alone.cpu_a_minute()
        served = Served(Path(name))
        served.manage("migrate", "-v0")
        served.manage(
            "addcluster", "Bench", "--slug", SLUG, "--interval", f"{INTERVAL:g}", "--bootstrap", stage.nodes.bootstrap
        )
        try:
            served.start()
            served.wait_alive()
            wait_for("the first cycles", lambda: served.last_cycle() > 3, seconds=60)
            ours, lines = _watched(stage, served, brokers_alone)
            visitor = Visitor(served.port)
            visitor.sign_in(served.manage("signinlink", "--port", str(served.port)).splitlines()[-1])
            lines += _pages(stage, visitor)
            lines += _metrics(stage, visitor)
            lines += _crowds(stage, served, visitor)
            lines += _memory(stage, served, "after all this")
            visitor.close()
        finally:
            served.stop()
        return lines + peer_lines(stage, INTERVAL, ours)


def _pid(served: Served) -> int:
    assert served.process is not None
    return served.process.pid


def _watched(stage: Stage, served: Served, brokers_alone: float) -> tuple[float, list[Line]]:
    """Nobody looks: what sampling, judging and storing cost. (CPU seconds a minute, lines)"""
    at = stage.title
    own, brokers = Meter.of([_pid(served)]), Meter.of(stage.broker_pids)
    time.sleep(WATCHED_SECONDS)
    ours, theirs = own.cpu_a_minute(), brokers.cpu_a_minute()
    every = f"every {INTERVAL:g} s"
    return ours, [
        line(f"{at}: CPU of serve, sampling {every}, no page open", ours, "s a minute"),
        line(f"{at}: CPU of the three brokers meanwhile; without us", theirs, "s a minute", baseline=brokers_alone),
        *_memory(stage, served, "sampling, no page open yet"),
    ]


def _memory(stage: Stage, served: Served, when: str) -> list[Line]:
    now, peak = (read(_pid(served)) / 1e6 for read in (resident_bytes, peak_resident_bytes))
    name = f"{stage.title}: memory of serve, {when}"
    return [
        at_most(name, now, "MB", PROCESS_GOAL_MB) if stage.title == "demo" else line(name, now, "MB"),
        line(f"{stage.title}: its highest so far", peak, "MB"),
    ]


def _pages(stage: Stage, visitor: Visitor) -> list[Line]:
    base = f"/clusters/{SLUG}/"
    pages = {
        "overview": "/",
        "groups": f"{base}groups/",
        "group": f"{base}groups/{quote(stage.group)}/",
        "topics": f"{base}topics/",
        "topic": f"{base}topics/{quote(stage.topic)}/",
        "alerts": "/alerts/",
    }
    lines = []
    for name, path in pages.items():
        visitor.fetch(path)
        median, slow, size = visitor.times(path, PAGE_FETCHES)
        lines.append(line(f"{stage.title}: page {name} while sampling: median ({size / 1e3:.0f} kB)", median, "ms"))
        lines.append(line(f"{stage.title}: page {name}: 95th percentile", slow, "ms"))
    return lines


def _metrics(stage: Stage, visitor: Visitor) -> list[Line]:
    _, body = visitor.fetch("/metrics", encoding="identity")
    lag_rows = body.count(b"\nstreamgauge_group_lag_messages{")
    median, slow, _ = visitor.times("/metrics", SCRAPES, rest_seconds=SCRAPE_REST_SECONDS)
    what = f"{stage.title}: /metrics over HTTP, gzip, {lag_rows} lag rows, {len(body) / 1e6:.2f} MB plain"
    return [
        at_most(f"{what}: median", median, "ms", METRICS_GOAL_MS),
        line(f"{stage.title}: /metrics: 95th percentile", slow, "ms"),
    ]


def _crowds(stage: Stage, served: Served, visitor: Visitor) -> list[Line]:
    """CPU that live pages add, a cycle a second, so that frames are many."""
    with sqlite3.connect(served.folder / "data" / "streamgauge.sqlite3", timeout=20) as database:
        database.execute("UPDATE collectors_cluster SET interval_seconds = 1")
    begun = served.last_cycle()
    wait_for("a cycle each second", lambda: served.last_cycle() > begun + 5, seconds=30)
    door = Door(served.port, visitor.cookie, page_of_groups(SLUG, stage.groups))
    return asyncio.run(_with_crowds(stage, _pid(served), door))


async def _with_crowds(stage: Stage, pid: int, door: Door) -> list[Line]:
    own = Meter.of([pid])
    await asyncio.sleep(CROWD_SECONDS)
    idle = own.cpu() / CROWD_SECONDS
    crowd, lines = Crowd(door), []
    try:
        for count in CROWDS:
            await crowd.grow_to(count)
            await asyncio.sleep(3)
            crowd.heard.frames = crowd.heard.bytes = crowd.heard.rows = 0
            own = Meter.of([pid])
            await asyncio.sleep(CROWD_SECONDS)
            cpu, heard = own.cpu() / CROWD_SECONDS, crowd.heard
            if heard.closed or not heard.frames:
                raise RuntimeError(f"{heard.closed} of {count} sockets were closed, {heard.frames} frames came")
            frames = heard.frames / CROWD_SECONDS
            what = f"{stage.title}: CPU a live frame and client, {count} clients of {len(door.subs) - 3} rows"
            lines.append(line(what, 1e6 * (cpu - idle) / frames, "us"))
            lines.append(
                line(
                    f"{stage.title}: the same: frames of {heard.bytes / heard.frames / 1e3:.1f} kB; CPU {cpu:.2f} s/s",
                    frames,
                    "frames a second",
                )
            )
    finally:
        await crowd.leave()
    return lines
