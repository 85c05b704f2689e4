"""Encryption of stored credentials: a key from STREAMGAUGE_SECRET_KEY or a 0600 file, Fernet around JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken


class SecretUnreadableError(Exception):
    """The stored secret was written with another key."""


def load_or_make_key(data_dir: Path, from_environment: str | None) -> str:
    """The instance's key: the environment's, else `secret.key` in the data folder, made at first start."""
    if from_environment:
        return from_environment
    path = data_dir / "secret.key"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as handle:
            handle.write(Fernet.generate_key().decode())
        try:
            os.link(path.with_suffix(".new"), path)  # the first of two processes wins
        except FileExistsError:
            pass
        finally:
            path.with_suffix(".new").unlink(missing_ok=True)
    return path.read_text().strip()


def _fernet(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"streamgauge stored secrets\0" + key.encode()).digest()))


def encrypt(value: dict[str, Any], key: str) -> bytes:
    return _fernet(key).encrypt(json.dumps(value).encode())


def decrypt(blob: bytes, key: str) -> dict[str, Any]:
    """The value that `encrypt` got; SecretUnreadableError when the key is not the one it was written with."""
    try:
        value = json.loads(_fernet(key).decrypt(bytes(blob)))
    except InvalidToken:
        raise SecretUnreadableError(
            "stored credentials cannot be decrypted: STREAMGAUGE_SECRET_KEY (or secret.key in the data folder) "
            "is not the key they were written with"
        ) from None
    if not isinstance(value, dict):
        raise SecretUnreadableError("stored credentials are not an object")
    return value
