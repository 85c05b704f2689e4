"""Chart JSON: what Plotly accepts, with gaps as gaps and bad questions answered in words."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from collectors.history import queries
from dashboard.access.csp import PLOTLY_STYLE_HASH, policy
from dashboard.charts.bundle import NAME, bundle_path
from dashboard.charts.encoding import COLUMNS_TYPE, chart_columns, chart_json
from dashboard.charts.figures import NOTHING_KNOWN, Chart, Gap, Line, Mark

from .seed import Company, make_company

pytestmark = pytest.mark.django_db
BASE = "/clusters/demo/series/"
FULL = {"subject": "g", "name": "payment-service", "what": "lag", "from": "now-1h", "to": "now"}


def resolved(value: Any) -> Any:
    """The figure with colours in place of tokens, as the page's script puts them in."""
    if isinstance(value, str) and value.startswith("var("):
        return "rgba(1,2,3,0.5)"
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return {key: resolved(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("subject", "name", "what", "keys"),
    [
        ("g", "payment-service", "lag", {"lag"}),
        ("g", "payment-service", "rates", {"arriving", "consumed"}),
        ("t", "orders", "rate", {"rate"}),
        ("t", "orders", "size", {"size"}),
        ("b", "1", "leaders", {"leaders"}),
        ("c", "", "cycles", {"cycle_ms"}),
        ("c", "", "dead_letters", {"t0"}),
    ],
)
def test_a_chart_is_a_figure_that_plotly_takes(
    subject: str, name: str, what: str, keys: set[str], viewer: Client
) -> None:
    make_company(Company(cycles=60, gap=(20, 30), frozen=frozenset({"payment-service"})))
    response = viewer.get(BASE, {**FULL, "subject": subject, "name": name, "what": what})
    assert response.status_code == 200
    answer = json.loads(response.content)
    figure = go.Figure(resolved(answer["figure"]))
    lines = [trace for trace in figure.data if trace.meta["role"] == "line"]
    assert {line.meta["key"] for line in lines} == keys
    assert answer["unit"]
    assert len(answer["gaps"]) == 1
    for line in lines:
        assert None in line.y  # the gap breaks the line
        assert len(line.x) == len(line.y)
        assert all(value is None or value >= 0 for value in line.y)
    assert list(lines[0].x) == sorted(lines[0].x)


def test_marks_of_the_subject_and_of_the_cluster_come_along(viewer: Client) -> None:
    make_company(Company(cycles=60, frozen=frozenset({"payment-service"})))
    answer = viewer.get(BASE, FULL).json()
    assert "ok to no progress" in [mark["text"] for mark in answer["marks"]]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"what": "nonsense"}, 400, "what"),
        ({"subject": "x"}, 400, "what"),
        ({"from": "now-1x"}, 400, "from"),
        ({"from": "now", "to": "now-1h"}, 400, "from"),
        ({"to": "tomorrow"}, 400, "to"),
        ({"name": None}, 400, "name"),
        ({"compare": "9y"}, 400, "compare"),
        ({"to": "now-10m", "compare": "now-5m"}, 400, "compare"),
    ],
)
def test_a_question_that_cannot_be_answered_names_its_field(
    changes: dict[str, Any], status: int, field: str, viewer: Client
) -> None:
    make_company(Company(cycles=3))
    asked = {key: value for key, value in {**FULL, **changes}.items() if value is not None}
    response = viewer.get(BASE, asked)
    assert (response.status_code, response.json()["field"]) == (status, field)


@pytest.mark.parametrize("name", ["nobody", "", "<script>", "a/b"])
def test_a_subject_without_samples_has_an_empty_chart(name: str, viewer: Client) -> None:
    make_company(Company(cycles=3))
    answer = viewer.get(BASE, {**FULL, "name": name}).json()
    assert answer["empty"] is True


def test_the_day_before_is_laid_over_a_chart(viewer: Client) -> None:
    now = time.time()
    make_company(Company(cycles=60), now=now - 86_400)
    asked = {"subject": "t", "name": "orders", "what": "rate", "from": "now-6m", "to": "now"}
    plain = viewer.get(BASE, asked).json()
    assert plain["empty"] is True
    compared = viewer.get(BASE, {**asked, "compare": "1d"}).json()
    line = compared["figure"]["data"][-1]
    assert line["name"] == "messages in, the day before"
    assert line["line"]["dash"] == "dot"
    assert line["x"][-1] / 1000 == pytest.approx(now, abs=30), "at today's hours"
    assert max(value for value in line["y"] if value is not None) > 0
    assert line["meta"]["compared"] is True


def test_what_was_before_a_mark_is_laid_over_a_chart_end_to_end(viewer: Client) -> None:
    now = time.time()
    cluster = make_company(Company(cycles=60), now=now)
    mark = datetime.fromtimestamp(now - 120, UTC)
    asked = {"subject": "t", "name": "orders", "what": "rate", "from": "now-2m", "to": "now"}
    compared = viewer.get(BASE, {**asked, "compare": mark.isoformat()}).json()
    own, line = (trace for trace in compared["figure"]["data"] if trace["meta"]["role"] == "line")
    assert line["name"] == f"messages in, before {mark:%H:%M:%S}"
    back = compared["to"] - mark.timestamp()
    before = queries.topic_history(cluster.pk, "orders", compared["from"] - back, compared["to"] - back)
    shifted = [round((at + back) * 1000) for at in before.times.tolist()]
    assert line["x"] == pytest.approx(shifted, abs=1), "milliseconds, rounded once"
    assert line["y"] == pytest.approx(before.rate.last.tolist(), abs=0.001)
    assert own["y"] != line["y"]
    nothing = viewer.get(BASE, {**asked, "compare": (mark - timedelta(days=1)).isoformat()}).json()
    assert any("nothing to compare with: no values before" in note for note in nothing["notes"])


