"""A reader that answers from plain dicts, so that hub and sockets are tested without a database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from dashboard.live.reading import Head, Item, Update
from dashboard.live.wire import Position, Subject
from dashboard.models import Role


class FakeReader:
    """One cluster, "demo"; `rows` holds what there is, by subject id."""

    def __init__(self) -> None:
        self.cycle = 1
        self.rows: dict[str, dict[str, Any]] = {"g/demo/a": {"lag": 1}, "c/demo": {"verdict": "ok"}}
        self.prints: dict[str, int] = {"g/demo": 1}
        self.stored: list[Item] = []
        self.firing = 0
        self.sessions: dict[str, Role] = {"session": Role.VIEWER}
        self.asked: list[list[str]] = []  # ids of each `update`
        self.fails_next = 0
        self.has_cluster = True

    def heads(self) -> list[Head]:
        return [Head(1, "demo", self.cycle, 5.0)] if self.has_cluster else []

    def update(self, head: Head, subjects: Sequence[Subject]) -> Update:
        self.asked.append(sorted(subject.id for subject in subjects))
        found = {subject.id: self.rows.get(subject.id) for subject in subjects if not subject.is_list}
        return Update(found, dict(self.prints), 1000.0 + self.cycle)

    def alerts(self) -> dict[str, int]:
        return {"firing": self.firing}

    def position(self) -> Position:
        return Position(
            max((item.id for item in self.stored if item.kind == "transition"), default=0),
            max((item.id for item in self.stored if item.kind == "mark"), default=0),
        )

    def items(self, after: Position, limit: int) -> list[Item]:
        if self.fails_next:
            self.fails_next -= 1
            raise RuntimeError("the database is away")
        transitions = [item for item in self.stored if item.kind == "transition" and item.id > after.transition]
        marks = [item for item in self.stored if item.kind == "mark" and item.id > after.mark]
        return [
            *sorted(transitions, key=lambda item: item.id)[:limit],
            *sorted(marks, key=lambda item: item.id)[:limit],
        ]

    def allowed(self, session_keys: Collection[str]) -> dict[str, Role]:
        return {key: role for key, role in self.sessions.items() if key in session_keys}

    def close(self) -> None:
        pass

    def fire(self, id: int, state: str = "firing") -> None:
        self.stored.append(Item("transition", id, "demo", {"type": "alert", "id": id, "state": state}))

    def mark(self, id: int, cluster: str = "demo") -> None:
        self.stored.append(Item("mark", id, cluster, {"type": "mark", "id": id, "cluster": cluster}))
