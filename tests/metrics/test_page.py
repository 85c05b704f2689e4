"""What /metrics says of a cluster, and what it leaves out."""

from __future__ import annotations

import gzip
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from collectors.domain.numbers import NO_COMMIT, Column, Layout, Numbers
from collectors.domain.partitions import PartitionVerdict
from collectors.domain.verdicts import Verdict
from collectors.history.frames import FrameWriter
from collectors.history.kinds import Kind
from collectors.kafka.survey import EVERY_SECONDS
from collectors.models import Cluster, CollectorTotals, Cycle, Group, Topic
from collectors.models.cycles import MAX_REASONS_PER_PART, OTHER_REASON
from dashboard.metrics import parts, rows
from dashboard.metrics.page import MetricsPage, own_registry
from dashboard.metrics.registry import FAMILIES
from dashboard.models import Alert, Channel, NotificationCount, Rule
from tests.pages.seed import INTERVAL, Company, make_cluster, make_company

pytestmark = pytest.mark.django_db

HOSTILE = ['quote"back\\slash', "new\nline", "esc\x1b[0m", "\u202egnp", "%s%d", "{a='b'}", "ünïcode", "# EOF", ""]


def hostile_company() -> Company:
    return Company(groups={**Company().groups, **dict.fromkeys(HOSTILE, ("clicks", "orders"))})


def families(page: MetricsPage, *, now: float | None = None, openmetrics: bool = False) -> dict[str, Metric]:
    text = page.build(now or time.time(), openmetrics=openmetrics).plain().decode()
    parsed = list((parse_openmetrics if openmetrics else parse_text)(text))
    assert len({family.name for family in parsed}) == len(parsed), "a family stands in two places"
    return {family.name: family for family in parsed}


def values(metric: Metric) -> dict[tuple[str, ...], float]:
    return {tuple(s.labels.values()): s.value for s in metric.samples}


def add_cycle(
    cluster: Cluster,
    columns: dict[Kind, Column],
    *,
    taken_at: float,
    ages: dict[str, float] | None = None,
    up: bool = True,
) -> None:
    """Store one more cycle, as the sampler does."""
    cluster.refresh_from_db()
    number = cluster.last_cycle + 1
    with transaction.atomic():
        FrameWriter(cluster.pk).write(number, taken_at, columns)
    at = datetime.fromtimestamp(taken_at, UTC)
    Cycle.objects.create(
        cluster=cluster, number=number, epoch=1, due_at=at, started_at=at, taken_at=at,
        ended_at=at + timedelta(seconds=0.25), is_reachable=up, requests=4,
    )  # fmt: skip
    Cluster.objects.filter(pk=cluster.pk).update(last_cycle=number)


def add_group(cluster: Cluster, *, members: int | None, kind: str = "classic") -> None:
    at = cluster.created_at
    Group.objects.create(
        cluster=cluster, name="readers", type=kind, state="Stable", member_count=members, first_seen_at=at
    )


def small_columns(*, commits: list[int | None], ends: list[int | None]) -> dict[Kind, Column]:
    topics = Layout.of_topics({"orders": range(len(ends))})
    committed = Layout.build({"readers": [("orders", p) for p in range(len(commits))]})
    return {
        Kind.START: Column(topics, Numbers.of([0] * len(ends))),
        Kind.END: Column(topics, Numbers.of(ends)),
        Kind.COMMITTED: Column(committed, Numbers.of(commits)),
        Kind.VERDICT: Column(Layout.single(["readers"]), Numbers.of([int(Verdict.FALLING_BEHIND)])),
    }


def test_every_family_of_the_registry_is_on_the_page_and_no_other(page: MetricsPage) -> None:
    make_company(Company())
    assert set(families(page)) == {family.name.removesuffix("_total") for family in FAMILIES}
    assert set(families(page, openmetrics=True)) == {family.name.removesuffix("_total") for family in FAMILIES}


def test_the_age_of_a_head_is_there_where_one_was_read(page: MetricsPage) -> None:
    cluster, now = make_cluster(), time.time()
    columns = small_columns(commits=[20, 40], ends=[100, 50])
    add_cycle(cluster, columns, taken_at=now - 6)
    assert values(families(page, now=now)["streamgauge_group_head_of_backlog_age_seconds"]) == {}
    head = Column(Layout.build({"readers": [("orders", 1)]}), Numbers.of([round((now - 91) * 1000)]))
    add_cycle(cluster, {**columns, Kind.HEAD: head}, taken_at=now - 1)
    found = values(families(page, now=now)["streamgauge_group_head_of_backlog_age_seconds"])
    assert found == {("demo", "readers"): pytest.approx(90, abs=0.1)}


