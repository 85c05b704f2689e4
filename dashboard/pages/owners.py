"""Which member of a group held which partition over a range of time: a lane for each member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from collectors import ownership
from collectors.domain import words as plain_words
from collectors.models import Cluster, Group, Ownership

from .ranges import TimeRange
from .timeline import place, ticks

MOST_CHANGES = 300
MOST_LANES = 24
NAMED_TOPICS = 3
LABEL_LETTERS = 24
NOBODY = ""

Held = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass
class Stretch:
    """A member held `held` from `since` to `until`."""

    since: datetime
    until: datetime
    held: Held
    epoch: int | None


@dataclass
class _Member:
    key: str
    client: str
    host: str
    stretches: list[Stretch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch on a lane of 100 units; `text` is cut where the bar ends."""

    x: str
    width: str
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    title: str
    whole_title: str
    bars: Sequence[Bar]
    is_nobody: bool = False


@dataclass(frozen=True, slots=True)
class Owners:
    lanes: Sequence[Lane]
    unknown: Sequence[Bar]  # when nobody looked, or the group could not be described
    ticks: Sequence[tuple[str, str]]
    left_out: int  # members that have no lane
    is_cut: bool  # there are older changes in the range than those shown


def owners(cluster: Cluster, group: Group, span: TimeRange) -> Owners:
    """Lanes of the members of a range, those of now first; two queries, however often partitions moved."""
    wanted = Ownership.objects.filter(group=group, since__lte=span.until)
    wanted = wanted.filter(Q(until=None) | Q(until__gte=span.since))
    rows = list(wanted.order_by("-since", "-id")[: MOST_CHANGES + 1])
    is_cut = len(rows) > MOST_CHANGES
    rows = rows[:MOST_CHANGES][::-1]
    known_until = ownership.last_reached(cluster.pk)
    if not rows or known_until is None:
        return Owners((), (), (), 0, is_cut)
    stretches = [(row, *_within(row, span, known_until)) for row in rows]
    members = _members(stretches)
    is_one_topic = len({topic for one in members for stretch in one.stretches for topic, _ in stretch.held}) < 2
    shown = members[:MOST_LANES]
    names = _names(shown)
    lanes = [
        Lane(
            names[one.key],
            f"{one.client or one.key} on {one.host}, {one.key}" if one.key else "no member held a partition",
            [_bar(stretch, span, is_one_topic) for stretch in one.stretches],
            is_nobody=one.key == NOBODY,
        )
        for one in shown
    ]
    gaps = [_gap(*between, span) for between in _unknown(stretches, span)]
    return Owners(lanes, gaps, ticks(span), len(members) - len(shown), is_cut)


def _within(row: Ownership, span: TimeRange, known_until: datetime) -> tuple[datetime, datetime]:
    since = max(row.since, span.since)
    return since, max(since, min(row.until or known_until, span.until))


def _members(rows: Iterable[tuple[Ownership, datetime, datetime]]) -> list[_Member]:
    """Members with what they held, those that were there last first, each by its name."""
    found: dict[str, _Member] = {}
    for row, since, until in rows:
        present = row.members or [[NOBODY, "", "", []]]
        for key, client, host, assignment in present:
            one = found.setdefault(key, _Member(key, client, host))
            held = tuple((topic, tuple(sorted(partitions))) for topic, partitions in assignment)
            last = one.stretches[-1] if one.stretches else None
            if last is not None and last.until == since and last.held == held:
                last.until = until
            else:
                one.stretches.append(Stretch(since, until, held, row.epoch))
    ordered = sorted(found.values(), key=lambda one: (one.client, one.key))
    return sorted(ordered, key=lambda one: one.stretches[-1].until, reverse=True)


def _names(members: Iterable[_Member]) -> Mapping[str, str]:
    """A short name for each: its client id, with the end of its member id where several have the same."""
    found = list(members)
    clients = [one.client for one in found]
    out = {}
    for one in found:
        name = plain_words.visible(one.client or one.key)
        end = f" …{one.key[-4:]}" if clients.count(one.client) > 1 and one.client else ""
        room = LABEL_LETTERS - len(end)
        out[one.key] = (name if len(name) <= room else f"{name[: room - 1]}…") + end
    out[NOBODY] = "nobody"
    return out


def _bar(stretch: Stretch, span: TimeRange, is_one_topic: bool) -> Bar:
    x, end = place(stretch.since, span), place(stretch.until, span)
    parts = [
        runs(partitions) if is_one_topic else f"{plain_words.visible(topic)} {runs(partitions)}"
        for topic, partitions in stretch.held
    ]
    text = " · ".join(parts[:NAMED_TOPICS]) + (f" and {len(parts) - NAMED_TOPICS} more" if parts[NAMED_TOPICS:] else "")
    count = sum(len(partitions) for _, partitions in stretch.held)
    held = f"{plain_words.counted(count, 'partition')}: {text}" if count else "no partition"
    epoch = f", epoch {stretch.epoch}" if stretch.epoch is not None else ""
    title = f"{_times(stretch.since, stretch.until)}: {held}{epoch}"
    return Bar(f"{x:.2f}%", f"{max(0.2, end - x):.2f}%", text or "none", title)


def _gap(since: datetime, until: datetime, span: TimeRange) -> Bar:
    x, end = place(since, span), place(until, span)
    return Bar(f"{x:.2f}%", f"{max(0.2, end - x):.2f}%", "", f"{_times(since, until)}: not known who held what")


def _times(since: datetime, until: datetime) -> str:
    return f"{timezone.localtime(since):%H:%M:%S} to {timezone.localtime(until):%H:%M:%S}"


def _unknown(
    rows: Sequence[tuple[Ownership, datetime, datetime]], span: TimeRange
) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of the range of which no row tells; those too short to be seen left out."""
    seen = span.since
    for _, since, until in [*rows, (None, span.until, span.until)]:
        if place(since, span) - place(seen, span) > 0.5:
            yield seen, since
        seen = max(seen, until)


def runs(partitions: Sequence[int]) -> str:
    """Numbers with runs of three and more drawn together: "0–3 7 9"."""
    out: list[str] = []
    first = 0
    for at in range(1, len(partitions) + 1):
        if at < len(partitions) and partitions[at] == partitions[at - 1] + 1:
            continue
        run = partitions[first:at]
        out += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(one) for one in run]
        first = at
    return " ".join(out)
