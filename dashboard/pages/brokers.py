"""Brokers: the list, and one broker with its disk, partitions, role and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors.domain import words as plain_words
from collectors.history import queries
from collectors.history.queries import Growth
from collectors.models import Broker, Configuration
from dashboard.access.roles import role
from dashboard.live import leaders, rows
from dashboard.models import Role

from . import changes, configured, words
from .lists import arrange, headings, read_state, tabs
from .ranges import QUICK, read_range
from .shell import page, rows_page, shell_of
from .summaries import Summary

GROWTH_SECONDS = 3600.0
SHORTEST_PACE_SECONDS = 600.0
"""A pace over less than this says more about the moment than about the day: it is shown, but nothing is foretold."""
SHOWS = {"all": "All", "not_up": "Not up", "short": "Not in sync"}
COLUMNS = (
    ("name", "Broker", False, ""),
    ("state", "State", False, "worst first"),
    ("leaders", "Leads", True, "partitions that it leads"),
    ("replicas", "Replicas", True, "copies that it holds, leaders among them"),
    ("short", "Not in sync", True, "of its copies"),
    ("size", "Log size", True, "bytes in its log directories"),
    ("growth", "Growth", True, "of the log size, over the last hour at most"),
    ("free", "Free", True, "on the volumes of its log directories"),
    ("", "Quorum", False, "its role in the metadata quorum"),
    ("", "Version", False, ""),
)
KEYS = {
    "name": lambda one: one.broker.node_id,
    "state": lambda one: (one.broker.reach, one.row["short"] or 0),
    "leaders": lambda one: one.row["leaders"],
    "replicas": lambda one: one.row["replicas"],
    "short": lambda one: one.row["short"],
    "size": lambda one: one.row["size"],
    "growth": lambda one: None if one.growth is None else one.growth.last - one.growth.first,
    "free": lambda one: one.row["free"],
}
QUORUM = {
    "leader": "leads the quorum",
    "voter": "voter",
    "observer": "observer",
    "none": "not in the quorum",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A broker with its live row and how its log has grown."""

    broker: Broker
    row: dict[str, Any]
    growth: Growth | None

    @property
    def is_up(self) -> bool | None:
        return None if self.row["reach"] == "unknown" else bool(self.row["reach"] == "up")

    @property
    def quorum(self) -> str:
        return QUORUM.get(self.broker.quorum_role, "")

    @property
    def pace(self) -> str:
        """ "+1.2 GB in 58 min"; "" when it is not known."""
        if self.growth is None:
            return ""
        change = self.growth.last - self.growth.first
        sign = "+" if change > 0 else "−" if change < 0 else ""
        return f"{sign}{words.size(abs(change))} in {plain_words.duration(self.growth.seconds)}"

    @property
    def growth_hour(self) -> str:
        """The pace per hour: "+1.2 GB"."""
        pace = self.growth.per_second if self.growth is not None else None
        if pace is None:
            return ""
        sign = "+" if pace > 0 else "−" if pace < 0 else ""
        return f"{sign}{words.size(abs(pace) * 3600)}"

    @property
    def full_in(self) -> float | None:
        """Seconds until the volumes are full at this pace; None when it does not grow, or that is not known."""
        if self.growth is None or self.row["free"] is None or self.growth.seconds < SHORTEST_PACE_SECONDS:
            return None
        pace = self.growth.per_second
        return None if pace is None or pace <= 0 else self.row["free"] / pace


@role(Role.VIEWER)
@require_safe
def brokers(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    state = read_state(request.GET, columns=list(KEYS), default_sort="-state", shows=list(SHOWS))
    every = lines(here)
    listed = arrange(every, state, name=_name, keys=KEYS, wanted=_is_wanted)
    context = {
        "section": "brokers",
        "here": here,
        "state": state,
        "listed": listed,
        "headings": headings(state, COLUMNS),
        "shows": tabs(every, SHOWS, wanted=_is_wanted, is_known=here.is_known),
        "head": _list_headline(here, every),
    }
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "pages/_brokers_rows.html", context | {"oob": True}, shell=shell)
    return page(request, "pages/brokers.html", context, shell=shell)


def _name(one: Line) -> str:
    # zero-padded, since names decide among equals
    return f"{one.broker.node_id:010d} {one.broker.host}:{one.broker.port} {one.broker.rack}"


def _is_wanted(one: Line, show: str) -> bool | None:
    if show == "not_up":
        return None if one.is_up is None else not one.is_up
    if show == "short":
        return None if one.row["short"] is None else bool(one.row["short"])
    return True


def lines(here: Summary) -> list[Line]:
    """All brokers of a cluster."""
    made = rows.broker_rows(here.cluster, here.now)
    found = [one for one in here.cluster.brokers.filter(gone_at=None) if str(one.node_id) in made]
    here.sight.without_stale_roles(found, is_old=here.is_old)
    grown = _growths(here, [str(one.node_id) for one in found])
    return [Line(one, made[str(one.node_id)], grown.get(str(one.node_id))) for one in found]


