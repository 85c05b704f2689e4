"""The content security policy: no inline script, no foreign host, no frame."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

# Plotly's full bundle puts one style element into the page when it loads, which no nonce can reach. The browser's
# console prints the hash; it changes with the bundle, and a browser test holds it.
PLOTLY_STYLE_HASH = "sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o="


class ContentSecurityPolicyMiddleware:
    """Gives each request a `csp_nonce` and each answer the policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        nonce = secrets.token_urlsafe(16)
        request.csp_nonce = nonce  # type: ignore[attr-defined]  # read by base.html
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy(_host(request), nonce))
        return response


def policy(host: str, nonce: str) -> str:
    """The policy of one answer. `host` is host and port: 'self' does not cover ws: in every browser."""
    sockets = f" ws://{host} wss://{host}" if host else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src 'self' 'nonce-{nonce}' '{PLOTLY_STYLE_HASH}'",
            f"connect-src 'self'{sockets}",
            "img-src 'self' data:",
            "font-src 'self'",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def _host(request: HttpRequest) -> str:
    try:
        return request.get_host()
    except DisallowedHost:
        return ""
