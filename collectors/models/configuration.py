"""Settings of topics and brokers: one row for each different set, since most topics are set alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models

from ..domain.configuration import Setting, Settings, Source
from .clusters import Cluster


class ConfigSet(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="config_sets")
    digest = models.CharField(max_length=32)  # collectors.domain.configuration.digest
    settings = models.JSONField()  # [[name, value or null, source, is sensitive], ...] by name

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "digest"], name="one_config_set_per_digest")]

    def __str__(self) -> str:
        return f"settings {self.digest[:8]}"

    @property
    def listed(self) -> Settings:
        return tuple(Setting(name, value, Source.of(source), bool(hidden)) for name, value, source, hidden in self.rows)

    @property
    def rows(self) -> Iterable[tuple[str, str | None, int, Any]]:
        return ((row[0], row[1], row[2], row[3]) for row in self.settings)


def as_rows(settings: Settings) -> list[list[Any]]:
    return [[one.name, one.value, int(one.source), int(one.is_sensitive)] for one in settings]
