"""What a process costs, as Linux counts it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def resident_bytes(pid: int) -> int:
    return _status(pid, "VmRSS") * 1024


def peak_resident_bytes(pid: int) -> int:
    return _status(pid, "VmHWM") * 1024


def thread_count(pid: int) -> int:
    return _status(pid, "Threads")


def descriptor_count(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _status(pid: int, name: str) -> int:
    for row in Path(f"/proc/{pid}/status").read_text().splitlines():
        key, _, value = row.partition(":")
        if key == name:
            return int(value.split()[0])
    raise LookupError(f"{name} of process {pid}")


@dataclass(frozen=True, slots=True)
class Meter:
    """CPU of some processes from the moment when it was made."""

    pids: tuple[int, ...]
    began: float
    before: tuple[float, ...]

    @classmethod
    def of(cls, pids: Iterable[int]) -> Meter:
        own = tuple(pids)
        return cls(own, time.monotonic(), tuple(cpu_seconds(pid) for pid in own))

    def cpu(self) -> float:
        """CPU seconds since then, all processes together."""
        return sum(cpu_seconds(pid) - before for pid, before in zip(self.pids, self.before, strict=True))

    def cpu_a_minute(self) -> float:
        """CPU seconds a minute since then."""
        return 60 * self.cpu() / (time.monotonic() - self.began)
