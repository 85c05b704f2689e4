"""Connecting clusters: the form, the connection test, changing, pausing, deleting with a day to undo it.

The test runs in the request that asks for it and not in a task: a task would carry credentials through its queue.
No page shows what was typed as a secret: answers replace only the panel with the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from collectors import roster
from collectors.domain.scope import ALL, LISTS, Scope, ScopeError
from collectors.kafka.probe import Outcome, Step, probe, refused_settings
from collectors.kafka.reading import ReadFile, Reading, read_settings
from collectors.kafka.settings import MECHANISMS, PROTOCOLS, ConnectionSettings, SettingsError
from collectors.models import Cluster
from collectors.secrets import SecretUnreadableError
from dashboard.access import audit
from dashboard.access.roles import role
from dashboard.models import Role
from dashboard.names import cluster_path

from .rights import certificates_of
from .shell import page, shell_of

MAX_UPLOAD = 2_000_000
FIELDS = {
    "bootstrap": "bootstrap.servers",
    "protocol": "security.protocol",
    "mechanism": "sasl.mechanism",
    "username": "sasl.username",
    "password": "sasl.password",
    "token_url": "sasl.oauthbearer.token.endpoint.url",
    "client_id": "sasl.oauthbearer.client.id",
    "client_secret": "sasl.oauthbearer.client.secret",
    "scope": "sasl.oauthbearer.scope",
    "ca": "ssl.truststore.certificates",
    "chain": "ssl.keystore.certificate.chain",
    "key": "ssl.keystore.key",
    "key_password": "ssl.key.password",
}
"""Single fields, and the key of a client.properties that each stands for."""
SIGN_IN = {
    "PLAIN": ("username", "password"),
    "SCRAM-SHA-256": ("username", "password"),
    "SCRAM-SHA-512": ("username", "password"),
    "OAUTHBEARER": ("token_url", "client_id", "client_secret", "scope"),
}


class ClusterForm(forms.Form):
    """What was typed: a properties text, or single fields where that is empty."""

    name = forms.CharField(max_length=400, required=False, strip=True)
    slug = forms.CharField(max_length=200, required=False, strip=True)
    interval = forms.FloatField(
        required=False, error_messages={"invalid": "use a number of seconds from 1 to 300, like 5"}
    )
    way = forms.ChoiceField(choices=[("properties", ""), ("fields", "")], required=False)
    properties = forms.CharField(max_length=1_000_000, required=False, strip=False)
    truststore = forms.FileField(required=False)
    keystore = forms.FileField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in (*FIELDS, *LISTS):
            self.fields[name] = forms.CharField(max_length=100_000, required=False, strip=False)

    def source(self) -> str | dict[str, str]:
        """What `read_settings` takes; "" when nothing was typed."""
        if self.cleaned_data["way"] != "fields":
            return str(self.cleaned_data["properties"]).strip("\r\n")
        protocol = str(self.cleaned_data["protocol"]).strip()
        wanted = ["bootstrap", "protocol"]
        if protocol.startswith("SASL_"):
            wanted += ["mechanism", *SIGN_IN.get(str(self.cleaned_data["mechanism"]), ())]
        if protocol.endswith("SSL"):
            wanted += ["ca", "chain", "key", "key_password"]
        values = {FIELDS[name]: str(self.cleaned_data[name]) for name in wanted}
        found = {key: value for key, value in values.items() if value.strip()}
        return found if "bootstrap.servers" in found else ""

    def scope(self) -> Scope | None:
        """None when no patterns were sent; ScopeError names the field of a pattern that cannot be used."""
        if not any(name in self.data for name in LISTS):
            return None
        return Scope.read({name: str(self.cleaned_data[name]) for name in LISTS})

    def commit_times(self) -> bool | None:
        """Whether commits are to be read; None when that was not sent. An empty box sends nothing, so that a hidden
        field of the same name before it says that there was one."""
        return self.data["commit_times"] == "on" if "commit_times" in self.data else None

    def read_file(self) -> ReadFile:
        """Stores come with the form; files of this machine are nobody's to read by a page."""
        uploads = {
            "truststore": self.cleaned_data.get("truststore"),
            "keystore": self.cleaned_data.get("keystore"),
        }

        def read(key: str, path: str) -> bytes:
            which = "truststore" if "truststore" in key or key == "ssl.ca.location" else "keystore"
            upload = uploads[which]
            if upload is None:
                raise SettingsError(
                    f"{key} {path!r}: files of the machine of Streamgauge are not read from a page; "
                    f"choose the file under “{which.capitalize()} file”, or paste its PEM text"
                )
            if upload.size > MAX_UPLOAD:
                raise SettingsError(f"{key}: the file has {upload.size} bytes, at most {MAX_UPLOAD}")
            upload.seek(0)
            content: bytes = upload.read()
            return content

        return read


