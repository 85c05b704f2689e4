"""What members are assigned and never committed, beside the commits: a state, not an absence."""

from __future__ import annotations

import numpy as np

from .domain.numbers import NO_COMMIT, Column, Layout, Numbers
from .domain.topology import Group, GroupType, Metadata
from .kafka.answers import CommitsAnswer


class ExpectedCommits:
    """Adds to the commits what members are assigned without ever having committed: a state, not an absence."""

    def __init__(self) -> None:
        self._key: tuple[object, object, object] | None = None
        self._layout = Layout.build({})
        self._source: np.ndarray[tuple[int], np.dtype[np.int64]] = np.zeros(0, dtype=np.int64)
        self._owners: np.ndarray[tuple[int], np.dtype[np.int64]] = np.zeros(0, dtype=np.int64)
        self._visible: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.zeros(0, dtype=np.bool_)

    def add_to(self, commits: CommitsAnswer, groups: tuple[Group, ...], metadata: Metadata) -> Column:
        """Known as "never committed" only where this login may see the topic: else its commits are left out, too."""
        committed = commits.column
        key = (committed.layout, groups, metadata.topics)
        if self._key is None or any(mine is not given for mine, given in zip(self._key, key, strict=True)):
            self._join(committed.layout, groups)
            visible = {topic.name for topic in metadata.topics} - metadata.hidden
            self._visible = np.array([topic in visible for topic in self._layout.topics], dtype=np.bool_)
            self._key = key
        if len(self._layout) == len(committed.layout):
            return committed
        there = self._source >= 0
        safe = np.where(there, self._source, 0)
        old_values = committed.numbers.values if len(committed.numbers) else np.zeros(1, dtype=np.int64)
        old_known = committed.numbers.known if len(committed.numbers) else np.zeros(1, dtype=np.bool_)
        values = np.where(there, old_values[safe], NO_COMMIT)
        answered = np.array([owner in commits.answered for owner in self._layout.owners], dtype=np.bool_)
        known = np.where(there, old_known[safe], answered[self._owners] & self._visible)
        return Column(self._layout, Numbers(values, known))

    def _join(self, layout: Layout, groups: tuple[Group, ...]) -> None:
        missing: dict[str, set[tuple[str, int]]] = {}
        for group in groups:
            if group.type is GroupType.SHARE:
                continue  # a share group acknowledges records, it has no commits
            for topic, partition in group.assigned:
                if (group.name, topic, partition) not in layout.position:
                    missing.setdefault(group.name, set()).add((topic, partition))
        if not missing:
            self._layout = layout
            return
        members: dict[str, set[tuple[str, int]]] = {owner: set() for owner in layout.owners}
        for owner, topic, partition in layout.position:
            members[owner].add((topic, partition))
        for owner, extra in missing.items():
            members.setdefault(owner, set()).update(extra)
        joined = Layout.build(members)
        if joined.digest != self._layout.digest:
            self._layout = joined
        old = layout.position
        self._source = np.full(len(self._layout), -1, dtype=np.int64)
        for key, position in self._layout.position.items():
            self._source[position] = old.get(key, -1)
        self._owners = self._layout.owner_of_position
