"""Behind Debian's nginx, which ends TLS and serves the pages under a sub-path (N12, B8 of facts/reliability.md)."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import _absent
from tests.e2e.served import Served, wait_for
from tests.servers import free_port

from .rawsocket import RawSocket, Target
from .visitor import Visitor

NAME = "localhost"
IDLE_SECONDS = 15
"""The proxy drops a socket that is silent for so long: shorter than usual, so that the test is (N12)."""

CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_http_version 1.1;
        proxy_read_timeout {idle}s;
        location /kafka/ {{ proxy_pass http://127.0.0.1:{inside}; }}
        location /kafka/ws/ {{
            proxy_pass http://127.0.0.1:{inside};
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
        }}
        location /stripped/ {{ proxy_pass http://127.0.0.1:{inside}/; }}
    }}
}}
"""


class Behind(Served):
    """An instance that was told where people reach it."""

    outside = free_port()

    @property
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            "STREAMGAUGE_PUBLIC_URL": f"https://{NAME}:{self.outside}/kafka",
            "STREAMGAUGE_TRUSTED_PROXIES": "loopback",
            "STREAMGAUGE_PORT": str(self.port),
        }


@dataclass
class Proxied:
    served: Behind
    tls: ssl.SSLContext
    base: str
    origin: str


def make_certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return ssl.create_default_context(cadata=pem.decode())


@pytest.fixture(scope="module")
def nginx() -> Path:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not found:
        _absent("nginx")
    return Path(str(found))


@pytest.fixture(scope="module")
def proxied(nginx: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    served = Behind(folder)
    tls = make_certificate(folder)
    text = CONFIGURATION.format(folder=folder, port=served.outside, inside=served.port, idle=IDLE_SECONDS)
    (folder / "nginx.conf").write_text(text)
    process = None
    try:
        served.manage("migrate", "-v0")
        served.start()
        served.wait_alive()
        process = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
        origin = f"https://{NAME}:{served.outside}"
        made = Proxied(served, tls, f"{origin}/kafka", origin)
        wait_for("nginx hands on", lambda: _answers(made), seconds=20)
        yield made
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)
        served.stop()


def _answers(proxied: Proxied) -> bool:
    try:
        return Visitor(proxied.tls).get(f"{proxied.base}/healthz").status == 200
    except OSError:
        return False


@pytest.fixture
def visitor(proxied: Proxied) -> Visitor:
    made = Visitor(proxied.tls)
    link = proxied.served.manage("signinlink").splitlines()[-1]
    assert link.startswith(f"{proxied.base}/signin/")
    assert made.post(link).status == 200
    return made


def test_a_sign_in_link_leads_through_the_proxy_to_pages_below_the_sub_path(proxied: Proxied, visitor: Visitor) -> None:
    page = visitor.get(f"{proxied.base}/")
    assert page.status == 200
    addresses = re.findall(r'(?:href|src|action|data-socket)="(/[^"]*)"', page.text)
    assert addresses
    assert [one for one in addresses if not one.startswith("/kafka/")] == []
    sheet = next(one for one in addresses if one.endswith(".css"))
    assert visitor.get(proxied.origin + sheet).status == 200
    assert f"wss://{NAME}:{proxied.served.outside}" in page.headers["Content-Security-Policy"]
    cookies = list(visitor.cookies)
    assert cookies
    assert all(one.secure and one.path == "/kafka/" for one in cookies)


def test_a_form_works_and_the_audit_trail_knows_the_address_behind_the_proxy(
    proxied: Proxied, visitor: Visitor
) -> None:
    answer = visitor.post(f"{proxied.base}/settings/people/add/", {"name": "grace", "role": "viewer"})
    assert f"{proxied.base}/signin/" in answer.text
    assert "grace" in visitor.get(f"{proxied.base}/settings/people/").text
    claimed = visitor.get(f"{proxied.base}/settings/audit/", X_Forwarded_For="6.6.6.6")
    assert "127.0.0.1" in claimed.text  # nginx stands on loopback, and so does who asks it


def test_the_live_line_passes_and_outlives_the_proxys_patience(proxied: Proxied, visitor: Visitor) -> None:
    """N12: a proxy that drops silent sockets sees none."""
    target = Target(
        proxied.served.outside,
        visitor.cookie_header(),
        proxied.origin,
        "/kafka/ws/",
        f"{NAME}:{proxied.served.outside}",
        proxied.tls,
    )
    socket = RawSocket(target).open()
    socket.say(t="hello", subs=["c"], seq=None)
    until = time.monotonic() + IDLE_SECONDS + 8
    heard = 0
    while time.monotonic() < until:
        socket.hear()
        heard += 1
    assert heard >= 3
    foreign = target.but(origin="https://evil.example")
    assert RawSocket(foreign).handshake()[0] == 403


def test_b8_a_proxy_without_upgrade_is_named_to_the_page_and_to_the_doctor(proxied: Proxied, visitor: Visitor) -> None:
    host = f"{NAME}:{proxied.served.outside}"
    target = Target(proxied.served.outside, visitor.cookie_header(), proxied.origin, "/stripped/ws/", host, proxied.tls)
    assert RawSocket(target).handshake()[0] == 426
    said = visitor.get(f"{proxied.base}/ws/?origin={proxied.origin}").text
    assert "proxy_set_header Upgrade" in said
    assert "without its Upgrade" in proxied.served.manage("doctor")


def test_a_form_of_another_origin_is_told_the_setting(proxied: Proxied, visitor: Visitor) -> None:
    answer = visitor.post(f"{proxied.base}/settings/people/add/", {"name": "eve"}, Origin="https://evil.example")
    assert answer.status == 403
    assert "https://evil.example" in answer.text
    assert "STREAMGAUGE_TRUSTED_ORIGINS" in answer.text
    ((kept,),) = proxied.served.rows("select seen from dashboard_refused where kind = 'form'")
    assert "https://evil.example" in kept


def test_the_doctor_finds_the_instance_and_no_fault(proxied: Proxied) -> None:
    said = proxied.served.manage("doctor")
    assert "settings fit together" in said
    assert "BAD" not in said
    assert f"Streamgauge answers at http://127.0.0.1:{proxied.served.port}" in said
