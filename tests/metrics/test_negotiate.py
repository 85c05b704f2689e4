"""Which format and encoding is answered."""

from __future__ import annotations

import pytest

from dashboard.metrics.negotiate import accepts_gzip, prefers_openmetrics

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3_TEXT = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "expected", "sentence"),
    [
        ("", False, "who says nothing gets text"),
        ("*/*", False, "a wildcard means text"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False, "a browser gets text"),
        (PROMETHEUS_2, True, "Prometheus 2 prefers OpenMetrics"),
        (PROMETHEUS_3_TEXT, False, "Prometheus told to scrape text gets text"),
        ("application/openmetrics-text", True, "no version means any"),
        ("application/openmetrics-text; version=0.0.1", False, "the draft is another format"),
        ("application/openmetrics-text; version=2.0.0", False, "so is the next one"),
        ("application/openmetrics-text;q=0", False, "quality 0 means no"),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.9", False, "text is liked more"),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", True, "case does not matter"),
        ("application/openmetrics-text;q=much", False, "a quality that is none is 0"),
    ],
)
def test_openmetrics_is_answered_to_who_prefers_it(accept: str, expected: bool, sentence: str) -> None:
    assert prefers_openmetrics(accept) is expected, sentence


@pytest.mark.parametrize(
    ("header", "expected"),
    [("", False), ("gzip", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("*", True)],
)
def test_gzip_is_sent_to_who_accepts_it(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected
