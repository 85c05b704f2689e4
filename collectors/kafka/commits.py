"""Committed offsets of all groups: one OffsetFetch per coordinator."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
from kafka.protocol.consumer import OffsetFetchRequest
from kafka.protocol.metadata import FindCoordinatorRequest

from ..domain.commit_epochs import NO_EPOCH
from ..domain.numbers import NO_COMMIT, Column, Numbers
from ..domain.scope import ALL, Scope
from . import wire
from .answers import CommitsAnswer
from .exchange import Exchange
from .groupbook import Chunk, GroupBook
from .link import Call, Link, Request
from .reasons import COORDINATOR_ERRORS, Tally, reason_of_code

PART = "commits"
GROUP = 0  # FindCoordinator's key type
KEYS_A_REQUEST = 2_000
MOVED = frozenset({14, 16})  # COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR
LOADING_SECONDS = 0.2
"""What a coordinator that moved is given to load its groups."""


class CommitBook(GroupBook):
    """Asks commits and remembers coordinators and memberships. One caller at a time."""

    def __init__(self, exchange: Exchange, scope: Scope = ALL) -> None:
        super().__init__(exchange, scope, PART, lowest=NO_COMMIT)
        self._coordinators: dict[str, int] = {}
        self._chunks: dict[tuple[str, ...], Chunk] = {}

    def ask(self, groups: Sequence[str], deadline: float) -> CommitsAnswer:
        asked_at, before, tally = time.time(), self._exchange.requests, Tally()
        wanted = tuple(sorted(set(groups)))
        link = self._exchange.connected(deadline, tally) if wanted else None
        readings: list[tuple[Chunk, wire.Reading]] = []
        if link is not None:
            self._forget_absent(wanted)
            moved = self._round(link, wanted, deadline, tally, readings)
            if moved and time.monotonic() + LOADING_SECONDS < deadline:
                # A coordinator that says "not me" or "not yet" (it has just moved): asked again in the same cycle.
                time.sleep(LOADING_SECONDS)
                self._round(link, moved, deadline, tally, readings)
        column, answered = self._column(wanted, readings, tally)
        epochs = self._epochs(column, readings)
        return CommitsAnswer(column, epochs, answered, asked_at, self._exchange.requests - before, tally.errors())

    # --- asking -------------------------------------------------------------------------------------------

    def _round(
        self,
        link: Link,
        wanted: Sequence[str],
        deadline: float,
        tally: Tally,
        readings: list[tuple[Chunk, wire.Reading]],
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

    def _epochs(self, column: Column, readings: list[tuple[Chunk, wire.Reading]]) -> Numbers:
        values = np.full(len(column.layout), NO_EPOCH, dtype=np.int64)
        for chunk, reading in readings:
            assert reading.epochs is not None
            positions = self._place(chunk, reading.shape)
            there = positions >= 0
            values[positions[there]] = reading.epochs[there]
        return Numbers(values, column.numbers.known)

    def _take(self, call: Call, tally: Tally, readings: list[tuple[Chunk, wire.Reading]]) -> list[str]:
        chunk: Chunk = call.tag
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

    def _chunk(self, groups: tuple[str, ...]) -> Chunk:
        found = self._chunks.get(groups)
        return found or Chunk(groups, wire.offset_fetch_body(groups), wire.offset_fetch_reader())
