"""Kill -9 at any moment of rolling up and compacting loses nothing and doubles nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def kill(times: int, folder: Path, *, seconds: int) -> str:
    environment = {**os.environ, "STREAMGAUGE_DATA_DIR": str(folder), "PYTHONHASHSEED": "0"}
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, "-m", "tests.history.killed", str(times), "11"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.sqlite
@pytest.mark.slow
def test_ten_kills_in_compaction_lose_and_double_nothing(tmp_path: Path) -> None:
    assert "10 kills" in kill(10, tmp_path, seconds=300)


@pytest.mark.long
def test_two_hundred_kills_in_compaction_lose_and_double_nothing(tmp_path: Path) -> None:
    assert "200 kills" in kill(200, tmp_path, seconds=7200)
