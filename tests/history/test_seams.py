"""Whatever is sampled comes out again: over frames, blocks and the seam between them, compared with a plain dict."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.history import compaction, layouts, reading, spans
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.history.selection import Member, Selection, fetch, members_of

from .recording import Recorder, Value, column

_slugs = itertools.count()
LEAST, MOST = -(2**63), 2**63 - 1
VALUES = st.one_of(st.none(), st.integers(LEAST, MOST), st.integers(0, 500), st.sampled_from([LEAST, MOST]))
OWNERS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "\0"]),
    st.dictionaries(st.tuples(st.sampled_from(["t", "u"]), st.integers(0, 3)), VALUES, max_size=4),
    max_size=3,
)
Owners = dict[str, dict[tuple[str, int], Value]]
STEPS = st.one_of(st.just(5.0), st.floats(0.25, 20.0), st.sampled_from([-90.0, 400.0, 0.0]))


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.lists(st.tuples(STEPS, OWNERS, st.booleans()), min_size=2, max_size=40),
    repeats=st.integers(1, 4),
)
def test_any_samples_come_out_before_and_after_compaction(
    monkeypatch: pytest.MonkeyPatch,
    samples: list[tuple[float, dict[str, dict[tuple[str, int], Value]], bool]],
    repeats: int,
) -> None:
    monkeypatch.setattr(compaction, "SPAN_SECONDS", 60.0)
    monkeypatch.setattr(spans, "HOT_SECONDS", 0.0)
    monkeypatch.setattr(compaction, "HOT_CYCLES", 0)
    recorder = Recorder(f"seam-{next(_slugs)}")
    truth: dict[int, tuple[float, dict[Member, Value]]] = {}
    for step, owners, forget in samples:
        for _ in range(repeats):
            if forget:
                recorder.writer.forget()
            cycle = recorder.write({Kind.COMMITTED: column(owners)}, after=step)
            flat = {(owner, *pair): value for owner, own in owners.items() for pair, value in own.items()}
            truth[cycle] = recorder.now, flat
    _compare(recorder, truth)
    compaction.compact(recorder.id)
    clear_caches()
    _compare(recorder, truth)


def _compare(recorder: Recorder, truth: dict[int, tuple[float, dict[Member, Value]]]) -> None:
    heads = reading.heads_between(recorder.id, Kind.COMMITTED, 0, 10**9)
    assert heads.cycles.tolist() == sorted(truth)
    assert heads.taken_at.tolist() == [truth[cycle][0] for cycle in heads.cycles.tolist()]
    loaded = layouts.load(heads.layout_rows)
    names = sorted({owner for _, flat in truth.values() for owner, _, _ in flat})
    members = members_of([one.layout for one in loaded.values()], names, fetch(Kind.COMMITTED, heads, names))
    assert set(members) == {member for _, flat in truth.values() for member in flat}
    found = Selection(recorder.id, Kind.COMMITTED, heads, loaded, members).at(slice(None))
    for row, cycle in enumerate(heads.cycles.tolist()):
        flat = truth[cycle][1]
        for at, member in enumerate(members):
            assert bool(found.present[row, at]) == (member in flat), (cycle, member)
            expected = flat.get(member)
            assert bool(found.known[row, at]) == (expected is not None), (cycle, member)
            if expected is not None:
                assert int(found.values[row, at]) == expected, (cycle, member)
