"""How we know: the formula of a group's times with this number's own inputs, for one partition."""

from __future__ import annotations

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from collectors.domain import words
from collectors.domain.ages import Method, first_unread, said_bounds
from collectors.domain.commit_epochs import NO_EPOCH, said_other_log
from collectors.domain.countdown import KEPT_UP, Outcome, said
from collectors.domain.drain import DrainOutcome, drain_estimates
from collectors.domain.numbers import NO_COMMIT, Numbers
from collectors.domain.topology import GroupType
from collectors.domain.trends import BEAT_SECONDS
from collectors.domain.verdicts import are_well
from collectors.history import queries
from collectors.history.commit_epochs import commit_epochs_at
from collectors.history.now import ClusterNow
from collectors.history.policies import ASKED_EVERY_SECONDS, UNKNOWN, policies_of, seconds_since_read
from collectors.history.queries import AgesNow, CountdownsNow
from collectors.models import Group
from dashboard import names
from dashboard.access.roles import role
from dashboard.live.epochs import leader_epochs
from dashboard.models import Role

from .headtold import head_told, shared_head
from .shell import page, shell_of
from .summaries import sampled_of
from .told import Told
from .wishes import want_head


@role(Role.VIEWER)
@require_http_methods(["GET", "HEAD", "POST"])
def how(request: HttpRequest, slug: str) -> HttpResponse:
    """`?group=…&topic=…&partition=…`; without a partition the one that the group's own numbers come from, on that topic
    if one is named. A topic alone leads to the group that is furthest behind on it.

    A POST reads the record at the committed offset for its timestamp, and shows the page with it.
    """
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    now = here.now if here.now is None or not here.now.is_old else sampled_of(here.cluster)  # it says as of when
    name, topic = request.GET.get("group", ""), request.GET.get("topic", "")
    if "group" not in request.GET and topic:
        worst = _furthest_behind(now, topic)
        if worst is None:
            raise Http404(f"No group reads “{topic}” in {here.name}.")
        return redirect(names.how_path(slug, worst, topic))
    group = Group.objects.filter(cluster=here.cluster, name=name).first()
    if group is None:
        raise Http404(f"There is no group “{name}” in {here.name}.")
    want_head(group, now=timezone.now())
    context: dict[str, object] = {"section": "groups", "here": here, "group": group, "told": [], "where": None}
    if now is not None and _has_positions(now, name):
        is_shared = group.type == GroupType.SHARE
        ages = queries.ages_of(now, name)
        counted = queries.countdowns_at(now, None if ages is queries.ages_at(now) else ages)
        places = _places(now, ages, counted, name, topic, request.GET.get("partition", ""))
        if places is None:
            raise Http404(f"“{name}” has no position in partition {request.GET.get('partition')} of “{topic}”.")
        by_age, by_countdown = places
        is_chosen = bool(topic and request.GET.get("partition"))
        lag = share_lag_told(now, by_age) if is_shared else lag_told(now, ages, by_age)
        context |= {
            "told": [
                lag if is_chosen else with_sum(lag, now, name, topic),
                age_told(now, ages, by_age, is_shared=is_shared),
                drain_told(now, name, by_age if topic else None),
                countdown_told(now, ages, counted, by_countdown),
            ],
            "head": shared_head()
            if is_shared
            else head_told(here.cluster, now, ages, by_age, is_asked=request.method == "POST"),
            "where": (now.committed.layout.topics[by_age], int(now.committed.layout.partitions[by_age])),
            "is_chosen": is_chosen,
            "of_topic": bool(topic),
            "other": None if by_age == by_countdown else _where(now, by_countdown),
            "taken": words.moment(now.taken_at, now=now.taken_at),
        }
    return page(request, "pages/how.html", context, shell=shell)


def _has_positions(now: ClusterNow, group: str) -> bool:
    layout = now.committed.layout
    return layout.owner_index(group) is not None and layout.slice_of(group).start < layout.slice_of(group).stop


