"""Committed offsets of all groups: one OffsetFetch per coordinator, the layout kept while memberships stay."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from kafka.protocol.consumer import OffsetFetchRequest
from kafka.protocol.metadata import FindCoordinatorRequest
from numpy.typing import NDArray

from ..domain.numbers import Column, Layout, Numbers
from ..domain.scope import ALL, Scope
from . import wire
from .answers import CommitsAnswer
from .exchange import Exchange
from .link import Call, Link, Request
from .reasons import COORDINATOR_ERRORS, Tally, reason_of_code

PART = "commits"
GROUP = 0  # FindCoordinator's key type
KEYS_A_REQUEST = 2_000
MOVED = frozenset({14, 16})  # COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR
LOADING_SECONDS = 0.2
"""What a coordinator that moved is given to load its groups."""

Membership = tuple[tuple[str, bytes], ...]
"""Topics by name, each with its partitions, sorted, as the bytes of an int64 array (compared and joined as such)."""


@dataclass(slots=True)
class _Chunk:
    """Groups of one coordinator, asked in one request that stays the same while they do."""

    groups: tuple[str, ...]
    body: bytes
    reader: wire.Reader
    placed: tuple[wire.Shape, Layout, NDArray[np.int64]] | None = None


class CommitBook:
    """Asks commits and remembers coordinators and memberships. One caller at a time.

    An answer leaves out, in silence, the topics that this login may not describe: what a group had committed and is
    missing from its answer stays, not known, until metadata that was asked for later says that it is not hidden.
    """

    def __init__(self, exchange: Exchange, scope: Scope = ALL) -> None:
        self._exchange = exchange
        self._scope = scope
        self._held: dict[str, dict[str, tuple[bytes, float]]] = {}  # group -> topic -> (partitions, missed since)
        self._hidden: frozenset[str] = frozenset()
        self._listed_at = 0.0
        self._coordinators: dict[str, int] = {}
        self._chunks: dict[tuple[str, ...], _Chunk] = {}
        self._members: dict[str, Membership] = {}
        self._layout = Layout.build({})
        self._runs: dict[tuple[str, str], int] = {}  # (group, topic) -> first position in the layout
        self._asked: tuple[str, ...] = ()

    def ask(self, groups: Sequence[str], deadline: float) -> CommitsAnswer:
        asked_at, before, tally = time.time(), self._exchange.requests, Tally()
        wanted = tuple(sorted(set(groups)))
        link = self._exchange.connected(deadline, tally) if wanted else None
        readings: list[tuple[_Chunk, wire.Reading]] = []
        if link is not None:
            self._forget_absent(wanted)
            moved = self._round(link, wanted, deadline, tally, readings)
            if moved and time.monotonic() + LOADING_SECONDS < deadline:
                # A coordinator that says "not me" or "not yet" (it has just moved): asked again in the same cycle.
                time.sleep(LOADING_SECONDS)
                self._round(link, moved, deadline, tally, readings)
        column, answered = self._column(wanted, readings, tally)
        return CommitsAnswer(column, answered, asked_at, self._exchange.requests - before, tally.errors())

    def learn(self, hidden: frozenset[str], asked_at: float) -> None:
        """Which topics are hidden by metadata that was asked for at `asked_at` (unix). From any thread."""
        self._hidden, self._listed_at = hidden, asked_at

    def remember(self, members: Mapping[str, Iterable[tuple[str, Sequence[int]]]]) -> None:
        """What groups had committed before this session, by group: (topic, partitions)."""
        for group, runs in members.items():
            self._members[group] = tuple(
                sorted((topic, np.array(sorted(its), dtype=np.int64).tobytes()) for topic, its in runs)
            )

    # --- asking -------------------------------------------------------------------------------------------

    def _round(
        self,
        link: Link,
        wanted: Sequence[str],
        deadline: float,
        tally: Tally,
        readings: list[tuple[_Chunk, wire.Reading]],
    ) -> list[str]:
        """Ask every coordinator at once; returns the groups that have moved to another one."""
        self._find_coordinators(link, wanted, deadline, tally)
        by_node: dict[int, list[str]] = {}
        for group in wanted:
            if (node := self._coordinators.get(group)) is not None:
                by_node.setdefault(node, []).append(group)
        asked = []
        for node, its_groups in by_node.items():
            for start in range(0, len(its_groups), wire.MAX_GROUPS):
                chunk = self._chunk(tuple(its_groups[start : start + wire.MAX_GROUPS]))
                request = Request(OffsetFetchRequest, body=chunk.body, version=wire.OFFSET_FETCH_VERSION)
                asked.append((node, PART, request, chunk))
        self._chunks = {chunk.groups: chunk for *_, chunk in asked} | {chunk.groups: chunk for chunk, _ in readings}
        moved: list[str] = []
        for call in self._exchange.gather(link, asked, deadline):
            moved += self._take(call, tally, readings)
        return moved

    def _take(self, call: Call, tally: Tally, readings: list[tuple[_Chunk, wire.Reading]]) -> list[str]:
        chunk: _Chunk = call.tag
        if call.answer is None:
            tally.add(PART, self._exchange.reason_of_call(call), call.node, len(chunk.groups))
            self._forget(chunk.groups)
            return []
        try:
            reading = chunk.reader.read(call.answer.body)
        except (ValueError, IndexError):
            tally.add(PART, "unreadable answer", call.node, len(chunk.groups))
            return []
        readings.append((chunk, reading))
        failed = [(group, code) for group, code in reading.shape.owner_errors if code]
        moved = [group for group, code in failed if code in COORDINATOR_ERRORS]
        self._forget(moved)
        for _, code in failed:
            tally.add(PART, reason_of_code(code), call.node)
        return [group for group, code in failed if code in MOVED]

    def _forget(self, groups: Iterable[str]) -> None:
        for group in groups:
            self._coordinators.pop(group, None)

    def _forget_absent(self, wanted: tuple[str, ...]) -> None:
        if len(self._coordinators) > 2 * len(wanted) + 100:
            present = set(wanted)
            self._coordinators = {group: node for group, node in self._coordinators.items() if group in present}

    def _find_coordinators(self, link: Link, wanted: Sequence[str], deadline: float, tally: Tally) -> None:
        known = set(self._exchange.listed(link))
        suspects = self._exchange.suspects()
        unknown = [
            g for g in wanted if (node := self._coordinators.get(g)) is None or node not in known or node in suspects
        ]
        for start in range(0, len(unknown), KEYS_A_REQUEST):
            keys = unknown[start : start + KEYS_A_REQUEST]

            def make(keys: list[str] = keys) -> Request:
                return Request(FindCoordinatorRequest(key_type=GROUP, coordinator_keys=keys, min_version=4))

            answer = self._exchange.ask_any(link, PART, make, deadline, tally)
            if answer is None:
                self._forget(keys)
                continue
            for found in answer.decode().coordinators:
                if found.error_code:
                    self._forget([found.key])
                    tally.add(PART, reason_of_code(found.error_code), None)
                else:
                    self._coordinators[found.key] = found.node_id

    def _chunk(self, groups: tuple[str, ...]) -> _Chunk:
        found = self._chunks.get(groups)
        return found or _Chunk(groups, wire.offset_fetch_body(groups), wire.offset_fetch_reader())

    # --- putting together ---------------------------------------------------------------------------------

    def _column(
        self, wanted: tuple[str, ...], readings: list[tuple[_Chunk, wire.Reading]], tally: Tally
    ) -> tuple[Column, frozenset[str]]:
        answered = frozenset(group for _, r in readings for group, code in r.shape.owner_errors if not code)
        changed = wanted != self._asked
        changed |= self._let_go()
        for chunk, reading in readings:
            if chunk.placed is None or chunk.placed[0] is not reading.shape:
                changed |= self._remember(reading.shape)
        if self._held and self._missed_since > self._listed_at:
            self._exchange.attention()  # metadata tells whether these topics are gone or hidden
        if changed:
            self._lay_out(wanted)
        values = np.zeros(len(self._layout), dtype=np.int64)
        known = np.zeros(len(self._layout), dtype=np.bool_)
        for chunk, reading in readings:
            shape = reading.shape
            positions = self._place(chunk, shape)
            good = (positions >= 0) & (shape.errors == 0)
            values[positions[good]] = reading.offsets[good]
            known[positions[good]] = True
            codes, counts = np.unique(shape.errors[shape.errors != 0], return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                tally.add(PART, reason_of_code(code), None, count)
        return Column(self._layout, Numbers(values, known)), answered

    def _remember(self, shape: wire.Shape) -> bool:
        """Take over the memberships of a new shape; whether any differs from what was remembered."""
        members: dict[str, list[tuple[str, bytes]]] = {g: [] for g, code in shape.owner_errors if not code}
        run_of = shape.spread(np.arange(len(shape.topics)))
        raw, bounds = shape.partitions[np.lexsort((shape.partitions, run_of))].tobytes(), shape.bounds.tolist()
        for i, (group, topic) in enumerate(zip(shape.owners, shape.topics, strict=True)):
            if group in members and self._scope.takes_topic(topic):
                members[group].append((topic, raw[8 * bounds[i] : 8 * bounds[i + 1]]))
        changed = False
        for group, found in members.items():
            membership = tuple(sorted((*found, *self._hold(group, {topic for topic, _ in found}))))
            if self._members.get(group) != membership:
                self._members[group] = membership
                changed = True
        return changed

    def _hold(self, group: str, answered: set[str]) -> list[tuple[str, bytes]]:
        """The topics of a group that its answer misses, as they were: whether they are gone is not known yet."""
        held = self._held.get(group, {})
        for topic in answered & held.keys():
            del held[topic]
        now = time.time()
        for topic, its in self._members.get(group, ()):
            if topic not in answered and topic not in held and self._scope.takes_topic(topic):
                held[topic] = (its, now)
        if held:
            self._held[group] = held
        else:
            self._held.pop(group, None)
        return [(topic, its) for topic, (its, _) in held.items()]

    @property
    def _missed_since(self) -> float:
        return max(since for topics in self._held.values() for _, since in topics.values())

    def _let_go(self) -> bool:
        """Forget what is missed and not hidden: the group no longer has commits there. Whether anything was."""
        changed = False
        for group in list(self._held):
            if group not in self._members:
                del self._held[group]
                continue
            gone = {
                topic
                for topic, (_, since) in self._held[group].items()
                if since < self._listed_at and topic not in self._hidden
            }
            if gone:
                self._held[group] = {t: kept for t, kept in self._held[group].items() if t not in gone}
                self._members[group] = tuple(run for run in self._members[group] if run[0] not in gone)
                changed = True
            if not self._held[group]:
                del self._held[group]
        return changed

    def _lay_out(self, wanted: tuple[str, ...]) -> None:
        """A new layout of the remembered memberships, unless it would be equal to the one there is."""
        self._members = {group: self._members[group] for group in wanted if group in self._members}
        owners: list[str] = []
        starts, topics = [0], list[str]()
        runs: dict[tuple[str, str], int] = {}
        for group, membership in self._members.items():  # in the order of `wanted`, which is sorted
            owners.append(group)
            for topic, its in membership:
                runs[group, topic] = len(topics)
                topics += [topic] * (len(its) // 8)
            starts.append(len(topics))
        raw = b"".join(its for membership in self._members.values() for _, its in membership)
        partitions = np.frombuffer(raw, dtype=np.int64).astype(np.int32)
        made = Layout(tuple(owners), np.array(starts, dtype=np.int64), tuple(topics), partitions)
        self._asked = wanted
        if made.digest != self._layout.digest:
            self._layout, self._runs = made, runs

    def _place(self, chunk: _Chunk, shape: wire.Shape) -> NDArray[np.int64]:
        placed = chunk.placed
        if placed is None or placed[0] is not shape or placed[1] is not self._layout:
            first = [self._runs.get(key, -1) for key in zip(shape.owners, shape.topics, strict=True)]
            run_of = shape.spread(np.arange(len(first)))
            # A run holds just the partitions that the layout was made from: sorted, they stand one behind another.
            order = np.lexsort((shape.partitions, run_of))
            rank = np.empty(len(order), dtype=np.int64)
            rank[order] = np.arange(len(order))
            base = shape.spread(np.array(first, dtype=np.int64))
            guess = np.clip(base + rank - shape.bounds[run_of], 0, max(0, len(self._layout) - 1))
            right = (
                (base >= 0) & (self._layout.partitions[guess] == shape.partitions) if len(self._layout) else base >= 0
            )
            positions = np.where(right, guess, -1).astype(np.int64)
            placed = chunk.placed = (shape, self._layout, positions)
        return placed[2]
