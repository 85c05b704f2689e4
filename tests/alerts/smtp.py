"""A small SMTP server (RFC 5321) on loopback that keeps the mails it takes and fails as a test says."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    message: EmailMessage
    user: str = ""
    is_encrypted: bool = False


@dataclass
class Sink:
    """What it took, and how it fails: `script` holds one word for each mail in turn, then all is well.

    "drop": hangs up after the mail without a word. "trickle": says a line that never ends. A number and text: that.
    """

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # recipient -> answer
    password: str = ""  # "": no sign-in offered
    context: ssl.SSLContext | None = None  # offers STARTTLS
    is_tls: bool = False  # TLS from the first byte
    seen: int = 0  # mails whose whole text came
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)


class _Handler(socketserver.StreamRequestHandler):
    sink: Sink

    def handle(self) -> None:
        sink = self.sink
        sink.connections += 1
        self.user, self.is_encrypted = "", False
        if sink.is_tls:
            self._encrypt()
        self._say("220 sink ESMTP")
        sender, recipients = "", list[str]()
        while line := self.rfile.readline().decode("utf-8", "replace").strip():
            verb = line[:4].upper()
            if verb == "EHLO":
                offered = ["sink", "8BITMIME", "SMTPUTF8"]
                offered += ["STARTTLS"] if sink.context and not self.is_encrypted else []
                offered += ["AUTH PLAIN"] if sink.password else []
                for one in offered[:-1]:
                    self._say(f"250-{one}")
                self._say(f"250 {offered[-1]}")
            elif verb == "STAR":
                self._say("220 go on")
                self._encrypt()
            elif verb == "AUTH":
                _, self.user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self._say("235 welcome" if password == sink.password else "535 5.7.8 authentication failed")
            elif verb == "MAIL":
                sender, recipients = line[10:].partition(">")[0].strip("<>"), []
                self._say("530 5.7.0 sign in first" if sink.password and not self.user else "250 ok")
            elif verb == "RCPT":
                one = line[8:].strip("<> ")
                answer = sink.refused.get(one, "250 ok")
                if answer.startswith("250"):
                    recipients.append(one)
                self._say(answer)
            elif verb == "DATA":
                self._say("354 go on")
                if not self._take(sender, recipients):
                    return
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _take(self, sender: str, recipients: list[str]) -> bool:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        sink = self.sink
        sink.seen += 1
        how = sink.script.pop(0) if sink.script else "250 taken"
        if how == "drop":
            return False
        if how == "trickle":
            while not sink.released.wait(0.05):
                self.wfile.write(b"2")
            return False
        if how.startswith("250"):
            message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            sink.mails.append(Mail(sender, recipients, message, self.user, self.is_encrypted))
        self._say(how)
        return True

    def _encrypt(self) -> None:
        assert self.sink.context is not None
        self.request = self.sink.context.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.is_encrypted = True

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that do not trust the certificate hang up


@contextmanager
def mail_sink(**how: object) -> Iterator[Sink]:
    sink = Sink(**how)  # type: ignore[arg-type]  # fields of Sink
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"sink": sink}))
    sink.port = int(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield sink
    finally:
        sink.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
