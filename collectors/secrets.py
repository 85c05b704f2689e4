"""Encryption of stored credentials: keys from STREAMGAUGE_SECRET_KEY or a 0600 file, Fernet around JSON."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

KEY_FILE = "secret.key"
SHORTEST_KEY = 16
SAMPLES = ("secret", "changeme", "change-me", "pleasechangeme", "django-insecure", "password", "example", "sample")


class SecretUnreadableError(Exception):
    """The stored secret was written with another key."""


class KeyRefusedError(ValueError):
    """A key from the environment that protects nothing."""


class Keyring:
    """The instance's keys: the first one writes, all of them read. Never shows a key.

    A key file is read again when it changes, so that a running server goes on after `manage.py rotatekey`.
    """

    def __init__(self, keys: Sequence[str], *, path: Path | None = None) -> None:
        self._keys = tuple(keys)
        self._path = path
        self._stamp = _stamp(path) if path else None

    @property
    def keys(self) -> tuple[str, ...]:
        if self._path is not None:
            with contextlib.suppress(OSError):  # gone or not readable any more: what was read before still holds
                stamp = _stamp(self._path)
                if stamp != self._stamp:
                    self._keys, self._stamp = _read(self._path), stamp
        return self._keys

    @property
    def first(self) -> str:
        return self.keys[0]

    @property
    def path(self) -> Path | None:
        """The key file; None when the environment gives the key."""
        return self._path

    def derived(self, use: str) -> list[str]:
        """A key for another use from each key, the writing one first."""
        return [hashlib.sha256(use.encode() + b"\0" + key.encode()).hexdigest() for key in self.keys]

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)}>"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not pickled")


def load_or_make_keys(data_dir: Path, from_environment: str | None, former: Sequence[str] = ()) -> Keyring:
    """The instance's keys: the environment's, else those in `secret.key` of the data folder, made at first start.

    `former` are keys that only read (STREAMGAUGE_SECRET_KEY_FALLBACKS). KeyRefusedError for a weak key.
    """
    if from_environment:
        _refuse_weak(from_environment)
        return Keyring([from_environment, *(key for key in former if key)])
    path = data_dir / KEY_FILE
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        # of two processes that start at once the first one wins
        _write_new(path, [Fernet.generate_key().decode()], settle=_link_if_free)
    return Keyring([*_read(path), *(key for key in former if key)], path=None if former else path)


def add_key(path: Path) -> None:
    """Put a fresh key before the others in a key file: it writes from now on, the others still read."""
    _write_new(path, [Fernet.generate_key().decode(), *_read(path)], settle=os.replace)


def drop_former_keys(path: Path) -> int:
    """Forget all keys of a key file but the first; returns how many."""
    keys = _read(path)
    _write_new(path, keys[:1], settle=os.replace)
    return len(keys) - 1


def _write_new(path: Path, keys: Sequence[str], *, settle: Callable[[Path, Path], None]) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(fd, "w") as handle:
            handle.write("\n".join(keys) + "\n")
            handle.flush()
            os.fsync(handle.fileno())  # a lost key is lost for ever
        settle(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _link_if_free(fresh: Path, path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)


def _read(path: Path) -> tuple[str, ...]:
    keys = tuple(line.strip() for line in path.read_text().splitlines() if line.strip())
    if not keys:
        raise KeyRefusedError(f"{path} is empty: put the key back from a backup, or delete the file to start anew")
    return keys


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def _refuse_weak(key: str) -> None:
    """Never quotes the key."""
    if len(key) < SHORTEST_KEY:
        raise KeyRefusedError(
            f"STREAMGAUGE_SECRET_KEY has {len(key)} characters; it needs at least {SHORTEST_KEY}: "
            "leave it out (a key file is made), or use the output of `openssl rand -base64 32`"
        )
    if any(key.lower().startswith(sample) for sample in SAMPLES) or len(set(key)) < 6:
        raise KeyRefusedError(
            "STREAMGAUGE_SECRET_KEY looks like a sample: leave it out (a key file is made), or use the output of "
            "`openssl rand -base64 32`"
        )


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"streamgauge stored secrets\0" + key.encode()).digest()))


def _fernets(keys: str | Keyring) -> MultiFernet:
    return MultiFernet([_fernet(key) for key in ([keys] if isinstance(keys, str) else keys.keys)])


def encrypt(value: dict[str, Any], key: str | Keyring) -> bytes:
    return _fernets(key).encrypt(json.dumps(value).encode())


def decrypt(blob: bytes, key: str | Keyring) -> dict[str, Any]:
    """The value that `encrypt` got; SecretUnreadableError when no key is the one it was written with."""
    try:
        value = json.loads(_fernets(key).decrypt(bytes(blob)))
    except InvalidToken:
        raise SecretUnreadableError(
            "stored credentials cannot be decrypted: STREAMGAUGE_SECRET_KEY (or secret.key in the data folder) "
            "is not the key they were written with"
        ) from None
    if not isinstance(value, dict):
        raise SecretUnreadableError("stored credentials are not an object")
    return value


def rewrite(blob: bytes, key: Keyring) -> bytes:
    """The same secret under the writing key; SecretUnreadableError as `decrypt`."""
    return encrypt(decrypt(blob, key), key)