@pytest.mark.parametrize(
    ("sentence", "heads", "seconds"),
    [
        ("it has read on: 90 s is a bound, and no value", {0: -90}, None),
        ("the oldest is a bound, the other one is not the group's", {0: -90, 1: 30}, None),
        ("the oldest is exact", {0: -30, 1: 90}, 90.0),
    ],
)
def test_a_bound_of_a_head_s_age_is_no_value(
    page: MetricsPage, sentence: str, heads: dict[int, int], seconds: float | None
) -> None:
    cluster, now = make_cluster(), time.time()
    layout = Layout.build({"readers": [("orders", partition) for partition in heads]})
    stored = [(-1 if age < 0 else 1) * round((now - 1 - abs(age)) * 1000) for age in heads.values()]
    columns = small_columns(commits=[20, 40], ends=[100, 50]) | {Kind.HEAD: Column(layout, Numbers.of(stored))}
    add_cycle(cluster, columns, taken_at=now - 1)
    found = values(families(page, now=now)["streamgauge_group_head_of_backlog_age_seconds"])
    wanted = {} if seconds is None else {("demo", "readers"): pytest.approx(seconds, abs=0.1)}
    assert found == wanted, sentence


def test_what_a_group_lost_is_told_of_the_partitions_that_lost_some(page: MetricsPage) -> None:
    make_company(Company())
    lost = {"orders": {"2": 40, "10": 2}}
    Group.objects.filter(name="payment-service").update(lost_records=42, lost_by_partition=lost)
    found = families(page)
    assert values(found["streamgauge_group_lost_messages"])["demo", "payment-service"] == 42
    assert values(found["streamgauge_group_partition_lost_messages"]) == {
        ("demo", "payment-service", "orders", "2"): 40,
        ("demo", "payment-service", "orders", "10"): 2,
    }


def test_both_formats_say_the_same(page: MetricsPage) -> None:
    make_company(hostile_company())
    now = time.time()
    text, openmetrics = families(page, now=now), families(page, now=now, openmetrics=True)
    assert {name: values(m) for name, m in text.items()} == {name: values(m) for name, m in openmetrics.items()}


def test_numbers_of_a_cluster_are_those_that_were_stored(page: MetricsPage) -> None:
    cluster = make_cluster()
    now = time.time()
    add_cycle(cluster, small_columns(commits=[10, 35], ends=[90, 50]), taken_at=now - 11)
    add_cycle(cluster, small_columns(commits=[20, 40], ends=[100, 50]), taken_at=now - 1)
    Group.objects.create(
        cluster=cluster,
        name="readers",
        type="classic",
        state="Stable",
        member_count=2,
        first_seen_at=cluster.created_at,
    )
    found = {name: values(metric) for name, metric in families(page, now=now).items()}
    assert found["streamgauge_cluster_up"] == {("demo",): 1}
    assert found["streamgauge_partition_end_offset"] == {("demo", "orders", "0"): 100, ("demo", "orders", "1"): 50}
    assert found["streamgauge_group_committed_offset"][("demo", "readers", "orders", "0")] == 20
    assert found["streamgauge_group_lag_messages"] == {
        ("demo", "readers", "orders", "0"): 80,
        ("demo", "readers", "orders", "1"): 10,
    }
    assert found["streamgauge_group_topic_lag_messages"] == {("demo", "readers", "orders"): 90}
    assert found["streamgauge_group_lag_known"] == {("demo", "readers"): 1}
    # 0: 10 s of samples, and 70 records before them at 1/s; 1: no record came since, so its age is not known
    assert found["streamgauge_group_partition_log_end_age_seconds"] == {("demo", "readers", "orders", "0"): 80}
    assert found["streamgauge_group_log_end_age_seconds"] == {}
    assert found["streamgauge_group_retention_countdown_seconds"] == {}
    states = found["streamgauge_group_retention_countdown_state"]
    assert [states["demo", "readers", state] for state in ("known", "never", "unknown")] == [0, 0, 1]
    assert found["streamgauge_group_drain_estimate_seconds"] == {("demo", "readers"): pytest.approx(90 / 0.5, abs=0.1)}
    assert drain_states(found) == ["drains"]
    assert found["streamgauge_group_members"] == {("demo", "readers"): 2}
    assert found["streamgauge_topic_messages_per_second"][("demo", "orders")] == pytest.approx(1.0, rel=0.01)
    assert found["streamgauge_group_consumed_per_second"][("demo", "readers", "orders")] == pytest.approx(1.5, rel=0.01)
    assert found["streamgauge_collector_cycle_duration_seconds"][("demo",)] == pytest.approx(0.25)
    verdicts = found["streamgauge_group_verdict"]
    assert {key[2] for key in verdicts} == {verdict.word for verdict in Verdict}
    assert [key[2] for key, value in verdicts.items() if value == 1] == ["falling_behind"]


