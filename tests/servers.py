"""PostgreSQL and Redis of a test's own: real servers on loopback, in temporary folders, that can be stopped and begun.

`python -m tests.servers COMMAND …` runs a command with DATABASE_URL of a PostgreSQL that lives as long as it does.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote, urlsplit

import psycopg
import redis
from psycopg import sql

START_SECONDS = 30.0


class ServerMissingError(Exception):
    """The server's program is not installed; the text names it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def postgres_binary(name: str) -> str:
    """The path of a program of PostgreSQL: on the PATH, or where Debian puts the newest version's."""
    found = shutil.which(name)
    if found is None:
        places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        found = str(places[-1]) if places else None
    if found is None:
        raise ServerMissingError("PostgreSQL")
    return found


class _Server:
    """A process in a folder and on a port of its own."""

    name = ""
    user: str | None = None

    def __init__(self) -> None:
        # not pytest's tmp_path: PostgreSQL runs as another user, who may not pass through root's folders
        self.folder = Path(tempfile.mkdtemp(prefix=f"streamgauge-{self.name}-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = self.spawn(self.command(), stdout=log)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, f"{self.name} ended: {self.log()}"
            assert time.monotonic() < deadline, f"{self.name} does not answer: {self.log()}"
            time.sleep(0.05)

    def spawn(self, command: Sequence[str], *, stdout: int | IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
        )

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def send(self, number: int) -> None:
        """A signal to every process of the server."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)  # PostgreSQL: fast shutdown; Redis: shutdown
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(_Server):
    """Without fsync: a test's data need not survive the machine."""

    name = "postgres"

    def __init__(self) -> None:
        binary = postgres_binary("initdb")
        super().__init__()
        if os.geteuid() == 0:  # it refuses root
            self.user = "postgres"
            try:
                account = pwd.getpwnam(self.user)
            except KeyError:
                raise ServerMissingError("PostgreSQL's user `postgres`") from None
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        made = self.spawn(
            [binary, "-D", "data", "-A", "trust", "-U", "streamgauge", "-E", "UTF8", "--locale=C", "-N"],
            stdout=subprocess.PIPE,
        )
        said, _ = made.communicate(timeout=60)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {said.decode(errors='replace')[-2000:]}")

    def command(self) -> Sequence[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 200,
        }
        settings = [f"-c{name}={value}" for name, value in options.items()]
        return [postgres_binary("postgres"), "-D", "data", *settings]

    def url(self, database: str = "postgres") -> str:
        return f"postgres://streamgauge@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def create(self, database: str) -> str:
        """A new, empty database; its URL."""
        return create_database(self.url(), database)


def create_database(url: str, database: str) -> str:
    """A new, empty database on the server of `url`; its URL."""
    with psycopg.connect(urlsplit(url)._replace(query="").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return urlsplit(url)._replace(path=f"/{database}", query="").geturl()


class Redis(_Server):
    """Keeps nothing on disk: what it held is gone after a restart, as in the worst case."""

    name = "redis"

    def __init__(self) -> None:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        if found is None:
            raise ServerMissingError("redis-server or valkey-server")
        self.binary = found
        super().__init__()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        return [self.binary, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def main(command: Sequence[str]) -> int:
    """Run the command beside a PostgreSQL; its exit code, or 1 when there is none and the machine promised one."""
    try:
        server = Postgres()
    except ServerMissingError as error:
        print(f"\n*** NOT RUN on PostgreSQL: {error} is not installed ***\n", file=sys.stderr)
        return int(os.environ.get("STREAMGAUGE_REQUIRE_SYSTEM") == "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the server would outlive us
    # a test's transaction stays open while it waits, which no page's may
    limits = quote("-c lock_timeout=60s")
    with server:
        address = f"{server.url()}?options={limits}"
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": address}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