def _places(
    now: ClusterNow, ages: AgesNow, counted: CountdownsNow, group: str, topic: str, partition: str
) -> tuple[int, int] | None:
    """Positions that the age and the countdown are told of."""
    layout, at = now.committed.layout, now.groups.index[group]
    if topic and not partition:
        there = [i for i in range(*layout.slice_of(group).indices(len(layout))) if layout.topics[i] == topic]
        oldest = max(there, key=lambda i: (ages.positions.numbers.at(i) or 0, now.lag.at(i) or 0), default=None)
        return None if oldest is None else (oldest, oldest)
    if topic:
        if not (partition.isascii() and partition.isdigit() and len(partition) < 10):
            return None
        found = layout.position.get((group, topic, int(partition)))
        return None if found is None else (found, found)
    first = layout.slice_of(group).start
    worst, soonest = int(ages.worst[at]), int(counted.worst[at])
    return (worst if worst >= 0 else first), (soonest if soonest >= 0 else first)


def _furthest_behind(now: ClusterNow | None, topic: str) -> str | None:
    """The group with the most lag on a topic; None where no group has committed there."""
    at = now.topics.index.get(topic) if now is not None else None
    if now is None or at is None:
        return None
    groups = now.groups
    there = (groups.gt_topic == at).nonzero()[0].tolist()
    worst = max(there, key=lambda i: groups.gt_lag.at(i) or 0, default=None)
    return None if worst is None else groups.names[int(groups.gt_group[worst])]


def _where(now: ClusterNow, at: int) -> str:
    layout = now.committed.layout
    return f"{words.visible(layout.topics[at])}/{int(layout.partitions[at])}"


def _count(numbers: Numbers, at: int, otherwise: str) -> str:
    value = numbers.at(at)
    return otherwise if value is None else words.count(value)


def lag_told(now: ClusterNow, ages: AgesNow, at: int) -> Told:
    """Records between the committed offset and the log end."""
    lag = now.lag.at(at)
    first = _first_unread(now, at)
    first_said = "not known" if first is None else words.count(first)
    steps = [
        f"committed offset: {_committed_said(now, at)}",
        f"first record that waits, max(committed offset, log start): {first_said}",
        f"log end, asked after the commits: {_count(now.end_of_committed, at, 'not answered')}",
    ]
    if lag is not None:
        end = now.end_of_committed.at(at)
        steps.append(f"lag = {words.count(end or 0)} − {words.count(first or 0)} = {words.count(lag)}, never below 0")
    if queries.backlogs_at(now).markers[at]:
        steps.append("what lies there are transaction markers, which nobody reads: every record before the end is read")
    steps += _open_transaction(now, at)
    is_estimate = bool(policies_of(now.cluster_id).get(now.committed.layout.topics[at], UNKNOWN).compacts)
    if is_estimate:
        steps.append("the topic is compacted: between these offsets there may be fewer records than their difference")
    value = "unknown" if lag is None else words.counted(lag, "record")
    return Told(
        "Lag",
        "records between the committed offset and the log end",
        value,
        "" if lag is None else "at most" if is_estimate else "exact",
        tuple(steps),
    )


def with_sum(told: Told, now: ClusterNow, group: str, topic: str) -> Told:
    """The lag of one partition with that of all which the group reads, of a topic alone where one is named."""
    groups, at = now.groups, now.groups.index[group]
    total, whose = groups.lag.at(at), "all partitions that it reads"
    if topic:
        pairs = ((groups.gt_group == at) & (groups.gt_topic == now.topics.index.get(topic, -1))).nonzero()[0]
        total, whose = (groups.gt_lag.at(int(pairs[0])) if len(pairs) else None), "all partitions of this topic"
    known = "not known, since that of one is not" if total is None else words.counted(total, "record")
    return replace(told, steps=(*told.steps, f"the sum over {whose}: {known}"))


def _committed_said(now: ClusterNow, at: int) -> str:
    """The offset, with the leader epoch of the record before it where the client told one."""
    committed = now.committed.numbers.at(at)
    if committed == NO_COMMIT:
        return "none was ever committed"
    found = commit_epochs_at(now)
    epoch = found.epochs.at(at)
    if epoch is None or epoch == NO_EPOCH:
        return _count(now.committed.numbers, at, "not answered")
    layout = now.committed.layout
    place = layout.topics[at], int(layout.partitions[at])
    leader = leader_epochs(now.cluster_id, {place[0]}).get(place, NO_EPOCH)
    if committed is None:
        return said_other_log(int(epoch), leader) if found.of_another_log[at] else "not answered"
    now_in = f"; the partition is in {words.count(leader)}" if leader != NO_EPOCH else ""
    return f"{words.count(committed)}, committed in leader epoch {words.count(epoch)}{now_in}"


