"""Runs the demo for an hour (or `--minutes`) and says whether memory, descriptors, threads and cycle time stay flat.

`python -m tests.bench.soak --minutes 60`: one row a minute, then a line a quantity with its slope, written to
`<data folder>/bench/soak.json`. The demo gets a temporary data folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.served import ROOT, wait_for
from tests.servers import free_port

from .lines import Line, line, table
from .proc import cpu_seconds, descriptor_count, resident_bytes, thread_count
from .visitor import Visitor

PROCESS_GOAL_MB = 250
WARM_SHARE = 0.25
"""The first quarter is left out of the slopes: caches and the history's window fill."""
GROWTH = {"memory": 0.05, "descriptors": 0.05, "threads": 0.0, "cycle": 0.2}
"""How much a quantity may grow from its second quarter to its last, as a share of it."""
PAGES = ("/", "/clusters/demo/groups/", "/clusters/demo/groups/payments/", "/clusters/demo/topics/orders/", "/metrics")
LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """The demo's process at one moment; `cycle_ms` is the median of the cycles since the look before."""

    minute: float
    memory_mb: float
    descriptors: int
    threads: int
    cycle_ms: float
    cpu_share: float
    database_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--act", default=None, help="an act of the demo (default: its loop of acts)")
    parser.add_argument("--output", type=Path, default=None, help="where the figures go (<data folder>/bench)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        looks = soak(Path(name), options.minutes, options.every, options.act)
    lines = judge(looks)
    print(table(f"soak, {options.minutes:g} minutes", lines))
    folder = options.output or Path(os.environ.get("STREAMGAUGE_DATA_DIR", ROOT / "var")) / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(json.dumps(lines, indent=1))


def soak(folder: Path, minutes: float, every: float, act: str | None) -> list[Look]:
    """A look every so many seconds at a demo with two readers: one who opens pages, and a scraper."""
    port = free_port()
    environment = {**os.environ, "STREAMGAUGE_DATA_DIR": str(folder), "STREAMGAUGE_PORT": str(port)}
    command = [sys.executable, "manage.py", "demo", *(["--act", act] if act else [])]
    with (folder / "demo.log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    ended = threading.Event()
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for("/healthz answers", lambda: _is_alive(base), seconds=150)
        database = folder / "streamgauge.sqlite3"
        wait_for("the first cycles", lambda: len(_cycles(database, 0)[0]) > 3, seconds=60)
        reader = threading.Thread(target=_read_pages, args=(port, environment, ended), daemon=True)
        reader.start()
        return _look(process, database, minutes, every)
    finally:
        ended.set()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _look(process: subprocess.Popen[bytes], database: Path, minutes: float, every: float) -> list[Look]:
    looks: list[Look] = []
    began, last, before = time.monotonic(), 0, (time.monotonic(), cpu_seconds(process.pid))
    print("minute  memory MB  descriptors  threads  cycle ms  CPU %  database MB", flush=True)
    while (at := (time.monotonic() - began) / 60) < minutes:
        time.sleep(min(every, max(1.0, 60 * (minutes - at))))
        if process.poll() is not None:
            raise RuntimeError(f"the demo ended with {process.returncode}")
        found, last = _cycles(database, last)
        now, cpu = time.monotonic(), cpu_seconds(process.pid)
        look = Look(
            minute=(now - began) / 60,
            memory_mb=resident_bytes(process.pid) / 1e6,
            descriptors=descriptor_count(process.pid),
            threads=thread_count(process.pid),
            cycle_ms=statistics.median(found) if found else float("nan"),
            cpu_share=(cpu - before[1]) / (now - before[0]),
            database_mb=sum(part.stat().st_size for part in database.parent.glob("streamgauge.sqlite3*")) / 1e6,
        )
        before = now, cpu
        looks.append(look)
        print(
            f"{look.minute:6.1f} {look.memory_mb:10.1f} {look.descriptors:12} {look.threads:8} {look.cycle_ms:9.1f}"
            f" {100 * look.cpu_share:6.1f} {look.database_mb:12.1f}",
            flush=True,
        )
    return looks


def judge(looks: Sequence[Look]) -> list[Line]:
    """A line a quantity: its median in the last quarter against that in the second, and the slope after the first."""
    if len(looks) < 8:
        raise RuntimeError(f"{len(looks)} looks say nothing about a slope: give it more minutes")
    steady = looks[int(len(looks) * WARM_SHARE) :]
    quarter = max(1, len(looks) // 4)
    lines = [
        line("memory of the demo's process, highest", max(look.memory_mb for look in looks), "MB",
             goal=f"<= {PROCESS_GOAL_MB} MB", met=max(look.memory_mb for look in looks) <= PROCESS_GOAL_MB)
    ]  # fmt: skip
    for name, unit, of in (
        ("memory", "MB", lambda look: look.memory_mb),
        ("descriptors", "descriptors", lambda look: float(look.descriptors)),
        ("threads", "threads", lambda look: float(look.threads)),
        ("cycle", "ms", lambda look: look.cycle_ms),
    ):
        begin = statistics.median(of(look) for look in steady[:quarter])
        end = statistics.median(of(look) for look in steady[-quarter:])
        slope = 60 * statistics.linear_regression([k.minute for k in steady], [of(k) for k in steady]).slope
        lines.append(
            line(f"{name}, the last quarter against the second ({slope:+.3g} {unit} an hour)", end, unit,
                 baseline=begin, goal=f"grows by {GROWTH[name]:.0%} at most", met=end <= begin * (1 + GROWTH[name]))
        )  # fmt: skip
    lines.append(line("CPU of the demo's process, median", 100 * statistics.median(k.cpu_share for k in looks), "%"))
    return lines


def _read_pages(port: int, environment: dict[str, str], ended: threading.Event) -> None:
    made = subprocess.run(
        [sys.executable, "manage.py", "signinlink", "--port", str(port)],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    visitor = Visitor(port)
    visitor.sign_in(made.stdout.split()[-1])
    turn = 0
    while not ended.wait(LOOK_SECONDS):
        try:
            visitor.fetch(PAGES[turn % len(PAGES)])
        except OSError:
            visitor.close()  # the next fetch connects anew
        turn += 1


def _cycles(database: Path, after: int) -> tuple[list[float], int]:
    """Milliseconds of each cycle with a number above `after`, and the newest number."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20)
    try:
        found = connection.execute(
            "SELECT number, (julianday(ended_at) - julianday(started_at)) * 86400000 FROM collectors_cycle"
            " WHERE number > ? ORDER BY number",
            [after],
        ).fetchall()
    except sqlite3.OperationalError:
        return [], after
    finally:
        connection.close()
    return [float(took) for _, took in found], max([number for number, _ in found], default=after)


def _is_alive(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
