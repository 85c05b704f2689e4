"""The stars of who looks at a page: what its button says, and what the side bar lists."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import HttpRequest

from collectors.models import Cluster
from dashboard import names
from dashboard.models import Star

MOST = 100
"""Stars of one person: they are read with each page."""


@dataclass(frozen=True, slots=True)
class Starred:
    kind: str  # Star.Kind
    slug: str
    cluster: str
    name: str

    @property
    def title(self) -> str:
        return self.cluster if self.kind == Star.Kind.CLUSTER else self.name or "(empty name)"

    @property
    def path(self) -> str:
        return names.subject_path(self.slug, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Button:
    """The star of a page. `is_kept` False: nobody is signed in, so that there is nobody to keep it for."""

    action: str
    is_on: bool
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Stars:
    every: tuple[Starred, ...]
    is_kept: bool

    def of(self, kind: str, slug: str, name: str = "") -> Button:
        is_on = any((one.kind, one.slug, one.name) == (kind, slug, name) for one in self.every)
        return Button(names.star_path(kind, slug, name), is_on, self.is_kept)


def starred_of(request: HttpRequest, clusters: Iterable[Cluster]) -> Stars:
    """The stars of who is signed in that are in these clusters, by name; one query."""
    if not request.user.is_authenticated:
        return Stars((), is_kept=False)
    by_id = {one.pk: one for one in clusters}
    found = Star.objects.filter(user_id=request.user.pk).values_list("kind", "cluster_id", "name")
    every = [Starred(kind, by_id[pk].slug, by_id[pk].name, name) for kind, pk, name in found if pk in by_id]
    every.sort(key=lambda one: (one.title.casefold(), one.cluster, one.kind))
    return Stars(tuple(every), is_kept=True)
