"""How a topic's records are spread over its partitions, from the samples of the last while."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.domain import words as plain_words
from collectors.domain.skew import Spread, spread
from collectors.history import queries

from . import words
from .summaries import Summary

LOOK_BACK_SECONDS = 120.0
"""As long as a rule about skew holds by default: what was long ago hides what is now."""
EVEN_UNTIL = 1.5
SHOWN = 24


@dataclass(frozen=True, slots=True)
class Spreading:
    """The spread with its sentence; `spread` None when it cannot be told, the sentence then says why."""

    sentence: str
    tone: str
    seconds: float | None
    spread: Spread | None

    @property
    def left_out(self) -> int:
        return max(0, len(self.spread.shares) - SHOWN) if self.spread is not None else 0


def spreading(here: Summary, topic: str) -> Spreading:
    """What came to each partition between the first and the newest sample of the last two minutes."""
    if here.now is None or here.now.end.layout.owner_index(topic) is None:
        return Spreading("Needs two samples", "is-unknown", None, None)
    if here.is_old:
        return Spreading(here.why_old[:1].upper() + here.why_old[1:], "is-unknown", None, None)
    until = here.now.taken_at
    own = queries.thinned(here.cluster.pk, queries.Kind.END, [topic], until - LOOK_BACK_SECONDS, until, 2)[topic]
    if len(own.times) < 2:
        return Spreading("Needs two samples", "is-unknown", None, None)
    step, known = own.values[-1] - own.values[0], own.known[-1] & own.known[0]
    records = {
        partition: int(step[i]) if known[i] and step[i] >= 0 else None for i, (_, partition) in enumerate(own.members)
    }
    seconds = float(own.times[-1] - own.times[0])
    found = spread(records)
    if found is not None:
        return Spreading(*_sentence(found), seconds, found)
    if len(records) < 2:
        return Spreading("One partition gets everything: there is nothing to spread", "is-quiet", seconds, None)
    if any(count is None for count in records.values()):
        return Spreading("Not every partition is known at both ends of that time", "is-unknown", seconds, None)
    return Spreading(f"No record came in the last {plain_words.duration(seconds)}", "is-quiet", seconds, None)


def _sentence(found: Spread) -> tuple[str, str]:
    top = found.shares[0]
    if found.hot:
        many = len(found.hot)
        share = f"{100 * top.share:.0f}{plain_words.THIN}%"
        said = f"Partition {top.partition} is hot: {share} of the records, {top.times_even:.1f} times its even share"
        return (said if many == 1 else f"{said}; {words.number(many)} partitions are hot"), "is-warn"
    idle = f"; {plain_words.counted(found.idle, 'partition')} got nothing" if found.idle else ""
    said = "Evenly spread" if top.times_even < EVEN_UNTIL else "No partition is hot"
    return f"{said}: the busiest gets {top.times_even:.1f} times its even share{idle}", "is-ok"