def test_columns_hold_what_the_json_holds(viewer: Client) -> None:
    make_company(Company(cycles=60, gap=(20, 30), frozen=frozenset({"payment-service"})))
    asked = {**FULL, "to": "now", "points": "40", "from": str(round((time.time() - 3600) * 1000))}
    asked["to"] = str(round(time.time() * 1000))
    plain, response = viewer.get(BASE, asked).json(), viewer.get(BASE, {**asked, "format": "columns"})
    assert response.headers["Content-Type"] == COLUMNS_TYPE
    found = decoded(response.content)
    assert found == plain
    assert any(None in trace["y"] for trace in plain["figure"]["data"])
    assert viewer.get(BASE, {**asked, "format": "xml"}).json()["field"] == "format"


def decoded(body: bytes) -> Any:
    """The columns as the page's script reads them, arrays as the JSON has them."""
    assert body[:4] == b"SGC1"
    length = int.from_bytes(body[4:8], "little")
    head, at = json.loads(body[8 : 8 + length]), 8 + length
    assert at % 8 == 0
    columns = []
    for size in head.pop("columns"):
        column = np.frombuffer(body, "<f8", size, at).tolist()
        columns.append([None if value != value else value for value in column])
        at += 8 * size
    assert at == len(body)
    for trace in head["figure"]["data"]:
        trace["x"], trace["y"] = (columns[trace[axis]["column"]] for axis in "xy")
    return head


def test_columns_are_shared_between_a_line_and_its_band() -> None:
    at = np.arange(3.0)
    line = Line("lag", "lag", "s6", at, np.array([1.0, np.nan, 3.0]), at, at + 2)
    body = chart_columns(Chart("Lag", "records", 0, 10, [line]))
    head = json.loads(body[8 : 8 + int.from_bytes(body[4:8], "little")])
    assert len({trace["x"]["column"] for trace in head["figure"]["data"]}) == 1
    assert len(head["columns"]) == 4


def test_points_are_bounded(viewer: Client) -> None:
    make_company(Company(cycles=100))
    answer = viewer.get(BASE, {**FULL, "points": "25"}).json()
    assert len(answer["figure"]["data"][-1]["x"]) <= 26
    assert "minimum to maximum shaded" in answer["resolution"]
    assert viewer.get(BASE, {**FULL, "points": "9" * 30}).status_code == 200


def test_an_unknown_value_is_null_and_a_band_needs_both_edges() -> None:
    nan = np.nan
    parts = ([1.0, 2.0, 3.0], [1, nan, 3], [0, nan, 2], [2, nan, 4])
    times, values, low, high = (np.array(part, dtype=np.float64) for part in parts)
    line = Line("lag", "lag", "s6", times, values, low, high)
    chart = Chart("Lag", "records", 0, 10, [line], [Mark(2, "<b>x</b>", "i-flag", "is-bad")], [Gap(1, 3, "why")], 5)
    answer = chart_json(chart)
    *bands, drawn = answer["figure"]["data"]
    assert [band["y"] for band in bands] == [[0], [2], [2], [4]]  # a pair before the gap, a pair after it
    assert [band["meta"]["key"] for band in bands] == ["", "", "lag", "lag"]
    assert drawn["y"] == [1, None, 3]
    go.Figure(resolved(answer["figure"]))


def test_plotly_s_own_bundle_is_found_and_nothing_beside_it() -> None:
    found = finders.find(NAME)
    assert found
    assert str(found).endswith("plotly/package_data/plotly.min.js")
    assert finders.find("plotly/../datasets/x.csv") is None
    assert finders.find("plotly/other.js") is None


def test_the_policy_allows_exactly_the_style_that_plotly_s_bundle_puts_into_the_page() -> None:
    """The element has no nonce; a new bundle with another style would be blocked, and no chart would say so."""
    found = re.findall(r"createElement\(.style.\);e\.id=.[0-9a-f]+.,e\.textContent='((?:[^'\\\\]|\\\\.)*)'", _bundle())
    assert len(found) == 1
    style = found[0].encode("latin-1", "backslashreplace").decode("unicode_escape")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"sha256-{digest}" == PLOTLY_STYLE_HASH
    assert PLOTLY_STYLE_HASH in policy("h:1", "n")


def _bundle() -> str:
    return bundle_path().read_text(encoding="utf-8")


def test_a_curve_that_is_never_known_says_so_and_is_not_taken_for_no_samples(viewer: Client) -> None:
    make_company(Company(never_committed=frozenset({"analytics"})))
    series = "/clusters/demo/series/?subject=g&what=lag&name="
    answer = viewer.get(f"{series}analytics&from=now-5m").json()
    assert answer["empty"]
    assert answer["notes"] == [NOTHING_KNOWN]
    assert viewer.get(f"{series}shipping&from=now-5m").json()["notes"] == []
    assert viewer.get(f"{series}analytics&from=now-9h&to=now-8h").json()["notes"] == []
