"""The setting that says how long samples are kept."""

from __future__ import annotations

import pytest

from collectors.domain.keeping import Keep, KeepError, parse_keep


def test_the_most_exact_rule_counts() -> None:
    keep = parse_keep("blocks=5, orders/blocks=3, */size/blocks=2, orders/size/blocks=1.5, orders/1min=60")
    assert keep.days("blocks") == 5
    assert keep.days("blocks", cluster="orders") == 3
    assert keep.days("blocks", cluster="other", kind="size") == 2
    assert keep.days("blocks", cluster="orders", kind="size") == 1.5
    assert keep.days("blocks", cluster="orders", kind="end") == 3
    assert keep.days("1min", cluster="orders") == 60
    assert keep.days("1min", cluster="other") == Keep().days("1min") == 30
    assert parse_keep(" ") == Keep()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7", "like blocks=7"),
        ("frames=2", "there are blocks, 1min"),
        ("a/b/c/blocks=1", "like blocks=7"),
        ("blocks=soon", "no number of days"),
        ("blocks=0", "between 0.1"),
        ("blocks=nan", "between 0.1"),
        ("a/end/1h=3", "only blocks can differ by kind"),
        ("a/ends/blocks=3", "kinds are end"),
    ],
)
def test_what_cannot_be_read_is_quoted_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(KeepError, match=said):
        parse_keep(text, frozenset({"end"}))
