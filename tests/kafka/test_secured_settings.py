"""TLS and sign-in settings: every form that client.properties knows, and no secret in any message."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.demo.pki import Authority, Issued
from collectors.kafka.properties import parse_jaas, parse_properties
from collectors.kafka.reading import read_settings
from collectors.kafka.settings import ConnectionSettings, SettingsError

SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
BASE = "bootstrap.servers=a:9093\nsecurity.protocol=SASL_SSL\n"
SECRET = "hunter2-planted"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def client(authority: Authority) -> Issued:
    return authority.client("streamgauge")


def reading_files(**contents: bytes) -> Any:
    def read(key: str, path: str) -> bytes:
        return contents[Path(path).stem]

    return read


def one_line(pem: str) -> str:
    return pem.strip().replace("\n", " ")


# --- JAAS -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        (f'{SCRAM} required username="u" password="p";', "u", "p"),
        (f"{SCRAM} required username='u' password='p';", "u", "p"),
        (f"{SCRAM} required\n username=u\n password=p;", "u", "p"),
        (f'{SCRAM} required username="a;b" password="c=d;e";', "a;b", "c=d;e"),
        (f'{SCRAM} required username="say \\"hi\\"" password="back\\\\slash";', 'say "hi"', "back\\slash"),
        (f'{SCRAM} REQUIRED /* who */ username="u" // that one\n password="p" ;', "u", "p"),
        (
            f'{PLAIN} required username="$ConnectionString" '
            'password="Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=abc=";',
            "$ConnectionString",
            "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=abc=",
        ),
    ],
)
def test_a_jaas_line_is_read_with_its_quotes(text: str, username: str, password: str) -> None:
    options = parse_jaas(text).options
    assert (options["username"], options["password"]) == (username, password)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (SCRAM, "the word required"),
        (f'{SCRAM} username="{SECRET}";', "the word required"),
        (f'{SCRAM} required username="{SECRET}', "a quote that is not closed"),
        (f'{SCRAM} required username="u" password="{SECRET}"', "end with a semicolon"),
        (f"{SCRAM} required username=u password={SECRET}=;", "put that value in double quotes"),
        (f"{SCRAM} required username=u password=a;{SECRET};", "goes on after the semicolon"),
        (f'{SCRAM} required username="u" username="{SECRET}";', "gives username twice"),
        (f'{SCRAM} required username "{SECRET}";', 'holds options as name="value"'),
        (f"{SCRAM} required username= ;", "no value for username"),
        (f'{SCRAM} required username="u" {SCRAM} "{SECRET}";', 'holds options as name="value"'),
    ],
)
def test_a_broken_jaas_line_is_told_without_its_values(text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_jaas(text)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(username=texts, password=texts)
@settings(max_examples=300)
def test_any_user_and_password_survive_jaas_and_properties(username: str, password: str) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    jaas = f"{SCRAM} required username={quoted(username)} password={quoted(password)};"
    line = "".join(
        {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}.get(c, c)
        if ord(c) < 0x7F
        else "".join(f"\\u{ord_:04x}" for ord_ in _utf16(c))
        for c in jaas
    )
    options = parse_jaas(parse_properties(f"sasl.jaas.config={line}")["sasl.jaas.config"]).options
    assert (options["username"], options["password"]) == (username, password)


def _utf16(character: str) -> list[int]:
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]


@given(st.text(max_size=300))
@settings(max_examples=300)
def test_whatever_is_pasted_gives_settings_or_a_settings_error(text: str) -> None:
    try:
        found = read_settings(text)
    except SettingsError as error:
        assert str(error)  # noqa: PT017 - every other exception fails the test
    else:
        assert found.settings.bootstrap_servers


def test_a_bare_address_is_a_bootstrap_server() -> None:
    assert read_settings(" kafka-1:9092,kafka-2:9092\n").settings.bootstrap_servers == ("kafka-1:9092", "kafka-2:9092")


# --- sign-in ----------------------------------------------------------------------------------------------------


def scram(username: str = "u", password: str = "p") -> str:
    return (
        f"{BASE}sasl.mechanism=SCRAM-SHA-512\n"
        f'sasl.jaas.config={SCRAM} required username="{username}" password="{password}";'
    )


def test_both_libraries_sign_in_with_the_same_words() -> None:
    found = ConnectionSettings.from_properties(scram("observer", SECRET))
    admin, records = found.for_admin(), found.for_records()
    assert (admin["security_protocol"], admin["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (admin["sasl_plain_username"], admin["sasl_plain_password"]) == ("observer", SECRET)
    assert isinstance(admin["ssl_context"], ssl.SSLContext)
    assert admin["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert (records["security.protocol"], records["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (records["sasl.username"], records["sasl.password"]) == ("observer", SECRET)
    assert records["ssl.endpoint.identification.algorithm"] == "https"


def test_a_scram_name_with_a_comma_is_spelt_out_for_the_library_that_does_not() -> None:
    found = ConnectionSettings.from_properties(scram("a=b,c"))
    assert found.for_admin()["sasl_plain_username"] == "a=3Db=2Cc"
    assert found.for_records()["sasl.username"] == "a=b,c"


def test_librdkafkas_names_mean_the_same() -> None:
    text = f"{BASE}sasl.mechanisms=PLAIN\nsasl.username=u\nsasl.password=p q "
    found = ConnectionSettings.from_properties(text)
    assert (found.sasl_mechanism, found.username, found.password) == ("PLAIN", "u", "p q ")


def test_client_credentials_reach_both_libraries() -> None:
    text = (
        f"{BASE}sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp.example.org/token\n"
        "sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n"
        f'sasl.jaas.config={OAUTH} required clientId="me" clientSecret="{SECRET}" scope="kafka" '
        'extension_logicalCluster="lkc-1" extension_identityPoolId="pool-2";'
    )
    found = ConnectionSettings.from_properties(text)
    assert (found.oauth_client_id, found.oauth_client_secret, found.oauth_scope) == ("me", SECRET, "kafka")
    records = found.for_records()
    assert records["sasl.oauthbearer.method"] == "oidc"
    assert records["sasl.oauthbearer.extensions"] == "logicalCluster=lkc-1,identityPoolId=pool-2"
    java = ConnectionSettings.from_properties(
        f"{BASE}sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp.example.org/token\n"
        "sasl.oauthbearer.client.credentials.client.id=me\nsasl.oauthbearer.scope=kafka\n"
        f"sasl.oauthbearer.client.credentials.client.secret={SECRET}\n"
        "sasl.oauthbearer.extensions=logicalCluster=lkc-1,identityPoolId=pool-2\n"
    )
    assert java == found


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "sasl.mechanism is missing"),
        ("sasl.mechanism=GSSAPI", "'GSSAPI' is not offered; use SCRAM-SHA-512"),
        ("sasl.mechanism=SCRAM", "'SCRAM': use one of PLAIN"),
        (f"sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password={'x' * 10_001}", "10001 characters"),
        ("sasl.mechanism=PLAIN\nsasl.username=u", "the password is missing"),
        (f"sasl.mechanism=PLAIN\nsasl.password={SECRET}", "the user name is missing"),
        (f"sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password={SECRET}\\u0000", "cannot be sent"),
        (f"sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password={SECRET}\\ud800", "cannot be sent"),
        (f'sasl.mechanism=PLAIN\nsasl.jaas.config={SCRAM} required username="u" password="{SECRET}";', "use SCRAM-SHA"),
        (f'sasl.jaas.config={SCRAM} required username="u" pass="{SECRET}";', "the option 'pass' is unknown"),
        ("sasl.jaas.config=x.Krb5LoginModule required useKeyTab=true;", "Kerberos is not offered"),
        ("sasl.jaas.config=x.EvilModule required;", "'x.EvilModule' is not one of"),
        (f"sasl.jaas.config={SCRAM} required tokenauth=true;", "delegation tokens"),
        ("sasl.mechanism=OAUTHBEARER", "token.endpoint.url is missing"),
        (f'sasl.jaas.config={OAUTH} required unsecuredLoginStringClaim_sub="x";', "unsecured tokens are not offered"),
        ("sasl.login.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler", "MSK IAM"),
        ("sasl.login.callback.handler.class=x.Y", "names code to load"),
        ("sasl.oauthbearer.method=default", "use oidc"),
        ("enable.ssl.certificate.verification=false", "always verified"),
        ("ssl.truststore.location=/etc/kafka/truststore.jks", "keytool -importkeystore -srckeystore /etc/kafka/trust"),
        ("ssl.truststore.type=BKS", "'BKS': use PEM or PKCS12"),
        ("ssl.truststore.location=/etc/passwd", "not read here; paste the PEM text as ssl.truststore.certificates"),
        ("ssl.truststore.certificates=hello", "no '-----BEGIN CERTIFICATE-----'"),
        ("ssl.ca.pem=-----BEGIN CERTIFICATE----- aGVsbG8= -----END CERTIFICATE-----", "certificate 1 of 1 cannot be"),
        ("ssl.endpoint.identification.algorithm=ldap", "'ldap': use https"),
        ("ssl.keystore.key=x", "ssl.keystore.certificate.chain is missing"),
    ],
)
def test_a_sign_in_that_cannot_work_is_refused_with_what_to_write(lines: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(BASE + lines)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://idp/token", "use https://host/path"),
        ("https://me:hunter2-planted@idp/token", "without a user name"),
        ("https://", "use https://host/path"),
        ("https://idp:x/token", "use https://host/path"),
        ("http://idp.example.org/token", "use https; the client secret"),
        ("http://169.254.169.254/token", "use https; the client secret"),
    ],
)
def test_a_token_endpoint_is_an_https_address(url: str, words: str) -> None:
    text = f"{BASE}sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url={url}\nsasl.jaas.config={OAUTH} "
    with pytest.raises(SettingsError) as caught:
        read_settings(text + f'required clientId="me" clientSecret="{SECRET}";')
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


def test_keys_of_consumers_and_producers_are_left_out_and_named() -> None:
    text = "bootstrap.servers=a:1\ngroup.id=g\nacks=all\nkey.deserializer=x.Y\nsession.timeout.ms=1"
    assert read_settings(text).notes == (
        "left out, of consumers, producers or tuning: acks, group.id, key.deserializer, session.timeout.ms",
    )


def test_what_is_unsafe_is_said() -> None:
    text = (
        "bootstrap.servers=a:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\n"
        "sasl.password=p\nssl.truststore.password=changeit"
    )
    notes = read_settings(text).notes
    assert "does not use TLS: ssl.truststore.password" in notes[0]
    assert "goes unencrypted" in notes[1]
    unnamed = read_settings(f"{BASE}sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=p\n" + ALGORITHM)
    assert "any host with a trusted certificate is believed" in unnamed.notes[0]
    assert unnamed.settings.tls_context().check_hostname is False


ALGORITHM = "ssl.endpoint.identification.algorithm="


# --- certificates -----------------------------------------------------------------------------------------------


def mutual(**values: str) -> dict[str, str]:
    return {"bootstrap.servers": "a:9093", "security.protocol": "SSL", **values}


def test_inline_pem_is_taken_with_line_ends_or_blanks(authority: Authority, client: Issued) -> None:
    for shape in (str, one_line):
        found = ConnectionSettings.from_properties(
            mutual(
                **{
                    "ssl.truststore.type": "PEM",
                    "ssl.truststore.certificates": shape(authority.pem),
                    "ssl.keystore.type": "PEM",
                    "ssl.keystore.certificate.chain": shape(client.chain_pem),
                    "ssl.keystore.key": shape(client.key_pem),
                }
            )
        )
        assert found.ca_pem == authority.pem
        assert found.certificate_pem == client.chain_pem
        assert found.for_records()["ssl.key.pem"] == client.key_pem
        assert found.tls_context().get_ca_certs()


@pytest.mark.parametrize("shape", [str, one_line])
def test_an_encrypted_key_is_opened_with_its_password(client: Issued, shape: Any) -> None:
    values = {
        "ssl.keystore.certificate.chain": client.chain_pem,
        "ssl.keystore.key": shape(client.encrypted_key_pem(SECRET)),
    }
    assert (
        ConnectionSettings.from_properties(mutual(**values, **{"ssl.key.password": SECRET})).key_pem == client.key_pem
    )
    with pytest.raises(SettingsError, match=r"encrypted: give ssl\.key\.password"):
        ConnectionSettings.from_properties(mutual(**values))
    with pytest.raises(SettingsError, match=r"ssl\.key\.password is wrong") as caught:
        ConnectionSettings.from_properties(mutual(**values, **{"ssl.key.password": "not-the-one"}))
    assert "not-the-one" not in str(caught.value)


def test_a_traditional_encrypted_key_on_one_line_is_opened(client: Issued) -> None:
    pem = client.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(SECRET.encode()),
    ).decode()
    assert "DEK-Info" in pem
    values = {
        "ssl.keystore.certificate.chain": one_line(client.chain_pem),
        "ssl.keystore.key": one_line(pem),
        "ssl.key.password": SECRET,
    }
    assert ConnectionSettings.from_properties(mutual(**values)).key_pem == client.key_pem


def test_a_key_of_another_certificate_is_refused(authority: Authority, client: Issued) -> None:
    other = authority.client("other")
    with pytest.raises(SettingsError, match=r"does not belong to the first certificate \(streamgauge\)"):
        ConnectionSettings.from_properties(
            mutual(**{"ssl.keystore.certificate.chain": client.chain_pem, "ssl.keystore.key": other.key_pem})
        )


def test_pem_and_pkcs12_files_give_the_same(authority: Authority, client: Issued) -> None:
    secret = serialization.BestAvailableEncryption(SECRET.encode())
    store = pkcs12.serialize_key_and_certificates(
        b"me", client.key, client.certificate, [authority.certificate], secret
    )
    trust = pkcs12.serialize_key_and_certificates(b"ca", None, None, [authority.certificate], secret)
    read = reading_files(
        ca=authority.pem.encode(),
        me=(client.chain_pem + client.key_pem).encode(),
        store=store,
        trust=trust,
        chain=client.chain_pem.encode(),
        key=client.key_pem.encode(),
    )
    by_pem = mutual(**{"ssl.truststore.location": "/etc/ca.pem", "ssl.keystore.location": "/etc/me.pem"})
    passwords = {"ssl.truststore.password": SECRET, "ssl.keystore.password": SECRET}
    by_store = mutual(**{"ssl.truststore.location": "trust.p12", "ssl.keystore.location": "store.p12", **passwords})
    by_parts = mutual(
        **{"ssl.ca.location": "ca.pem", "ssl.certificate.location": "chain.pem", "ssl.key.location": "key.pem"}
    )
    found = [read_settings(values, read_file=read) for values in (by_pem, by_store, by_parts)]
    assert found[0].settings == found[1].settings == found[2].settings
    assert found[0].settings.certificate_pem == client.chain_pem
    assert "ssl.truststore.location: 1 certificate read" in found[0].notes[0]
    with pytest.raises(SettingsError, match="most often its password is wrong") as caught:
        read_settings({**by_store, "ssl.keystore.password": "wrong-" + SECRET}, read_file=read)
    assert SECRET not in str(caught.value)
    with pytest.raises(SettingsError, match=r"give ssl\.truststore\.password"):
        read_settings({**by_store, "ssl.truststore.password": ""}, read_file=read)


def test_a_java_store_is_refused_with_the_line_that_converts_it() -> None:
    read = reading_files(client=b"\xfe\xed\xfe\xed\0\0\0\2" + b"\0" * 40)
    with pytest.raises(SettingsError) as caught:
        read_settings(mutual(**{"ssl.keystore.location": "/etc/client.keystore"}), read_file=read)
    line = "keytool -importkeystore -srckeystore /etc/client.keystore -destkeystore /etc/client.p12"
    assert line in str(caught.value)


def test_rubbish_for_a_store_is_told(client: Issued) -> None:
    with pytest.raises(SettingsError, match=r"neither PEM .* nor PKCS12"):
        read_settings(mutual(**{"ssl.truststore.location": "x"}), read_file=reading_files(x=b"hello"))
    read = reading_files(x=client.chain_pem.encode())
    with pytest.raises(SettingsError, match="no '-----BEGIN PRIVATE KEY-----'"):
        read_settings(mutual(**{"ssl.keystore.location": "x"}), read_file=read)


# --- secrets ----------------------------------------------------------------------------------------------------


def test_no_secret_is_in_a_repr_and_stored_settings_come_back(authority: Authority, client: Issued) -> None:
    signed = ConnectionSettings(
        ("a:1",),
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        username="u",
        password=SECRET,
        ca_pem=authority.pem,
        certificate_pem=client.chain_pem,
        key_pem=client.key_pem,
    )
    token = ConnectionSettings(
        ("a:1",),
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        token_url="https://idp.example.org/token",
        oauth_client_id="me",
        oauth_client_secret=SECRET,
        oauth_extensions=(("logicalCluster", "lkc-1"),),
    )
    for one in (signed, token):
        assert SECRET not in repr(one)
        assert SECRET not in str(one)
        assert "PRIVATE KEY" not in repr(one)
        assert ConnectionSettings.from_stored(one.to_stored()) == one
    assert SECRET not in repr(parse_jaas(f'{PLAIN} required username="u" password="{SECRET}";'))


def test_a_key_too_short_for_this_systems_tls_is_refused_in_words() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "short")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with pytest.raises(SettingsError, match="cannot be used by this system's TLS"):
        ConnectionSettings.from_properties(
            mutual(**{"ssl.keystore.certificate.chain": chain, "ssl.keystore.key": private})
        )
