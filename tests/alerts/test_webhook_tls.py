"""A connection to a checked address still speaks to the name: SNI, certificate and Host are of the name."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dashboard.alerts.addresses import parse_networks
from dashboard.alerts.channels import Answer, Message, Outcome, Outside
from dashboard.alerts.channels.webhook import Webhook

NAME = "hooks.example.test"


def certificate_for(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


class TlsReceiver:
    def __init__(self, folder: Path) -> None:
        self.asked_for: list[str] = []
        self.hosts: list[str] = []
        self.certificate, key = certificate_for(NAME, folder)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.hosts.append(self.headers["Host"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(HTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that do not trust the certificate hang up

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        context.sni_callback = lambda _sock, name, _context: self.asked_for.append(name)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = int(self.server.server_address[1])
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def post(self, name: str) -> Answer:
        def to_loopback(host: str, port: int) -> Sequence[str]:
            assert not host.replace(".", "").isdigit()
            return [str(ipaddress.IPv4Address("127.0.0.1"))]

        return Webhook().send(
            {"url": f"https://{name}:{self.port}/x"},
            Message("key", "test", 1, {}),
            Outside(parse_networks(["loopback"]), 0.0, 5.0, to_loopback),
        )


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsReceiver]:
    receiver = TlsReceiver(tmp_path)
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    receiver.thread.join()


def test_the_certificate_is_checked_against_the_name(tls: TlsReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
    assert tls.post(NAME) == Answer(Outcome.DELIVERED, 204)
    assert tls.asked_for == [NAME]
    assert tls.hosts == [f"{NAME}:{tls.port}"]


def test_a_certificate_of_another_name_is_refused(tls: TlsReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
    answer = tls.post("other.example.test")
    assert answer.outcome is Outcome.RETRY
    assert "certificate" in answer.error.lower() or "match" in answer.error.lower()
    assert tls.hosts == []


def test_a_certificate_that_nobody_signed_is_refused(tls: TlsReceiver) -> None:
    answer = tls.post(NAME)
    assert answer.outcome is Outcome.RETRY
    assert "certificate" in answer.error.lower()
    assert tls.hosts == []
