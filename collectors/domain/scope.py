"""Which topics and groups of a cluster are watched: globs that name what is taken and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

MAX_PATTERNS = 100
MAX_LENGTH = 300
LISTS = ("topics_include", "topics_exclude", "groups_include", "groups_exclude")


class ScopeError(ValueError):
    """A pattern that cannot be used; `field` is one of LISTS, the text quotes the pattern."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class Scope:
    """Globs as in the shell (`*`, `?`, `[a-z]`), capital letters as written. No include means all; exclude wins."""

    topics_include: tuple[str, ...] = ()
    topics_exclude: tuple[str, ...] = ()
    groups_include: tuple[str, ...] = ()
    groups_exclude: tuple[str, ...] = ()

    @property
    def takes_all(self) -> bool:
        return self == ALL

    def takes_topic(self, name: str) -> bool:
        return _takes(self.topics_include, self.topics_exclude, name)

    def takes_group(self, name: str) -> bool:
        return _takes(self.groups_include, self.groups_exclude, name)

    def to_stored(self) -> dict[str, list[str]]:
        """Plain JSON; {} for everything."""
        return {name: list(getattr(self, name)) for name in LISTS if getattr(self, name)}

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Scope:
        return cls(**{name: tuple(stored.get(name, ())) for name in LISTS})

    @classmethod
    def read(cls, given: Mapping[str, str | Iterable[str]]) -> Scope:
        """From texts (patterns by comma or line) or lists; ScopeError names the field of a pattern that is refused."""
        return cls(**{name: _patterns(name, given.get(name, "")) for name in LISTS})


ALL = Scope()


@lru_cache(maxsize=100_000)
def _takes(include: tuple[str, ...], exclude: tuple[str, ...], name: str) -> bool:
    # asked anew for every name with every survey: 10 000 names times 20 patterns are remembered
    if any(fnmatchcase(name, pattern) for pattern in exclude):
        return False
    return not include or any(fnmatchcase(name, pattern) for pattern in include)


def _patterns(field: str, given: str | Iterable[str]) -> tuple[str, ...]:
    parts = given.replace("\n", ",").split(",") if isinstance(given, str) else list(given)
    found = []
    for part in parts:
        if not isinstance(part, str):
            raise ScopeError(field, f"The pattern {part!r} is no text: quote it")
        pattern = part.strip()
        if not pattern:
            continue
        if len(pattern) > MAX_LENGTH or not pattern.isprintable():
            raise ScopeError(
                field, f"The pattern {pattern[:50]!r} cannot be used: at most {MAX_LENGTH} printable characters"
            )
        found.append(pattern)
    if len(found) > MAX_PATTERNS:
        raise ScopeError(field, f"{len(found)} patterns are given, at most {MAX_PATTERNS} are taken")
    return tuple(dict.fromkeys(found))
