"""Two entries may lead to one Kafka cluster; the page of each says so."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.pages.seed import Company, make_company


@pytest.mark.django_db
def test_a_cluster_names_the_other_entries_that_lead_to_it(client: Client) -> None:
    for slug, kafka_id in (("one", "id-1"), ("two", "id-1"), ("three", "id-2"), ("four", "")):
        cluster = make_company(Company(slug=slug, name=slug.capitalize(), cycles=3))
        cluster.kafka_cluster_id = kafka_id
        cluster.save()
    client.force_login(User.objects.create_user("viewer"))
    page = client.get("/clusters/one/").content.decode()
    said = page.split("the same Kafka cluster as")[1].split("</p>")[0]
    assert "/clusters/two/" in said
    assert "Three" not in said
    assert "Four" not in said
    for slug in ("three", "four"):
        assert "the same Kafka cluster" not in client.get(f"/clusters/{slug}/").content.decode()
