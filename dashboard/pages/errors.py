"""Pages for what is not there and for what went wrong."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, NotSupportedError, ProgrammingError
from django.http import HttpRequest, HttpResponse, HttpResponseServerError
from django.shortcuts import render

from collectors import storage

from .shell import theme_of

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
OURS = (IntegrityError, DataError, ProgrammingError, NotSupportedError)
"""Errors of the database that are mistakes of this program."""


def is_database_away(error: BaseException | None) -> bool:
    """Whether the database itself fails: locked, full, damaged, gone."""
    return isinstance(error, DatabaseError | InterfaceError) and not isinstance(error, OURS)


class DatabaseAwayMiddleware:
    """Answers 503 in words where a page needs a database that fails."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return database_away(error) if is_database_away(error) else None


def database_away(error: BaseException) -> HttpResponse:
    """No template and no data: both may need what is away."""
    reason = storage.why(error)
    log.error("page not made reason=%r", reason)
    return HttpResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content={RETRY_SECONDS}>"
        f"<title>Streamgauge</title><h1>The database does not answer</h1><p>Because {reason}. "
        "Samples wait in memory meanwhile. This page tries again by itself.</p></html>",
        status=503,
        headers={"Retry-After": str(RETRY_SECONDS), "Cache-Control": "no-store"},
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    said = exception.args[0] if exception.args and isinstance(exception.args[0], str) else ""
    context = {"said": said, "theme": theme_of(request)}
    return render(request, "pages/not_found.html", context, status=404)


def failed(request: HttpRequest) -> HttpResponse:
    """No template with data: whatever broke may break again."""
    error = sys.exc_info()[1]
    if error is not None and is_database_away(error):  # outside of the view: a session that could not be stored
        return database_away(error)
    return HttpResponseServerError(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Streamgauge</title>"
        "<h1>This page could not be made</h1><p>The log of the server says why. Sampling and alerts go on.</p>"
        f'<p><a href="{settings.SUB_PATH}/">Overview</a></p></html>'
    )
