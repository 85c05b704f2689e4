"""A lease has one holder; who lost it, or let it lapse, is told so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from collectors.models import Lease

pytestmark = pytest.mark.django_db


def lapse(name: str) -> None:
    Lease.objects.filter(name=name).update(expires_at=Now() - timedelta(seconds=1))


def test_a_free_lease_is_taken_once() -> None:
    assert Lease.objects.acquire("cluster:1", holder="a", seconds=10) == 1
    assert Lease.objects.acquire("cluster:1", holder="b", seconds=10) is None


def test_a_lapsed_lease_goes_to_the_next_with_a_new_epoch() -> None:
    epoch = Lease.objects.acquire("cluster:1", holder="a", seconds=10)
    lapse("cluster:1")
    taken = Lease.objects.acquire("cluster:1", holder="b", seconds=10)
    assert epoch == 1
    assert taken == 2
    assert not Lease.objects.renew("cluster:1", holder="a", epoch=1, seconds=10), "the former holder wakes up late"


def test_a_holder_that_let_it_lapse_may_not_renew_even_if_nobody_took_it() -> None:
    Lease.objects.acquire("cluster:1", holder="a", seconds=10)
    lapse("cluster:1")
    assert not Lease.objects.renew("cluster:1", holder="a", epoch=1, seconds=10)


def test_a_lease_given_back_is_free_at_once() -> None:
    Lease.objects.acquire("cluster:1", holder="a", seconds=10)
    assert Lease.objects.release("cluster:1", holder="a", epoch=1)
    assert Lease.objects.acquire("cluster:1", holder="b", seconds=10) == 2


def test_only_the_holder_gives_back() -> None:
    Lease.objects.acquire("cluster:1", holder="a", seconds=10)
    assert not Lease.objects.release("cluster:1", holder="b", epoch=1)
    assert not Lease.objects.release("cluster:1", holder="a", epoch=0)
