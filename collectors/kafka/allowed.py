"""Which keys of a client.properties are taken, which are left out, and which are refused with what reason."""

from __future__ import annotations

import re
from difflib import get_close_matches

TAKEN = frozenset(
    {
        "bootstrap.servers",
        "client.id",
        "security.protocol",
        "request.timeout.ms",
        "socket.connection.setup.timeout.ms",
        # sign-in: Java's names, then librdkafka's
        "sasl.mechanism",
        "sasl.jaas.config",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.oauthbearer.client.credentials.client.id",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.scope",
        "sasl.login.callback.handler.class",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "sasl.oauthbearer.method",
        "sasl.oauthbearer.client.id",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.extensions",
        # TLS: Java's names, then librdkafka's
        "ssl.endpoint.identification.algorithm",
        "ssl.truststore.type",
        "ssl.truststore.location",
        "ssl.truststore.password",
        "ssl.truststore.certificates",
        "ssl.keystore.type",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.keystore.certificate.chain",
        "ssl.keystore.key",
        "ssl.key.password",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.key.location",
        "ssl.key.pem",
        "enable.ssl.certificate.verification",
    }
)
SECRET = re.compile(r"password|secret|jaas|\.key$|key\.pem|token$|credential|user\.info|passphrase", re.IGNORECASE)
"""Keys whose values no message quotes."""

_OTHERS = (
    "group.", "auto.offset.", "auto.commit.", "enable.auto.", "isolation.level", "fetch.", "max.poll.",
    "max.partition.fetch.", "session.timeout.", "heartbeat.interval.", "key.", "value.", "acks", "linger.ms",
    "batch.", "compression.", "buffer.memory", "max.request.size", "max.in.flight.", "retries", "retry.backoff.",
    "delivery.timeout.", "enable.idempotence", "enable.metrics.push", "transactional.id", "transaction.timeout.",
    "partition.assignment.", "partitioner.", "exclude.internal.", "check.crcs", "allow.auto.create.", "default.api.",
    "client.rack", "client.dns.lookup", "metadata.", "reconnect.backoff.", "connections.max.idle.", "send.buffer.",
    "receive.buffer.", "schema.registry.", "basic.auth.", "auto.register.", "use.latest.", "specific.avro.", "metrics.",
    "socket.keepalive.", "socket.nagle.", "socket.timeout.", "api.version.", "broker.address.", "broker.version.",
    "log_level", "log.connection.", "statistics.", "message.", "queued.", "queue.", "topic.metadata.",
    "sasl.login.refresh.", "sasl.login.retry.", "sasl.login.connect.", "sasl.login.read.", "sasl.kerberos.kinit.",
    "ssl.protocol", "ssl.enabled.protocols", "ssl.cipher.suites", "ssl.secure.random.", "ssl.keymanager.",
    "ssl.trustmanager.",
)  # fmt: skip
_CODE = re.compile(r"\.class$|\.classes$|\.reporters?$|callback|plugin|engine\.factory|security\.providers|\.library\.")
OAUTH_HANDLERS = frozenset(
    {
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
        "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
    }
)


def is_left_out(key: str) -> bool:
    """Whether the key says nothing about reaching the cluster: of consumers, producers, tuning."""
    return key not in TAKEN and key.startswith(_OTHERS) and not key.startswith(("ssl.engine", "group.protocol."))


def reason_against(key: str, value: str = "") -> str:
    """Why a key is not taken and what to write instead; for keys neither taken nor left out."""
    if "IAMClientCallbackHandler" in value or "IAMLoginModule" in value:
        return "AWS MSK IAM is not offered; give a SCRAM user (MSK: SASL/SCRAM with Secrets Manager)"
    if key.startswith("sasl.kerberos.") or "keytab" in key:
        return f"Kerberos (GSSAPI) is not offered; {ANOTHER_MECHANISM}"
    if key.startswith("oauth") or key.startswith("sasl.oauthbearer."):
        return "of OAUTHBEARER only client credentials are offered: token endpoint, client id, secret and scope"
    if _CODE.search(key):
        return "it names code to load, which Streamgauge never does; leave the line out"
    if key.endswith(("keystore.p12", ".path", ".paths", ".location", ".file")):
        return "it makes a client read files of this machine; leave the line out"
    if near := get_close_matches(key, TAKEN, 1, 0.8):
        return f"unknown here; did you mean {near[0]}?"
    return "unknown here; leave the line out (the README lists what is taken)"


ANOTHER_MECHANISM = "use SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, OAUTHBEARER, or a client certificate"