def _open_transaction(now: ClusterNow, at: int) -> list[str]:
    """What of the lag who reads committed records cannot have yet."""
    held, lag = now.held.at(at), now.lag.at(at)
    layout = now.committed.layout
    place = now.stable.layout.position.get((layout.topics[at], layout.topics[at], int(layout.partitions[at])))
    if not held or lag is None or place is None:
        return []
    stable = words.count(now.stable.numbers.at(place) or 0)
    return [
        f"last stable offset: {stable}; from there on {words.counted(held, 'record')} of an open transaction, which "
        f"who reads committed ones cannot have yet: {words.count(lag - held)} of {words.count(lag)} are readable"
    ]


def drain_told(now: ClusterNow, group: str, at: int | None) -> Told:
    """Lag over what is read beyond what arrives: of the position `at`, or of the whole group (None)."""
    groups, where = now.groups, now.groups.index[group] if at is None else at
    numbers = (
        (groups.lag, groups.consumed_per_second, groups.arriving_per_second, groups.verdict)
        if at is None
        else (now.lag, now.consumed, now.arriving, now.partition_verdicts)
    )
    lag, read, comes, _ = (one.at(where) for one in numbers)
    here = [one.take(slice(where, where + 1)) for one in numbers]
    found = drain_estimates(here[0], here[1], here[2], are_well(here[3]))
    seconds, value = found.seconds_at(0), found.said(0)
    steps = [
        "of this partition" if at is not None else "of all its partitions together",
        f"lag: {'not known' if lag is None else words.counted(lag, 'record')}",
        f"read {'not known' if read is None else words.rate(read)}, arriving "
        f"{'not known' if comes is None else words.rate(comes)}: over the newest half minute",
    ]
    if seconds and lag and read is not None and comes is not None:
        steps.append(f"{words.count(lag)} / ({words.rate(read)} − {words.rate(comes)}) = {value}")
    elif found.outcome[0] in (DrainOutcome.KEEPS_UP, DrainOutcome.NOT_DRAINING):
        steps.append("what is read is not more than what arrives, beyond the sawtooth of commits")
    elif lag and read == 0:
        steps.append("nothing was committed in that time, and it does well: its pace is not known before it commits")
    meaning = "lag over what is read beyond what arrives"
    return Told("Drain estimate", meaning, value, "rate only" if seconds else "", tuple(steps))


def share_lag_told(now: ClusterNow, at: int) -> Told:
    """Records that a share group has not acknowledged, as its broker counts them."""
    position, end, lag = now.committed.numbers.at(at), now.end_of_committed.at(at), now.lag.at(at)
    steps = [
        "asked of the group's coordinator: DescribeShareGroupOffsets (API 90, version 1, Kafka 4.2 and later)",
        "the broker's own lag = log end − start offset of the share partition − records acknowledged past that offset",
    ]
    if position is None or lag is None:
        steps.append("not answered in this cycle, or the broker does not know it: nothing was acknowledged there yet")
    else:
        steps += [
            f"log end, asked after the lag: {_count(now.end_of_committed, at, 'not answered')}",
            f"acknowledged up to {words.count(position)}: the log end less the broker's lag, where the group would "
            "stand had it read in order; while nothing is acknowledged it stays, whatever arrives while we ask",
        ]
        counted = int(end or 0) - int(position)
        if lag != counted:
            steps.append(
                f"of {words.count(counted)}, {words.count(counted - lag)} are no longer in the log: retention has "
                "deleted them"
            )
        else:
            steps.append(f"lag = {words.count(end or 0)} − {words.count(position)} = {words.count(lag)}")
    value = "unknown" if lag is None else words.counted(lag, "record")
    meaning = "records that no member has acknowledged, counted by the broker: members acknowledge in any order"
    return Told("Lag", meaning, value, "as its broker counts" if lag is not None else "", tuple(steps))


