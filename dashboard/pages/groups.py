"""Consumer groups: the list, and one group with its evidence, charts, partitions and members."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from collectors.domain.topology import GroupType
from collectors.history import queries
from collectors.models import Group, Member
from dashboard.access.roles import role
from dashboard.live import details, rows
from dashboard.live.sentences import group_type
from dashboard.models import Alert, Role

from . import changes, owners
from .abandoned import abandoned
from .days import VerdictDay
from .lights import Light, lights_of
from .lists import SPARK, arrange, headings, read_state, tabs
from .ranges import QUICK, read_range
from .shell import page, rows_page, shell_of
from .summaries import Summary
from .times import spark_range
from .wishes import want_head

SHOWS = {
    "all": "All",
    "troubled": "In trouble",
    "no_members": "No members",
    "unknown": "Unknown",
    "ok": "Ok",
}
COLUMNS = (
    ("name", "Group", False, ""),
    ("verdict", "Verdict", False, "worst first"),
    (
        "lag",
        "Lag",
        True,
        "records between committed offset and log end, all partitions; of a share group those not acknowledged",
    ),
    ("age", "Log-end age", True, "how long ago the log end stood at the committed offset, its oldest partition"),
    ("countdown", "Countdown", True, "until retention deletes unread records, soonest first"),
    ("arriving", "Arriving/s", True, "records written to its partitions per second"),
    ("consumed", "Read/s", True, "records it commits per second"),
    ("members", "Members", True, ""),
    ("type", "Type", False, "the protocol of its members: classic, consumer (KIP-848), share, streams, Connect"),
    ("", "Last 24 h", False, "the worst verdict of each hour"),
    (SPARK, "Lag", False, ""),
)

KEYS = {
    "name": lambda one: one.name.casefold(),
    "verdict": lambda one: one.urgency,
    "lag": lambda one: one.lag,
    "age": lambda one: one.age,
    "countdown": lambda one: None if one.countdown is None else -one.countdown,  # the soonest is the most
    "arriving": lambda one: one.arriving,
    "consumed": lambda one: one.consumed,
    "members": lambda one: one.members,
    "type": lambda one: one.type.casefold(),
}


@role(Role.VIEWER)
@require_safe
def groups(request: HttpRequest, slug: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    state = read_state(request.GET, columns=list(KEYS), default_sort="-verdict", shows=list(SHOWS))
    every = lights(here)
    listed = arrange(every, state, name=lambda one: one.name, keys=KEYS, wanted=_is_wanted)
    context = {
        "section": "groups",
        "here": here,
        "state": state,
        "listed": listed,
        "headings": headings(state, COLUMNS),
        "lines": with_days(here, lines(here, [one.name for one in listed.rows])),
        "shows": tabs(every, SHOWS, wanted=_is_wanted, is_known=here.is_known),
        "troubled": [one for one in every if _is_wanted(one, "troubled")],
        "unknown": sum(one.word == "unknown" for one in every),
    }
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "pages/_groups_rows.html", context | {"oob": True}, shell=shell)
    return page(request, "pages/groups.html", context, shell=shell)


def _is_wanted(one: Light, show: str) -> bool | None:
    if show in ("all", "unknown"):
        return show in ("all", one.word)
    if one.word == "unknown":
        return None
    return one.is_in_trouble if show == "troubled" else one.word == show


def lights(here: Summary) -> list[Light]:
    """All groups of a cluster, in one query and the newest numbers."""
    found = Group.objects.filter(cluster=here.cluster, gone_at=None).order_by()
    chosen = found.values_list("name", "member_count", "type", "protocol_type")
    return lights_of(here.now, [(n, members, group_type(kind, protocol)) for n, members, kind, protocol in chosen])


def lines(here: Summary, names: list[str]) -> list[dict[str, Any]]:
    """Rows with sparklines for these groups, in this order."""
    made = rows.group_rows(here.cluster, here.now, names) if names else {}
    sparks: dict[str, list[float | None]] = {}
    if here.now is not None and names:
        since, until = spark_range(here.now.taken_at, here.spark_seconds)
        sparks = queries.sparklines(here.cluster.pk, "group_lag", names, since, until)
    return [{"name": name, "row": made[name], "spark": sparks.get(name)} for name in names if name in made]


def with_days(here: Summary, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the worst verdict of each of the last 24 hours."""
    if here.now is None or not found:
        return found
    names = [one["name"] for one in found]
    verdicts = queries.worst_verdicts(here.cluster.pk, names, here.now.taken_at)
    return [{**one, "day": VerdictDay(verdicts[one["name"]])} for one in found]


