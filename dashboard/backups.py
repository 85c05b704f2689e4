"""Copies of the database: of a SQLite file while it is used, of PostgreSQL by its own programs, and back again.

The key that stored credentials are encrypted with is never in a copy: see `key_words`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, connections

SQLITE_MAGIC = b"SQLite format 3\0"
POSTGRES_MAGIC = b"PGDMP"
UPGRADE_COPIES_KEPT = 3


class BackupError(Exception):
    """No copy was made, or none was brought back; the text says why, and what would help."""


def key_words() -> str:
    """Where the key is that a copy is useless without; never the key itself."""
    place = settings.INSTANCE_KEY.path
    where = f"the file {place}" if place is not None else "STREAMGAUGE_SECRET_KEY of the environment"
    return (
        f"The key of the stored credentials is not in it: keep {where} too, in another place. "
        "Without the key passwords of clusters and channels have to be typed again."
    )


def file_name(at: datetime) -> str:
    ending = "sqlite3" if connection.vendor == "sqlite" else "pgdump"
    return f"streamgauge-{at:%Y%m%d-%H%M%S}.{ending}"


def save(target: Path, *, overwrite: bool = False) -> int:
    """A consistent copy of the whole database in `target`, 0600, while others write; its size in bytes."""
    if target.exists() and not overwrite:
        raise BackupError(f"{target} is there already: give another name, or --overwrite")
    if not target.parent.is_dir():
        raise BackupError(f"the folder {target.parent} does not exist")
    with _private_part(target) as part:
        if connection.vendor == "sqlite":
            _require_room(part.parent, database_file().stat().st_size)
            copy_sqlite(database_file(), part)
        else:
            _run_postgres(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={part}"])
    return target.stat().st_size


def save_before_upgrade(at: datetime) -> Path:
    """A copy of the SQLite file in the data folder; older ones of the same kind go, but for the newest few."""
    folder = Path(settings.DATA_DIR) / "backups"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"before-upgrade-{at:%Y%m%d-%H%M%S-%f}.sqlite3"
    save(target)
    for old in sorted(folder.glob("before-upgrade-*.sqlite3"))[:-UPGRADE_COPIES_KEPT]:
        old.unlink()
    return target


def bring_back(source: Path) -> None:
    """Put the copy in the place of the present database, whole or not at all; BackupError for another database's."""
    kind = kind_of(source)
    if kind != connection.vendor:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        raise BackupError(
            f"{source} is of {names[kind]}, the database of this instance is {names[connection.vendor]}: "
            "a copy goes back only into its own kind (DATABASE_URL says which)"
        )
    if kind == "sqlite":
        check_sqlite(source)
        connections.close_all()
        copy_sqlite(source, database_file(), is_new=False)
        return
    connections.close_all()
    _restore_postgres(source)


def kind_of(source: Path) -> str:
    try:
        with source.open("rb") as file:
            first = file.read(len(SQLITE_MAGIC))
    except OSError as error:
        raise BackupError(f"{source} cannot be read: {error.strerror}") from None
    if first == SQLITE_MAGIC:
        return "sqlite"
    if first.startswith(POSTGRES_MAGIC):
        return "postgresql"
    raise BackupError(f"{source} is no copy made by `manage.py backup`: neither a SQLite file nor a dump of PostgreSQL")


def migrations_in(source: Path) -> set[tuple[str, str]]:
    """(app, name) of every migration that the copy's database had run."""
    if kind_of(source) == "sqlite":
        with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as found:
            try:
                return {(app, name) for app, name in found.execute("SELECT app, name FROM django_migrations")}
            except sqlite3.DatabaseError as error:
                raise BackupError(f"{source} holds no database of Streamgauge: {error}") from None
    text = _run_postgres(["pg_restore", "--data-only", "--table=django_migrations", "--file=-", str(source)])
    rows = (line.split("\t") for line in text.splitlines())
    found_rows = {(row[1], row[2]) for row in rows if len(row) == 4 and row[0].isdigit()}
    if not found_rows:
        raise BackupError(f"{source} holds no database of Streamgauge")
    return found_rows