def _growths(here: Summary, nodes: list[str]) -> dict[str, Growth]:
    if here.now is None or here.is_old or not nodes:
        return {}
    until = here.now.taken_at
    return queries.growths(here.cluster.pk, queries.Kind.DISK, nodes, until - GROWTH_SECONDS, until + 1)


def _list_headline(here: Summary, every: list[Line]) -> dict[str, str]:
    if not here.is_sampled or here.verdict == "unknown":
        return {"verdict": "unknown", "sentence": here.row["sentence"]}
    if not every:
        return {"verdict": "unknown", "sentence": "No broker is known yet"}
    if any(one.is_up is None for one in every):
        return {"verdict": "unknown", "sentence": f"Whether the brokers are up is unknown: {here.why_old}"}
    ill = [one for one in every if not one.is_up]
    short = sum(one.row["short"] or 0 for one in every)
    if ill:
        said = (
            f"{plain_words.counted(len(ill), 'broker')} of {len(every)} {'does' if len(ill) == 1 else 'do'} not answer"
        )
        return {"verdict": "bad" if any(one.row["reach"] == "down" for one in ill) else "warn", "sentence": said}
    if short:
        said = f"Every broker answers, but {plain_words.counted(short, 'copy', 'copies')} of partitions are not in sync"
        return {"verdict": "warn", "sentence": said}
    up = f"{plain_words.counted(len(every), 'broker')} up"
    if here.is_old:
        return {"verdict": "unknown", "sentence": f"{up}; whether every copy is in sync is unknown: {here.why_old}"}
    return {"verdict": "ok", "sentence": f"{up}, every copy in sync"}


@role(Role.VIEWER)
@require_safe
def broker(request: HttpRequest, slug: str, node_id: int) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    # 64 bits: a longer number would be an error of the database, not "no such broker"
    found = here.cluster.brokers.filter(node_id=node_id).first() if node_id < 2**31 else None
    if found is None:
        raise Http404(f"There is no broker {node_id} in {here.name}.")
    row = rows.broker_row(here.cluster, here.now, str(node_id))
    fragment = request.GET.get("fragment", "")
    events = changes.recent(20, cluster=here.cluster, subject_kind="broker", subject=str(node_id))
    context: dict[str, Any] = {"section": "brokers", "here": here, "broker": found, "row": row, "events": events}
    if fragment == "changed":
        return page(request, "pages/_changed.html", context, shell=shell)
    place = leaders.places(here.cluster).get(node_id, leaders.Place())
    if not here.is_old:
        context |= {"short": place.named, "short_left_out": place.short - len(place.named)}
    if fragment == "short":
        return page(request, "pages/_broker_short.html", context, shell=shell)
    context["log_dirs"] = list(found.log_dirs.all())
    if fragment == "dirs":
        return page(request, "pages/_log_dirs.html", context, shell=shell)
    if row is not None:
        here.sight.without_stale_roles([found], is_old=here.is_old)
        line = Line(found, row, _growths(here, [str(node_id)]).get(str(node_id)))
        context |= {"line": line, "head": _headline(line, here.why_old)}
        if fragment == "top":
            return page(request, "pages/_broker_top.html", context, shell=shell)
    config = configured.of(here.cluster, Configuration.Kind.BROKER, str(node_id), here.sight.why.get("broker_configs"))
    context |= {
        **configured.for_page(config),
        "range": read_range(request.GET, now=timezone.now(), history_since=here.history_since),
        "quick": QUICK,
    }
    return page(request, "pages/broker.html", context, shell=shell)


def _headline(line: Line, why_old: str) -> dict[str, str]:
    node, row = line.broker.node_id, line.row
    if row["reach"] == "unknown":
        return {"verdict": "unknown", "sentence": f"What broker {node} does is unknown: {row['reason']}"}
    if row["reach"] != "up":
        reason = f": {row['reason']}" if row["reason"] else ""
        is_down = row["reach"] == "down"
        said = f"Broker {node} is down{reason}" if is_down else f"Broker {node} does not answer{reason}"
        return {"verdict": "bad" if is_down else "warn", "sentence": said}
    if row["leaders"] is None:
        return {"verdict": "unknown", "sentence": f"Broker {node} is up; what it holds is unknown: {why_old}"}
    held = f"leads {plain_words.counted(row['leaders'], 'partition')}"
    if row["short"]:
        short = plain_words.counted(row["short"], "copy", "copies")
        said = f"Broker {node} {held}; {short} of {words.number(row['replicas'])} that it holds are not in sync"
        return {"verdict": "warn", "sentence": said}
    copies = plain_words.counted(row["replicas"], "copy", "copies")
    return {"verdict": "ok", "sentence": f"Broker {node} is up, {held} and holds {copies}, all in sync"}
