"""Certificates and keys in every form that client.properties knows, as PEM texts and as one TLS context."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from shlex import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from .properties import SettingsError

MAX_FILE_BYTES = 2_000_000
_JAVA_STORES = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")  # JKS, JCEKS
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(
    r"-----BEGIN ((?:ENCRYPTED |RSA |EC |DSA |OPENSSH )?PRIVATE KEY)-----.+?-----END \1-----",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """A client's own certificate, its chain behind it, and its key, unencrypted."""

    certificate_pem: str
    key_pem: str = field(repr=False)


def trusted_pem(key: str, content: bytes, password: str | None) -> str:
    """The certificates of a trust store (PEM or PKCS12) as PEM; `key` is whose value it is, for messages."""
    if _looks_like_pem(content):
        return certificates_pem(key, content.decode("utf-8", "replace"))
    bundle = _pkcs12(key, content, password)
    found = [c.certificate for c in (bundle.cert, *bundle.additional_certs) if c is not None]
    if not found:
        raise SettingsError(f"{key}: the PKCS12 store holds no certificate")
    return "".join(_pem_of(one) for one in found)


def identity(key: str, content: bytes, password: str | None, key_password: str | None) -> Identity:
    """The certificate chain and the key of a key store (PEM or PKCS12)."""
    if _looks_like_pem(content):
        text = content.decode("utf-8", "replace")
        return identity_from_pem(key, text, text, key_password or password)
    bundle = _pkcs12(key, content, password)
    if bundle.key is None or bundle.cert is None:
        raise SettingsError(f"{key}: the PKCS12 store holds no private key with its certificate")
    chain = [bundle.cert.certificate, *(c.certificate for c in bundle.additional_certs)]
    return Identity("".join(map(_pem_of, chain)), _key_pem(bundle.key))


def identity_from_pem(key: str, chain: str, private: str, password: str | None) -> Identity:
    """Certificate chain and private key from PEM texts; the key may be encrypted, and has to fit the certificate."""
    chain_pem = certificates_pem(key, chain)
    match = _KEY.search(private)
    if match is None:
        raise SettingsError(f"{key}: there is no '-----BEGIN PRIVATE KEY-----' in it")
    secret = password.encode() if password else None
    try:
        loaded: PrivateKeyTypes
        if "OPENSSH" in match[1]:
            loaded = serialization.load_ssh_private_key(match[0].encode(), secret)
        else:
            loaded = serialization.load_pem_private_key(match[0].encode(), secret)
    except TypeError:
        why = (
            "the private key is encrypted: give ssl.key.password"
            if secret is None
            else "the private key is not encrypted: leave ssl.key.password out"
        )
        raise SettingsError(f"{key}: {why}") from None
    except (ValueError, UnsupportedAlgorithm):
        why = "the private key cannot be read"
        if secret is not None:
            why += "; most often ssl.key.password is wrong"
        raise SettingsError(f"{key}: {why}") from None
    leaf = x509.load_pem_x509_certificate(chain_pem.encode())
    if _public(leaf.public_key()) != _public(loaded.public_key()):
        raise SettingsError(f"{key}: the private key does not belong to the first certificate ({subject_of(leaf)})")
    return Identity(chain_pem, _key_pem(loaded))


def certificates_pem(key: str, text: str) -> str:
    """The certificates in a PEM text, each of them readable; what stands between them is left out.

    Java's inline PEM has its lines joined by blanks, since a property is one line.
    """
    found = _CERTIFICATE.findall(text)
    if not found:
        raise SettingsError(f"{key}: there is no '-----BEGIN CERTIFICATE-----' in it")
    made = []
    for position, one in enumerate(found, 1):
        body = "".join(one.split("-----")[2].split())
        wrapped = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        pem = f"-----BEGIN CERTIFICATE-----\n{wrapped}\n-----END CERTIFICATE-----\n"
        try:
            x509.load_pem_x509_certificate(pem.encode("ascii", "replace"))
        except ValueError:
            raise SettingsError(f"{key}: certificate {position} of {len(found)} cannot be read") from None
        made.append(pem)
    return "".join(made)


