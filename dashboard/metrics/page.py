"""The whole page of /metrics: parts of the clusters joined, what is read at each scrape, the process's own numbers."""

from __future__ import annotations

import platform
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from django.db.models import Count
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics

from collectors.models import CollectorTotals
from dashboard import __version__
from dashboard.alerts.outbox import notification_counts
from dashboard.models import Alert, Rule

from . import rows
from .parts import Part, Parts
from .registry import FAMILIES, Section, family
from .text import clean_labels, sample

EOF_LINE = b"# EOF\n"
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # RFC 1952: deflate, no time, fastest, unknown system


class Joined:
    """The lines of all fresh parts, family by family, with what gzip needs to go on from their end."""

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self._lock = threading.Lock()
        self._deflated: tuple[bytes, int] | None = None

    def deflated(self) -> tuple[bytes, int]:
        """(raw deflate ending on a byte border and not final, CRC-32 of the plain bytes); compressed once."""
        with self._lock:
            if self._deflated is None:
                packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
                body = packer.compress(self.plain) + packer.flush(zlib.Z_FULL_FLUSH)
                self._deflated = body, zlib.crc32(self.plain)
            return self._deflated


@dataclass(frozen=True, slots=True)
class Page:
    joined: Joined
    tail: bytes

    def plain(self) -> bytes:
        return self.joined.plain + self.tail

    def gzipped(self) -> bytes:
        """One gzip member; only the short tail is compressed at each scrape."""
        body, crc = self.joined.deflated()
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        end = packer.compress(self.tail) + packer.flush(zlib.Z_FINISH)
        size = len(self.joined.plain) + len(self.tail)
        trailer = struct.pack("<II", zlib.crc32(self.tail, crc), size & 0xFFFFFFFF)
        return GZIP_HEADER + body + end + trailer


class MetricsPage:
    """Builds pages; one per process, thread-safe. `own` holds the collectors of the process's own numbers."""

    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own
        self._parts = Parts()
        self._lock = threading.Lock()
        self._joined: dict[bool, tuple[Hashable, Joined]] = {}

    def build(self, now: float, *, openmetrics: bool) -> Page:
        """The page at `now` (unix seconds). Nothing here reaches a broker."""
        clusters = rows.clusters()
        self._parts.forget_others(clusters)
        # Left out when it is too old: whoever scrapes sees the series end, not its last value for ever.
        parts = [self._parts.part(cluster) for cluster in clusters if cluster.is_fresh(now)]
        own = _own_text(self._own, openmetrics=openmetrics)
        tail = b"".join(_scraped(clusters, now, openmetrics=openmetrics)) + own
        return Page(self._join(parts, openmetrics=openmetrics), tail + EOF_LINE if openmetrics else tail)

    def _join(self, parts: list[Part], *, openmetrics: bool) -> Joined:
        key = tuple(part.key for part in parts)
        with self._lock:
            kept = self._joined.get(openmetrics)
            if kept is not None and kept[0] == key:
                return kept[1]
            pieces: list[bytes] = []
            for each in FAMILIES:
                if each.section is Section.CYCLE:
                    # All samples of a family stand together under one HELP and TYPE, whichever cluster they are of.
                    pieces.append(each.header(openmetrics=openmetrics))
                    pieces.extend(part.samples.get(each.name, b"") for part in parts)
            joined = Joined(b"".join(pieces))
            self._joined[openmetrics] = key, joined
            return joined


def own_registry() -> CollectorRegistry:
    """process_*, python_info and python_gc_* of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _own_text(registry: CollectorRegistry, *, openmetrics: bool) -> bytes:
    if openmetrics:
        text: bytes = as_openmetrics(registry)  # type: ignore[no-untyped-call]  # has no annotations in 0.26
        return text.removesuffix(EOF_LINE)
    return as_text(registry)


Lines = Iterable[tuple[tuple[str, ...], int | float]]


def _scraped(clusters: list[rows.ClusterRow], now: float, *, openmetrics: bool) -> Iterable[bytes]:
    """The families that are read at each scrape."""
    slugs = {cluster.id: cluster.slug for cluster in clusters}
    totals = {row.cluster_id: row for row in CollectorTotals.objects.all()}
    read: dict[str, Callable[[], Lines]] = {
        "cluster_up": lambda: (
            ((c.slug,), int(c.is_fresh(now) and c.cycle is not None and c.cycle.is_reachable))
            for c in clusters
            if not c.is_paused
        ),
        "collector_last_success_timestamp_seconds": lambda: (
            ((slugs[i],), t.last_success_at.timestamp())
            for i, t in totals.items()
            if i in slugs and t.last_success_at is not None
        ),
        "collector_requests_total": lambda: (((slugs[i],), t.requests) for i, t in totals.items() if i in slugs),
        "collector_skipped_cycles_total": lambda: (((slugs[i],), t.skipped) for i, t in totals.items() if i in slugs),
        "collector_errors_total": lambda: _errors(totals, slugs),
        "alerts_firing": lambda: _firing(slugs),
        "notifications_total": _notifications,
        "build_info": lambda: [((__version__, platform.python_version()), 1)],
    }
    for each in FAMILIES:
        if each.section is Section.SCRAPE:
            short = each.name.removeprefix("streamgauge_")
            yield each.header(openmetrics=openmetrics)
            yield from _samples(short, read[short]())


def _samples(name: str, lines: Lines) -> Iterable[bytes]:
    this = family(name)
    for texts, value in sorted(lines):
        yield sample(this.name, zip(this.labels, texts, strict=True), value)


def _errors(totals: dict[int, CollectorTotals], slugs: dict[int, str]) -> Lines:
    for cluster_id, row in totals.items():
        for part, reasons in row.errors.items():
            texts = clean_labels(list(reasons))
            for text, count in zip(texts, reasons.values(), strict=True):
                if cluster_id in slugs:
                    yield (slugs[cluster_id], part, text), count


def _firing(slugs: dict[int, str]) -> Lines:
    """How many alerts fire per cluster, rule and severity; 0 for enabled rules that are quiet."""
    counts: Counter[tuple[str, ...]] = Counter()
    for key, severity in Rule.objects.filter(is_enabled=True).order_by().values_list("key", "severity"):
        for slug in slugs.values():
            counts[(slug, key, severity)] += 0
    firing = (
        Alert.objects.filter(state__in=[Alert.State.FIRING, Alert.State.RECOVERING])
        .order_by()
        .values_list("cluster_id", "rule__key", "severity")
        .annotate(count=Count("id"))
    )
    for cluster_id, key, severity, count in firing:
        if cluster_id in slugs:
            counts[(slugs[cluster_id], key, severity)] += count
    return counts.items()


def _notifications() -> Lines:
    counts = notification_counts()
    names = list(dict.fromkeys(name for name, _, _ in counts))
    text_of = dict(zip(names, clean_labels(names), strict=True))
    return [((text_of[name], outcome), count) for name, outcome, count in counts]
