"""Prepares a fresh machine with nothing but Python >= 3.11: uv, then the locked dependencies, into .venv.

Run by make; uses the standard library only. Nothing is done twice: a stamp holds the lock's hash.
"""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".cache" / "uv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "locked.sha256"
UV_MB, PACKAGES_MB, KAFKA_MB = 25, 250, 45
TRIES = 3


def main() -> None:
    check_python()
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == digest and venv_python(VENV).exists():
        return
    print(
        f"Streamgauge installs what it needs into this folder, nothing elsewhere:\n"
        f"  .venv    locked Python packages, a Java runtime among them, about {PACKAGES_MB} MB to download\n"
        f"  .cache   uv ({UV_MB} MB) and, for the demo and the tests, Apache Kafka ({KAFKA_MB} MB)",
        flush=True,
    )
    uv = find_uv()
    if not venv_python(VENV).exists():
        run([uv, "venv", "--quiet", "--python", sys.executable, str(VENV)])
    retry(
        # compiled now, on all cores, and not by each first start of the demo
        [uv, "pip", "sync", "--compile-bytecode", "--python", str(venv_python(VENV)), "--require-hashes", str(LOCK)],
        "fetching the locked packages",
    )
    STAMP.write_text(digest)


def check_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells an older Python's user
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: name another by make PYTHON=python3.12"
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(f"Python's venv is missing. Debian and Ubuntu: apt install python{version}-venv (or python3-venv)")


def venv_python(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def find_uv() -> str:
    """uv of the system, or one installed into a small environment of its own below .cache."""
    found = shutil.which("uv")
    if found:
        return found
    own = TOOLS / ("Scripts/uv.exe" if sys.platform == "win32" else "bin/uv")
    if not own.exists():
        run([sys.executable, "-m", "venv", str(TOOLS)])
        retry(
            [str(venv_python(TOOLS)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"],
            "fetching uv",
        )
    return str(own)


def run(command: list) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(f"failed with code {done.returncode}: {' '.join(command)}")


def retry(command: list, what: str) -> None:
    for attempt in range(1, TRIES + 1):
        if subprocess.run(command, check=False).returncode == 0:
            return
        if attempt < TRIES:
            print(f"{what} failed, try {attempt} of {TRIES}; the next one in {5 * attempt} s", flush=True)
            time.sleep(5 * attempt)
    sys.exit(f"{what} failed {TRIES} times. Is this machine offline? What was fetched is kept; run make again.")


if __name__ == "__main__":
    main()