def database_file() -> Path:
    return Path(str(connection.settings_dict["NAME"]))


def copy_sqlite(source: Path, target: Path, *, is_new: bool = True) -> None:
    """SQLite's own online copy, in one step and so of one moment; a target that is there is replaced as a whole."""
    with closing(sqlite3.connect(source, timeout=20)) as read, closing(sqlite3.connect(target, timeout=20)) as write:
        read.backup(write, pages=-1)
        if is_new:
            write.execute("PRAGMA journal_mode=DELETE")  # one file, without -wal beside it
    if is_new:
        check_sqlite(target)


def check_sqlite(file: Path) -> None:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as opened:
        try:
            said = [row[0] for row in opened.execute("PRAGMA quick_check(3)")]
        except sqlite3.DatabaseError as error:
            said = [str(error)]
    if said != ["ok"]:
        raise BackupError(f"{file} is damaged: {'; '.join(str(line) for line in said)[:300]}")


@contextmanager
def _private_part(target: Path) -> Iterator[Path]:
    """A file beside `target` that only its owner reads, and that takes the target's name once it is whole."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size * 1.1:
        raise BackupError(f"{folder} has {free / 1e6:.0f} MB free, the copy needs {size * 1.1 / 1e6:.0f} MB: make room")


def _address() -> dict[str, str]:
    """The database's address as PostgreSQL's programs take it; the password goes by the environment, not in view."""
    own = connection.settings_dict
    names = {"HOST": "PGHOST", "PORT": "PGPORT", "USER": "PGUSER", "PASSWORD": "PGPASSWORD", "NAME": "PGDATABASE"}
    address = {variable: str(own[name]) for name, variable in names.items() if own.get(name)}
    for option in ("sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "service"):
        if option in own.get("OPTIONS", {}):
            address[f"PG{option.upper()}"] = str(own["OPTIONS"][option])
    return address


PARTITIONED = ("collectors_block", "collectors_rollup")


def _restore_postgres(source: Path) -> None:
    """The script that pg_restore makes of a copy, run by psql in one transaction.

    pg_restore itself would drop the constraints of single partitions, which PostgreSQL refuses; so the partitioned
    tables go first, as a whole. What ends without COMMIT is rolled back, so half a script leaves everything as it was.
    """
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--file=-"]
    environment = {**os.environ, **_address()}
    with (
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as answered,
        subprocess.Popen(
            [_postgres_program("pg_restore"), *options, str(source)], stdout=subprocess.PIPE, stderr=said
        ) as script,
        subprocess.Popen(
            [_postgres_program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=answered,
        ) as run,
    ):
        assert script.stdout is not None
        assert run.stdin is not None
        with suppress(BrokenPipeError):  # psql has ended: what it said is told below
            run.stdin.write(f"BEGIN; DROP TABLE IF EXISTS {', '.join(PARTITIONED)} CASCADE;\n".encode())
            shutil.copyfileobj(script.stdout, run.stdin)
            script.stdout.close()
            if script.wait() == 0:
                run.stdin.write(b"\nCOMMIT;\n")
        with suppress(BrokenPipeError):
            run.stdin.close()
        script.stdout.close()
        for name, program, words in (("psql", run, answered), ("pg_restore", script, said)):
            if program.wait():
                words.seek(0)
                raise BackupError(f"{name} failed: {words.read().decode(errors='replace').strip()[-1000:]}")


def _run_postgres(command: Sequence[str]) -> str:
    name, *arguments = command
    done = subprocess.run(
        [_postgres_program(name), *arguments],
        env={**os.environ, **_address()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{name} failed: {done.stderr.strip()[-1000:]}")
    return done.stdout


def _postgres_program(name: str) -> str:
    found = shutil.which(name) or max(
        (str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")),
        key=lambda path: int(path.split("/")[4]),
        default=None,
    )
    if found is None:
        raise BackupError(
            f"{name} is not installed: it comes with PostgreSQL's client programs (Debian: postgresql-client)"
        )
    return found
