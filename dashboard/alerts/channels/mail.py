"""E-mail by SMTP: text and HTML, one thread for each cause, connected to the checked address of the server.

A thread is kept by `In-Reply-To` and `References` to its first mail, whose Message-ID is made of the thread's key, and
by a subject that stays the same (Gmail asks for both). A repeat carries the same Message-ID. Delivered means that the
server said 250 to the whole message: one that hangs up before is tried again.
"""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr
from typing import Any

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import validate_email
from django.template.loader import render_to_string

from dashboard.alerts import addresses
from dashboard.alerts.addresses import AddressRefusedError, AddressUnresolvedError

from . import Answer, Field, FieldError, Message, Outcome, Outside, Stored, http, one_line
from .wording import Worded, worded

MOST_RECIPIENTS = 20
_SECURITY = (
    ("starttls", "STARTTLS (usual at port 587)"),
    ("tls", "TLS from the first byte (port 465)"),
    ("none", "none: only where the server is on a network you trust"),
)


class Email:
    label = "E-mail"
    says = "A mail when it fires and when it is over, in one thread for each cause."
    is_grouped = True
    also_hears: frozenset[str] = frozenset()
    fields = (
        Field("recipients", "To", f"Addresses, separated by commas; {MOST_RECIPIENTS} at most.", "ops@example.org"),
        Field("sender", "From", "", "Streamgauge <streamgauge@example.org>"),
        Field("host", "Mail server", "", "smtp.example.org"),
        Field("port", "Port", default="587"),
        Field("security", "Encryption", default="starttls", choices=_SECURITY),
        Field("user", "User name", "Left empty, no sign-in is tried.", is_required=False),
        Field("password", "Password", is_secret=True, is_required=False),
    )

    def check(self, typed: Mapping[str, str], outside: Outside) -> Stored:
        recipients = [one.strip() for one in re.split(r"[,;\n]", typed["recipients"]) if one.strip()]
        if len(recipients) > MOST_RECIPIENTS:
            raise FieldError("recipients", f"{len(recipients)} addresses are too many: use a list of your mail server.")
        for one in recipients:
            _check_address("recipients", one)
        sender = typed["sender"].strip()
        _check_address("sender", parseaddr(sender)[1] or sender)
        if not sender.isprintable():
            raise FieldError("sender", "The sender holds a control character.")
        port, security = typed.get("port", "587").strip(), typed.get("security", "starttls")
        if not re.fullmatch(r"[0-9]{1,5}", port):
            raise FieldError("port", f"“{port}” is no port: 587, 465 or 25 are usual.")
        if security not in dict(_SECURITY):
            raise FieldError("security", f"“{security}” is none of {', '.join(dict(_SECURITY))}.")
        host = typed["host"].strip()
        try:
            addresses.checked_addresses(
                addresses.mail_target(host, int(port)), outside.allowed, resolver=outside.resolver
            )
        except AddressRefusedError as error:
            raise FieldError("port" if error.code == "port_not_allowed" else "host", str(error)) from None
        except AddressUnresolvedError:
            if "." not in host.rstrip("."):
                raise FieldError("host", f"The host {host!r} could not be found; is the name complete?") from None
        user, password = typed.get("user", "").strip(), typed.get("password", "")
        if user and not password:
            raise FieldError("password", "A user name needs its password.")
        if user and security == "none":
            raise FieldError("security", "A password is only sent encrypted: choose STARTTLS or TLS.")
        return Stored(
            recipients=", ".join(recipients), sender=sender, host=host, port=port, security=security, user=user,
            password=password if user else "",
        )  # fmt: skip

    def target(self, settings: Mapping[str, str]) -> str:
        return f"{settings['recipients']} by {settings['host']}"

    def send(self, settings: Mapping[str, str], message: Message, outside: Outside) -> Answer:
        try:
            target = addresses.mail_target(settings["host"], int(settings["port"]))
            found = addresses.checked_addresses(target, outside.allowed, resolver=outside.resolver)
        except (AddressRefusedError, AddressUnresolvedError) as error:
            return Answer(Outcome.RETRY, error=str(error))
        backend = _Backend(settings, target.host, found, ends=time.monotonic() + outside.seconds)
        try:
            return backend.deliver(mail_of(settings, message, now=outside.now))
        finally:
            backend.stop()


def _check_address(field: str, address: str) -> None:
    try:
        validate_email(address)
    except ValidationError:
        raise FieldError(field, f"“{one_line(address, 100)}” is no e-mail address.") from None


def mail_of(settings: Mapping[str, str], message: Message, *, now: float) -> EmailMultiAlternatives:
    said = worded(message)
    domain = parseaddr(settings["sender"])[1].rpartition("@")[2] or "streamgauge"
    thread = message.thread or message.key
    headers = {
        "Message-ID": f"<{message.key}@{domain}>",
        "Date": format_datetime(datetime.fromtimestamp(now, UTC)),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "List-Id": f"Streamgauge <streamgauge.{domain}>",
    }
    if thread != message.key:
        headers |= {"In-Reply-To": f"<{thread}@{domain}>", "References": f"<{thread}@{domain}>"}
    if said.severity == "critical" and message.event == "firing":
        headers |= {"X-Priority": "1", "Importance": "high"}
    mail = EmailMultiAlternatives(
        one_line(f"[Streamgauge] {said.about}", 200),
        _text_of(said),
        settings["sender"],
        [one.strip() for one in settings["recipients"].split(",")],
        headers=headers,
    )
    mail.attach_alternative(render_to_string("mail/alert.html", {"said": said}), "text/html")
    return mail


