"""The slow facts of one cluster, asked on a thread of their own; the cycle takes the newest and never waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..domain.configuration import Config
from ..domain.numbers import Column, Layout
from ..domain.rights import NOT_AUTHORISED, Sight
from ..domain.topology import Group, LogDir, Metadata, Quorum
from ..domain.vacancies import Vacancies
from ..domain.words import is_storable
from .answers import ConfigsAnswer, OffsetsAnswer
from .peek import HeadsAnswer, Place, Readable
from .reasons import PartError
from .session import Session
from .timetable import Timetable

log = logging.getLogger(__name__)

EVERY_SECONDS = MappingProxyType(
    {
        "metadata": 30.0,
        "groups": 12.0,
        "rights": 60.0,
        "quorum": 30.0,
        "start_offsets": 60.0,
        "stable_offsets": 15.0,
        "log_dirs": 60.0,
        "topic_configs": 600.0,
        "broker_configs": 600.0,
        "versions": 600.0,
        "heads": 15.0,
    }
)
"""How often each part is asked; metadata also when poked, and each second while a broker is suspect."""
BUDGET_SECONDS = MappingProxyType(
    {
        "metadata": 3.0,
        "groups": 5.0,
        "rights": 3.0,
        "quorum": 3.0,
        "start_offsets": 5.0,
        "stable_offsets": 3.0,
        "log_dirs": 10.0,
        "topic_configs": 5.0,
        "broker_configs": 5.0,
        "versions": 3.0,
        "heads": 3.0,
    }
)
TOPICS_AT_ONCE = 500
"""Of whose configuration one question asks: decoding that of 10 000 in one go would hold up everything for 10 s."""
REFUSED_SECONDS = 60.0
"""Who was refused is asked again within this: a right that is granted turns its panels on without a restart."""
AGAIN_SHARE = 0.25
"""A part that failed is asked again after this share of its time, but not within AGAIN_SECONDS."""
AGAIN_SECONDS = 5.0
LONGEST_NAME = 500
"""Of a group; Kafka takes 32 767 characters."""
LASTING = frozenset({"not authorised", "not offered"})  # asking again soon would change nothing
REBALANCING_SECONDS = 5.0
"""How soon groups are asked again while one of them rebalances: who holds what is known only after that; and after one
has become empty, as its members may come back."""
EMPTY_SECONDS = 2.0
"""How soon groups are asked again when one of them is found empty for the first time. With the pause between two looks,
and a second for their answers, a group without members is told within three cycles of five seconds."""
MANY_GROUPS = 1_000
"""Of more, groups are not asked more often because one has become empty: in so many some always have."""
SUSPECT_SECONDS = 1.0
MISSING_SECONDS = 5.0
"""How often metadata is asked while it names replicas on brokers that it does not list, or that are not in sync: they
may come back."""
MANY_PARTITIONS = 20_000
"""Of more, metadata takes so long that replicas that lag do not make it come more often, and last stable offsets are
asked no more often than log starts."""


@dataclass(frozen=True, slots=True)
class SurveyState:
    """The newest answer to each question; None where there never was one. `ages` are seconds since that answer."""

    metadata: Metadata | None = None
    layout: Layout | None = None  # of all partitions, owned by their topics
    groups: tuple[Group, ...] | None = None  # by name; the same object while nothing has changed
    groups_taken_at: float | None = None
    starts: OffsetsAnswer | None = None
    compacted: frozenset[str] = frozenset()  # topics of which `starts` are the first records: they only compact
    stable: OffsetsAnswer | None = None  # last stable offsets
    sizes: Column | None = None  # bytes of leader replicas, in `layout` as it was then
    log_dirs: tuple[LogDir, ...] | None = None
    log_dirs_answered: frozenset[int] = frozenset()  # brokers whose directories are of the newest answer
    log_dirs_taken_at: float | None = None
    hidden_groups: frozenset[str] = frozenset()
    groups_left_out: int = 0
    quorum: Quorum | None = None
    sight: Sight | None = None
    topic_configs: Mapping[str, Config] = field(default_factory=dict)  # another object when one was read anew
    topic_configs_refused: Mapping[str, str] = field(default_factory=dict)  # why, by name, at the newest question
    broker_configs: Mapping[str, Config] = field(default_factory=dict)
    broker_configs_refused: Mapping[str, str] = field(default_factory=dict)
    heads: HeadsAnswer | None = None  # of the places that were last asked of
    has_read: bool = False  # records of some topic are handed out to this login
    asked: frozenset[str] = frozenset()  # parts that were asked at least once
    versions: dict[int, str] = field(default_factory=dict)
    errors: tuple[PartError, ...] = ()
    ages: dict[str, float] = field(default_factory=dict)
    requests: int = 0  # of the whole session so far


class Survey:
    """Asks each part when it is due. `start` once, then `newest` at any time from any thread."""

    def __init__(self, session: Session, *, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock
        self._state = SurveyState()
        self._errors: dict[str, tuple[PartError, ...]] = {}
        self._taken_at: dict[str, float] = {}
        self._times = Timetable(EVERY_SECONDS)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._first = threading.Event()
        self._all = threading.Event()
        self._metadata_came = threading.Event()
        self._thread: threading.Thread | None = None
        self._probed = 0.0
        self._replicas_on: frozenset[int] = frozenset()
        self._lags = False  # some replica is not in sync
        self._remembered: tuple[Group, ...] = ()
        self._vacancies = Vacancies()
        self._compacted = Layout.build({})
        self._compacted_key: tuple[object, object] | None = None
        self._places: tuple[Place, ...] = ()  # where records are to be looked at
        self._readable = Readable()
        self._configured: list[str] = []  # topics whose configuration is still to be asked in this round

    # --- for others ---------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._thread is None:
            self._session.call_on_attention(lambda: self.poke("metadata"))
            self._thread = threading.Thread(target=self._run, name="kafka-survey", daemon=True)
            self._thread.start()

    def remember_groups(self, groups: Iterable[Group]) -> None:
        """Groups that were there before `start`: those not listed are asked for by name, as they may be hidden."""
        self._remembered = tuple(groups)

    def stop(self, timeout: float) -> None:
        """End the thread; waits for it at most `timeout` seconds (it ends after the question under way)."""
        self._session.call_on_attention(None)
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def wait_first(self, timeout: float) -> bool:
        """Wait until metadata is there and groups were asked once; whether that is so."""
        return self._first.wait(timeout)

    def wait_all(self, timeout: float) -> bool:
        """Wait until each part was asked once, whatever came of it; whether that is so."""
        return self._all.wait(timeout)

    def wait_for_metadata(self, known: Metadata, timeout: float) -> Metadata | None:
        """Wait until there is newer metadata than `known`; None when none comes within `timeout` seconds."""
        until = time.monotonic() + timeout
        while (newest := self._state.metadata) is known:
            self._metadata_came.clear()
            if self._state.metadata is known and not self._metadata_came.wait(until - time.monotonic()):
                return None
        return newest

    def newest(self) -> SurveyState:
        """The newest of everything. Never blocks."""
        now = self._clock()
        state = self._state
        return replace(state, ages={part: max(0.0, now - at) for part, at in dict(self._taken_at).items()})

    def poke(self, part: str) -> None:
        """Have a part asked at once, though not more than once a second. KeyError for a part that is not one."""
        self._times.poke(part, apart=SUSPECT_SECONDS)
        self._wake.set()

    def want_heads(self, places: Iterable[Place]) -> None:
        """Say where records are to be looked at from now on; the answer comes with the part "heads"."""
        before, self._places = self._places, tuple(places)
        if self._places and not before:
            self.poke("heads")

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            if any(reach.state for reach in self._session.reach().values()):
                self._watch_suspects()
            part = self._next_due()
            if part is not None:
                self._ask(part)
                continue
            self._wake.wait(max(0.05, min(self._times.seconds_left(), SUSPECT_SECONDS)))

    def _watch_suspects(self) -> None:
        """Each second: does the cluster still list them, do they answer again?"""
        now = time.monotonic()
        if now - self._probed >= SUSPECT_SECONDS:
            self._probed = now
            self._session.probe_suspects()
        self.poke("metadata")

    def _next_due(self) -> str | None:
        """The first part, in the order of EVERY_SECONDS, whose time has come; nothing goes before metadata."""
        return self._times.take(self._every, only=("metadata",) if self._state.metadata is None else None)

    def _every(self, part: str) -> float:
        """Seconds between two questions of a part."""
        layout = self._state.layout
        is_large = part == "stable_offsets" and layout is not None and len(layout) > MANY_PARTITIONS
        return EVERY_SECONDS["start_offsets" if is_large else part]

    def _ask(self, part: str) -> None:
        try:
            errors = getattr(self, f"_ask_{part}")(BUDGET_SECONDS[part])
        except Exception:
            # A mistake in reading one answer must not end the survey: the part grows old, and says so.
            log.exception("survey part=%s failed", part)
            errors = (PartError(part, "failed", None),)
        if any(error.reason not in LASTING and error.part != "group_names" for error in errors):
            self._times.within(part, max(AGAIN_SECONDS, AGAIN_SHARE * self._every(part)))
        if any(error.reason in LASTING for error in errors):
            self._times.within(part, REFUSED_SECONDS)
        self._errors[part] = errors
        self._state = replace(
            self._state,
            errors=tuple(error for found in self._errors.values() for error in found),
            requests=self._session.requests,
            asked=self._state.asked | {part},
        )
        if part == "metadata" and self._state.metadata is None:
            self._times.after(part, SUSPECT_SECONDS)
        if self._state.metadata is not None and "groups" in self._errors:
            self._first.set()
        if self._state.asked >= EVERY_SECONDS.keys():
            self._all.set()

    def _ask_metadata(self, budget: float) -> tuple[PartError, ...]:
        answer = self._session.ask_metadata(budget_seconds=budget)
        metadata, old = answer.value, self._state.metadata
        if metadata is not None:
            layout = self._state.layout
            if layout is None or old is None or metadata.topics is not old.topics:
                made = Layout.of_topics({t.name: [p.index for p in t.partitions] for t in metadata.topics})
                layout = made if layout is None or made.digest != layout.digest else layout
            self._state = replace(self._state, metadata=metadata, layout=layout)
            self._taken_at["metadata"] = self._clock()
            self._metadata_came.set()
            if old is None or metadata.topics is not old.topics:
                self._configure_new(metadata, old)
                self._replicas_on = frozenset(r for t in metadata.topics for p in t.partitions for r in p.replicas)
                is_small = layout is not None and len(layout) <= MANY_PARTITIONS
                self._lags = is_small and any(p.is_under_replicated for t in metadata.topics for p in t.partitions)
            if self._lags or self._replicas_on - {b.node_id for b in metadata.brokers}:
                self._times.within("metadata", MISSING_SECONDS)
            if old is not None and {b.node_id for b in metadata.brokers} != {b.node_id for b in old.brokers}:
                # Coordinators and controller moved with the broker; who came back may be another version.
                for part in ("groups", "quorum", "versions", "log_dirs"):
                    self.poke(part)
        return answer.errors

    def _configure_new(self, metadata: Metadata, old: Metadata | None) -> None:
        """New topics need not wait for the next round to have their configuration read."""
        if old is None:
            return
        before = {topic.name for topic in old.topics}
        if new := [topic.name for topic in metadata.topics if topic.name not in before]:
            self._configured = [*new, *(name for name in self._configured if name not in new)]
            self.poke("topic_configs")

    def _ask_groups(self, budget: float) -> tuple[PartError, ...]:
        metadata = self._known_metadata()
        previous = self._remembered if self._state.groups is None else self._state.groups
        answer = self._session.ask_groups(metadata, previous, budget_seconds=budget)
        if answer.value is not None:
            named = [group for group in answer.value.groups if is_storable(group.name, LONGEST_NAME)]
            groups = self._vacancies.look(named, now=answer.asked_at)
            if groups == self._state.groups:
                groups = self._state.groups
            self._state = replace(
                self._state,
                groups=groups,
                groups_taken_at=answer.asked_at,
                hidden_groups=answer.value.hidden,
                groups_left_out=answer.value.left_out,
            )
            if any(group.is_rebalancing for group in groups):
                self._times.within("groups", REBALANCING_SECONDS)
            if self._vacancies.doubted:
                self._times.within("groups", EMPTY_SECONDS)
            elif self._vacancies.is_recent(answer.asked_at) and len(groups) <= MANY_GROUPS:
                self._times.within("groups", REBALANCING_SECONDS)
            if answer.value.is_complete:
                self._taken_at["groups"] = self._clock()
            if left_out := len(answer.value.groups) - len(named):
                why = f"left out: a name longer than {LONGEST_NAME} characters or with NUL"
                return (*answer.errors, PartError("group_names", why, None, left_out))
        return answer.errors

    def _ask_quorum(self, budget: float) -> tuple[PartError, ...]:
        answer = self._session.ask_quorum(budget_seconds=budget)
        if answer.value is not None:
            self._state = replace(self._state, quorum=answer.value)
            self._taken_at["quorum"] = self._clock()
        return answer.errors

    def _ask_start_offsets(self, budget: float) -> tuple[PartError, ...]:
        metadata, layout = self._known_metadata(), self._state.layout
        if layout is None:
            return ()
        answer = self._session.ask_start_offsets(layout, metadata, budget_seconds=budget)
        compacted = self._compacted_of(layout)
        if len(compacted):
            firsts = self._session.ask_first_records(compacted, metadata, budget_seconds=budget)
            answer = answer.raised_by(firsts)
        if answer.column.numbers.known.any() or not len(layout):
            self._state = replace(self._state, starts=answer, compacted=frozenset(compacted.owners))
            self._taken_at["start_offsets"] = self._clock()
        return answer.errors

    def _compacted_of(self, layout: Layout) -> Layout:
        """The partitions of topics that are compacted and nothing else; the same object while these stay."""
        configs = self._state.topic_configs
        if self._compacted_key is None or self._compacted_key[0] is not layout or self._compacted_key[1] is not configs:
            self._compacted_key = layout, configs
            names = [n for n, c in configs.items() if c.is_only_compacted and layout.owner_index(n) is not None]
            self._compacted = Layout.of_topics({n: layout.partitions[layout.slice_of(n)].tolist() for n in names})
        return self._compacted

    def _ask_stable_offsets(self, budget: float) -> tuple[PartError, ...]:
        metadata, layout = self._known_metadata(), self._state.layout
        if layout is None:
            return ()
        answer = self._session.ask_stable_offsets(layout, metadata, budget_seconds=budget)
        if answer.column.numbers.known.any() or not len(layout):
            self._state = replace(self._state, stable=answer)
            self._taken_at["stable_offsets"] = self._clock()
        return answer.errors

    def _ask_log_dirs(self, budget: float) -> tuple[PartError, ...]:
        metadata, layout = self._known_metadata(), self._state.layout
        answer = self._session.ask_log_dirs(layout, metadata, budget_seconds=budget) if layout is not None else None
        if answer is None:
            return (PartError("log_dirs", "not connected", None),)
        if answer.brokers:
            # Directories of brokers that are silent just now are kept as they were last seen.
            listed = {node.node_id for node in metadata.brokers} - answer.brokers
            kept = tuple(d for d in self._state.log_dirs or () if d.broker_id in listed)
            dirs = tuple(sorted((*answer.dirs, *kept), key=lambda d: (d.broker_id, d.path)))
            self._state = replace(self._state, sizes=answer.sizes, log_dirs=dirs, log_dirs_taken_at=answer.asked_at)
            self._state = replace(self._state, log_dirs_answered=answer.brokers)
            self._taken_at["log_dirs"] = self._clock()
        return answer.errors

    def _ask_rights(self, budget: float) -> tuple[PartError, ...]:
        answer = self._session.ask_sight(budget_seconds=budget)
        if answer.value is not None:
            self._state = replace(self._state, sight=answer.value)
            self._taken_at["rights"] = self._clock()
        return answer.errors

    def _ask_topic_configs(self, budget: float) -> tuple[PartError, ...]:
        """Some topics at a time; the round begins anew EVERY_SECONDS after its last part."""
        metadata, old = self._known_metadata(), self._state.topic_configs
        names = {topic.name for topic in metadata.topics} - metadata.hidden
        if not self._configured:
            self._configured = sorted(names)
        some, rest = self._configured[:TOPICS_AT_ONCE], self._configured[TOPICS_AT_ONCE:]
        answer = self._session.ask_topic_configs(some, budget_seconds=budget)
        if answer is None:
            return (PartError("topic_configs", "not connected", None),)
        self._configured = rest
        if rest:
            pace = EVERY_SECONDS["topic_configs"] * TOPICS_AT_ONCE / max(1, len(names))
            # the first round is what pages wait for
            self._times.after("topic_configs", pace if "topic_configs" in self._taken_at else 1.0)
        kept = {name: config for name, config in old.items() if name in names and name not in answer.refused}
        refused = _still_refused(self._state.topic_configs_refused, answer, names)
        refused |= dict.fromkeys(metadata.hidden, NOT_AUTHORISED)  # not asked for: refused with the topic itself
        self._state = replace(self._state, topic_configs=kept | answer.found, topic_configs_refused=refused)
        if answer.found and not rest:
            self._taken_at["topic_configs"] = self._clock()
        return answer.errors

    def _ask_broker_configs(self, budget: float) -> tuple[PartError, ...]:
        answer = self._session.ask_broker_configs(self._known_metadata(), budget_seconds=budget)
        if answer is None:
            return (PartError("broker_configs", "not connected", None),)
        kept = {node: one for node, one in self._state.broker_configs.items() if node not in answer.refused}
        refused = _still_refused(self._state.broker_configs_refused, answer, kept.keys() | answer.refused.keys())
        self._state = replace(self._state, broker_configs=kept | answer.found, broker_configs_refused=refused)
        if answer.found:
            self._taken_at["broker_configs"] = self._clock()
        return answer.errors

    def _ask_heads(self, budget: float) -> tuple[PartError, ...]:
        self._readable.keep(topic.name for topic in self._known_metadata().topics)
        if not (places := self._places):
            return self._readable.errors  # what was refused is not granted by that nothing is to be read
        answer = self._session.ask_heads(places, budget_seconds=budget)
        self._readable.note(answer.found)
        self._state = replace(self._state, heads=answer, has_read=bool(self._readable.read))
        self._taken_at["heads"] = self._clock()
        return (*answer.errors, *self._readable.errors)

    def _ask_versions(self, budget: float) -> tuple[PartError, ...]:
        answer = self._session.ask_versions(self._known_metadata(), budget_seconds=budget)
        if answer.value:
            self._state = replace(self._state, versions=self._state.versions | answer.value)
            self._taken_at["versions"] = self._clock()
        return answer.errors

    def _known_metadata(self) -> Metadata:
        if self._state.metadata is None:
            raise RuntimeError("nothing is asked before metadata is known")
        return self._state.metadata


def _still_refused(before: Mapping[str, str], answer: ConfigsAnswer, names: Collection[str]) -> dict[str, str]:
    """Why, by name, with what the newest answer says; of what was not asked this time, as before."""
    kept = {name: why for name, why in before.items() if name in names and name not in answer.found}
    return kept | dict(answer.refused)
