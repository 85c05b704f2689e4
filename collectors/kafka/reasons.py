"""Plain words for what went wrong between us and a broker, and the counting of them."""

from __future__ import annotations

import ssl
from collections import Counter
from dataclasses import dataclass, field

import kafka.errors as errors

LEADER_ERRORS = frozenset({3, 5, 6, 9, 72, 74, 75, 100, 103})
"""Codes that say "your picture of the cluster is old" (unknown topic, no or wrong leader, fenced epoch, ...)."""
COORDINATOR_ERRORS = frozenset({14, 15, 16})
_NOT_AUTHORISED = frozenset({29, 30, 31, 53})


@dataclass(frozen=True, slots=True)
class PartError:
    """One kind of failure at one broker; `count` is how many partitions, groups or requests it met."""

    part: str
    reason: str
    broker: int | None
    count: int = 1


@dataclass(slots=True)
class Tally:
    """Counts failures once per kind and broker."""

    counts: Counter[tuple[str, str, int | None]] = field(default_factory=Counter)

    def add(self, part: str, reason: str, broker: int | None, count: int = 1) -> None:
        if count:
            self.counts[part, reason, broker] += count

    def errors(self) -> tuple[PartError, ...]:
        return tuple(PartError(*key, count) for key, count in self.counts.items())


def reason_of_code(code: int) -> str:
    """The word for a Kafka error code: its protocol name in lower case, "not authorised" for missing rights."""
    if code in _NOT_AUTHORISED:
        return "not authorised"
    name = getattr(errors.for_code(code), "message", "")
    is_named = name and name.isupper() and (name != "UNKNOWN" or code == -1)
    return name.lower() if is_named else f"error_{code}"


def reason_of(failure: BaseException) -> str:
    """The word for an exception of the client library."""
    if isinstance(failure, errors.SaslAuthenticationFailedError):
        return "sign-in refused"
    if isinstance(failure, errors.UnsupportedSaslMechanismError):
        return "sign-in mechanism not offered"
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _VERIFY.get(failure.verify_code, "certificate not trusted")
    if isinstance(failure, errors.RequestTimedOutError | errors.KafkaTimeoutError):
        return "timeout"
    if isinstance(failure, errors.IncompatibleBrokerVersion | errors.UnsupportedVersionError):
        return "not offered"
    if isinstance(failure, errors.UnknownBrokerIdError):
        return "unknown broker"
    text = str(failure).lower()
    for sign, word in _SIGNS:
        if sign in text:
            return word
    if isinstance(failure, errors.NodeNotReadyError):
        return "not connected"
    if isinstance(failure, errors.KafkaConnectionError | OSError):
        return "closed"
    return "unreadable answer" if isinstance(failure, errors.KafkaProtocolError | ValueError) else "failed"


_VERIFY = {
    9: "certificate not valid yet",
    10: "certificate expired",
    62: "certificate of another host",
    64: "certificate of another host",
}
"""OpenSSL's X509_V_ERR codes; all others say that no authority that is trusted stands behind it."""

REFUSALS = frozenset(
    {
        "sign-in refused",
        "sign-in mechanism not offered",
        "certificate not trusted",
        "certificate of another host",
        "certificate expired",
        "certificate not valid yet",
        "client certificate refused",
        "no TLS there",
    }
)
"""What asking again at once cannot change."""

_SIGNS = (
    ("token endpoint", "token endpoint failed"),
    ("certificate required", "client certificate refused"),
    ("bad certificate", "client certificate refused"),
    ("bad_certificate", "client certificate refused"),
    ("unknown ca", "client certificate refused"),
    ("certificate unknown", "client certificate refused"),
    ("certificate expired", "client certificate refused"),
    ("wrong version number", "no TLS there"),
    ("wrong_version_number", "no TLS there"),
    ("record layer failure", "no TLS there"),
    ("econnrefused", "refused"),
    ("refused", "refused"),
    ("dns", "name not resolved"),
    ("timed out", "timeout"),
    ("ehostunreach", "no route"),
    ("enetunreach", "no route"),
    ("econnreset", "closed"),
    ("handshake", "handshake failed"),
)
