"""The resident loops: one cluster that cannot be sampled leaves the others alone."""

from __future__ import annotations

import pytest

from collectors.models import Cluster, Lease
from dashboard.loops import ResidentLoops


@pytest.mark.django_db
def test_credentials_that_cannot_be_read_end_nothing_and_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster.objects.create(slug="odd", name="Odd", settings_encrypted=b"written with another key")
    loops = ResidentLoops(on_fatal=lambda name: pytest.fail(f"{name} ended the process"))
    for _ in range(3):
        loops._take(cluster)
    said = [record.getMessage() for record in caplog.records if "cluster=odd" in record.getMessage()]
    assert len(said) == 1
    assert "STREAMGAUGE_SECRET_KEY" in said[0]
    assert loops._clusters == {}
    assert Lease.objects.acquire(f"cluster:{cluster.pk}", holder="another", seconds=6) is not None
