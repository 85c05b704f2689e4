"""OAuth tokens by client credentials (RFC 6749, 4.4), fetched and renewed beside the client library's thread."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import urllib3
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider

from .settings import ConnectionSettings

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
MAX_ANSWER = 100_000
RENEW_SHARE = 0.8
AGAIN_SECONDS = 30.0
SPARED_SECONDS = 5.0
"""After a failure: an endpoint that is down is not asked again by every connection that is tried."""
ASSUMED_SECONDS = 300.0
"""How long a token counts whose end neither the answer nor the token itself tells."""


class TokenRefusedError(SaslAuthenticationFailedError):  # type: ignore[misc]  # the library has no types
    """The token endpoint knows the client or its secret not."""


class TokenUnavailableError(KafkaConnectionError):  # type: ignore[misc]  # the library has no types
    """The token endpoint was not reached or gave nothing that is a token."""


@dataclass(frozen=True, slots=True)
class Token:
    text: str = field(repr=False)
    fetched_at: float  # unix time
    expires_at: float
    subject: str


def fetch_token(settings: ConnectionSettings) -> Token:
    """Ask the token endpoint once; TokenRefusedError or TokenUnavailableError, neither of which quotes a secret."""
    context = ssl.create_default_context()
    if settings.ca_pem:
        context.load_verify_locations(cadata=settings.ca_pem)
    basic = base64.b64encode(f"{settings.oauth_client_id}:{settings.oauth_client_secret}".encode()).decode()
    fields = {"grant_type": "client_credentials"} | ({"scope": settings.oauth_scope} if settings.oauth_scope else {})
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        try:
            answer = pool.request(
                "POST",
                settings.token_url,
                fields=fields,
                encode_multipart=False,
                headers={"Authorization": f"Basic {basic}", "Accept": "application/json"},
                timeout=TIMEOUT_SECONDS,
                redirect=False,
                preload_content=False,
            )
            content = answer.read(MAX_ANSWER)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise TokenUnavailableError(f"token endpoint {settings.token_url}: {_plain(error)}") from None
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    told = body if isinstance(body, dict) else {}
    if answer.status != 200:
        name = str(told.get("error") or "")[:100]
        text = f"token endpoint {settings.token_url} answered {answer.status}" + (f", {name}" if name else "")
        if answer.status in (400, 401, 403):
            raise TokenRefusedError(text)
        raise TokenUnavailableError(text)
    token = told.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise TokenUnavailableError(f"token endpoint {settings.token_url}: the answer holds no access_token")
    return _token(token, told.get("expires_in"))


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]  # the library has no types
    """Keeps a token that has not expired. `token` never waits: it is called on the library's only thread."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._waiting: list[Callable[[BaseException | None], None]] = []
        self._failed: tuple[float, BaseException] | None = None  # monotonic
        self._is_fetching = False
        self._timer: threading.Timer | None = None
        self._closed = False

    def token(self) -> str:
        current = self._token
        if current is None or current.expires_at <= time.time():
            raise TokenUnavailableError(f"there is no valid token of {self._settings.token_url} yet")
        return current.text

    def extensions(self) -> dict[str, str]:
        return dict(self._settings.oauth_extensions)

    def ensure(self, done: Callable[[BaseException | None], None]) -> None:
        """Have `done` called, at once or from another thread, with None when there is a valid token."""
        with self._lock:
            current, failed = self._token, self._failed
            is_valid = current is not None and current.expires_at > time.time() + 1
            is_spared = failed is not None and time.monotonic() - failed[0] < SPARED_SECONDS
            if not is_valid and not is_spared:
                self._waiting.append(done)
                self._begin()
                return
        done(None if is_valid or failed is None else failed[1])

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _begin(self) -> None:
        if not self._is_fetching and not self._closed:
            self._is_fetching = True
            threading.Thread(target=self._fetch, name="kafka-token", daemon=True).start()

    def _renew(self) -> None:
        with self._lock:
            self._begin()

    def _fetch(self) -> None:
        failure: BaseException | None = None
        made: Token | None = None
        try:
            made = fetch_token(self._settings)
        except (TokenRefusedError, TokenUnavailableError) as error:
            failure = error
        except Exception as error:
            log.exception("asking for a token failed")
            failure = TokenUnavailableError(f"token endpoint {self._settings.token_url}: {type(error).__name__}")
        with self._lock:
            self._is_fetching = False
            waiting, self._waiting = self._waiting, []
            self._failed = (time.monotonic(), failure) if failure is not None else None
            if made is not None:
                self._token = made
                again = max(1.0, RENEW_SHARE * (made.expires_at - made.fetched_at))
            else:
                again = AGAIN_SECONDS
            # a token that was never had is fetched with the next connection; one that is had is kept fresh
            if self._token is not None and not self._closed:
                self._timer = threading.Timer(again, self._renew)
                self._timer.daemon = True
                self._timer.start()
        for done in waiting:
            done(failure)


def _token(text: str, expires_in: Any) -> Token:
    """The end is told by the answer, else by the token itself (a JWT, read but not checked: the broker does)."""
    now = time.time()
    claims: dict[str, Any] = {}
    parts = text.split(".")
    if len(parts) == 3:
        try:
            found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
            claims = found if isinstance(found, dict) else {}
        except (ValueError, binascii.Error):
            pass
    ends = [now + expires_in] if isinstance(expires_in, int | float) and 0 < expires_in < 1e9 else []
    if isinstance(claims.get("exp"), int | float):
        ends.append(float(claims["exp"]))
    return Token(text, now, min(ends, default=now + ASSUMED_SECONDS), str(claims.get("sub") or "")[:200])


def _plain(error: BaseException) -> str:
    """The reason without the library's wrapping."""
    inner: object = error
    while isinstance(inner, urllib3.exceptions.MaxRetryError) and inner.reason is not None:
        inner = inner.reason
    if isinstance(inner, urllib3.exceptions.NameResolutionError):
        return "no such host"
    if isinstance(inner, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(inner, urllib3.exceptions.NewConnectionError):
        return "connection refused or no route"
    if isinstance(inner, urllib3.exceptions.SSLError | ssl.SSLError):
        return "its certificate is not trusted, or it does not speak TLS"
    return type(inner).__name__
