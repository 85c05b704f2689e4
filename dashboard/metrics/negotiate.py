"""Which format and encoding a scraper wants (RFC 9110, 12.4 and 12.5)."""

from __future__ import annotations

from collections.abc import Iterator

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def prefers_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics 1.0 is wanted at least as much as text; text is the answer to anything else.

    Only 1.x (or no version) counts: 0.0.1 and 2.0 are other formats. Wildcards mean text, which every reader knows.
    """
    openmetrics, text = 0.0, 0.0
    for kind, parameters, quality in _accepted(accept):
        if kind == "application/openmetrics-text" and parameters.get("version", "1").split(".")[0] == "1":
            openmetrics = max(openmetrics, quality)
        elif kind == "text/plain":
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def accepts_gzip(accept_encoding: str) -> bool:
    named = {kind: quality for kind, _, quality in _accepted(accept_encoding)}
    return named.get("gzip", named.get("*", 0.0)) > 0


def _accepted(header: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(value, parameters, quality) of each item; a quality that is no number counts as 0."""
    for item in header.split(","):
        value, *pieces = (piece.strip() for piece in item.split(";"))
        parameters = {}
        for piece in pieces:
            name, _, content = piece.partition("=")
            parameters[name.strip().lower()] = content.strip().strip('"')
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if value:
            yield value.lower(), parameters, quality
