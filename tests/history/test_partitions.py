"""On PostgreSQL what is too old goes with its partition, whole; what no partition is for goes row by row."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection
from pytest_django import Settings

from collectors.domain.keeping import parse_keep
from collectors.history import keep, partitions
from collectors.history.kinds import Kind
from collectors.models import Block, Cluster, Rollup, Span

NOW = 1_800_000_000.0  # later than any partition that a migration makes
DAY = 86_400.0
_numbers = itertools.count(1)


@pytest.fixture
def cluster(db: None) -> Cluster:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # outside of tests each change commits; here a table with checks that wait could not be dropped
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return Cluster.objects.create(slug="demo", name="demo", settings_encrypted=b"")


needs_partitions = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no partitions")


def span_of(cluster: Cluster, kind: Kind, until: float) -> Span:
    number = next(_numbers)
    span = Span.objects.create(
        cluster=cluster, kind=kind.value, first_cycle=number, last_cycle=number, since=until - 7200, until=until,
        axis=b"", is_ready=True,
    )  # fmt: skip
    Block.objects.create(span=span, owner_key=1, owner='"t"', body=b"x")
    return span


def day_of(cluster: Cluster, begin: float) -> None:
    """As many spans as a day has, of all kinds."""
    for turn in range(12):
        for kind in Kind:
            span_of(cluster, kind, begin + (turn + 1) * 7200)


def holding(table: str) -> dict[str, int]:
    """partition -> rows, of those that hold any."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1")
        return dict(cursor.fetchall())


def test_another_database_has_no_partitions(cluster: Cluster) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has")
    assert partitions.create_ahead(NOW) == 0
    assert partitions.of_blocks() == []
    assert partitions.blocks_over(NOW, {}) == ([], [])
    assert partitions.first_rollup(60) is None


@needs_partitions
def test_partitions_are_made_ahead_and_blocks_go_with_theirs_whole(cluster: Cluster, settings: Settings) -> None:
    settings.HISTORY_KEEP = parse_keep("blocks=3")
    for day in range(8):
        day_of(cluster, NOW + day * DAY)
        keep.forget_old(now=NOW + (day + 1) * DAY)
        assert partitions.create_ahead(NOW + (day + 1) * DAY) == 0, "made already"
    held = holding("collectors_block")
    assert "collectors_block_rest" not in held
    oldest = Span.objects.order_by("until").values_list("until", flat=True)[0]
    assert NOW + 3 * DAY <= oldest <= NOW + 5 * DAY, "a day longer than asked, at most"
    assert Block.objects.count() == Span.objects.count() == sum(held.values())
    names = [part.name for part in partitions.of_blocks()]
    assert len(names) <= 9, "those before were dropped"


def filled() -> set[str]:
    """The partitions of blocks that hold some; an empty one may go."""
    with connection.cursor() as cursor:
        names = [part.name for part in partitions.of_blocks()]
        found = set()
        for name in names:
            cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {name})")
            if cursor.fetchone()[0]:
                found.add(name)
        return found


@needs_partitions
def test_a_kind_that_is_kept_shorter_goes_row_by_row_out_of_partitions_that_stay(
    cluster: Cluster, settings: Settings
) -> None:
    settings.HISTORY_KEEP = parse_keep("blocks=7,*/size/blocks=1")
    partitions.create_ahead(NOW)
    for day in range(3):
        day_of(cluster, NOW + day * DAY)
    before = filled()
    keep.forget_old(now=NOW + 4.5 * DAY)
    assert not Span.objects.filter(kind="size").exists()
    assert Span.objects.count() == 3 * 12 * (len(Kind) - 1) == Block.objects.count()
    assert filled() == before


@needs_partitions
def test_rollups_go_with_their_partition_and_late_ones_by_themselves(cluster: Cluster, settings: Settings) -> None:
    settings.HISTORY_KEEP = parse_keep("1min=2,10min=3,1h=100")
    Cluster.objects.create(slug="longer", name="longer", settings_encrypted=b"")
    partitions.create_ahead(NOW)
    first = partitions.first_rollup(60)
    assert first is not None

    def rollup(start: float, resolution: int = 60) -> None:
        Rollup.objects.create(
            cluster=cluster, family="topic", owner_key=int(start), resolution=resolution, start=int(start), owner='"t"',
            body=b"x",
        )  # fmt: skip

    for day in range(6):
        partitions.create_ahead(NOW + day * DAY)
        rollup(NOW + day * DAY)
    rollup(first - 40 * DAY)
    held = holding("collectors_rollup")
    assert held.pop("collectors_rollup_rest") == 1
    assert len(held) == 6
    keep.forget_old(now=NOW + 6 * DAY)
    assert "collectors_rollup_rest" not in holding("collectors_rollup")
    assert sorted(Rollup.objects.values_list("start", flat=True)) == [NOW + 4 * DAY, NOW + 5 * DAY]


@needs_partitions
@pytest.mark.django_db(transaction=True)
def test_what_others_hold_stays_until_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_MILLISECONDS", 50)
    part, other = partitions.of_blocks()[0], connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {part.name}")
        assert partitions.drop_blocks(part) == 0
    finally:
        other.close()
    assert part in partitions.of_blocks()


@needs_partitions
def test_a_stored_row_is_found_and_written_over_whatever_its_partition(cluster: Cluster) -> None:
    partitions.create_ahead(NOW)
    row = {"cluster": cluster, "family": "topic", "owner_key": 5, "resolution": 600, "start": int(NOW), "owner": '"t"'}
    for body in (b"first", b"second"):
        Rollup.objects.bulk_create(
            [Rollup(**row, body=body)],
            update_conflicts=True,
            unique_fields=["cluster", "family", "owner_key", "resolution", "start"],
            update_fields=["body"],
        )
    assert [bytes(body) for body in Rollup.objects.values_list("body", flat=True)] == [b"second"]
    assert Rollup.objects.get().delete()[0] == 1
