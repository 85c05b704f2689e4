"""Wrong passwords are counted by account and by address; too many are answered without looking at the password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils.crypto import salted_hmac

from dashboard.models import FailedSignIn

WINDOW = timedelta(minutes=15)
PAIR_LIMIT = 10
"""Wrong passwords for one account from one address within the window."""
ADDRESS_LIMIT = 50
"""From one address for whatever accounts."""
ACCOUNT_LIMIT = 200
"""For one account from whatever addresses: slows many machines down; a sign-in link still lets its owner in."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`attempt` is the row to take back when the password was right; None: refused until `wait_seconds` have passed."""

    attempt: FailedSignIn | None
    wait_seconds: int = 0


def begin(account: str, remote: str, *, now: datetime) -> Verdict:
    """Count this try before its password is checked."""
    key = salted_hmac("streamgauge.sign-in", account.casefold()).hexdigest()[:64]
    recent = FailedSignIn.objects.filter(at__gt=now - WINDOW)
    with transaction.atomic():
        found = recent.aggregate(
            by_pair=Count("id", filter=Q(account=key, remote=remote)),
            by_address=Count("id", filter=Q(remote=remote)),
            by_account=Count("id", filter=Q(account=key)),
            newest=Max("at", filter=Q(account=key) | Q(remote=remote)),
        )
        limits = {"by_pair": PAIR_LIMIT, "by_address": ADDRESS_LIMIT, "by_account": ACCOUNT_LIMIT}
        if any(found[name] >= limit for name, limit in limits.items()):
            # Tries while locked are not counted: else knocking on would lock the owner out for ever.
            return Verdict(None, max(1, int((found["newest"] + WINDOW - now).total_seconds())))
        FailedSignIn.objects.filter(at__lte=now - WINDOW).delete()
        return Verdict(FailedSignIn.objects.create(at=now, account=key, remote=remote[:64]))


def succeed(verdict: Verdict) -> None:
    """The password was right: this try and the earlier wrong ones of the same pair do not count."""
    if verdict.attempt is not None:
        FailedSignIn.objects.filter(account=verdict.attempt.account, remote=verdict.attempt.remote).delete()
