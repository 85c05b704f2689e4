"""Processes that outlive a killed parent: a pid file that the next start reads, and an end that always comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path


class FolderInUseError(Exception):
    """Another living command works with the same folder; the message names it."""


@contextlib.contextmanager
def only_user_of(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; FolderInUseError when another one holds it. A killed holder lets go by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "in-use").open("a+", encoding="ascii") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise FolderInUseError(
                f"{folder} is in use by process {handle.read().strip() or '?'}. Stop that one first, "
                "or give this one a folder of its own (STREAMGAUGE_DATA_DIR)."
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


class PidFile:
    """Which processes were started for a folder: lines of "name pid", rewritten whole by rename.

    A pid is believed only if its command line holds `marker`, a text that nobody else's processes have:
    process ids are given out again.
    """

    def __init__(self, path: Path, *, marker: str) -> None:
        self.path = path
        self.marker = marker

    def read(self) -> dict[str, int]:
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for line in self.path.read_text(encoding="utf-8").splitlines():
                name, _, pid = line.rpartition(" ")
                if name and pid.isdigit():
                    found[name] = int(pid)
        return found

    def add(self, name: str, pid: int) -> None:
        self._write({**self.read(), name: pid})

    def remove(self, name: str) -> None:
        self._write({other: pid for other, pid in self.read().items() if other != name})

    def _write(self, pids: dict[str, int]) -> None:
        if not pids:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(f"{name} {pid}\n" for name, pid in pids.items()), encoding="utf-8")
        os.replace(fresh, self.path)

    def left_over(self) -> dict[str, int]:
        """Those of the file that still run and are ours."""
        return {name: pid for name, pid in self.read().items() if self.marker in command_line(pid)}

    def end_left_over(self, *, seconds: float = 5.0) -> dict[str, int]:
        """End what a killed parent left; returns what was found. Nothing is asked nicely: nobody waits for it."""
        found = self.left_over()
        for pid in found.values():
            send(pid, signal.SIGKILL)
        wait_until_gone(found.values(), seconds=seconds)
        self._write({})
        return found


def command_line(pid: int) -> str:
    """The command line of a running process with spaces between its words; "" when there is none."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        if Path("/proc/self/cmdline").exists():
            return ""
        shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
        raw = shown.stdout
    return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()


def is_running(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be collected by its parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return command_line(pid) != ""  # a zombie has an empty one


def send(pid: int, what: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, what)


def wait_until_gone(pids: Iterable[int], *, seconds: float) -> bool:
    """Wait until none of `pids` runs; False when the time is over."""
    waiting = list(pids)
    end = time.monotonic() + seconds
    while waiting := [pid for pid in waiting if is_running(pid)]:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
