"""Bench: every list and detail page at 5 000 groups and 10 000 topics, the newest cycle in memory, without Kafka."""

from __future__ import annotations

import statistics
import time

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from collectors.history.queries import cluster_at
from collectors.models import Cluster
from dashboard.live.reading import DatabaseReader, Head
from dashboard.live.wire import encode_row, parse_subject
from dashboard.models import Person, Role
from dashboard.static_files import collect
from tests.pages.seed import Company, make_company

from .history_frames import own_database
from .lines import Line, at_most, line
from .sockets import page_of_groups

TOPICS, PER_TOPIC = 10_000, 3
GROUPS, TOPICS_A_GROUP = 5_000, 7  # 105 000 committed positions
FETCHES = 15
GOAL_MS = 500.0
SLUG = "demo"
PAGES = {
    "overview": "/",
    "cluster": f"/clusters/{SLUG}/",
    "groups": f"/clusters/{SLUG}/groups/",
    "groups, searched": f"/clusters/{SLUG}/groups/?q=42&sort=-lag",
    "group": f"/clusters/{SLUG}/groups/group-00042/",
    "topics": f"/clusters/{SLUG}/topics/",
    "topics, searched": f"/clusters/{SLUG}/topics/?q=42&sort=-rate",
    "topic": f"/clusters/{SLUG}/topics/topic-00042/",
    "brokers": f"/clusters/{SLUG}/brokers/",
    "dead letters": f"/clusters/{SLUG}/dead-letters/",
    "events": f"/clusters/{SLUG}/events/",
    "alerts": "/alerts/",
    "rules": "/alerts/rules/",
    "search": "/search/?q=topic-0004",
    "chart: lag of a group": f"/clusters/{SLUG}/series/?subject=g&what=lag&name=group-00042",
    "chart: rate of a topic": f"/clusters/{SLUG}/series/?subject=t&what=rate&name=topic-00042",
}


def run() -> list[Line]:
    with own_database():
        cluster = make_company(_company())
        return _measure(cluster)


def _company() -> Company:
    names = [f"topic-{i:05}" for i in range(TOPICS)]
    return Company(
        slug=SLUG,
        cycles=25,
        topics={name: (PER_TOPIC, 10.0 if i % 3 else 0.0) for i, name in enumerate(names)},
        groups={
            f"group-{i:05}": tuple(names[(2 * i + k) % TOPICS] for k in range(TOPICS_A_GROUP)) for i in range(GROUPS)
        },
        frozen=frozenset({f"group-{i:05}" for i in range(0, GROUPS, 50)}),
        empty_groups=frozenset({f"group-{i:05}" for i in range(7, GROUPS, 50)}),
    )


def _measure(cluster: Cluster) -> list[Line]:
    collect()  # pages name files by their hashes
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]
    user = get_user_model().objects.create_user("bench")
    Person.objects.update_or_create(user=user, defaults={"role": Role.ADMIN})
    client = Client()
    client.force_login(user)
    began = time.perf_counter()
    cluster_at(cluster.pk, cluster.last_cycle)
    lines = [
        line("the first read of the cluster: layouts, window, all groups", 1e3 * (time.perf_counter() - began), "ms")
    ]
    for name, path in PAGES.items():
        taken, size = [], 0
        for _ in range(FETCHES + 1):
            began = time.perf_counter()
            answer = client.get(path)
            taken.append((time.perf_counter() - began) * 1e3)
            if answer.status_code != 200:
                raise RuntimeError(f"{path} was answered with {answer.status_code}")
            size = len(answer.content)
        slow = statistics.quantiles(taken[1:], n=20)[-1]
        median = statistics.median(taken[1:])
        lines.append(
            at_most(f"page {name} ({size / 1e3:.0f} kB; median {median:.0f} ms): 95th percentile", slow, "ms", GOAL_MS)
        )
    return [*lines, *_hub(cluster)]


def _hub(cluster: Cluster) -> list[Line]:
    """What one turn of the hub reads and encodes for one page of 50 groups."""
    reader = DatabaseReader()
    (head,) = reader.heads()
    subjects = [s for id in page_of_groups(SLUG, [f"group-{i:05}" for i in range(50)]) if (s := parse_subject(id))]

    def turn(head: Head) -> int:
        return sum(len(encode_row(id, row)) for id, row in reader.update(head, subjects).rows.items())

    taken = []
    for _ in range(FETCHES):
        began = time.perf_counter()
        size = turn(head)
        taken.append((time.perf_counter() - began) * 1e3)
    what = f"the hub's turn for the rows of a page of groups ({size / 1e3:.0f} kB)"
    return [line(what, statistics.median(taken), "ms")]
