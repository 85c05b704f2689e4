"""The steps that make the image, run in an empty environment, and the program that comes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.served import wait_for
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()


def steps() -> list[str]:
    """The shell lines between the marks, in order."""
    parts = re.findall(r"# image:begin \w+\n(.*?)# image:end", DOCKERFILE, re.DOTALL)
    lines = [line for part in parts for line in part.splitlines() if line and not line.startswith("#")]
    assert all(line.startswith("RUN ") for line in lines), lines
    return [line.removeprefix("RUN ") for line in lines]


@pytest.mark.long
def test_the_images_steps_make_a_program_that_serves_and_writes_only_its_data_folder(tmp_path: Path) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".cache" / "uv" / "bin"))
    assert uv, "make install leaves uv in .cache/uv"
    app = tmp_path / "app"
    app.mkdir()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in line.split():
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, app / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, app / name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STREAMGAUGE", "DJANGO"))}
    environment.pop("DATABASE_URL", None)
    environment |= {
        "PATH": f"{Path(uv).parent}:{environment['PATH']}",
        "VENV": str(tmp_path / "venv"),
        "APP": str(app),
        "VIRTUAL_ENV": "",
    }
    for step in steps():
        done = subprocess.run(
            ["sh", "-ec", step], cwd=app, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"
    python = tmp_path / "venv" / "bin" / "python"
    packages = subprocess.run(
        [uv, "pip", "list", "--python", str(python)], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "django " in packages.lower()
    assert "pytest" not in packages, "nothing that only development needs"

    before = {path for path in app.rglob("*") if path.is_file()}
    port = free_port()
    running = subprocess.Popen(
        [python, "manage.py", "serve", "--port", str(port)],
        cwd=app,
        env={**environment, "STREAMGAUGE_DATA_DIR": str(tmp_path / "data"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        page = wait_for("the sign-in page", lambda: fetched(f"{base}/signin/"), seconds=60)
        styles = re.search(r'href="(/static/[^"]+\.css)"', page)
        assert styles
        assert re.search(r"\.[0-9a-f]{12}\.css$", styles[1]), "hashed names"
        assert fetched(base + styles[1])
        wait_for("ready", lambda: fetched(f"{base}/readyz"), seconds=30)
    finally:
        running.terminate()
        running.wait(20)
    written = {str(path.relative_to(app)) for path in app.rglob("*") if path.is_file()} - {
        str(path.relative_to(app)) for path in before
    }
    assert written == set(), "on a read-only root these could not be written"


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
