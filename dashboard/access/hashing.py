"""Argon2id as OWASP's cheat sheet sizes it, and at most two at a time: a flood of sign-ins must not eat the memory."""

from __future__ import annotations

import threading

from django.contrib.auth.hashers import Argon2PasswordHasher

_AT_ONCE = threading.BoundedSemaphore(2)


class BoundedArgon2Hasher(Argon2PasswordHasher):
    """19 MiB and two passes, where Django's default takes 100 MiB and eight threads for each try."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _AT_ONCE:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _AT_ONCE:
            return super().verify(password, encoded)
