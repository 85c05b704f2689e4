"""One step of one alert rule for one subject: the present state and a reading in, the next state and the reason out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from collectors.domain.numbers import Numbers


class State(StrEnum):
    """States of an alert; acknowledged and silenced lie over them."""

    INACTIVE = "inactive"
    PENDING = "pending"  # in breach, not yet long enough
    FIRING = "firing"
    RECOVERING = "recovering"  # quiet, not yet long enough
    RESOLVED = "resolved"
    NO_DATA = "no_data"  # raised because nothing is known, by a rule that asks for that

    @property
    def is_raised(self) -> bool:
        """Whether people have been told and not yet told that it is over."""
        return self in (State.FIRING, State.RECOVERING, State.NO_DATA)

    @property
    def is_over(self) -> bool:
        return self in (State.INACTIVE, State.RESOLVED)


class Comparison(StrEnum):
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


class NoData(StrEnum):
    """What a reading that is not known means."""

    KEEP = "keep"  # nothing changes, and the time does not count
    OK = "ok"  # as if the subject had recovered
    ALERT = "alert"  # not knowing is itself a breach, told as state no_data


class Reason(StrEnum):
    """Why a state changed."""

    BREACHED = "breached"
    HELD = "held"
    WENT_QUIET = "went_quiet"
    STAYED_QUIET = "stayed_quiet"
    RELAPSED = "relapsed"
    CALMED = "calmed"  # over before it had held
    SUBJECT_GONE = "subject_gone"
    DATA_MISSING = "data_missing"
    DATA_BACK = "data_back"


class Presence(StrEnum):
    KNOWN = "known"
    UNKNOWN = "unknown"
    GONE = "gone"  # the subject was deleted, paused or is no longer selected by the rule


@dataclass(frozen=True, slots=True)
class Reading:
    """A number of one subject; `value` means something only when it is KNOWN."""

    presence: Presence
    value: float = 0.0

    @classmethod
    def of(cls, value: float | None) -> Reading:
        return UNKNOWN if value is None else cls(Presence.KNOWN, float(value))


UNKNOWN = Reading(Presence.UNKNOWN)
GONE = Reading(Presence.GONE)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule asks for. Seconds are of the readings' clock.

    `recover_level` is where a breach is over (None: as soon as the comparison no longer holds); between it and the
    threshold an alert that fires goes on firing. `longest_step_seconds` is the most that two readings in a row may
    add to a hold: what was not observed does not count, and a clock that leaps forward fires nothing.
    """

    comparison: Comparison
    threshold: float
    recover_level: float | None = None
    hold_seconds: float = 0.0
    recover_seconds: float = 0.0
    no_data: NoData = NoData.KEEP
    longest_step_seconds: float = 15.0

    def is_breached(self, value: float) -> bool:
        return bool(self.breaches(np.array([value]))[0])

    def breaches(self, values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n,) whether each value is beyond the threshold."""
        return _compare(values, self.comparison, self.threshold)

    def has_recovered(self, value: float) -> bool:
        """Whether a value is back on the good side of the recover level."""
        if self.recover_level is None:
            return not self.is_breached(value)
        if self.comparison in (Comparison.ABOVE, Comparison.AT_LEAST):
            return value <= self.recover_level and not self.is_breached(value)
        return value >= self.recover_level and not self.is_breached(value)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a rule stands with a subject: all that the next step needs.

    Time is kept as seconds counted so far (`counted_seconds`: in breach while pending, quiet while recovering) and
    the moment of the last count, never as a start to subtract from: a clock that steps back adds nothing, so it can
    neither fire nor resolve early.
    """

    state: State = State.INACTIVE
    counted_seconds: float = 0.0
    counted_at: float | None = None
    by_no_data: bool = False  # pending because nothing is known


@dataclass(frozen=True, slots=True)
class Transition:
    old: State
    new: State
    reason: Reason
    at: float
    counted_seconds: float = 0.0

    @property
    def is_told(self) -> bool:
        """Whether people hear of it: the first raise, and the end of what was raised."""
        if self.new in (State.FIRING, State.NO_DATA):
            return not self.old.is_raised
        return self.new is State.RESOLVED and self.old.is_raised


NOTHING = Standing()


def candidates(terms: Terms, readings: Numbers) -> NDArray[np.int64]:
    """Positions that are in breach and so must be stepped even without an open alert (numpy; readings (n,))."""
    mask = readings.known & terms.breaches(readings.values)
    if terms.no_data is NoData.ALERT:
        mask = mask | ~readings.known
    return np.flatnonzero(mask)


