"""The page is rendered ahead for those who scrape, and for nobody else."""

from __future__ import annotations

import time

import pytest

from collectors.models import Cluster
from dashboard.metrics.page import MetricsPage
from dashboard.metrics.warm import LATELY_SECONDS, Warmer
from tests.pages.seed import INTERVAL, Company, make_company

from .test_page import add_cycle

pytestmark = pytest.mark.django_db


class Counting(MetricsPage):
    """Notes in which form it was built, and when."""

    built: list[bool]

    def build(self, now: float, *, openmetrics: bool) -> object:  # type: ignore[override]  # passes it on
        self.built.append(openmetrics)
        return super().build(now, openmetrics=openmetrics)


@pytest.fixture
def cluster() -> Cluster:
    return make_company(Company())


def stage(page: MetricsPage) -> tuple[Warmer, Counting, list[float]]:
    counting = Counting(page._own)
    counting.built = []
    clock = [1000.0]
    return Warmer(lambda: counting, monotonic=lambda: clock[0]), counting, clock


def test_nothing_is_rendered_before_someone_scrapes(page: MetricsPage, cluster: Cluster) -> None:
    warmer, counting, _ = stage(page)
    assert not warmer.turn()
    assert counting.built == []


def test_a_new_cycle_is_rendered_once_in_the_form_that_was_scraped(page: MetricsPage, cluster: Cluster) -> None:
    warmer, counting, _ = stage(page)
    warmer.scraped(openmetrics=True, is_zipped=True)
    assert warmer.turn()
    assert not warmer.turn()
    add_cycle(cluster, {}, taken_at=time.time() + INTERVAL)
    assert warmer.turn()
    assert counting.built == [True, True]


def test_who_has_stopped_scraping_is_forgotten(page: MetricsPage, cluster: Cluster) -> None:
    warmer, counting, clock = stage(page)
    warmer.scraped(openmetrics=False, is_zipped=False)
    clock[0] += LATELY_SECONDS + 1
    assert not warmer.turn()
    assert counting.built == []
