"""Pages for what is not there and for what went wrong."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import render

from .shell import theme_of


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    said = exception.args[0] if exception.args and isinstance(exception.args[0], str) else ""
    context = {"said": said, "theme": theme_of(request)}
    return render(request, "pages/not_found.html", context, status=404)


def failed(request: HttpRequest) -> HttpResponse:
    """No template with data: whatever broke may break again."""
    return HttpResponseServerError(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Streamgauge</title>"
        "<h1>This page could not be made</h1><p>The log of the server says why. Sampling and alerts go on.</p>"
        f'<p><a href="{settings.SUB_PATH}/">Overview</a></p></html>'
    )
