"""Somebody with a browser's cookies and nothing else: signs in by link or password, gets and posts."""

from __future__ import annotations

import http.cookiejar
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass


@dataclass
class Answer:
    status: int
    text: str
    url: str
    headers: dict[str, str]


class Visitor:
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.cookies = http.cookiejar.CookieJar()
        handlers: list[urllib.request.BaseHandler] = [
            urllib.request.HTTPCookieProcessor(self.cookies),
            urllib.request.ProxyHandler({}),
        ]
        if tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=tls))
        self.opener = urllib.request.build_opener(*handlers)

    def get(self, url: str, **headers: str) -> Answer:
        return self._ask(urllib.request.Request(url, headers=_named(headers)))

    def post(self, url: str, form: dict[str, str] | None = None, *, path: str = "", **headers: str) -> Answer:
        """Post a form as the page at `url` does, with its token, to itself or to a `path` that it names."""
        page = self.get(url)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        sent = {"csrfmiddlewaretoken": token[1] if token else "", **(form or {})}
        body = urllib.parse.urlencode(sent).encode()
        url = urllib.parse.urljoin(url, path)
        parts = urllib.parse.urlsplit(url)
        own = {"Origin": f"{parts.scheme}://{parts.netloc}", "Referer": url, **_named(headers)}
        return self._ask(urllib.request.Request(url, data=body, headers=own))

    def cookie_header(self) -> str:
        return "; ".join(f"{one.name}={one.value}" for one in self.cookies)

    def _ask(self, request: urllib.request.Request) -> Answer:
        try:
            with self.opener.open(request, timeout=30) as got:
                return Answer(got.status, got.read().decode(), got.url, dict(got.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), error.url, dict(error.headers))


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