def private_key_lines(text: str) -> str:
    """A PEM key whose line ends became blanks (a property is one line), with its lines again."""

    def lines(match: re.Match[str]) -> str:
        head, body, foot = match[1], match[2], match[3]
        labels = re.findall(r"(?:Proc-Type|DEK-Info): ?\S+", body)
        rest = "".join(re.sub(r"(?:Proc-Type|DEK-Info): ?\S+", " ", body).split())
        wrapped = "\n".join(rest[i : i + 64] for i in range(0, len(rest), 64))
        return "\n".join([head, *labels, *([""] if labels else []), wrapped, foot]) + "\n"

    return re.sub(
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(.+?)(-----END [A-Z ]*PRIVATE KEY-----)", lines, text, flags=re.S
    )


def expiries(pem: str) -> list[tuple[str, datetime]]:
    """(subject, not valid after) of each certificate of a PEM text."""
    return [(subject_of(one), one.not_valid_after_utc) for one in x509.load_pem_x509_certificates(pem.encode())]


def days_left(not_after: datetime, now: float) -> float:
    """Days until a certificate ends; negative once it has."""
    return (not_after - datetime.fromtimestamp(now, UTC)).total_seconds() / 86_400


def subject_of(certificate: x509.Certificate) -> str:
    """The common name, or the whole subject where there is none."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def tls_context(
    *, ca_pem: str, certificate_pem: str, key_pem: str, check_hostname: bool, verify: bool = True
) -> ssl.SSLContext:
    """The context of every TLS connection to a cluster; the system's authorities where `ca_pem` is empty.

    `verify=False` is for looking at a certificate that was refused, never for talking.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = check_hostname and verify
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    else:
        context.load_default_certs()
    if certificate_pem:
        with _as_file(certificate_pem + key_pem) as path:
            context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A path that Python's ssl can read `text` from: in memory where the system has that, else a 0600 file."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("streamgauge")
        try:
            os.write(fd, text.encode())
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    fd, path = tempfile.mkstemp()
    try:
        os.write(fd, text.encode())
        yield path
    finally:
        os.close(fd)
        os.unlink(path)


def refuse_java_store(key: str, content: bytes) -> None:
    """SettingsError for JKS and JCEKS, with the line that converts the file."""
    if content.startswith(_JAVA_STORES):
        raise SettingsError(
            f"{key}: this is a Java key store (JKS), which only Java can read. Convert it and give the result: "
            f"{keytool_line('store.jks')}"
        )


def keytool_line(path: str) -> str:
    """The command that makes a PKCS12 store of a JKS."""
    target = re.sub(r"\.(jks|jceks|keystore|truststore)$", "", path) + ".p12"
    return f"keytool -importkeystore -srckeystore {quote(path)} -destkeystore {quote(target)} -deststoretype PKCS12"


def _pkcs12(key: str, content: bytes, password: str | None) -> pkcs12.PKCS12KeyAndCertificates:
    refuse_java_store(key, content)
    secret = password.encode() if password else None
    try:
        return pkcs12.load_pkcs12(content, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if not content.startswith(b"\x30"):
            why = "this is neither PEM (-----BEGIN CERTIFICATE-----) nor PKCS12"
        elif secret is None:
            why = "a PKCS12 store needs its password: give " + key.rpartition(".")[0] + ".password"
        else:
            why = "the PKCS12 store cannot be opened; most often its password is wrong"
        raise SettingsError(f"{key}: {why}") from None


def _looks_like_pem(content: bytes) -> bool:
    return b"-----BEGIN" in content


def _pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _public(key: object) -> bytes:
    made: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every public key has it, their union does not
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return made
