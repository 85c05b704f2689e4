"""An OAuth token endpoint on loopback: client credentials in, a signed token out, as an identity provider does it."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_ID = "demo"
ISSUER = "streamgauge-demo"
AUDIENCE = "kafka"


class TokenEndpoint:
    """Hands out RS256 tokens to the clients it knows; `keys` is what a broker checks them with."""

    def __init__(self, clients: dict[str, str], *, lifetime_seconds: int = 300, port: int = 0) -> None:
        self._clients = clients
        self.lifetime_seconds = lifetime_seconds
        self.asked = 0
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.endpoint = self
        self._thread = threading.Thread(target=self._server.serve_forever, name="demo-tokens", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/token"

    def keys(self) -> str:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        one = {"kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256", "n": _b64(_int(numbers.n)), "e": "AQAB"}
        return json.dumps({"keys": [one]})

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()

    def knows(self, client: str, secret: str) -> bool:
        expected = self._clients.get(client)
        return expected is not None and hmac.compare_digest(expected.encode(), secret.encode())

    def token(self, client: str, scope: str) -> str:
        now = int(time.time())  # whole seconds: Kafka takes no fractions
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": client,
            "scope": scope or "kafka",  # Kafka wants one
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "jti": str(uuid.uuid4()),
        }
        head = _b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}).encode())
        signed = f"{head}.{_b64(json.dumps(claims).encode())}"
        return f"{signed}.{_b64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    endpoint: TokenEndpoint


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), 10_000)
        form = parse_qs(self.rfile.read(length).decode("utf-8", "replace"))
        client, secret = self._credentials(form)
        self.server.endpoint.asked += 1
        if self.path != "/token" or form.get("grant_type") != ["client_credentials"]:
            self._answer(400, {"error": "unsupported_grant_type"})
        elif not self.server.endpoint.knows(client, secret):
            self._answer(401, {"error": "invalid_client", "error_description": "Unknown client or wrong secret"})
        else:
            endpoint = self.server.endpoint
            made = endpoint.token(client, (form.get("scope") or [""])[0])
            body = {"access_token": made, "token_type": "Bearer", "expires_in": endpoint.lifetime_seconds}
            self._answer(200, body)

    def _credentials(self, form: dict[str, list[str]]) -> tuple[str, str]:
        """From the Authorization header (RFC 6749, 2.3.1) or from the body."""
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            client, _, secret = base64.b64decode(encoded).decode("utf-8", "replace").partition(":")
            return unquote_plus(client), unquote_plus(secret)
        return (form.get("client_id") or [""])[0], (form.get("client_secret") or [""])[0]

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is asked here holds secrets."""


def _int(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
