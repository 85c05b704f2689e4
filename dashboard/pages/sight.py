"""What this login may not see of a cluster, in words for the panels that are off because of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from collectors.domain import offers
from collectors.domain.rights import (
    COMMIT_TIMES,
    HEADS,
    NEEDS,
    NONE_VISIBLE,
    NOT_ASKED,
    NOT_AUTHORISED,
    NOT_OFFERED,
    Right,
)
from collectors.models import Broker, Cluster


@dataclass(frozen=True)
class Sight:
    """The rights of one cluster; reads them once, when first asked."""

    cluster: Cluster

    @cached_property
    def rights(self) -> list[Right]:
        """In the order of NEEDS; those that were never asked say so. To read records only once that was tried, to read
        commits only where that is wanted."""
        stored = {row.key: row.right for row in self.cluster.rights.all()}
        found = [stored.get(need.key) or Right(need, NOT_ASKED) for need in NEEDS]
        if HEADS.key in stored:
            found.append(stored[HEADS.key])
        if self.cluster.reads_commit_times:
            found.append(stored.get(COMMIT_TIMES.key) or Right(COMMIT_TIMES, NOT_ASKED))
        return found

    @cached_property
    def missing(self) -> list[Right]:
        return [right for right in self.rights if right.is_missing]

    @cached_property
    def why(self) -> dict[str, str]:
        """{need: why its panel is off}; needs that are met, or not asked yet, are not in it."""
        return {right.key: self._words(right) for right in self.rights if right.why and right.why != NOT_ASKED}

    @cached_property
    def hides_topics(self) -> str:
        """Why topics may be missing; "" when that is proven not to be so."""
        return next(right.caution for right in self.rights if right.key == "topics")

    @cached_property
    def hides_groups(self) -> str:
        return next(right.caution for right in self.rights if right.key == "groups")

    @cached_property
    def version(self) -> str:
        """Of the oldest broker; "" when none is known."""
        return offers.oldest(self.cluster.brokers.filter(gone_at=None).values_list("version", flat=True))

    @cached_property
    def not_offered(self) -> list[str]:
        return offers.not_offered(self.version)

    def without_stale_roles(self, brokers: Iterable[Broker], *, is_old: bool) -> None:
        """Forget, for this page, who led the quorum before the right to ask went, or sampling ended (`is_old`): it may
        have moved since."""
        if is_old or "quorum" in self.why:
            for broker in brokers:
                broker.quorum_role, broker.is_controller = "", False

    def _words(self, right: Right) -> str:
        if right.why == NOT_OFFERED:
            return f"not offered by Kafka {self.version}" if self.version else "not offered by this Kafka"
        if right.why in (NOT_AUTHORISED, NONE_VISIBLE):
            resource = {"topic": "topics", "group": "groups"}.get(right.need.resource, "the cluster")
            resource = resource if right.need.name == "*" else right.need.name
            return f"this login lacks the right {right.need.operation} on {resource}"
        return right.why
