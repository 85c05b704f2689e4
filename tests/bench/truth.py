"""Bench: lag, log-end age, countdown and verdict against what the consumers of a real cluster know themselves."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from django.conf import settings

from collectors import sampler
from collectors.demo.nodes import KafkaCluster
from collectors.domain.verdicts import Verdict
from collectors.domain.window import LENGTH
from collectors.history.queries import ages_at, cluster_at, countdowns_at
from collectors.kafka.session import Session
from collectors.kafka.settings import ConnectionSettings
from collectors.kafka.survey import Survey
from collectors.models import Cluster, Lease
from collectors.secrets import encrypt

from .history_frames import own_database
from .lines import Line, line
from .scenes import BEAT, Scene, World, make, make_slow

INTERVAL = 5.0
WARM_SECONDS = 45.0
AFTER_SECONDS = 165.0
"""Longer than what verdicts look back on."""
JOIN_SECONDS = 5.0
"""What is measured are consumers that run: they have joined their groups before the first look."""
REST_SECONDS = 15.0
SLOW_SECONDS = 600.0
PATIENCE_SECONDS = 3 * INTERVAL + 1.0
TRUSTED_TRIM_SECONDS = 45.0
"""A pace needs three looks at a log start, which come every 12 s."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What Streamgauge said of one group at one cycle."""

    at: float
    lag: int | None
    age: float | None
    age_low: float
    age_high: float
    countdown: float | None
    verdict: str


@dataclass(slots=True)
class Watched:
    scene: Scene
    seen: list[Seen] = field(default_factory=list)
    at_rest: Seen | None = None

    @property
    def settled(self) -> list[tuple[Seen, float]]:
        """What was said after the three intervals in which a first verdict may be awaited, and the seconds of the
        interval before it: what lies between two samples, known to a beat of the scenes."""
        return [
            (one, one.at - before.at + BEAT)
            for before, one in pairwise(self.seen)
            if one.at > self.seen[0].at + PATIENCE_SECONDS
        ]


def run(which: str = "all") -> list[Line]:
    """All scenes, or with "slow" ten minutes of healthy topics that get little: no false alarm among them."""
    with own_database(), _kafka() as nodes:
        world = World(nodes.bootstrap)
        (make_slow if which == "slow" else make)(world)
        watched = _watch(world, SLOW_SECONDS if which == "slow" else AFTER_SECONDS)
        if world.failure is not None:
            raise world.failure
        lines: list[Line] = []
        for one in watched:
            lines += _lines(world, one)
        lines.append(
            line("requests of the scenes themselves that Kafka failed", float(len(world.troubles)),
                 f"({world.troubles[0][:80]})" if world.troubles else "requests", goal="0", met=not world.troubles)
        )  # fmt: skip
        lines.append(line("the scenes' own slowest beat (this machine's load)", world.slowest_beat, "s of 0.25"))
        met = [one["met"] for one in lines if one["met"] is not None]
        return [*lines, line("all checks", float(sum(met)), "met", goal=f"{len(met)}", met=all(met))]


@contextlib.contextmanager
def _kafka() -> Iterator[KafkaCluster]:
    with (
        tempfile.TemporaryDirectory() as name,
        KafkaCluster(Path(name), cache_dir=settings.CACHE_DIR, say=lambda _: None) as nodes,
    ):
        nodes.start()
        nodes.wait_ready(seconds=240)
        yield nodes


