"""Rights: what this login may see of a cluster, what is off without them, and the words that turn it on."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors import roster
from collectors.domain import words as plain_words
from collectors.domain.rights import NOT_ASKED
from collectors.domain.scope import Scope
from collectors.kafka.certificates import days_left, expiries
from collectors.kafka.settings import ConnectionSettings, SettingsError
from collectors.models import ClusterRight
from collectors.secrets import SecretUnreadableError
from dashboard.access.roles import role
from dashboard.models import Role

from .shell import page, shell_of
from .sight import Sight
from .summaries import Summary

ANYBODY = "NAME"
BROKERS = "kafka.example.org:9092"


@dataclass(frozen=True, slots=True)
class Grant:
    """The lines that grant what is missing, in the words of one kind of Kafka."""

    where: str
    note: str
    lines: tuple[str, ...]


@role(Role.VIEWER)
@require_safe
def rights(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    sight, connection = here.sight, _connection(here)
    since = dict(ClusterRight.objects.filter(cluster=here.cluster).values_list("key", "since"))
    context = {
        "section": "rights",
        "here": here,
        "sight": sight,
        "since": since,
        "lines": [(right, since.get(right.key), sight.why.get(right.key, "")) for right in sight.rights],
        "head": _headline(sight),
        "pending": _is_pending(sight),
        "grants": grants(sight, *_login(connection)) if shell.is_admin else [],
        "certificates": certificates_of(connection) if connection is not None else [],
        "scope": _patterns(roster.scope_of(here.cluster)),
        "left_out": left_out(here, "topic") + " and " + left_out(here, "group"),
        "not_asked": NOT_ASKED,
    }
    template = "pages/_rights_seen.html" if request.GET.get("fragment") == "seen" else "pages/rights.html"
    return page(request, template, context, shell=shell)


def _is_pending(sight: Sight) -> bool:
    """Whether something has not been asked yet, as in a cluster's first seconds."""
    return any(right.why == NOT_ASKED for right in sight.rights)


def _headline(sight: Sight) -> dict[str, str]:
    asked = [right for right in sight.rights if right.why != NOT_ASKED]
    if not asked:
        return {"verdict": "unknown", "sentence": "What this login may see has not been asked yet"}
    off = [right for right in asked if right.why]
    if len(asked) < len(sight.rights):
        things = plain_words.counted(len(sight.rights), "thing")
        said = f"{len(asked)} of {things} asked so far; the others follow within a minute"
        return {"verdict": "unknown", "sentence": said}
    if sight.missing:
        many = plain_words.counted(len(off), "thing")
        said = f"{many} of {len(sight.rights)} {'is' if len(off) == 1 else 'are'} off: this login lacks the rights"
        return {"verdict": "warn", "sentence": said}
    if off:
        return {"verdict": "unknown", "sentence": f"{plain_words.counted(len(off), 'thing')} cannot be shown here"}
    if sight.hides_topics or sight.hides_groups:
        return {"verdict": "ok", "sentence": "Everything is on, for all that is visible to this login"}
    return {"verdict": "ok", "sentence": "Everything is on, and nothing is hidden: this cluster checks no rights"}


def grants(sight: Sight, principal: str, bootstrap: str) -> list[Grant]:
    """For each kind of Kafka the lines that turn on what is off; [] when no right would."""
    if not sight.missing:
        return []
    return [
        Grant(
            "Kafka, and Amazon MSK with SCRAM or TLS",
            "By somebody who may change rights; with --command-config their own client.properties.",
            tuple(dict.fromkeys(right.kafka_acls(principal, bootstrap) for right in sight.missing)),
        ),
        Grant(
            "Confluent Cloud",
            "For the service account that the API key belongs to (sa-…).",
            tuple(dict.fromkeys(right.confluent("sa-000000") for right in sight.missing)),
        ),
        Grant(
            "Amazon MSK with IAM",
            "Statements for the policy of the role, for when others sign in by IAM; Streamgauge itself signs in by "
            "SCRAM or a certificate.",
            tuple(dict.fromkeys(right.msk() for right in sight.missing)),
        ),
    ]


def principal_of(settings: ConnectionSettings) -> str:
    """Whom the cluster sees, without "User:"."""
    if settings.certificate_pem and not settings.signs_in:
        return x509.load_pem_x509_certificate(settings.certificate_pem.encode()).subject.rfc4514_string()
    return settings.identity or "ANONYMOUS"


def certificates_of(connection: ConnectionSettings) -> list[tuple[str, str, float]]:
    """(what it is, whose, days left) of the stored certificates, the first to end first."""
    now = timezone.now().timestamp()
    found = []
    for what, pem in (("client certificate", connection.certificate_pem), ("authority", connection.ca_pem)):
        if pem:
            found += [(what, subject, days_left(at, now)) for subject, at in expiries(pem)]
    return sorted(found, key=lambda one: one[2])[:20]


def _connection(here: Summary) -> ConnectionSettings | None:
    """None when the stored settings cannot be read."""
    try:
        return roster.connection_of(here.cluster)
    except (SecretUnreadableError, SettingsError):
        return None


def _login(connection: ConnectionSettings | None) -> tuple[str, str]:
    """(principal, a bootstrap server)."""
    if connection is None:
        return ANYBODY, BROKERS
    return principal_of(connection), connection.bootstrap_servers[0]


def left_out(here: Summary, what: str) -> str:
    """ "12 topics", as the newest survey counted them."""
    number = here.cluster.topics_left_out if what == "topic" else here.cluster.groups_left_out
    return f"an unknown number of {what}s" if number is None else plain_words.counted(number, what)


def _patterns(scope: Scope) -> list[tuple[str, tuple[str, ...]]]:
    named = {
        "only topics like": scope.topics_include,
        "no topics like": scope.topics_exclude,
        "only groups like": scope.groups_include,
        "no groups like": scope.groups_exclude,
    }
    return [(words, patterns) for words, patterns in named.items() if patterns]