def worst(here: Summary, limit: int) -> list[dict[str, Any]]:
    every = sorted(lights(here), key=lambda one: one.name.casefold())
    every.sort(key=lambda one: one.urgency, reverse=True)
    return lines(here, [one.name for one in every[:limit]])


@role(Role.VIEWER)
@require_safe
def group(request: HttpRequest, slug: str, name: str) -> HttpResponse:
    shell = shell_of(request, slug)
    here = shell.cluster
    assert here is not None
    found = Group.objects.filter(cluster=here.cluster, name=name).first()
    if found is None:
        raise Http404(f"There is no group “{name}” in {here.name}.")
    fragment = request.GET.get("fragment", "")
    if found.gone_at is None and fragment in ("", "top"):  # what shows it; before the row, which says so
        want_head(found, now=timezone.now())
    row = details.group_detail(here.cluster, here.now, name)
    context: dict[str, Any] = {
        "section": "groups",
        "here": here,
        "group": found,
        "row": row,
        "star": shell.stars.of("group", slug, name),
        "fragment": fragment,
        "most_lag": max((p["lag"] for p in row["partitions"] if p["lag"] is not None), default=0) if row else 0,
    }
    if fragment == "partitions":
        return page(request, "pages/_group_partitions.html", context, shell=shell)
    members = list(found.members.all()[: details.MEMBERS_SHOWN])
    context["members"] = [_member(member, row) for member in members]
    if fragment == "members":
        return page(request, "pages/_members.html", context, shell=shell)
    if fragment in ("", "abandoned"):
        context["abandoned"] = abandoned(here.now, name)
    if fragment == "abandoned":
        return page(request, "pages/_abandoned.html", context, shell=shell)
    context |= {
        "alerts": list(
            Alert.objects.exclude(state=Alert.State.RESOLVED)
            .filter(cluster=here.cluster, subject_kind="group", subject=name)
            .select_related("rule")
        ),
        "why": here.why_old or _why_unknown(found, row),
        "topics_left_out": row["topics_total"] - len(row["topics"]) if row else 0,
    }
    if fragment == "top":
        return page(request, "pages/_group_top.html", context, shell=shell)
    context["events"] = changes.recent(20, cluster=here.cluster, subject_kind="group", subject=name)
    if fragment == "changed":
        return page(request, "pages/_changed.html", context, shell=shell)
    shown = read_range(request.GET, now=timezone.now(), history_since=here.history_since)
    context |= {"range": shown, "quick": QUICK, "owners": owners.owners(here.cluster, found, shown)}
    if fragment == "owners":
        return page(request, "pages/_owners.html", context, shell=shell)
    return page(request, "pages/group.html", context, shell=shell)


def _why_unknown(found: Group, row: dict[str, Any] | None) -> str:
    if found.described_error:
        return f"the group could not be described: {found.described_error}"
    if row is not None and row["lag_state"] == "no_commit":
        return "this group has committed no offset, so there is nothing to measure from"
    if found.type == GroupType.SHARE:
        return "its broker does not tell it of every partition"
    return "not every partition answered in the newest cycle"


def _member(member: Member, row: dict[str, Any] | None) -> dict[str, Any]:
    held = next((one for one in row["readers"] if one["key"] == member.member_id), None) if row else None
    return {
        **(held or {"count": 0, "lag": None, "none_said": "none assigned"}),
        "member": member,
        "assignment": member.assignment[:8],
        "more": max(0, len(member.assignment) - 8),
    }
