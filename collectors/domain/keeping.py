"""How long samples are kept: days by storey, for all, for a kind, for a cluster, for a kind of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_DAYS: Mapping[str, float] = {
    "blocks": 7.0,
    "1min": 30.0,
    "10min": 90.0,
    "1h": 730.0,
    "cycles": 1.0,
    "events": 90.0,
}
"""Storeys: every sample; rollups of a minute, ten minutes, an hour; records of cycles; events."""
BY_KIND = ("blocks",)
"""Storeys in which kinds of numbers can be kept differently long."""
ANY = "*"
_MOST_DAYS = 36_500.0


class KeepError(ValueError):
    """A setting that cannot be read; the message quotes it and says what would be right."""


@dataclass(frozen=True)
class Keep:
    """What the setting says: (cluster slug or *, kind or *, storey) -> days."""

    rules: Mapping[tuple[str, str, str], float] = field(default_factory=dict)

    def days(self, storey: str, *, cluster: str = ANY, kind: str = ANY) -> float:
        """The most exact rule counts: of the kind in the cluster, of the cluster, of the kind, of all."""
        for who in ((cluster, kind), (cluster, ANY), (ANY, kind), (ANY, ANY)):
            found = self.rules.get((*who, storey))
            if found is not None:
                return found
        return DEFAULT_DAYS[storey]

    def seconds(self, storey: str, *, cluster: str = ANY, kind: str = ANY) -> float:
        return self.days(storey, cluster=cluster, kind=kind) * 86_400.0


def parse_keep(text: str, kinds: frozenset[str] = frozenset()) -> Keep:
    """Read `blocks=7, orders/1min=60, orders/committed/blocks=14, */size/blocks=2`.

    `kinds` are the words allowed as kinds (any, when empty). KeepError for what cannot be read.
    """
    rules: dict[tuple[str, str, str], float] = {}
    for entry in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, number = entry.partition("=")
        parts = [part.strip() for part in name.split("/")]
        storey = parts[-1]
        if not equals or storey not in DEFAULT_DAYS or len(parts) > 3:
            raise KeepError(f"“{entry}” is not like blocks=7 or orders/1min=60; there are {', '.join(DEFAULT_DAYS)}")
        cluster = parts[0] if len(parts) > 1 else ANY
        kind = parts[1] if len(parts) == 3 else ANY
        if kind != ANY and (storey not in BY_KIND or (kinds and kind not in kinds)):
            known = f"; kinds are {', '.join(sorted(kinds))}" if kinds else ""
            raise KeepError(f"“{entry}”: only {', '.join(BY_KIND)} can differ by kind{known}")
        try:
            days = float(number)
        except ValueError:
            raise KeepError(f"“{entry}”: “{number.strip()}” is no number of days") from None
        if not 0.1 <= days <= _MOST_DAYS:
            raise KeepError(f"“{entry}”: give between 0.1 and {_MOST_DAYS:.0f} days")
        rules[cluster, kind, storey] = days
    return Keep(rules)
