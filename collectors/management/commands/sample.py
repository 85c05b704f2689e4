"""Take one cycle of a cluster now and say what it saw: for a first look and for cron-less debugging."""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from collectors import roster, sampler, waiting
from collectors.kafka.session import Session
from collectors.kafka.survey import Survey
from collectors.models import Cluster, Cycle, Lease


class Command(BaseCommand):
    help = "Take cycles of one cluster in the foreground (its lease must be free) and print what each saw."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--cycles", type=int, default=1, help="how many (default 1)")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(slug=options["slug"]).first()
        if cluster is None:
            known = ", ".join(Cluster.objects.values_list("slug", flat=True)) or "none yet, see addcluster"
            raise CommandError(f"there is no cluster {options['slug']!r}; known: {known}")
        holder = f"sample:{socket.gethostname()[:60]}:{os.getpid()}"
        seconds = waiting.lease_seconds(cluster.interval_seconds)
        epoch = Lease.objects.acquire(f"cluster:{cluster.pk}", holder=holder, seconds=max(seconds, 30.0))
        if epoch is None:
            raise CommandError(
                f"{cluster.slug} is being sampled by another process: stop that one, or look at its pages"
            )
        session = Session(roster.connection_of(cluster), scope=roster.scope_of(cluster))
        survey = Survey(session)
        cluster.refresh_from_db()
        one = sampler.Sampler(cluster, session, survey, holder=holder, epoch=epoch, announce=lambda kind, data: None)
        try:
            one.remember()
            survey.start()
            survey.wait_all(10.0)  # so that the first cycle has log starts and sizes, too
            for _ in range(max(1, options["cycles"])):
                number = one.cycle(due_at=one.clock())
                self._print(Cycle.objects.get(cluster=cluster, number=number))
        finally:
            survey.stop(2.0)
            session.close()
            waiting.release(f"cluster:{cluster.pk}", holder=holder, epoch=epoch)

    def _print(self, cycle: Cycle) -> None:
        took = (cycle.ended_at - cycle.started_at).total_seconds() * 1000
        self.stdout.write(
            f"cycle {cycle.number}: {'reached' if cycle.is_reachable else 'NOT reached'}, {took:.0f} ms, "
            f"{cycle.requests} requests, {cycle.completeness:.1%} of positions known"
        )
        for error in cycle.errors:
            where = f" at broker {error['broker']}" if error["broker"] is not None else ""
            self.stdout.write(f"  {error['part']}: {error['reason']}{where} ({error['count']} times)")
