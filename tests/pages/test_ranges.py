"""Time ranges in Grafana's grammar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.pages.ranges import RangeError, parse_bound, read_comparison, read_range

NOW = datetime(2026, 11, 24, 10, 5, 30, 250_000, tzinfo=UTC)  # a Tuesday


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("now", NOW, NOW),
        ("now-15m", NOW - timedelta(minutes=15), NOW - timedelta(minutes=15)),
        ("now-2w", NOW - timedelta(days=14), NOW - timedelta(days=14)),
        ("now-1d/d", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("now/d", datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 24, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("now/w", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 29, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("now-1M/M", datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("now/Q", datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("now-1y", datetime(2025, 11, 24, 10, 5, 30, 250_000, tzinfo=UTC), None),
        ("now-1d+2h", NOW - timedelta(hours=22), None),
        ("2026-11-22T14:30:00Z", datetime(2026, 11, 22, 14, 30, tzinfo=UTC), None),
        ("2026-11-22T14:30:00+02:00", datetime(2026, 11, 22, 12, 30, tzinfo=UTC), None),
        ("2026-11-22 14:30", datetime(2026, 11, 22, 14, 30, tzinfo=UTC), None),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC), None),
        ("1795512600000", datetime(2026, 11, 24, 10, 10, tzinfo=UTC) - timedelta(minutes=0), None),
        (" now-5m ", NOW - timedelta(minutes=5), None),
    ],
)
def test_a_bound_is_read(text: str, start: datetime, end: datetime | None) -> None:
    if text == "1795512600000":
        start = datetime.fromtimestamp(1795512600, UTC)
    assert parse_bound(text, now=NOW) == start
    assert parse_bound(text, now=NOW, is_end=True) == (end or start)


@pytest.mark.parametrize(
    "text", ["", "now-", "now-5", "now-5x", "nov-5m", "yesterday", "now-99999999y", "now-5m/", "1e9", "0", "9999-99-99",
             "now-3000y", "1" * 30, "now-1h; DROP TABLE", "<script>"]
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_the_value(text: str) -> None:
    with pytest.raises(RangeError) as caught:
        parse_bound(text, now=NOW)
    assert "“" in str(caught.value)


@given(st.text(max_size=40).map(lambda text: "now" + text) | st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    try:
        moment = parse_bound(text, now=NOW)
    except RangeError:
        return
    assert 2000 <= moment.year <= 2200


@pytest.mark.parametrize(
    ("minutes", "wanted"),
    [(None, "now-5m"), (1, "now-5m"), (5, "now-5m"), (6, "now-15m"), (20, "now-15m"), (600, "now-15m")],
)
def test_the_default_fits_the_history_there_is(minutes: int | None, wanted: str) -> None:
    since = None if minutes is None else NOW - timedelta(minutes=minutes)
    chosen = read_range({}, now=NOW, history_since=since)
    assert (chosen.from_text, chosen.to_text, chosen.is_live) == (wanted, "now", True)


def test_a_bad_value_leaves_the_default_and_a_message_beside_its_field() -> None:
    chosen = read_range({"from": "now-1x", "to": "now"}, now=NOW, history_since=NOW - timedelta(hours=2))
    assert chosen.since == NOW - timedelta(minutes=15)
    assert chosen.from_text == "now-1x"  # what was typed stays in the field
    assert set(chosen.errors) == {"from"}


def test_a_range_that_runs_backwards_is_said() -> None:
    chosen = read_range({"from": "now", "to": "now-1h"}, now=NOW, history_since=None)
    assert "before" in chosen.errors["from"]
    assert chosen.since < chosen.until


@pytest.mark.parametrize(
    ("text", "back", "label"),
    [
        ("1d", 86_400.0, "the day before"),
        ("7d", 7 * 86_400.0, "the week before"),
        ("now-2h", 7200.0, "before 08:05:30"),
        ("2026-11-24T10:00:00Z", 330.25, "before 10:00:00"),
        ("2026-11-22T10:05:30Z", 2 * 86_400.25 - 0.25, "before Nov 22 10:05"),
    ],
)
def test_a_comparison_lies_back_so_that_it_ends_where_the_range_does(text: str, back: float, label: str) -> None:
    found = read_comparison(text, now=NOW, until=NOW)
    assert found is not None
    assert (found.back_seconds, found.label) == (back, label)
    assert read_range({"compare": text}, now=NOW, history_since=None).query.endswith(urlencode({"compare": text}))


@pytest.mark.parametrize("text", ["9y", "now+1h", "<script>", "2026-11-24T10:05:31Z"])
def test_what_cannot_be_compared_is_said_beside_its_field_and_left_out(text: str) -> None:
    chosen = read_range({"compare": text, "from": "now-1h", "to": "now"}, now=NOW, history_since=None)
    assert set(chosen.errors) == {"compare"}
    assert chosen.compared_moment == text
    assert chosen.query == "from=now-1h&to=now"