def _text_of(said: Worded) -> str:
    return f"{said.state}. {said.plain}\n"


class _Backend(EmailBackend):
    """Django's SMTP, connected to one of the checked addresses, ended by a deadline, and heard out."""

    def __init__(self, settings: Mapping[str, str], name: str, found: Sequence[str], *, ends: float) -> None:
        super().__init__(
            host=name,
            port=int(settings["port"]),
            username=settings.get("user") or "",
            password=settings.get("password") or "",
            use_tls=settings["security"] == "starttls",
            use_ssl=settings["security"] == "tls",
            timeout=max(0.1, min(http.CONNECT_SECONDS, ends - time.monotonic())),
        )
        self._name = name
        self._found = found
        self._sockets: list[socket.socket] = []
        self._has_ended = threading.Event()
        # time-outs of sockets start anew with each byte; only closing the socket stops a server that trickles
        self._watch = threading.Timer(max(0.1, ends - time.monotonic()), self._cut)
        self._watch.daemon = True
        self._watch.start()
        self.refused: dict[str, tuple[int, bytes]] = {}

    def stop(self) -> None:
        self._watch.cancel()
        for sock in self._sockets:
            sock.close()

    def deliver(self, mail: EmailMultiAlternatives) -> Answer:
        """Send one mail, and what the server said to it; never raises for what lies outside."""
        answer = self._deliver(mail)
        if self._has_ended.is_set():  # whatever was read last was cut off
            return Answer(Outcome.RETRY, error=f"{self._name} gave no complete answer in time")
        return answer

    def _deliver(self, mail: EmailMultiAlternatives) -> Answer:
        try:
            self.send_messages([mail])
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            return _by_code(min(codes), _said(error.recipients))
        except smtplib.SMTPNotSupportedError as error:
            return Answer(Outcome.REFUSED, error=f"{self._name}: {error}")
        except smtplib.SMTPServerDisconnected:
            return Answer(Outcome.RETRY, error=f"{self._name} hung up before it took the mail")
        except smtplib.SMTPResponseException as error:
            return _by_code(error.smtp_code, http.shown(_bytes(error.smtp_error)))
        except ssl.SSLCertVerificationError as error:
            return Answer(Outcome.RETRY, error=f"{self._name}: its certificate is not accepted: {error.verify_message}")
        except (OSError, smtplib.SMTPException, ValueError) as error:
            return Answer(Outcome.RETRY, error=f"{self._name}: {http.words_of(error)}")
        return Answer(Outcome.DELIVERED, 250, f"not to {_said(self.refused)}" if self.refused else "")

    @property
    def connection_class(self) -> Any:
        return self._connected

    def _connected(self, host: str, port: int, **how: Any) -> smtplib.SMTP:
        backend = self
        kind: type[smtplib.SMTP] = smtplib.SMTP_SSL if self.use_ssl else smtplib.SMTP

        class Checked(kind):  # type: ignore[misc,valid-type]  # a class chosen at run time
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                """As smtplib's, to the checked address; TLS still speaks to the name."""
                sock = backend._connect(port, timeout)
                if kind is smtplib.SMTP_SSL:
                    return self.context.wrap_socket(sock, server_hostname=backend._name)  # type: ignore[no-any-return]
                return sock

            def sendmail(self, *args: Any, **kwargs: Any) -> dict[str, tuple[int, bytes]]:
                backend.refused = super().sendmail(*args, **kwargs)
                return backend.refused

        return Checked(host, port, **how)

    def _connect(self, port: int, timeout: float) -> socket.socket:
        problem: OSError = ConnectionRefusedError("no address")
        for address in self._found:
            try:
                sock = socket.create_connection((address, port), timeout)
            except OSError as error:
                problem = error
                continue
            self._sockets.append(sock.dup())
            return sock
        raise problem

    def _close_connection(self, connection: Any) -> None:
        try:
            super()._close_connection(connection)  # type: ignore[misc]  # not in the stubs
        except (OSError, smtplib.SMTPException):
            connection.close()  # the mail is taken or not by now; how the server says good-bye changes nothing

    def _cut(self) -> None:
        self._has_ended.set()
        for sock in self._sockets:
            http.cut_socket(sock)


def _by_code(code: int, said: str) -> Answer:
    """RFC 5321, 4.2.1: 4xx may pass, 5xx is for good."""
    outcome = Outcome.RETRY if 400 <= code < 500 else Outcome.REFUSED
    return Answer(outcome, code, f"SMTP {code}: {said}" if said else f"SMTP {code}")


def _said(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{who}: {code} {http.shown(_bytes(text))}" for who, (code, text) in refused.items())[:500]


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "replace")
