"""One connection to one broker, question by question in the caller's thread: for finding out why nothing works.

The sampler never comes here (`session` is its road); here each layer fails on its own and can be looked at.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError
from kafka.net.sasl import get_sasl_mechanism
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.protocol.broker_version_data import BrokerVersionData
from kafka.protocol.metadata import ApiVersionsRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from .link import WritesRequestError, changes_nothing
from .settings import ConnectionSettings

MAX_ANSWER_BYTES = 200_000_000
UNSUPPORTED_VERSION = 35
UNSUPPORTED_MECHANISM = 33
WRONG_STATE = 34


class ClosedError(Exception):
    """The broker ended the connection instead of answering."""


class SpeaksTlsError(Exception):
    """The answer to a plain question was a TLS alert."""


class SignInError(Exception):
    """The sign-in was refused; the text is the broker's."""


class MechanismError(Exception):
    """The mechanism is not offered; `offered` are those that are."""

    def __init__(self, offered: Iterable[str]) -> None:
        super().__init__("the mechanism is not offered")
        self.offered = tuple(sorted(offered))


class NoSignInError(Exception):
    """The listener takes no sign-in at all."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a name leads: the host as it was written, and one of its addresses."""

    host: str
    port: int
    family: socket.AddressFamily
    sockaddr: Any

    @property
    def ip(self) -> str:
        return str(self.sockaddr[0])


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host name; OSError or UnicodeError where it has none. Blocks as long as DNS does."""
    found = socket.getaddrinfo(host.strip("[]"), port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    return list(dict.fromkeys(Address(host, port, info[0], info[4]) for info in found))


class Conversation:
    """An open connection; every method has `timeout` seconds and raises OSError, ssl.SSLError or one of the above."""

    def __init__(self, settings: ConnectionSettings, address: Address, timeout: float) -> None:
        self._settings = settings
        self.address = address
        self.timeout = timeout
        self._parser = KafkaProtocol(client_id=settings.client_id, receive_message_max_bytes=MAX_ANSWER_BYTES)
        self._versions: BrokerVersionData | None = None
        self._sock: socket.socket = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            self._sock.settimeout(timeout)
            self._sock.connect(address.sockaddr)
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def start_tls(self, *, verify: bool = True) -> None:
        context = self._settings.tls_context(verify=verify)
        self._sock = context.wrap_socket(self._sock, server_hostname=self.address.host.strip("[]").rstrip("."))

    @property
    def tls_version(self) -> str:
        return (self._sock.version() or "") if isinstance(self._sock, ssl.SSLSocket) else ""

    @property
    def peer_certificate(self) -> bytes | None:
        """The broker's certificate (DER)."""
        return self._sock.getpeercert(binary_form=True) if isinstance(self._sock, ssl.SSLSocket) else None

    def ask_versions(self) -> Any:
        """ApiVersions: the first question on each connection, answered before the sign-in."""
        version = int(ApiVersionsRequest.max_version)
        while True:
            answer = self._exchange(
                ApiVersionsRequest(version=version, client_software_name="streamgauge", client_software_version="0")
            )
            if answer.error_code != UNSUPPORTED_VERSION or version == 0:
                break
            own = (api.max_version for api in answer.api_keys if api.api_key == answer.API_KEY)
            version = min(version - 1, next(own, 0))
        self._versions = BrokerVersionData(
            api_versions={api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}
        )
        return answer

    def mechanisms(self) -> tuple[str, ...]:
        """What the listener offers for signing in; NoSignInError where it takes none."""
        answer = self._exchange(SaslHandshakeRequest(mechanism="STREAMGAUGE-ASKS", version=1))
        if answer.error_code == WRONG_STATE:
            raise NoSignInError
        return tuple(sorted(answer.mechanisms or ()))

    def sign_in(self, token: str = "") -> None:
        """The sign-in of the settings; `token` for OAUTHBEARER."""
        name = self._settings.sasl_mechanism
        answer = self._exchange(SaslHandshakeRequest(mechanism=name, version=1))
        if answer.error_code == UNSUPPORTED_MECHANISM:
            raise MechanismError(answer.mechanisms or ())
        if answer.error_code == WRONG_STATE:
            raise NoSignInError
        options = self._settings.for_admin() | {"sasl_oauth_token_provider": _OneToken(token, self._settings)}
        mechanism = get_sasl_mechanism(name)(host=self.address.host, **options)
        deadline = time.monotonic() + self.timeout
        while not mechanism.is_done() and time.monotonic() < deadline:
            answer = self._exchange(SaslAuthenticateRequest(mechanism.auth_bytes(), version=1))
            if answer.error_code:
                raise SignInError(str(answer.error_message or "")[:300])
            try:
                mechanism.receive(answer.auth_bytes)
            except (ValueError, KeyError) as error:
                raise SignInError(f"the broker could not prove that it knows the password ({error})") from None
        if not mechanism.is_authenticated():
            raise SignInError("the sign-in did not come to an end")

    def ask(self, message: Any) -> Any:
        """The answer to a library message in the newest version both know; IncompatibleBrokerVersion otherwise."""
        if not changes_nothing(message.name):
            raise WritesRequestError(message.name)
        if self._versions is None:
            self.ask_versions()
        assert self._versions is not None
        message.API_VERSION = self._versions.api_version(message)
        return self._exchange(message)

    def _exchange(self, message: Any) -> Any:
        self._parser.send_request(message)
        self._sock.settimeout(self.timeout)
        self._sock.sendall(self._parser.send_bytes())
        deadline = time.monotonic() + self.timeout
        first = True
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer")
            self._sock.settimeout(left)
            received = self._sock.recv(65_536)
            if not received:
                raise ClosedError("the broker closed the connection")
            if first and received[:1] == b"\x15" and not isinstance(self._sock, ssl.SSLSocket):
                raise SpeaksTlsError
            first = False
            try:
                answers = self._parser.receive_bytes(received)
            except KafkaError as error:
                raise ClosedError(f"what answers there does not speak Kafka ({type(error).__name__})") from None
            if answers:
                return answers[0][1]


class _OneToken(AbstractTokenProvider):  # type: ignore[misc]  # the library has no types
    def __init__(self, token: str, settings: ConnectionSettings) -> None:
        self._text = token
        self._extensions = dict(settings.oauth_extensions)

    def token(self) -> str:
        return self._text

    def extensions(self) -> dict[str, str]:
        return self._extensions