def test_what_a_tool_sets_offsets_to_is_nothing_consumed(page: MetricsPage) -> None:
    cluster, now = make_cluster(), time.time()
    nobody = {Kind.VERDICT: Column(Layout.single(["readers"]), Numbers.of([int(Verdict.NO_MEMBERS)]))}
    add_cycle(cluster, small_columns(commits=[10], ends=[100]) | nobody, taken_at=now - 11)
    add_cycle(cluster, small_columns(commits=[80], ends=[110]) | nobody, taken_at=now - 1)
    found = {name: values(metric) for name, metric in families(page, now=now).items()}
    assert found["streamgauge_group_consumed_per_second"] == {("demo", "readers", "orders"): 0.0}
    assert drain_states(found) == ["not_draining"]


def drain_states(found: dict[str, dict[tuple[str, ...], float]]) -> list[str]:
    """What is said of the group `readers`; the words that are not said are there, with 0."""
    states = {key[2]: value for key, value in found["streamgauge_group_drain_state"].items() if key[1] == "readers"}
    assert set(states) == {"unknown", "drains", "keeps_up", "not_draining"}
    return [state for state, value in states.items() if value == 1]


@pytest.mark.parametrize(
    ("before", "commit", "state", "seconds"),
    [
        (40, 100, "drains", 0.0),
        (40, 95, "keeps_up", None),
        (40, 50, "not_draining", None),
        (None, 40, "unknown", None),
    ],
)
def test_who_does_not_drain_has_a_word_and_no_number(
    page: MetricsPage, before: int | None, commit: int, state: str, seconds: float | None
) -> None:
    """60 records came in 10 s, and the group moved from `before` to `commit`."""
    cluster, now = make_cluster(), time.time()
    if before is not None:
        add_cycle(cluster, small_columns(commits=[before], ends=[40]), taken_at=now - 11)
    add_cycle(cluster, small_columns(commits=[commit], ends=[100]), taken_at=now - 1)
    found = {name: values(metric) for name, metric in families(page, now=now).items()}
    assert drain_states(found) == [state]
    assert list(found["streamgauge_group_drain_estimate_seconds"].values()) == ([] if seconds is None else [seconds])


def test_a_share_group_has_a_lag_and_no_committed_offset(page: MetricsPage) -> None:
    cluster = make_cluster()
    add_cycle(cluster, small_columns(commits=[20, 40], ends=[100, 50]), taken_at=time.time() - 1)
    add_group(cluster, members=2, kind="share")
    found = {name: values(metric) for name, metric in families(page).items()}
    assert found["streamgauge_group_topic_lag_messages"] == {("demo", "readers", "orders"): 90}
    assert found["streamgauge_group_committed_offset"] == {}
    Group.objects.update(gone_at=cluster.created_at)  # its last positions are still in the newest frame
    add_cycle(cluster, small_columns(commits=[20, 40], ends=[100, 50]), taken_at=time.time())
    assert values(families(page)["streamgauge_group_committed_offset"]) == {}


def test_what_is_unknown_is_left_out_and_never_zero(page: MetricsPage) -> None:
    cluster = make_cluster()
    add_cycle(cluster, small_columns(commits=[20, None, NO_COMMIT], ends=[None, 50, 60]), taken_at=time.time() - 1)
    add_group(cluster, members=None)
    found = {name: values(metric) for name, metric in families(page).items()}
    assert set(found["streamgauge_partition_end_offset"]) == {("demo", "orders", "1"), ("demo", "orders", "2")}
    assert set(found["streamgauge_group_committed_offset"]) == {("demo", "readers", "orders", "0")}
    for name in ("group_lag_messages", "group_topic_lag_messages", "group_members", "topic_messages_per_second"):
        assert found[f"streamgauge_{name}"] == {}, name
    assert found["streamgauge_group_lag_known"] == {("demo", "readers"): 0}


