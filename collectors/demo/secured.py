"""A Kafka node that asks who one is: TLS, SASL with every mechanism, client certificates, Kafka's own authorizer."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs re-export nothing
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from . import jars
from .nodes import KafkaCluster, NodePlan
from .pki import Authority, Issued
from .programs import HOST, KafkaFailedError, free_port, run_storage_tool
from .tokens import AUDIENCE, ISSUER, TokenEndpoint

FIRST_PORT = 29092
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_SECURITY = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Listener:
    """One door of the node: how it speaks, and under which name it calls itself."""

    name: str
    protocol: str
    advertised_host: str = "localhost"


LISTENERS = (
    Listener("SASL_SSL", "SASL_SSL"),
    Listener("SASL_PLAINTEXT", "SASL_PLAINTEXT"),
    Listener("MUTUAL", "SSL"),  # asks for a client certificate
    # doors that are wrong on purpose
    Listener("EXPIRED", "SSL"),
    Listener("MISNAMED", "SSL"),
    Listener("LOST", "PLAINTEXT", "no-such-broker.invalid"),
)
RIGHTS: dict[str, tuple[tuple[str, str], ...]] = {
    "admin": (),  # a super user
    "observer": (("TOPIC", "DESCRIBE"), ("GROUP", "DESCRIBE")),  # enough for lag
    "standard": (
        ("TOPIC", "DESCRIBE"),
        ("GROUP", "DESCRIBE"),
        ("BROKER", "DESCRIBE"),
        ("TOPIC", "DESCRIBE_CONFIGS"),
        ("BROKER", "DESCRIBE_CONFIGS"),
    ),
    "nobody": (),
}


class SecuredKafka(KafkaCluster):
    """One KRaft node with the doors of LISTENERS and the users of RIGHTS, and the token endpoint beside it.

    The loopback PLAINTEXT listener is the root of whoever started it: ANONYMOUS is a super user.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        cache_dir: Path | None = None,
        base_port: int = FIRST_PORT,
        session_seconds: int = 60,
        say: jars.Say = print,
    ) -> None:
        super().__init__(data_dir, cache_dir=cache_dir, node_count=1, base_ports=[base_port], say=say)
        self.session_seconds = session_seconds
        self.authority = Authority()
        self.passwords = self._kept_passwords()
        self.tokens = TokenEndpoint(self.passwords)
        self.ports: dict[str, int] = {}

    # -- what clients need -------------------------------------------------------------------------------------

    def address(self, listener: str = "SASL_SSL") -> str:
        return f"localhost:{self.ports[listener]}"

    def properties(self, user: str = "observer", mechanism: str = "SCRAM-SHA-512", **changed: str) -> dict[str, str]:
        """A client.properties for a user, as its keys and values; `changed` overrides keys ('.' written '__')."""
        values = {
            "bootstrap.servers": self.address(),
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": mechanism,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.certificates": self.authority.pem,
        }
        if mechanism == "OAUTHBEARER":
            module = f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule"
            values["sasl.oauthbearer.token.endpoint.url"] = self.tokens.url
            values["sasl.jaas.config"] = f'{module} required clientId="{user}" clientSecret="{self.passwords[user]}";'
        else:
            module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
            values["sasl.jaas.config"] = (
                f'{_SECURITY}.{module} required username="{user}" password="{self.passwords[user]}";'
            )
        return values | {key.replace("__", "."): value for key, value in changed.items()}

    def certificate_properties(self, user: str = "observer", *, issued: Issued | None = None) -> dict[str, str]:
        """A client.properties that signs in with a certificate."""
        own = issued or self.authority.client(user)
        return {
            "bootstrap.servers": self.address("MUTUAL"),
            "security.protocol": "SSL",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.certificates": self.authority.pem,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": own.chain_pem,
            "ssl.keystore.key": own.key_pem,
        }

    # -- start and stop ----------------------------------------------------------------------------------------

    def start(self) -> None:
        self.tokens.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.tokens.stop()

    def wait_ready(self, *, seconds: float = 90.0, nodes: int | None = None) -> float:
        took = super().wait_ready(seconds=seconds, nodes=nodes)
        for user, rights in RIGHTS.items():
            self.grant(user, rights)
        return took

    # -- users and rights --------------------------------------------------------------------------------------

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap}, logger=logging.getLogger("collectors.demo.secured"))

    def grant(self, user: str, rights: Iterable[tuple[str, str]]) -> None:
        """Allow (resource type, operation) on all resources of the type, as BROKER for the cluster."""
        bindings = [_binding(user, kind, operation) for kind, operation in rights]
        admin = self.admin()  # has to live until its answers are there
        for made in (admin.create_acls(bindings) if bindings else {}).values():
            made.result(10)

    def withdraw(self, user: str, rights: Iterable[tuple[str, str]]) -> None:
        filters = [_filter(user, kind, operation) for kind, operation in rights]
        admin = self.admin()
        for gone in admin.delete_acls(filters).values():
            if not gone.result(10):
                raise KafkaFailedError(f"{user} did not have the right that was to be withdrawn")

    def set_topic_config(self, topic: str, key: str, value: str | None) -> None:
        """Set a key of a topic; None lets it fall back to its default."""
        operation = AlterConfigOpType.SET if value is not None else AlterConfigOpType.DELETE
        entry = ConfigEntry(key, value or "", incremental_operation=operation)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = self.admin()
        for made in admin.incremental_alter_configs([resource]).values():
            made.result(10)

    def set_scram_password(self, user: str, password: str) -> None:
        """Change a SCRAM password in the running node; connections live on until they sign in again."""
        admin = self.admin()
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # one user once a request
            changes: list[UserScramCredentialAlteration] = [
                UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password.encode())
            ]
            for made in admin.alter_user_scram_credentials(changes).values():
                made.result(10)

    def _kept_passwords(self) -> dict[str, str]:
        """Made at the first start: the node's storage holds them from then on."""
        path = self.data_dir / "passwords.json"
        if path.exists():
            kept: dict[str, str] = json.loads(path.read_text(encoding="ascii"))
            return kept
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)  # the node's own properties hold passwords too
        made = {user: secrets.token_urlsafe(12) for user in RIGHTS}
        write_private(path, json.dumps(made))
        return made

    # -- the node ----------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        super()._plan()
        plan = self._plans[1]
        path = self.data_dir / "ports.json"
        kept = json.loads(path.read_text(encoding="ascii")) if path.exists() else {}
        taken = {plan.port, plan.controller_port}
        for offset, listener in enumerate(LISTENERS, 2):
            self.ports[listener.name] = free_port(kept.get(listener.name, plan.port + offset), taken, set())
        path.write_text(json.dumps(self.ports), encoding="ascii")

    def _properties(self, plan: NodePlan) -> dict[str, str]:
        properties = super()._properties(plan)
        doors = ",".join(f"{one.name}://{HOST}:{self.ports[one.name]}" for one in LISTENERS)
        named = ",".join(f"{one.name}://{one.advertised_host}:{self.ports[one.name]}" for one in LISTENERS)
        protocols = ",".join(f"{one.name}:{one.protocol}" for one in LISTENERS)
        properties["listeners"] += f",{doors}"
        properties["advertised.listeners"] += f",{named}"
        properties["listener.security.protocol.map"] += f",{protocols}"
        return (
            properties
            | {
                "sasl.enabled.mechanisms": ",".join(MECHANISMS),
                "connections.max.reauth.ms": str(self.session_seconds * 1000),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS;User:admin",
                "allow.everyone.if.no.acl.found": "false",
            }
            | self._tls_properties()
            | self._sasl_properties()
        )

    def _tls_properties(self) -> dict[str, str]:
        names = ("localhost", HOST)
        certificates = {
            "ssl": self.authority.broker(*names),
            "listener.name.expired.ssl": self.authority.broker(*names, days=-3),
            "listener.name.misnamed.ssl": self.authority.broker("kafka.example.org"),
        }
        found: dict[str, str] = {}
        trusted = self.data_dir / "ca.pem"
        trusted.write_text(self.authority.pem, encoding="ascii")
        for prefix, issued in certificates.items():
            path = self.data_dir / f"{prefix}.pem"
            write_private(path, issued.key_pem + issued.chain_pem)
            found |= {
                f"{prefix}.keystore.type": "PEM",
                f"{prefix}.keystore.location": str(path),
                f"{prefix}.truststore.type": "PEM",
                f"{prefix}.truststore.location": str(trusted),
            }
        return found | {
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        }

    def _sasl_properties(self) -> dict[str, str]:
        keys = self.data_dir / "jwks.json"
        keys.write_text(self.tokens.keys(), encoding="ascii")
        users = " ".join(f'user_{user}="{password}"' for user, password in self.passwords.items())
        found: dict[str, str] = {}
        for listener in ("sasl_ssl", "sasl_plaintext"):
            name = f"listener.name.{listener}"
            for scram in ("scram-sha-256", "scram-sha-512"):
                found[f"{name}.{scram}.sasl.jaas.config"] = f"{_SECURITY}.scram.ScramLoginModule required;"
            found[f"{name}.plain.sasl.jaas.config"] = f"{_SECURITY}.plain.PlainLoginModule required {users};"
            found[f"{name}.oauthbearer.sasl.jaas.config"] = f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required;"
            found[f"{name}.oauthbearer.sasl.server.callback.handler.class"] = (
                f"{_SECURITY}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            )
            found[f"{name}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url"] = keys.as_uri()
            found[f"{name}.oauthbearer.sasl.oauthbearer.expected.audience"] = AUDIENCE
            found[f"{name}.oauthbearer.sasl.oauthbearer.expected.issuer"] = ISSUER
        # the plain door has fewer: one can come with a mechanism that is off
        found["listener.name.sasl_plaintext.sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-512"
        return found

    def _make_storage(self, plan: NodePlan, folder: Path, properties: Path) -> None:
        """Kafka's own tool: it alone can write the first SCRAM users."""
        users = [
            f"{mechanism}=[name={user},password={password}]"
            for user, password in self.passwords.items()
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        ]
        more = [word for user in users for word in ("--add-scram", user)]
        run_storage_tool(self.cache_dir, self.cluster_id, properties, *more)

    def _java_flags(self) -> Sequence[str]:
        return (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={(self.data_dir / 'jwks.json').as_uri()}",)


def _binding(user: str, kind: str, operation: str) -> AclBinding:
    return AclBinding(
        ResourceType[kind],
        "kafka-cluster" if kind == "BROKER" else "*",
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[operation],
        AclPermissionType.ALLOW,
    )


def _filter(user: str, kind: str, operation: str) -> AclBindingFilter:
    return AclBindingFilter(
        ResourceType[kind],
        "kafka-cluster" if kind == "BROKER" else "*",
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[operation],
        AclPermissionType.ALLOW,
    )


def write_private(path: Path, text: str) -> None:
    """A file that nobody else reads; it begins anew."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as handle:
        handle.write(text)