def _watch(world: World, after_seconds: float) -> list[Watched]:
    """Sample while the scenes run, with events in the middle and rest at the end."""
    connect = ConnectionSettings.from_properties({"bootstrap.servers": world.bootstrap})
    stored = encrypt(connect.to_stored(), settings.INSTANCE_KEY)
    cluster = Cluster.objects.create(slug="truth", name="truth", settings_encrypted=stored, interval_seconds=INTERVAL)
    epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder="bench", seconds=3600)
    assert epoch is not None
    session = Session(connect)
    survey = Survey(session)
    one = sampler.Sampler(cluster, session, survey, holder="bench", epoch=epoch, announce=lambda kind, data: None)
    watched = [Watched(scene) for scene in world.scenes]
    world.start()
    time.sleep(JOIN_SECONDS)
    survey.start()
    try:
        survey.wait_first(10)
        _sample_until(world, world.began + JOIN_SECONDS + WARM_SECONDS, one, cluster.pk, watched)
        world.happen()
        _sample_until(world, time.time() + after_seconds, one, cluster.pk, watched)
        for each in world.scenes:
            if each.reader is not None and each.reader.consumer is not None:
                each.reader.due = 0.0  # a last commit of all that was read
        world.writes = False
        time.sleep(2.0)
        _sample_until(world, time.time() + REST_SECONDS, one, cluster.pk, watched, keep=False)
    finally:
        survey.stop(2)
        session.close()
        one.asking.share_groups.close()
        world.stop()
    return watched


def _sample_until(
    world: World, moment: float, one: sampler.Sampler, cluster_id: int, watched: list[Watched], *, keep: bool = True
) -> None:
    while time.time() < moment:
        began = time.monotonic()
        world.watched_from = min(world.watched_from, time.time())
        number = one.cycle(due_at=time.time())
        now = cluster_at(cluster_id, number)
        assert now is not None
        ages, countdowns = ages_at(now).groups, countdowns_at(now).groups
        for each in watched:
            at = now.groups.index.get(each.scene.group)
            if at is None:
                continue
            verdict = now.groups.verdict.at(at)
            lag = now.groups.lag.at(at)
            seen = Seen(
                now.taken_at,
                None if lag is None else int(lag),
                ages.numbers.at(at),
                float(ages.low[at]),
                float(ages.high[at]),
                countdowns.numbers.at(at),
                "none" if verdict is None else Verdict(int(verdict)).word,
            )
            each.at_rest = seen
            if keep:
                each.seen.append(seen)
        time.sleep(max(0.0, INTERVAL - (time.monotonic() - began)))


def _lines(world: World, watched: Watched) -> list[Line]:
    scene = watched.scene
    out = [_lag_at_rest(world, watched), _lag_under_load(world, watched), *_ages(world, watched)]
    if scene.trims_at is not None:
        out += _countdowns(world, watched)
    return [*out, *_verdicts(world, watched)]


def _lag_at_rest(world: World, watched: Watched) -> Line:
    scene, seen = watched.scene, watched.at_rest
    truth = world.truth.lag(scene.group, scene.places, seen.at) if seen else None
    ours = seen.lag if seen else None
    unit = "the group was never seen" if seen is None else "records" if ours is not None else "not known"
    return line(
        f"{scene.name}: lag at rest, known to the bench: {'none' if truth is None else truth}",
        ours, unit, goal="equal", met=seen is not None and ours == truth,
    )  # fmt: skip


def _lag_under_load(world: World, watched: Watched) -> Line:
    """Within what came in the interval before the sample, or was committed around it."""
    scene, far, count = watched.scene, 0, 0
    for seen, interval in watched.settled:
        truths = [
            world.truth.lag(scene.group, scene.places, seen.at + step * INTERVAL)
            for step in (-1.0, -0.5, 0.0, 0.5, 1.0)
        ]
        known = [truth for truth in truths if truth is not None]
        if seen.lag is None or len(known) < len(truths):
            continue
        came = max(world.truth.arrived(scene.places, seen.at - interval, seen.at), max(known) - min(known))
        count += 1
        far += not min(known) - came <= seen.lag <= max(known) + came
    share = 100 * (count - far) / count if count else None
    return line(
        f"{scene.name}: lag under load within one interval's records, of {count} samples",
        share, "%" if count else "no sample to compare", goal="100 %", met=share == 100 if count else None,
    )  # fmt: skip