def test_a_group_without_a_verdict_is_unknown(page: MetricsPage) -> None:
    cluster = make_cluster()
    columns = small_columns(commits=[1], ends=[1])
    del columns[Kind.VERDICT]
    add_cycle(cluster, columns, taken_at=time.time() - 1)
    verdicts = values(families(page)["streamgauge_group_verdict"])
    assert [key[2] for key, value in verdicts.items() if value] == ["unknown"]


def test_each_partition_of_a_group_has_one_line_with_the_verdict_that_holds(page: MetricsPage) -> None:
    cluster, now = make_cluster(), time.time()
    columns = small_columns(commits=[20, 40, NO_COMMIT, 7], ends=[100, 50, 60, 7])
    said = {
        ("demo", "readers", "orders", "0", "no_progress"): 1,
        ("demo", "readers", "orders", "1", "ok"): 1,
        ("demo", "readers", "orders", "2", "no_commit"): 1,
        ("demo", "readers", "orders", "3", "unknown"): 1,
    }
    stored = Numbers.of([int(PartitionVerdict[key[4].upper()]) for key in list(said)[:3]] + [57])  # a younger program's
    columns[Kind.PARTITION_VERDICT] = Column(columns[Kind.COMMITTED].layout, stored)
    add_cycle(cluster, columns, taken_at=now - 6)
    assert values(families(page, now=now)["streamgauge_group_partition_verdict"]) == said
    columns[Kind.PARTITION_VERDICT] = Column(columns[Kind.COMMITTED].layout, Numbers.of([0] * 4))
    add_cycle(cluster, columns, taken_at=now - 1)
    found = values(families(page, now=now)["streamgauge_group_partition_verdict"])
    assert {key[4] for key in found} == {"ok"}
    assert len(found) == 4, "what held before is no line any more"


def test_a_partition_of_which_nothing_was_judged_is_unknown(page: MetricsPage) -> None:
    cluster = make_cluster()
    add_cycle(cluster, small_columns(commits=[1], ends=[1]), taken_at=time.time() - 1)
    found = values(families(page)["streamgauge_group_partition_verdict"])
    assert found == {("demo", "readers", "orders", "0", "unknown"): 1}


def test_a_part_older_than_three_intervals_is_left_out_and_the_cluster_is_down(page: MetricsPage) -> None:
    cluster = make_company(Company())
    CollectorTotals.objects.add(cluster.pk, requests=9, succeeded_at=datetime(2026, 1, 2, tzinfo=UTC))
    taken_at = Cycle.objects.get(number=cluster.last_cycle).taken_at.timestamp()
    fresh = families(page, now=taken_at + 3 * INTERVAL - 0.1)
    stale = families(page, now=taken_at + 3 * INTERVAL + 0.1)
    assert values(fresh["streamgauge_cluster_up"]) == {("demo",): 1}
    assert fresh["streamgauge_group_lag_messages"].samples
    assert values(stale["streamgauge_cluster_up"]) == {("demo",): 0}
    assert {name for name, metric in stale.items() if metric.samples} == {
        "streamgauge_cluster_up",
        "streamgauge_collector_last_success_timestamp_seconds",
        "streamgauge_collector_requests",
        "streamgauge_collector_skipped_cycles",
        "streamgauge_build_info",
    }
    last = stale["streamgauge_collector_last_success_timestamp_seconds"]
    assert values(last) == {("demo",): datetime(2026, 1, 2, tzinfo=UTC).timestamp()}


def test_a_cluster_that_no_cycle_has_reached_is_down_and_a_paused_one_says_nothing(page: MetricsPage) -> None:
    make_cluster("new", "new")
    Cluster.objects.filter(pk=make_cluster("paused", "paused").pk).update(is_paused=True)
    add_cycle(make_cluster("dark", "dark"), {}, taken_at=time.time() - 1, up=False)
    assert values(families(page)["streamgauge_cluster_up"]) == {("dark",): 0, ("new",): 0}


