"""Bench: history as the issue's table. `python -m tests.bench history`; PostgreSQL and Prometheus where installed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from tests.servers import Postgres, ServerMissingError, free_port

from . import encoding
from .history_stored import DAY, INTERVAL
from .lines import Line, at_most, line

TOPIC = "topic-00004"
PART_SECONDS = 1500
START_SECONDS = 90.0
SLUG = "day"


def run() -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="streamgauge-bench-") as name:
        folder = Path(name)
        sqlite = stored("day", folder / "sqlite")
        postgres = _on_postgres(folder)
        served, encoded = _served(folder / "sqlite", sqlite)
        prometheus = _prometheus(folder, np.load(folder / "sqlite" / "saved.npy"), sqlite["begin"])
        stored("large", folder / "large")
        large = stored("compact", folder / "large")
        month = stored("month", folder / "month")
        demo = stored("demo", folder / "demo")
    return [
        *_sizes(sqlite, postgres),
        *_ingest(sqlite, postgres),
        *_reads(sqlite, postgres, served, prometheus),
        *encoded,
        *_months(month, sqlite),
        *_compaction(sqlite, postgres, large),
        *_growth(demo, sqlite),
    ]


def stored(part: str, folder: Path, *, url: str = "") -> dict[str, Any]:
    """Run one part of `history_stored` in a process of its own."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "STREAMGAUGE_DATA_DIR": str(folder)}
    environment.pop("DATABASE_URL", None)
    if url:
        environment["DATABASE_URL"] = url
    command = [sys.executable, "-m", "tests.bench.history_stored", part]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=PART_SECONDS, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{part}{' on PostgreSQL' if url else ''}: {found}", file=sys.stderr, flush=True)
    return found


def _on_postgres(folder: Path) -> dict[str, Any] | None:
    try:
        with Postgres() as server:
            return stored("day", folder / "postgres", url=server.create("bench"))
    except ServerMissingError:
        return None


