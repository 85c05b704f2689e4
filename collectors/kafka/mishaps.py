"""The mistakes that people make when they connect a cluster, told apart, each with its fix."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from cryptography import x509
from kafka.errors import KafkaError

from .certificates import subject_of
from .conversation import Address, ClosedError, Conversation, MechanismError, NoSignInError, SignInError, SpeaksTlsError
from .reasons import reason_of
from .settings import ConnectionSettings

EXPECTED = (OSError, UnicodeError, ssl.SSLError, ClosedError, SpeaksTlsError, NoSignInError, KafkaError)
"""What a conversation may end with; anything else is a mistake of ours."""


class MishapError(Exception):
    """Why a step failed: a stable word, a sentence, and what to do."""

    def __init__(self, cause: str, say: str, fix: str = "", lines: Iterable[str] = ()) -> None:
        super().__init__(say)
        self.cause = cause
        self.say = say
        self.fix = fix
        self.lines = tuple(lines)


def no_such_host(hosts: Sequence[str]) -> MishapError:
    named = ", ".join(hosts[:3])
    return MishapError(
        "no such host",
        f"{named} cannot be resolved from here",
        "Look for a typing mistake, or give a name that the machine of Streamgauge can resolve.",
    )


def of_connecting(address: Address, failure: BaseException) -> MishapError:
    where = f"{address.host}:{address.port}"
    if isinstance(failure, ConnectionRefusedError):
        return MishapError(
            "refused",
            f"{where} refuses connections: the host is there, and nothing listens on that port",
            "Compare the port with `listeners` of the broker, and see whether the broker runs.",
        )
    if isinstance(failure, TimeoutError):
        return MishapError(
            "timeout",
            f"{where} does not answer within the time allowed",
            "A firewall or security group most often drops the packets: allow this machine to reach that port.",
        )
    if isinstance(failure, socket.gaierror | UnicodeError):
        return no_such_host([address.host])
    why = getattr(failure, "strerror", None) or type(failure).__name__
    return MishapError(
        "no route", f"{where} cannot be reached: {why}", "Check the route from this machine to that network."
    )


def of_first_words(settings: ConnectionSettings, address: Address, failure: BaseException) -> MishapError:
    """Why TLS, or the first plain words, came to nothing."""
    where = f"{address.host}:{address.port}"
    if isinstance(failure, SpeaksTlsError):
        wanted = "SASL_SSL" if settings.signs_in else "SSL, or SASL_SSL with a sign-in"
        return MishapError(
            "tls expected",
            f"{where} speaks TLS, and security.protocol is {settings.security_protocol}",
            f"Set security.protocol={wanted}.",
        )
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _of_certificate(settings, address, failure)
    reason = reason_of(failure)
    if reason == "client certificate refused":
        return MishapError(
            "client certificate",
            f"{where} asks for a client certificate and "
            + ("refuses the one that was shown" if settings.certificate_pem else "none was given"),
            "Give ssl.keystore.certificate.chain and ssl.keystore.key, issued by an authority that the brokers trust.",
        )
    if settings.uses_tls and isinstance(failure, ssl.SSLError | ConnectionError | ClosedError | TimeoutError):
        if _answers_plainly(settings, address):
            wanted = "SASL_PLAINTEXT" if settings.signs_in else "PLAINTEXT"
            return MishapError(
                "no tls there",
                f"{where} speaks plain text, and security.protocol is {settings.security_protocol}",
                f"Give the port of the TLS listener, or set security.protocol={wanted} if this is meant.",
            )
        return MishapError(
            "tls failed",
            f"the TLS handshake with {where} failed ({reason})",
            "See whether this port is a Kafka listener that speaks TLS 1.2 or 1.3.",
        )
    if isinstance(failure, TimeoutError):
        return MishapError(
            "timeout", f"{where} takes connections and answers nothing", "See whether that port is a Kafka listener."
        )
    return MishapError(
        "not kafka",
        f"{where} ends the connection without an answer ({reason})",
        "See whether that port is a Kafka listener, and whether it speaks TLS.",
    )


def _of_certificate(
    settings: ConnectionSettings, address: Address, failure: ssl.SSLCertVerificationError
) -> MishapError:
    reason = reason_of(failure)
    shown = _shown_certificate(settings, address)
    if reason == "certificate expired":
        since = f" on {shown.not_valid_after_utc:%Y-%m-%d}" if shown else ""
        return MishapError(
            "expired",
            f"the certificate of {address.host}:{address.port} expired{since}",
            "Renew the broker's certificate (ssl.keystore of the broker).",
        )
    if reason == "certificate of another host":
        names = ", ".join(_names(shown)[:5]) if shown else ""
        return MishapError(
            "wrong host name",
            f"the certificate is not for {address.host}" + (f", it is for {names}" if names else ""),
            "Use a name that the certificate holds, or have the broker's certificate made for this name too.",
        )
    if reason == "certificate not valid yet":
        return MishapError(
            "not valid yet", "the certificate is not valid yet", "Compare the clocks of the two machines."
        )
    issuer = f" (issued by {shown.issuer.rfc4514_string()})" if shown else ""
    whom = "the authorities that were given" if settings.ca_pem else "the authorities of this system"
    return MishapError(
        "unknown authority",
        f"the certificate of {address.host}:{address.port}{issuer} is not signed by {whom}",
        "Give the authority of the brokers as PEM: ssl.truststore.type=PEM and ssl.truststore.certificates=…",
    )


def of_sign_in(settings: ConnectionSettings, address: Address, failure: BaseException) -> MishapError:
    where = f"{address.host}:{address.port}"
    if isinstance(failure, MechanismError):
        offered = ", ".join(failure.offered) or "none"
        return MishapError(
            "wrong mechanism",
            f"{where} does not offer {settings.sasl_mechanism}; it offers {offered}",
            f"Set sasl.mechanism to one of {offered}.",
        )
    if isinstance(failure, NoSignInError):
        wanted = "SSL" if settings.uses_tls else "PLAINTEXT"
        return MishapError(
            "no sign-in there",
            f"{where} takes no sign-in, and security.protocol is {settings.security_protocol}",
            f"Set security.protocol={wanted}, or give the port of the SASL listener.",
        )
    if isinstance(failure, SignInError):
        said = f": “{failure}”" if str(failure) else ""
        whose = "the token" if settings.sasl_mechanism == "OAUTHBEARER" else f"{settings.identity!r} or its password"
        return MishapError(
            "wrong password",
            f"the broker refuses {whose}{said}",
            "Check user and password; a SCRAM user has a password of its own for each of the two SCRAM mechanisms."
            if settings.sasl_mechanism.startswith("SCRAM")
            else "Check what is signed in with.",
        )
    if not settings.signs_in and (offered_here := _asks_for_sign_in(settings, address)):
        wanted = "SASL_SSL" if settings.uses_tls else "SASL_PLAINTEXT"
        return MishapError(
            "sign-in expected",
            f"{where} asks for a sign-in (it offers {', '.join(offered_here)}), "
            f"and security.protocol is {settings.security_protocol}",
            f"Set security.protocol={wanted}, sasl.mechanism and sasl.jaas.config.",
        )
    mishap = of_first_words(settings, address, failure)
    if mishap.cause in ("not kafka", "tls failed"):
        return MishapError(
            "closed", f"{where} ended the connection during the sign-in ({reason_of(failure)})", "Test again."
        )
    return mishap


def token_refused(text: str) -> MishapError:
    return MishapError(
        "wrong password", text, "Check client id and client secret, and whether the client may use client credentials."
    )


def token_unavailable(text: str) -> MishapError:
    return MishapError("token endpoint", text, "Check sasl.oauthbearer.token.endpoint.url from this machine.")


def of_advertised(settings: ConnectionSettings, failed: Sequence[tuple[int, str, int, BaseException]]) -> MishapError:
    """Brokers that call themselves by an address that does not lead to them from here."""
    broker, host, port, failure = failed[0]
    address = Address(host, port, socket.AF_INET, (host, port))
    if isinstance(failure, ssl.SSLError | ClosedError | SpeaksTlsError):
        mishap = of_first_words(settings, address, failure)
        return MishapError(mishap.cause, f"broker {broker}: {mishap.say}", mishap.fix)
    mishap = of_connecting(address, failure)
    own = " (from here that is the host of Streamgauge itself)" if _is_loopback(host) else ""
    more = f"; {len(failed) - 1} more brokers too" if len(failed) > 1 else ""
    protocol = settings.security_protocol
    return MishapError(
        "advertised address",
        f"broker {broker} calls itself {host}:{port}{own}, and {mishap.say}{more}",
        f"Set an address on broker {broker} that can be reached from here (or start the broker), then test again:",
        (f"advertised.listeners={protocol}://HOST-THAT-CLIENTS-REACH:{port}",),
    )


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _answers_plainly(settings: ConnectionSettings, address: Address) -> bool:
    try:
        with Conversation(settings, address, 2.0) as conversation:
            conversation.ask_versions()
            return True
    except EXPECTED:
        return False


def _asks_for_sign_in(settings: ConnectionSettings, address: Address) -> tuple[str, ...]:
    try:
        with Conversation(settings, address, 2.0) as conversation:
            if settings.uses_tls:
                conversation.start_tls()
            conversation.ask_versions()
            return conversation.mechanisms()
    except EXPECTED:
        return ()


def _shown_certificate(settings: ConnectionSettings, address: Address) -> x509.Certificate | None:
    """The broker's certificate, looked at without believing it; nothing else is said on that connection."""
    try:
        with Conversation(settings, address, 2.0) as conversation:
            conversation.start_tls(verify=False)
            found = conversation.peer_certificate
            return x509.load_der_x509_certificate(found) if found else None
    except (*EXPECTED, ValueError):
        return None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [subject_of(certificate)]
    return [str(one.value) for one in names if isinstance(one, x509.DNSName | x509.IPAddress)]