def step(terms: Terms, standing: Standing, reading: Reading, now: float) -> tuple[Standing, Transition | None]:
    """The next standing, and the transition with its reason if the state changed.

    `now` is the reading's own time in unix seconds. A standing that comes back unchanged is the same object, so
    that callers can tell that nothing has to be stored.
    """
    if reading.presence is Presence.GONE:
        return _over(standing, Reason.SUBJECT_GONE, now)
    if reading.presence is Presence.UNKNOWN and terms.no_data is NoData.KEEP:
        # the time in between is not counted, neither towards firing nor towards the end
        return (standing if standing.counted_at is None else replace(standing, counted_at=now)), None

    is_unknown = reading.presence is Presence.UNKNOWN
    breached = terms.no_data is NoData.ALERT if is_unknown else terms.is_breached(reading.value)
    recovered = terms.no_data is NoData.OK if is_unknown else terms.has_recovered(reading.value)

    if standing.state.is_over:
        return _begin(terms, is_unknown, now, standing.state) if breached else (standing, None)
    if standing.state is State.PENDING:
        return _pending(terms, standing, breached, is_unknown, now)
    if standing.state is State.RECOVERING:
        return _recovering(terms, standing, recovered, is_unknown, now)
    return _raised(terms, standing, breached, recovered, is_unknown, now)


def _begin(terms: Terms, is_unknown: bool, now: float, old: State) -> tuple[Standing, Transition]:
    reason = Reason.DATA_MISSING if is_unknown else Reason.BREACHED
    if terms.hold_seconds > 0:
        pending = Standing(State.PENDING, 0.0, now, by_no_data=is_unknown)
        return pending, Transition(old, State.PENDING, reason, now)
    raised = State.NO_DATA if is_unknown else State.FIRING
    return Standing(raised), Transition(old, raised, reason, now)


def _pending(
    terms: Terms, standing: Standing, breached: bool, is_unknown: bool, now: float
) -> tuple[Standing, Transition | None]:
    if not breached:
        return _over(standing, Reason.CALMED, now)
    if is_unknown != standing.by_no_data:
        # a breach and a lack of data are two things; time in one does not count for the other
        return replace(standing, counted_seconds=0.0, counted_at=now, by_no_data=is_unknown), None
    counted = _count(terms, standing, now)
    if counted.counted_seconds < terms.hold_seconds:
        return counted, None
    raised = State.NO_DATA if is_unknown else State.FIRING
    return Standing(raised), Transition(State.PENDING, raised, Reason.HELD, now, counted.counted_seconds)


def _raised(
    terms: Terms, standing: Standing, breached: bool, recovered: bool, is_unknown: bool, now: float
) -> tuple[Standing, Transition | None]:
    if standing.state is State.NO_DATA and not is_unknown:
        if breached:
            return Standing(State.FIRING), Transition(State.NO_DATA, State.FIRING, Reason.DATA_BACK, now)
        recovered = True  # it was raised for the lack of data, and there is data
    if not recovered:
        return standing, None
    if terms.recover_seconds > 0:
        quiet = Standing(State.RECOVERING, 0.0, now)
        return quiet, Transition(standing.state, State.RECOVERING, Reason.WENT_QUIET, now)
    return _over(standing, Reason.WENT_QUIET, now)


def _recovering(
    terms: Terms, standing: Standing, recovered: bool, is_unknown: bool, now: float
) -> tuple[Standing, Transition | None]:
    if not recovered:
        reason = Reason.DATA_MISSING if is_unknown else Reason.RELAPSED
        return Standing(State.FIRING), Transition(State.RECOVERING, State.FIRING, reason, now)
    counted = _count(terms, standing, now)
    if counted.counted_seconds < terms.recover_seconds:
        return counted, None
    return _over(counted, Reason.STAYED_QUIET, now)


def _over(standing: Standing, reason: Reason, now: float) -> tuple[Standing, Transition | None]:
    if standing.state.is_over:
        return standing, None
    end = State.RESOLVED if standing.state.is_raised else State.INACTIVE
    return Standing(end), Transition(standing.state, end, reason, now, standing.counted_seconds)


def _count(terms: Terms, standing: Standing, now: float) -> Standing:
    since = now if standing.counted_at is None else standing.counted_at
    passed = min(max(0.0, now - since), terms.longest_step_seconds)
    return replace(standing, counted_seconds=standing.counted_seconds + passed, counted_at=now)


def _compare(
    values: NDArray[np.int64] | NDArray[np.float64], comparison: Comparison, threshold: float
) -> NDArray[np.bool_]:
    if comparison is Comparison.ABOVE:
        return values > threshold
    if comparison is Comparison.AT_LEAST:
        return values >= threshold
    if comparison is Comparison.BELOW:
        return values < threshold
    return values <= threshold