@dataclass(frozen=True, slots=True)
class Typed:
    """A form that could be read, or in words why it could not."""

    form: ClusterForm
    reading: Reading | None
    error: str


@role(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    if request.method == "GET":
        return _form_page(request, None)
    typed = _typed(request)
    if typed.reading is None:
        return _panel(request, refused_settings(typed.error), {})
    interval = typed.form.cleaned_data["interval"]
    try:
        cluster = roster.add(
            name=typed.form.cleaned_data["name"],
            slug=typed.form.cleaned_data["slug"],
            connection=typed.reading.settings,
            interval=5.0 if interval is None else interval,
            scope=typed.form.scope() or ALL,
            commit_times=bool(typed.form.commit_times()),
        )
    except (roster.RosterError, ScopeError) as error:
        return _panel(request, [], {error.field: str(error)})
    audit.record_of(request, "cluster added", cluster.slug, **roster.told(typed.reading.settings))
    messages.success(request, f"{cluster.name} is watched from now on. The first numbers come with the first cycle.")
    return _go(request, cluster_path(cluster.slug))


@role(Role.ADMIN)
@require_POST
def check(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The connection test; where nothing was typed for a cluster that is there, of what is stored."""
    typed = _typed(request, _cluster(slug) if slug else None)
    if typed.reading is None:
        return _panel(request, refused_settings(typed.error), {})
    reading = typed.reading
    return _panel(request, list(probe(reading.settings, notes=reading.notes, taken=reading.taken)), {})


@role(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    cluster = _cluster(slug)
    if request.method == "GET":
        return _form_page(request, cluster)
    if cluster.managed_by:
        return _panel(request, [], {"name": _locked(cluster)})
    typed = _typed(request, cluster)
    if typed.reading is None:
        return _panel(request, refused_settings(typed.error), {})
    interval = typed.form.cleaned_data["interval"]
    try:
        changed = roster.change(
            cluster,
            name=typed.form.cleaned_data["name"],
            interval=cluster.interval_seconds if interval is None else interval,
            connection=typed.reading.settings,
            scope=typed.form.scope(),
            commit_times=typed.form.commit_times(),
            is_meant=True,
        )
    except (roster.RosterError, ScopeError) as error:
        return _panel(request, [], {error.field: str(error)})
    if changed:
        audit.record_of(request, "cluster changed", cluster.slug, **roster.told(typed.reading.settings))
        messages.success(request, "Saved. The history is kept.")
    return _go(request, cluster_path(cluster.slug))


@role(Role.ADMIN)
@require_POST
def pause(request: HttpRequest, slug: str) -> HttpResponse:
    """Pause, or with `resume` in the form go on."""
    cluster = _cluster(slug)
    paused = "resume" not in request.POST
    roster.pause(cluster, paused=paused)
    audit.record_of(request, "cluster paused" if paused else "cluster resumed", cluster.slug)
    messages.info(request, "Sampling is paused: nothing is asked and no rule is judged." if paused else "Going on.")
    return redirect(cluster_path(cluster.slug))


@role(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    """GET asks, POST deletes; for a day it can be undone."""
    cluster = _cluster(slug)
    if cluster.managed_by:
        messages.error(request, _locked(cluster))
        return redirect(f"/clusters/{cluster.slug}/edit/")
    if request.method == "POST":
        roster.delete(cluster, now=timezone.now())
        audit.record_of(request, "cluster deleted", cluster.slug)
        messages.info(request, f"Deleted {cluster.name}. It can be restored for a day, under Connect a cluster.")
        return redirect("cluster-add")
    context = {"section": "cluster", "cluster": cluster}
    return page(request, "pages/cluster_delete.html", context, shell=shell_of(request, slug))


@role(Role.ADMIN)
@require_POST
def restore(request: HttpRequest, slug: str) -> HttpResponse:
    cluster = roster.restore(slug, now=timezone.now())
    if cluster is None:
        raise Http404(f"There is no deleted cluster “{slug}” to restore.")
    audit.record_of(request, "cluster restored", cluster.slug)
    messages.success(request, f"Restored {cluster.name} with its history.")
    return redirect(cluster_path(cluster.slug))


def _typed(request: HttpRequest, cluster: Cluster | None = None) -> Typed:
    form = ClusterForm(request.POST, request.FILES)
    if not form.is_valid():
        told = "; ".join(f"{name}: {', '.join(map(str, errors))}" for name, errors in form.errors.items())
        return Typed(form, None, told)
    source = form.source()
    try:
        if source:
            return Typed(form, read_settings(source, read_file=form.read_file()), "")
        if cluster is not None:
            return Typed(form, Reading(roster.connection_of(cluster), 0, ("as stored",)), "")
        return Typed(form, None, "bootstrap.servers is missing: give at least one host:port")
    except (SettingsError, SecretUnreadableError) as error:
        return Typed(form, None, str(error))


def _panel(request: HttpRequest, steps: list[Step], errors: dict[str, str]) -> HttpResponse:
    """The panel of steps. 200 also for failures: htmx puts in only what came well, and so it did."""
    counts = {outcome.value: sum(step.outcome is outcome for step in steps) for outcome in Outcome}
    # each field's message comes along, empty ones too, so that what was mended is no longer complained about
    beside = [(field, errors.get(field, "")) for field in ("name", "slug", "interval", *LISTS)]
    context = {"steps": steps, "counts": counts, "errors": errors, "beside": beside}
    return render(request, "pages/_check.html", context)


def _form_page(request: HttpRequest, cluster: Cluster | None) -> HttpResponse:
    stored = _stored(cluster)
    context: dict[str, Any] = {
        "section": "cluster-add" if cluster is None else "cluster",
        "cluster": cluster,
        "protocols": PROTOCOLS,
        "mechanisms": MECHANISMS,
        "stored": stored,
        "certificates": certificates_of(stored) if stored is not None else [],
        "patterns": _pattern_fields(cluster),
        "locked": _locked(cluster) if cluster is not None and cluster.managed_by else "",
        "deleted": list(_deleted()) if cluster is None else [],
    }
    shell = shell_of(request, cluster.slug if cluster else None)
    return page(request, "pages/cluster_form.html", context, shell=shell)


def _pattern_fields(cluster: Cluster | None) -> list[tuple[str, str, str]]:
    """(field, label, what is stored: a pattern a line)."""
    scope = roster.scope_of(cluster) if cluster is not None else ALL
    found = []
    for field in LISTS:
        what, which = field.split("_")
        label = f"{'Only' if which == 'include' else 'No'} {what} like"
        found.append((field, label, "\n".join(getattr(scope, field))))
    return found


def _deleted() -> Any:
    return Cluster.everything.exclude(deleted_at=None).defer("settings_encrypted").order_by("-deleted_at")[:20]


def _stored(cluster: Cluster | None) -> ConnectionSettings | None:
    """What may be shown of the stored settings; None when there are none, or none that can be read."""
    if cluster is None:
        return None
    try:
        return roster.connection_of(cluster)
    except (SecretUnreadableError, SettingsError):
        return None


def _locked(cluster: Cluster) -> str:
    origin = "environment" if cluster.managed_by == "environment" else f"file {cluster.managed_by}"
    return f"This cluster comes from the {origin}; change it there and restart."


def _go(request: HttpRequest, path: str) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": path})
    return redirect(path)


def _cluster(slug: str) -> Cluster:
    cluster = Cluster.objects.filter(slug=slug).first()
    if cluster is None:
        raise Http404(f"There is no cluster “{slug}”.")
    return cluster
