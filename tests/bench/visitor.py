"""Someone signed in who fetches pages over one connection, and how long each takes."""

from __future__ import annotations

import http.client
import re
import statistics
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass
class Visitor:
    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def sign_in(self, link: str) -> None:
        path = urlsplit(link).path
        _, page = self.fetch(path)
        found = TOKEN.search(page.decode())
        if found is None:
            raise RuntimeError("the page of the sign-in link has no form")
        status, _ = self.fetch(path, form={"csrfmiddlewaretoken": found[1]})
        if status != 302:
            raise RuntimeError(f"the sign-in link was answered with {status}")

    def fetch(self, path: str, *, form: dict[str, str] | None = None, encoding: str = "gzip") -> tuple[int, bytes]:
        """Status and body, the body as it came."""
        headers = {"Accept-Encoding": encoding if form is None and self.cookies else "identity"}
        headers |= {"Cookie": self.cookie} if self.cookies else {}
        headers |= {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        method, body = ("POST", urlencode(form)) if form is not None else ("GET", None)
        self._line.request(method, path, body=body, headers=headers)
        answer = self._line.getresponse()
        content = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return answer.status, content

    def times(self, path: str, count: int, *, rest_seconds: float = 0.03) -> tuple[float, float, int]:
        """(median, 95th percentile, bytes of the last body): milliseconds of `count` fetches one after another."""
        taken, size = [], 0
        for _ in range(count):
            began = time.perf_counter()
            status, body = self.fetch(path)
            taken.append((time.perf_counter() - began) * 1e3)
            if status != 200:
                raise RuntimeError(f"{path} was answered with {status}")
            size = len(body)
            time.sleep(rest_seconds)
        return statistics.median(taken), statistics.quantiles(taken, n=20)[-1], size

    def close(self) -> None:
        self._line.close()