class _Asked:
    """One kept connection; how long whole answers took, in milliseconds."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def once(self, path: str) -> bytes:
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {body[:200]!r}")
        return body

    def median(self, path: str, times: int = 20) -> float:
        self.once(path)
        taken = []
        for _ in range(times):
            since = time.perf_counter()
            self.once(path)
            taken.append((time.perf_counter() - since) * 1000)
        return statistics.median(taken)


@contextmanager
def _running(command: list[str], port: int, ready: str, environment: dict[str, str]) -> Iterator[_Asked]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
            with suppress(OSError, RuntimeError, http.client.HTTPException):
                _Asked(port).once(ready)
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not answer {ready}")
            time.sleep(0.2)
        yield _Asked(port)
    finally:
        process.terminate()
        process.wait(20)


def _served(folder: Path, day: dict[str, Any]) -> tuple[dict[str, float], list[Line]]:
    """The chart of a topic from the web process, as a page asks for it and as many points as it may ask for; and what
    its two encodings cost."""
    port, begin = free_port(), day["begin"]
    environment = {**os.environ, "STREAMGAUGE_DATA_DIR": str(folder), "STREAMGAUGE_OPEN_READ_ONLY": "1"}
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    span = {"from": round(begin * 1000), "to": round((begin + DAY) * 1000)}
    with _running(command, port, "/healthz", environment) as asked:
        found = {}
        for name, points in (("chart", 600), ("samples", 2000)):
            query = urlencode({"subject": "t", "name": TOPIC, "what": "rate", **span, "points": points})
            found[name] = asked.median(f"/clusters/{SLUG}/series/?{query}&format=columns")
        both = [asked.once(f"/clusters/{SLUG}/series/?{query}&format={one}") for one in ("json", "columns")]
    return found, encoding.lines(*both)


def _prometheus(folder: Path, saved: np.ndarray, begin: float) -> dict[str, float] | None:
    """The first topics in Prometheus: bytes a sample, and the same topic asked for."""
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        return None
    text, data = folder / "samples.txt", folder / "prometheus"
    times = [f"{begin + INTERVAL * (i + 1):.3f}" for i in range(len(saved))]
    with text.open("w") as file:
        file.write("# TYPE kafka_end gauge\n")
        for series in range(saved.shape[1]):
            labels = f'kafka_end{{topic="topic-{series // 100:05}",partition="{series % 100}"}}'
            numbers = saved[:, series].tolist()
            file.writelines(f"{labels} {number} {at}\n" for number, at in zip(numbers, times, strict=True))
        file.write("# EOF\n")
    made = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, timeout=PART_SECONDS)
    text.unlink()
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    (folder / "prometheus.yml").write_text("{}\n")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=60d",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running(command, port, "/-/ready", dict(os.environ)) as asked:

        def ask(expression: str, step: float) -> float:
            span = {"start": begin + INTERVAL, "end": begin + DAY, "step": step}
            return asked.median(f"/api/v1/query_range?{urlencode({'query': expression, **span})}")

        selector = f'kafka_end{{topic="{TOPIC}"}}'
        return {
            "bytes": size / saved.size,
            "sum": ask(f"sum({selector})", INTERVAL),
            "rate": ask(f"sum(rate({selector}[1m]))", INTERVAL),
            "chart": ask(f"sum(rate({selector}[1m]))", DAY / 600),
        }


def _sizes(sqlite: dict[str, Any], postgres: dict[str, Any] | None) -> list[Line]:
    lines = [at_most("bytes a sample after compaction, SQLite", sqlite["block_bytes"], "bytes", 1.0)]
    size = postgres["block_bytes"] if postgres else None
    lines.append(at_most("bytes a sample after compaction, PostgreSQL", size, _unit("bytes", postgres), 1.1))
    return lines


def _unit(unit: str, found: object, missing: str = "PostgreSQL") -> str:
    return unit if found else f"{unit} ({missing} is not installed)"


def _ingest(sqlite: dict[str, Any], postgres: dict[str, Any] | None) -> list[Line]:
    out = []
    for name, found in (("SQLite", sqlite), ("PostgreSQL", postgres)):
        value = found["ingest_per_cpu"] if found else None
        baseline = found["rows_per_cpu"] if found else None
        out.append(
            line(
                f"durable ingest of frames, {name}, against bulk_create of rows",
                value,
                _unit("samples/CPU s", found),
                baseline=baseline,
                goal="ratio >= 200",
                met=None if value is None or baseline is None else value >= 200 * baseline,
            )
        )
    return out


def _reads(
    sqlite: dict[str, Any],
    postgres: dict[str, Any] | None,
    served: dict[str, float],
    prometheus: dict[str, float] | None,
) -> list[Line]:
    def compared(name: str, value: float, other: str, goal: float | None) -> Line:
        baseline = prometheus[other] if prometheus else None
        met = None if goal is None or baseline is None else value * goal <= baseline
        said = None if goal is None else f"Prometheus >= {goal:g} times as long"
        return line(name, value, _unit("ms", prometheus, "Prometheus"), baseline=baseline, goal=said, met=met)

    hundred = f"topic of 100 partitions, 24 h at {INTERVAL:g} s, HTTP to bytes (Prometheus holds 10 of the 100 topics)"
    return [
        compared(f"{hundred}: rate in 600 points from both", served["chart"], "chart", 5),
        compared(f"{hundred}: rate in 600 points, Prometheus in 5 760", served["chart"], "rate", None),
        compared(
            f"{hundred}: every sample read, 2 000 points, Prometheus sum() in 5 760", served["samples"], "sum", None
        ),
        line(
            "the same in the program, without HTTP: chart / every sample",
            sqlite["chart_ms"],
            f"ms / {sqlite['samples_ms']:.1f} ms",
        ),
        at_most("the same topic's last 2 h out of frames", sqlite["two_hours_ms"], "ms", 25),
        at_most("the same, PostgreSQL", postgres["two_hours_ms"] if postgres else None, _unit("ms", postgres), 25),
        at_most("sum of 10 000 series over 24 h, as its minutes hold it", sqlite["sum_ms"], "ms", 1000),
        line("10 000 series over 24 h, every sample read topic by topic", sqlite["sum_of_samples_ms"], "ms"),
        line("the 5 busiest of 100 topics over 24 h, nothing kept in memory", sqlite["top_ms"], "ms"),
    ]


def _months(month: dict[str, Any], day: dict[str, Any]) -> list[Line]:
    return [
        at_most(f"30-day chart of a group, {month['points']} points", month["group_ms"], "ms", 100),
        at_most("30-day chart of a cluster's sum", month["sum_ms"], "ms", 100),
        line("rolling up a minute of 10 000 counters", day["rolling_cpu_a_minute_ms"], "ms CPU"),
    ]


def _compaction(sqlite: dict[str, Any], postgres: dict[str, Any] | None, large: dict[str, Any]) -> list[Line]:
    hold = postgres["longest_hold_ms"] if postgres else None
    return [
        at_most("longest hold of the writer during compaction, SQLite", sqlite["longest_hold_ms"], "ms", 200),
        at_most("longest hold of the writer, 100 000 positions", large["longest_hold_ms"], "ms", 200),
        at_most("longest hold of the writer during compaction, PostgreSQL", hold, _unit("ms", postgres), 200),
        at_most("compaction of 2 h at 100 000 positions, CPU", large["cpu"], "s", 60),
        at_most(f"the same, peak memory ({large['before'] / 1e6:.0f} MB before)", large["peak"] / 1e6, "MB", 150),
        line("compaction of a day of 10 000 counters, CPU", sqlite["compaction_cpu"], "s"),
    ]


def _growth(demo: dict[str, Any], day: dict[str, Any]) -> list[Line]:
    """What a day at the demo's size adds, and a year: samples for 7 days, rollups of owners for their time."""
    said = f"MB (frames alone {demo['frames'] / 1e6:.0f} MB)"
    lines = [
        line("database growth at the demo's size, a day", demo["compacted"] / 1e6, said),
        line("rolling up a minute at the demo's size, ages included", demo["rolling_cpu_a_minute_ms"], "ms CPU"),
    ]
    for partitions, owners in ((1_000, {"topic": 80, "group": 20}), (100_000, {"topic": 5_000, "group": 1_000})):
        # ends and commits of every partition each cycle; log starts and sizes, once a minute, are a tenth of that
        samples = partitions * 2.2 * DAY / 5.0 * 7 * day["block_bytes"]
        minutes = coarser = 0.0
        for family, count in owners.items():
            minute, ten, hour = demo[family]
            minutes += count * 12 * 30 * minute
            coarser += count * (90 * ten + 12 * hour)
        said = f"{owners['topic']} topics, {owners['group']} groups"
        name = f"database after a year, {partitions} partitions read once, {said}, 5 s"
        parts = f"samples {samples / 1e9:.2f}, minutes {minutes / 1e9:.2f}, coarser {coarser / 1e9:.2f}"
        lines.append(line(name, (samples + minutes + coarser) / 1e9, f"GB ({parts})"))
    return lines
