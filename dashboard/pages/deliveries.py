"""Every message to a channel and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from dashboard.access import audit
from dashboard.access.roles import role, safe_next
from dashboard.alerts import outbox
from dashboard.live.announce import announce
from dashboard.models import Channel, Delivery, Role

from .shell import page, rows_page, shell_of

PAGE_DELIVERIES = 50


@role(Role.VIEWER)
@require_safe
def deliveries(request: HttpRequest) -> HttpResponse:
    """`?state=` and `?channel=ID` choose; pages go by `?before=ID`."""
    channels = list(Channel.objects.order_by("name").only("name"))
    state = request.GET.get("state", "")
    state = state if state in Delivery.State.values else ""
    channel = next((one for one in channels if str(one.pk) == request.GET.get("channel")), None)
    found = Delivery.objects.select_related("channel", "alert")
    if state:
        found = found.filter(state=state)
    if channel is not None:
        found = found.filter(channel=channel)
    before = request.GET.get("before", "")
    is_first = not (before.isascii() and before.isdigit() and len(before) < 19)
    if not is_first:
        found = found.filter(id__lt=int(before))
    some = list(found.order_by("-id")[: PAGE_DELIVERIES + 1])
    counts = dict(Delivery.objects.order_by().values_list("state").annotate(Count("id")))
    context: dict[str, Any] = {
        "section": "alerts",
        "tab": "deliveries",
        "log": some[:PAGE_DELIVERIES],
        "older": some[PAGE_DELIVERIES - 1].pk if len(some) > PAGE_DELIVERIES else None,
        "is_first": is_first,
        "states": [(value, counts.get(value, 0)) for value in Delivery.State.values],
        "total": sum(counts.values()),
        "dead": counts.get(Delivery.State.DEAD, 0),
        "waiting": counts.get(Delivery.State.WAITING, 0) + counts.get(Delivery.State.CLAIMED, 0),
        "state": state,
        "channels": channels,
        "channel": channel,
    }
    shell = shell_of(request)
    if request.GET.get("fragment") == "rows":
        return rows_page(request, "pages/_deliveries_rows.html", context, shell=shell)
    return page(request, "pages/deliveries.html", context, shell=shell)


@role(Role.OPERATOR)
@require_POST
def resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a message that was given up once more, with the same key."""
    delivery = Delivery.objects.select_related("channel").filter(pk=pk).first()
    if delivery is None:
        raise Http404("There is no such message.")
    if not delivery.channel.is_enabled:
        messages.error(request, f"{delivery.channel.name} is off: switch it on to send the message again.")
    elif outbox.resend(pk, now=timezone.now()):
        audit.record_of(request, "message sent again", delivery.channel.name, event=delivery.event, message=pk)
        announce("delivery", {"delivery": pk})
        messages.success(request, "The message is on its way again, with the same key.")
    else:
        messages.info(request, f"This message is {delivery.state}: only one that was given up can be sent again.")
    return redirect(safe_next(request, request.POST.get("next") or reverse("deliveries")))