def _first_unread(now: ClusterNow, at: int) -> int | None:
    """The committed offset, or the log start where that has passed it."""
    layout = now.committed.layout
    place = now.start.layout.position.get((layout.topics[at], layout.topics[at], int(layout.partitions[at])))
    start = Numbers.of([None if place is None else now.start.numbers.at(place)])
    found = first_unread(now.committed.numbers.take(slice(at, at + 1)), start).at(0)
    return None if found is None else int(found)


def age_told(now: ClusterNow, ages: AgesNow, at: int, *, is_shared: bool = False) -> Told:
    """How long ago the log end stood at the committed offset."""
    found = ages.positions
    method = Method(int(found.method[at]))
    bounds = said_bounds(float(found.low[at]), float(found.high[at]))
    value = words.duration(float(found.seconds[at])) if method is not Method.UNKNOWN else "unknown"
    place = "where the group would be had it read in order" if is_shared else "at the committed offset"
    meaning = f"how long ago the log end stood {place}, told from our own samples of the log end"
    return Told(
        "Log-end age",
        meaning,
        value,
        f"{method.label}, {bounds}" if method is not Method.UNKNOWN else method.label,
        tuple(_age_steps(now, ages, at, method)),
    )


def _age_steps(now: ClusterNow, ages: AgesNow, at: int, method: Method) -> list[str]:
    unread, end = ages.unread.at(at), now.end_of_committed.at(at)
    committed = now.committed.numbers.at(at)
    if committed is not None and end is not None and committed > end:
        return ["the commit lies past the log end: it is no place in the log, and there is nothing to measure from"]
    if unread is None:
        return ["no offset is committed here, or it was not answered: there is nothing to measure from"]
    if end is None:
        return ["the log end was not answered in this cycle"]
    if method is Method.EXACT:
        return [
            "only transaction markers lie between the committed offset and the log end: nothing waits"
            if queries.backlogs_at(now).markers[at]
            else f"the log end, {words.count(end)}, is not past {words.count(unread)}: nothing waits",
            "caught up is an age of 0 by definition, however long ago the newest record came",
        ]
    own = ages.brackets.take((ages.waiting == at).nonzero()[0])
    if not len(own) or not own.has_by[0]:
        return ["no sample kept holds the log end of this partition"]
    after, by = float(own.after[0]), float(own.by[0])
    past = (
        f"at {words.moment(by, now=now.taken_at)} (cycle {words.count(own.by_cycle[0])}) the log end was past it: "
        f"{words.count(own.by_end[0])}"
    )
    if not own.has_after[0]:
        gone = now.taken_at - by
        came = end - int(own.by_end[0])
        steps = [f"{past}; no older sample is kept", f"so the record is at least {words.duration(gone)} old"]
        if method is Method.RATE_ONLY:
            rate = came / gone
            missing = int(own.by_end[0]) - int(unread)
            steps.append(
                f"since then {words.counted(came, 'record')} came, {words.rate(rate)}; at that rate the "
                f"{words.counted(missing, 'record')} before took {words.duration(missing / rate)} more"
            )
        else:
            steps.append("no record came since, so there is no rate to carry on with")
        return steps
    came = int(own.by_end[0]) - int(own.after_end[0])
    number = int(unread) - int(own.after_end[0]) + 1
    width = by - after
    moment = after + (number - 0.5) / max(came, 1) * width
    return [
        f"at {words.moment(after, now=now.taken_at)} (cycle {words.count(own.after_cycle[0])}) the log end stood at "
        f"{words.count(own.after_end[0])}",
        past,
        f"offset {words.count(unread)} is number {words.count(number)} of the {words.count(came)} that came in those "
        f"{width:.1f} s: put at ({words.count(number)} − 0.5) / {words.count(came)} of the way, "
        f"{words.moment(moment, now=now.taken_at)}",
        f"this cycle was taken at {words.moment(now.taken_at, now=now.taken_at)}: {now.taken_at - moment:.1f} s later",
        f"it cannot have been before the first sample or after the second: "
        f"{now.taken_at - by:.1f} s to {now.taken_at - after:.1f} s",
    ]


