"""Kafka's pinned jars: fetched once into the cache folder, checked by size and sha256, never resolved at run time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

KAFKA_VERSION = "4.3.1"
ATTEMPTS = 4
PROJECT_DIR = Path(__file__).resolve().parents[2]

Say = Callable[[str], None]
Fetch = Callable[["Jar", Path], Path]  # (jar, empty folder) -> the file as it came


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


class DownloadFailedError(Exception):
    """Some jars could not be had; the message names them, the reason and what to do."""


def _read_list(name: str) -> tuple[Jar, ...]:
    jars = []
    for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            coordinates, size, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, int(size), sha256))
    return tuple(jars)


BROKER_JARS = _read_list("jars.txt")
OLDER = {version: _read_list(f"jars-{version}.txt") for version in ("3.7.2", "4.0.1")}
"""Kafkas that only tests start: what people have, beside the one that the demo runs."""
# Kafka's own kafka-consumer-groups class lives here; only tests ask for it.
TOOLS_JARS = (
    Jar(
        "org.apache.kafka",
        "kafka-tools",
        KAFKA_VERSION,
        698668,
        "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c",
    ),
)


def default_cache_dir() -> Path:
    """STREAMGAUGE_CACHE_DIR, else `.cache` in the project; what Django's settings say too."""
    return Path(os.environ.get("STREAMGAUGE_CACHE_DIR") or PROJECT_DIR / ".cache").absolute()


def jar_dir(cache_dir: Path, version: str = KAFKA_VERSION) -> Path:
    return cache_dir / f"kafka-{version}"


def broker_jars(version: str = KAFKA_VERSION) -> tuple[Jar, ...]:
    """All that a broker of this version needs; KeyError for one that is not pinned."""
    return BROKER_JARS if version == KAFKA_VERSION else OLDER[version]


def missing(cache_dir: Path, jars: Iterable[Jar] = BROKER_JARS, version: str = KAFKA_VERSION) -> list[Jar]:
    """The jars that are not in the cache with the right size; a file gets its name only once its hash was right."""
    folder = jar_dir(cache_dir, version)
    return [jar for jar in jars if not _has_size(folder / jar.file_name, jar.size)]


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def fetch_missing(
    cache_dir: Path,
    jars: Iterable[Jar] = BROKER_JARS,
    *,
    version: str = KAFKA_VERSION,
    say: Say = print,
    fetch: Fetch | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Path]:
    """Make sure that all `jars` are in the cache, and return their paths in order.

    Nothing is fetched twice and nothing is asked of the network when all are there. Each jar is tried
    `ATTEMPTS` times, also when it came with the wrong bytes. Raises DownloadFailedError.
    """
    wanted = list(jars)
    folder = jar_dir(cache_dir, version)
    todo = missing(cache_dir, wanted, version)
    if todo:
        folder.mkdir(parents=True, exist_ok=True)
        total = sum(jar.size for jar in todo)
        say(f"Fetching {len(todo)} jars of Apache Kafka {version}, {total / 1e6:.0f} MB, into {folder}")
        _fetch_all(todo, folder, total, say=say, fetch=fetch or _fetch_with_jgo, pause=pause)
    return [folder / jar.file_name for jar in wanted]


def _fetch_all(
    todo: list[Jar], folder: Path, total: int, *, say: Say, fetch: Fetch, pause: Callable[[float], None]
) -> None:
    failed: list[str] = []
    done_bytes = 0
    given_up = threading.Event()
    pool = ThreadPoolExecutor(4, thread_name_prefix="jars")
    try:
        running = {pool.submit(_fetch_one, jar, folder, say, fetch, pause, given_up): jar for jar in todo}
        for number, future in enumerate(as_completed(running), start=1):
            jar = running[future]
            problem = future.result()
            if problem:
                failed.append(f"{jar.coordinates}: {problem}")
                continue
            done_bytes += jar.size
            say(
                f"  [{number:2}/{len(todo)}] {jar.file_name} {jar.size / 1e6:.1f} MB"
                f" ({done_bytes / 1e6:.0f} of {total / 1e6:.0f} MB)"
            )
    finally:
        given_up.set()  # Ctrl-C: what waits is not begun, what runs is not tried again
        pool.shutdown(cancel_futures=True)
    if failed:
        raise DownloadFailedError(
            f"{len(failed)} of {len(todo)} jars could not be fetched after {ATTEMPTS} tries each:\n  "
            + "\n  ".join(sorted(failed))
            + f"\nWhat did arrive is kept in {folder}. Check the network (HTTPS_PROXY is honoured) and run it again."
        )


def _fetch_one(
    jar: Jar, folder: Path, say: Say, fetch: Fetch, pause: Callable[[float], None], given_up: threading.Event
) -> str:
    """Fetch one jar into `folder`; returns "" or why it did not work."""
    problem = ""
    for attempt in range(1, ATTEMPTS + 1):
        # On the same file system as its place, so that the last step is one rename: a half file never has the name.
        staging = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
        try:
            came = fetch(jar, staging)
            problem = _what_is_wrong_with(came, jar)
            if not problem:
                os.replace(came, folder / jar.file_name)
                return ""
        except Exception as error:  # noqa: BLE001 - whatever the network client raises is a failed try, told in words
            problem = f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(staging)
        if given_up.is_set():
            return problem
        if attempt < ATTEMPTS:
            wait = 2.0 ** (attempt - 1)
            say(f"  {jar.file_name}: {problem}; trying again in {wait:.0f} s ({attempt} of {ATTEMPTS} tries)")
            pause(wait)
    return problem


def _what_is_wrong_with(path: Path, jar: Jar) -> str:
    size = path.stat().st_size
    if size != jar.size:
        return f"broken download, {size} bytes instead of {jar.size}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != jar.sha256:
        return f"wrong content, sha256 {digest[:16]}… instead of {jar.sha256[:16]}…"
    return ""


def _fetch_with_jgo(jar: Jar, folder: Path) -> Path:
    # Imported late: with a filled cache nothing needs the Maven client. It writes straight to the final name of its
    # own cache and takes a half file for a whole one next time, hence one empty cache per try.
    from jgo.maven import MavenContext

    context = MavenContext(repo_cache=folder, timeout=10)
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    return Path(artifact.resolve())
