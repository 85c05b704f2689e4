"""Rules over the subjects of one cluster: who is stepped, and what the steps change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice

from collectors.history.now import ClusterNow
from collectors.models import Broker, Cluster, Group, Topic
from dashboard.models import Alert, Rule

from . import readings, rules, sentences
from .ledger import Change, standing_of
from .readings import Quantity, Subjects
from .rules import GONE, NOTHING, UNKNOWN, Comparison, NoData, Reading, State, Terms
from .scene import Scene, Told

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule that is on, with its words turned into terms."""

    row: Rule
    quantity: Quantity
    terms: Terms

    def terms_for(self, cluster: Cluster) -> Terms:
        """The terms, with holds that count no more than three intervals (15 s at least) between two readings."""
        return replace(self.terms, longest_step_seconds=max(15.0, 3 * cluster.interval_seconds))

    def selects(self, cluster: Cluster, subject: str) -> bool:
        """Whether the globs of the selector match; what it does not name is not restricted."""
        selector, kind = self.row.selector, self.quantity.subject_kind
        if not fnmatchcase(cluster.slug, str(selector.get("cluster", "*"))):
            return False
        return kind == "cluster" or fnmatchcase(subject, str(selector.get(kind, "*")))


def active_rules() -> list[ActiveRule]:
    """The rules that are on. One that cannot be read is left out, and said."""
    active = []
    for row in Rule.objects.filter(is_enabled=True):
        try:
            terms = Terms(
                Comparison(row.comparison),
                row.threshold,
                row.recover_level,
                row.hold_seconds,
                row.recover_seconds,
                NoData(row.no_data),
            )
            active.append(ActiveRule(row, Quantity(row.quantity), terms))
        except ValueError as error:
            log.error("rule=%s cannot be read and is not judged: %s", row.key, error)
    return active


def subjects_of(scene: Scene, active: Iterable[ActiveRule]) -> dict[Quantity, Subjects]:
    """The readings of a cycle, by quantity; empty for a cycle that did not reach the cluster.

    What no rule is about when an instance begins is looked for only where one that is on asks for it.
    """
    if scene.now is None:
        return {}
    asked = {rule.quantity for rule in active}
    return {quantity: read(scene.now) for quantity, read in _WHERE_ASKED.items() if quantity in asked} | {
        Quantity.BROKER_REACH: readings.brokers(scene.now),
        Quantity.REPLICAS_BEHIND: readings.replicas_behind(scene.now, scene.behind),
        Quantity.GROUP_VERDICT: readings.groups(scene.now),
        Quantity.GROUP_FALLS_BEHIND: readings.falling_behind(scene.now),
        Quantity.GROUP_UNREAD_RATE: readings.unread_rates(scene.now),
        Quantity.GROUP_RECORDS_LOST: scene.lost,
        Quantity.TOPIC_SKEW: readings.skew(scene.now, scene.internal),
        Quantity.DEAD_LETTERS_ARRIVED: readings.dead_letters(scene.now, scene.last, scene.dead_letters),
    }


MOST_HEADS = 200
"""Groups of a cluster of which rules ask for the oldest unread record: the collector has twenty read at a time."""


def heads_wanted(scene: Scene, active: Iterable[ActiveRule]) -> list[str]:
    """Groups whose oldest unread record has to be read for the rules that are on."""
    asking = [rule for rule in active if rule.quantity is Quantity.GROUP_HEAD_AGE]
    if scene.now is None or not asking:
        return []
    names = readings.heads_to_read(scene.now)
    selected = (name for name in names if any(rule.selects(scene.cluster, name) for rule in asking))
    return list(islice(selected, MOST_HEADS))


_WHERE_ASKED: Mapping[Quantity, Callable[[ClusterNow], Subjects]] = {
    Quantity.GROUP_LAG: readings.lags,
    Quantity.GROUP_LOG_END_AGE: readings.log_end_ages,
    Quantity.GROUP_HEAD_AGE: readings.head_ages,
    Quantity.GROUP_DRAIN: readings.drains,
    Quantity.GROUP_COUNTDOWN: readings.countdowns,
}


def step_rule(rule: ActiveRule, scene: Scene, subjects: Subjects | None, opened: Mapping[str, Alert]) -> list[Change]:
    """Step one rule over one cycle: only subjects in breach (found by numpy) and those with an open alert."""
    terms = rule.terms_for(scene.cluster)
    if subjects is None:
        found: dict[str, Reading] = dict.fromkeys(opened, UNKNOWN)
    else:
        breached = rules.candidates(terms, subjects.numbers)
        found = {subjects.names[i]: _reading(subjects, i) for i in breached.tolist()}
        missing = [subject for subject in opened if subject not in subjects.index]
        present = _still_there(rule.quantity, scene.cluster, missing)
        for subject in opened:
            if subject in subjects.index:
                found[subject] = _reading(subjects, subjects.index[subject])
            else:
                found[subject] = UNKNOWN if subject in present else GONE
    changes = []
    for subject, reading in found.items():
        alert = opened.get(subject)
        if not rule.selects(scene.cluster, subject):
            reading = GONE
        changes += stepped(rule, terms, scene, subject, reading, alert)
    return changes


def stepped(
    rule: ActiveRule, terms: Terms, scene: Scene, subject: str, reading: Reading, alert: Alert | None
) -> list[Change]:
    """The change that one step makes: none, or one."""
    before = NOTHING if alert is None else standing_of(alert)
    standing, moved = rules.step(terms, before, reading, scene.at)
    if standing == before:
        return []
    told = Told("") if moved is None else _words(rule.quantity, subject, scene, moved, alert)
    return [Change(rule.row, rule.quantity.subject_kind, subject, alert, standing, moved, told)]


def ended(alert: Alert, scene: Scene) -> list[Change]:
    """The end of an open alert whose rule was switched off."""
    nowhere = Terms(Comparison.ABOVE, 0.0)
    standing, moved = rules.step(nowhere, standing_of(alert), GONE, scene.at)
    told = Told("The rule was switched off")
    return [Change(alert.rule, alert.subject_kind, alert.subject, alert, standing, moved, told)]


def _words(quantity: Quantity, subject: str, scene: Scene, moved: rules.Transition, alert: Alert | None) -> Told:
    began = alert.memory.get("began", {}) if alert is not None else {}
    if moved.new is State.RESOLVED:
        return sentences.over(quantity, subject, scene, moved, began)
    if moved.new in (State.INACTIVE, State.RECOVERING):
        return Told(sentences.why(moved))
    return sentences.wrong(quantity, subject, scene, began)


def _reading(subjects: Subjects, position: int) -> Reading:
    return Reading.of(subjects.numbers.at(position))


def _still_there(quantity: Quantity, cluster: Cluster, missing: list[str]) -> set[str]:
    """Which subjects that have no number in this cycle exist nevertheless, by their rows."""
    if not missing:
        return set()
    if quantity.subject_kind == "broker":
        nodes = [int(subject) for subject in missing]
        rows = Broker.objects.filter(cluster=cluster, gone_at=None, node_id__in=nodes)
        return {str(node) for node in rows.values_list("node_id", flat=True)}
    if quantity.subject_kind == "group":
        groups = Group.objects.filter(cluster=cluster, gone_at=None, name__in=missing)
        return set(groups.values_list("name", flat=True))
    topics = Topic.objects.filter(cluster=cluster, gone_at=None, name__in=missing)
    return set(topics.values_list("name", flat=True))
