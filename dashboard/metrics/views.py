"""/metrics, /healthz and /readyz: what machines ask; answered without sign-in."""

from __future__ import annotations

import hmac
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from dashboard.access.roles import public

from .negotiate import OPENMETRICS_TYPE, TEXT_TYPE, accepts_gzip, prefers_openmetrics
from .page import MetricsPage, own_registry
from .readiness import readiness
from .warm import Warmer

page = MetricsPage(own_registry())
warmer = Warmer(lambda: page)


@public
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The Prometheus page; with STREAMGAUGE_METRICS_TOKEN set only for who bears it."""
    if settings.METRICS_TOKEN and not _bears(request, settings.METRICS_TOKEN):
        return HttpResponse(
            "This page asks for a bearer token: the value of STREAMGAUGE_METRICS_TOKEN.\n",
            status=401,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": 'Bearer realm="streamgauge metrics"'},
        )
    openmetrics = prefers_openmetrics(request.headers.get("Accept", ""))
    built = page.build(time.time(), openmetrics=openmetrics)
    headers = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding"}
    is_zipped = accepts_gzip(request.headers.get("Accept-Encoding", ""))
    if is_zipped:
        headers["Content-Encoding"] = "gzip"
    body = built.gzipped() if is_zipped else built.plain()
    warmer.scraped(openmetrics=openmetrics, is_zipped=is_zipped)
    return HttpResponse(body, content_type=OPENMETRICS_TYPE if openmetrics else TEXT_TYPE, headers=headers)


@public
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process is alive; nothing else is looked at, so that a slow database does not restart it."""
    return JsonResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})


@public
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """503 when the database does not answer, or a loop of this process is older than 3 of its intervals."""
    found = readiness()
    return JsonResponse(
        {
            "status": "ready" if found.is_ready else "not ready",
            "database": found.database,
            "late_loops": [
                {
                    "name": pulse.name,
                    "age_seconds": round(pulse.age_seconds, 3),
                    "interval_seconds": pulse.interval_seconds,
                    "trouble": pulse.trouble,
                }
                for pulse in found.late
            ],
            "loops": [pulse.name for pulse in found.pulses],
        },
        status=200 if found.is_ready else 503,
        headers={"Cache-Control": "no-store"},
    )


def _bears(request: HttpRequest, token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("utf-8", "surrogateescape"), token.encode()
    )