def _ages(world: World, watched: Watched) -> list[Line]:
    """Of records that came while we watched; of older ones, whether the bounds that are told hold the truth."""
    scene, near, count, held, older = watched.scene, 0, 0, 0, 0
    for seen, interval in watched.settled:
        truth = world.truth.age(scene.group, scene.places, seen.at)
        before = world.truth.age(scene.group, scene.places, seen.at - INTERVAL)
        if truth is None or before is None or abs(seen.at - scene.happened_at) < 1.0:
            continue  # what happens while we look may be in the one and not in the other
        if seen.at - truth < world.watched_from:
            older += 1
            held += seen.age_low <= truth + INTERVAL and truth - INTERVAL <= seen.age_high
            continue
        count += 1
        near += seen.age is not None and abs(seen.age - truth) <= interval
    share = 100 * near / count if count else None
    out = [
        line(f"{scene.name}: log-end age within one interval, of {count} samples",
             share, "%" if count else "nothing to compare", goal=">= 95 %", met=None if share is None else share >= 95)
    ]  # fmt: skip
    if older:
        share = 100 * held / older
        out.append(
            line(f"{scene.name}: bounds hold the age of records from before the first sample, of {older} samples",
                 share, "%", goal="100 %", met=share == 100)
        )  # fmt: skip
    return out


def _countdowns(world: World, watched: Watched) -> list[Line]:
    """Relative error of the countdown while the bench itself moves the log start at a steady pace."""
    scene = watched.scene
    assert scene.trims_at is not None
    assert world.event_at is not None
    errors, unknown = [], 0
    for seen in watched.seen:
        if seen.at < world.event_at + TRUSTED_TRIM_SECONDS:
            continue
        commit = world.truth.commits[scene.group, scene.places[0]].at(seen.at) or 0
        truth = (commit - scene.trims_at * (seen.at - world.event_at)) / scene.trims_at
        if truth > INTERVAL:
            unknown += seen.countdown is None
            if seen.countdown is not None:
                errors.append(100 * abs(seen.countdown - truth) / truth)
    count = len(errors) + unknown
    near = 100 * sum(one <= 10 for one in errors) / count if count else None
    return [
        line(f"{scene.name}: countdown within 10 %, of {count} samples, {unknown} of them not known",
             near, "%" if count else "no sample", goal="100 %", met=near == 100),
        line(f"{scene.name}: median error of those known", statistics.median(errors) if errors else None,
             "%" if errors else "none known"),
    ]  # fmt: skip


def _later(scene: Scene, seconds: float) -> frozenset[str]:
    # two samples show the step
    return scene.later if seconds > min((LENGTH - 2) * INTERVAL, scene.later_after) else frozenset()


def _verdicts(world: World, watched: Watched) -> list[Line]:
    """Seconds after the event until the right verdict, and wrong ones before and after."""
    scene = watched.scene
    words = {verdict.word for verdict in Verdict}
    assert world.event_at is not None
    patience = PATIENCE_SECONDS if scene.patience is None else scene.patience
    wanted = "/".join(sorted(scene.after))
    # three intervals from the first sample that could show it
    happened = next((seen.at for seen in watched.seen if seen.at > scene.happened_at), world.event_at)
    late = [seen for seen in watched.seen if seen.at >= happened]
    right = next((seen.at - happened for seen in late if seen.verdict in scene.after), None)
    first = watched.seen[0].at if watched.seen else world.began
    wrong = [
        f"{seen.verdict} at {seen.at - happened:+.1f} s"
        for seen in watched.seen
        if (first + patience < seen.at < happened and seen.verdict not in scene.before)
        or (seen.at > happened + patience and seen.verdict not in scene.after | _later(scene, seen.at - happened))
        or (happened <= seen.at <= happened + patience and seen.verdict not in scene.before | scene.after)
    ]
    built = "" if scene.after & words else ", a verdict that is not built yet"
    said = f" ({', '.join(wrong[:8])})" if wrong else ""
    unit = "s after the first sample since the event" if right is not None else "never said"
    return [
        line(f"{scene.name}: verdict {wanted}{built}", right, unit,
             goal=f"<= {scene.patience or 3 * INTERVAL:g} s", met=right is not None and right <= patience),
        line(f"{scene.name}: wrong verdicts before and after{said}", float(len(wrong)), "samples", goal="0",
             met=not wrong),
    ]  # fmt: skip
