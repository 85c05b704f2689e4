"""Pid files believe only what is ours, and a folder has one user."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collectors.demo.processes import (
    FolderInUseError,
    PidFile,
    command_line,
    is_running,
    only_user_of,
    send,
    wait_until_gone,
)

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Python that says "up" and then waits for ever; ended after the test."""
    started = []

    def make(*words: str, first: str = "") -> subprocess.Popen[bytes]:
        code = f"{first}\nimport time; print('up', flush=True); time.sleep(600)"
        process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()
        process.communicate()


def test_only_a_process_with_our_mark_is_left_over_from_us(tmp_path: Path, start: Start) -> None:
    ours, stranger, ended = start("-Dstreamgauge.folder=/x"), start("another program"), start("-Dstreamgauge.folder=/x")
    ended.kill()
    ended.wait()
    pids = PidFile(tmp_path / "pids", marker="-Dstreamgauge.folder=/x")
    for name, process in {"node-1": ours, "node-2": stranger, "node-3": ended}.items():
        pids.add(name, process.pid)
    assert pids.left_over() == {"node-1": ours.pid}
    assert pids.end_left_over() == {"node-1": ours.pid}
    assert ours.wait(5) == -signal.SIGKILL
    assert stranger.poll() is None, "its pid was given out again: not ours to end"
    assert pids.read() == {}


def test_a_left_over_that_hangs_is_ended_too(tmp_path: Path, start: Start) -> None:
    hangs = start("mark", first="import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    send(hangs.pid, signal.SIGSTOP)
    pids = PidFile(tmp_path / "pids", marker="mark")
    pids.add("node-1", hangs.pid)
    assert pids.end_left_over() == {"node-1": hangs.pid}
    assert hangs.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("text", ["", "node-1\n", "node-1 12x\nnode-2 \n", "\x00\x00\n", "node-1 99999999\n"])
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "pids").write_text(text)
    assert PidFile(tmp_path / "pids", marker="mark").left_over() == {}


def test_an_empty_pid_file_is_no_file(tmp_path: Path) -> None:
    pids = PidFile(tmp_path / "pids", marker="mark")
    pids.add("node-1", 1)
    pids.add("traffic", 2)
    pids.remove("node-1")
    assert pids.read() == {"traffic": 2}
    pids.remove("traffic")
    assert not pids.path.exists()


def test_a_process_that_nobody_collected_does_not_run(start: Start) -> None:
    process = start()
    assert is_running(process.pid)
    process.kill()
    assert wait_until_gone([process.pid], seconds=5), "a zombie counts as gone"
    assert command_line(process.pid) == ""


def test_a_second_user_of_a_folder_is_told_who_is_the_first(tmp_path: Path, start: Start) -> None:
    first = start(
        first=f"from pathlib import Path\nfrom collectors.demo.processes import only_user_of\n"
        f"held = only_user_of(Path({str(tmp_path)!r})); held.__enter__()"
    )
    with pytest.raises(FolderInUseError, match=rf"in use by process {first.pid}\. .*STREAMGAUGE_DATA_DIR"):
        only_user_of(tmp_path).__enter__()
    first.kill()
    first.wait()
    with only_user_of(tmp_path):
        pass