@pytest.mark.parametrize(
    ("part", "seconds", "names"),
    [
        ("metadata", 30, {"topic_partitions", "topic_under_replicated_partitions", "topic_offline_partitions"}),
        ("groups", 12, {"group_members"}),
        ("log_dirs", 60, {"broker_log_dir_size_bytes", "broker_log_dir_free_bytes", "topic_size_bytes"}),
        ("start_offsets", 60, {"partition_start_offset", "dead_letter_messages"}),
    ],
)
def test_a_slow_fact_is_left_out_when_the_survey_brought_no_newer_one(
    page: MetricsPage, part: str, seconds: int, names: set[str]
) -> None:
    cluster = make_company(Company())
    for age, is_there in ((3 * seconds - 1, True), (3 * seconds + 1, False)):
        Cycle.objects.filter(cluster=cluster, number=cluster.last_cycle).update(ages={part: age})
        found = families(MetricsPage(own_registry()))
        assert {name for name in names if found[f"streamgauge_{name}"].samples} == (names if is_there else set())


def test_the_times_of_the_survey_are_known_here() -> None:
    assert {part: EVERY_SECONDS[part] for part in rows.SURVEY_SECONDS} == rows.SURVEY_SECONDS


def test_dead_letters_are_counted(page: MetricsPage) -> None:
    make_company(Company())
    found = families(page)
    ends = values(found["streamgauge_partition_end_offset"])
    assert values(found["streamgauge_dead_letter_messages"]) == {
        ("demo", "orders-dlt"): ends[("demo", "orders-dlt", "0")]
    }
    assert values(found["streamgauge_dead_letter_messages_per_second"]) == {("demo", "orders-dlt"): 0}


def test_a_topic_that_came_is_there_with_its_next_cycle(page: MetricsPage) -> None:
    cluster = make_cluster()
    add_cycle(cluster, small_columns(commits=[1], ends=[1]), taken_at=time.time() - 6)
    assert len(families(page)["streamgauge_partition_end_offset"].samples) == 1
    add_cycle(cluster, small_columns(commits=[1, 1], ends=[1, 2]), taken_at=time.time() - 1)
    found = families(page)
    assert len(found["streamgauge_partition_end_offset"].samples) == 2
    assert len(found["streamgauge_group_lag_messages"].samples) == 2


def test_samples_of_two_clusters_stand_together_under_one_heading(page: MetricsPage) -> None:
    make_company(Company(slug="east", name="east"))
    make_company(Company(slug="west", name="west"))
    text = page.build(time.time(), openmetrics=True).plain().decode()
    assert text.count("# TYPE streamgauge_group_lag_messages gauge") == 1
    found = families(page, openmetrics=True)  # the parser itself refuses samples that stand apart
    assert {key[0] for key in values(found["streamgauge_group_lag_messages"])} == {"east", "west"}


def test_hostile_names_make_one_valid_line_each(page: MetricsPage) -> None:
    make_company(hostile_company())
    body = page.build(time.time(), openmetrics=False).plain()
    assert not any(byte < 0x20 and byte != 0x0A for byte in body)
    groups = {sample.labels["group"] for sample in families(page)["streamgauge_group_lag_known"].samples}
    assert groups == {
        *Company().groups, 'quote"back\\slash', "new\\x0aline", "esc\\x1b[0m", "\\u202egnp", "%s%d", "{a='b'}",
        "ünïcode", "# EOF", "",
    }  # fmt: skip


@pytest.mark.promtool
def test_promtool_has_no_complaint(promtool: Path) -> None:
    make_company(hostile_company())
    make_company(Company(slug="other", name="other", down=frozenset({3}), frozen=frozenset({"shipping"})))
    body = MetricsPage(own_registry()).build(time.time(), openmetrics=False).plain()
    told = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (0, b"", b"")


def test_errors_are_counted_by_part_and_reason_and_only_grow(page: MetricsPage) -> None:
    cluster = make_cluster()
    CollectorTotals.objects.add(cluster.pk, requests=9, skipped=1, errors=[("commits", "timeout", 2)])
    CollectorTotals.objects.add(cluster.pk, requests=3, errors=[("commits", "timeout", 1), ("connect", "re\nset", 1)])
    found = {name: values(metric) for name, metric in families(page).items()}
    assert found["streamgauge_collector_requests"] == {("demo",): 12}
    assert found["streamgauge_collector_skipped_cycles"] == {("demo",): 1}
    assert found["streamgauge_collector_errors"] == {
        ("demo", "commits", "timeout"): 3,
        ("demo", "connect", "re\\x0aset"): 1,
    }