def _settings_read(now: ClusterNow, *, is_seen: bool) -> str:
    """How old the topic's settings are: they are asked for seldom, and may have changed since."""
    if not is_seen:
        return ""
    age = seconds_since_read(now.cluster_id, now.cycle)
    often = f"asked every {words.duration(ASKED_EVERY_SECONDS)}"
    return f"; {often}" if age is None else f"; read {words.duration(age)} before this cycle, {often}"


def countdown_told(now: ClusterNow, ages: AgesNow, counted: CountdownsNow, at: int) -> Told:
    """Until the log start overtakes the committed offset."""
    found, retention, trim = counted.positions, counted.retention, counted.trim
    outcome = Outcome(int(found.outcome[at]))
    keep, size = retention.seconds.at(at), retention.size_bytes.at(at)
    deletes, pace = retention.deletes.at(at), trim.per_second.at(at)
    age = ages.positions.numbers.at(at)
    consumed, lag = counted.consumed.at(at), now.lag.at(at)
    steps = [
        f"cleanup.policy: {'not visible' if deletes is None else 'deletes' if deletes else 'compacts only'}",
        f"retention.ms: {'not visible' if keep is None else 'without limit' if keep < 0 else words.duration(keep)}; "
        f"retention.bytes: {'not visible' if size is None else 'without limit' if size < 0 else words.size(size)}"
        + _settings_read(now, is_seen=deletes is not None or keep is not None or size is not None),
        "age of the first record that waits: " + ("not known" if age is None else words.duration(age)),
        f"read {'at a rate not known' if consumed is None else words.rate(consumed)}, "
        f"{words.rate(now.arriving.at(at) or 0) if now.arriving.at(at) is not None else 'not known how many'} arrive",
        "log start: " + ("not known" if pace is None else "stands" if pace == 0 else f"moves by {words.rate(pace)}"),
    ]
    speed = (consumed or 0.0) * age / lag if lag and age is not None else 0.0
    if outcome is Outcome.BY_TIME and keep is not None and age is not None:
        steps.append(f"left: {words.duration(keep)} − {words.duration(age)} = {words.duration(max(0.0, keep - age))}")
        if speed > 0:
            steps.append(f"it reads {speed:.2f} s of log a second: divided by 1 − {speed:.2f}")
    if outcome is Outcome.OUTREAD:
        steps.append(
            f"who reads {KEPT_UP:g} s of log a second or more, is behind by a sample or two, or by no more than comes "
            f"between two commits ({BEAT_SECONDS:g} s), keeps ahead of deletion"
        )
    if outcome is Outcome.FAR_OFF and keep is not None:
        by_time = max(0.0, keep - age) / (1.0 - speed) if age is not None and speed < 1 else 0.0
        steps.append(
            f"it reads {speed:.2f} s of log a second: ({words.duration(keep)} − {words.duration(age or 0.0)}) / (1 − "
            f"{speed:.2f}) = {words.duration(by_time)}, longer than the {words.duration(keep)} that are kept"
            if by_time > keep
            else "at that pace more than retention.bytes waits only when retention.ms is over as well"
        )
    if outcome is Outcome.READING_UNKNOWN:
        steps.append("a rate needs two samples in a row; as if nobody read, who keeps up would have a countdown")
    if outcome is Outcome.BY_TRIM and pace:
        gain = pace - (consumed or 0.0)
        to_go = max(0.0, (now.committed.numbers.at(at) or 0) - (trim.start.at(at) or 0.0))
        steps.append(f"{words.counted(to_go, 'record')} to go at {words.rate(gain)} = {words.duration(to_go / gain)}")
    if outcome.is_number:
        steps.append("a segment is deleted as a whole: by time and size this is the earliest moment, not the latest")
        steps.append(f"at stake: {words.counted(int(found.at_stake[at]), 'unread record')}")
    return Told(
        "Retention countdown",
        "until the log start overtakes the committed offset",
        said(outcome, float(found.seconds[at])),
        outcome.because,
        tuple(steps),
    )