def test_a_brokers_words_cannot_make_labels_without_end() -> None:
    cluster = make_cluster()
    reasons = [("commits", f"odd {i}", 1) for i in range(MAX_REASONS_PER_PART + 5)]
    CollectorTotals.objects.add(cluster.pk, errors=reasons)
    kept = CollectorTotals.objects.get(pk=cluster.pk).errors["commits"]
    assert len(kept) == MAX_REASONS_PER_PART + 1
    assert kept[OTHER_REASON] == 5


def test_alerts_that_fire_are_counted_and_quiet_rules_are_zero(page: MetricsPage) -> None:
    cluster, at = make_cluster(), datetime.now(UTC)
    Rule.objects.all().delete()
    loud = Rule.objects.create(key="loud", name="Loud", quantity="x", threshold=0, severity="critical")
    Rule.objects.create(key="quiet", name="Quiet", quantity="x", threshold=0, severity="warning")
    Rule.objects.create(key="off", name="Off", quantity="x", threshold=0, severity="warning", is_enabled=False)
    for subject, state in (("a", "firing"), ("b", "recovering"), ("c", "pending"), ("d", "resolved"), ("e", "firing")):
        Alert.objects.create(
            rule=loud, cluster=cluster, subject_kind="group", subject=subject, state=state, severity="critical",
            sentence="-", started_at=at, changed_at=at, acknowledged_at=at if subject == "e" else None,
        )  # fmt: skip
    assert values(families(page)["streamgauge_alerts_firing"]) == {
        ("demo", "loud", "critical"): 3,
        ("demo", "quiet", "warning"): 0,
    }


def test_notifications_are_counted_by_outcome(page: MetricsPage) -> None:
    channel = Channel.objects.create(name="on\tcall", kind="webhook", settings_encrypted=b"", target="x")
    NotificationCount.objects.create(channel=channel, outcome="delivered", count=4)
    counts = values(families(page)["streamgauge_notifications"])
    assert counts[("on\\x09call", "delivered")] == 4
    assert counts[("on\\x09call", "dead")] == 0


def test_gzip_holds_the_same_bytes_in_one_member(page: MetricsPage) -> None:
    make_company(Company())
    built = page.build(time.time(), openmetrics=True)
    assert gzip.decompress(built.gzipped()) == built.plain()
    empty = MetricsPage(own_registry()).build(time.time() + 3600, openmetrics=False)
    assert gzip.decompress(empty.gzipped()) == empty.plain()


def test_a_second_scrape_of_a_cycle_reads_no_samples(page: MetricsPage) -> None:
    make_company(Company())
    page.build(time.time(), openmetrics=False)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        page.build(time.time(), openmetrics=True)
    assert len(seen) == 7, "\n".join(query["sql"] for query in seen)
    assert not any("collectors_frame" in query["sql"] for query in seen)


def test_a_deleted_cluster_leaves_nothing_behind(page: MetricsPage) -> None:
    cluster = make_company(Company())
    assert families(page)["streamgauge_topic_partitions"].samples
    Cluster.objects.filter(pk=cluster.pk).update(last_cycle=0)
    Topic.objects.all().delete()
    Cluster.objects.filter(pk=cluster.pk).update(slug="renamed")
    assert values(families(page)["streamgauge_cluster_up"]) == {("renamed",): 0}


def test_of_parallel_scrapes_one_renders_and_the_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def slow_read(cluster_id: int, cycle: int) -> None:
        asked.append(cycle)
        time.sleep(0.05)  # long enough for the others to come

    monkeypatch.setattr(parts, "cluster_at", slow_read)
    monkeypatch.setattr(rows, "slow_facts", lambda cluster: rows.SlowFacts())
    store = parts.Parts()
    cluster = rows.ClusterRow(1, "demo", INTERVAL, False, rows.CycleRow(7, 1.0, 0.1, True, {}))
    out: list[parts.Part] = []
    threads = [threading.Thread(target=lambda: out.append(store.part(cluster))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [7]
    assert len(out) == 4
    assert all(part is out[0] for part in out)
