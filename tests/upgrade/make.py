"""Makes the dump that a closed issue leaves, in that version, with STREAMGAUGE_SECRET_KEY as test_upgrade.KEY.

`python -m tests.upgrade.make issue-3` on an empty, migrated SQLite; on PostgreSQL with the path of pg_dump after it.
Into an empty, migrated SQLite or PostgreSQL database go a seeded cluster, one with alerts, people and a channel; out
come NAME.sqlite.sql.gz or NAME.postgres.sql.gz, and NAME.json with the facts.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import django

HERE = Path(__file__).resolve().parent
BEGAN = 1_790_000_000.0


def fill() -> None:
    from django.contrib.auth.models import User

    from collectors.domain.verdicts import Verdict
    from collectors.history import rolling
    from collectors.models import Cluster
    from dashboard.alerts.defaults import install_default_rules
    from dashboard.models import Person, Role, Rule
    from tests.alerts.stage import Stage, settle, webhook_channel
    from tests.pages.seed import Company, make_company

    for name, role in (("ada", Role.ADMIN), ("ben", Role.VIEWER)):
        Person.objects.update_or_create(user=User.objects.create_user(name), defaults={"role": role})
    install_default_rules()
    Rule.objects.filter(key="group_no_progress").update(hold_seconds=15)
    webhook_channel()
    make_company(Company(frozen=frozenset({"payment-service"})), now=BEGAN)
    stage = Stage("prod")
    judge = stage.judge()
    stage.cycles(20)
    settle(judge)
    stage.verdicts["payments"] = Verdict.NO_PROGRESS
    stage.ends["orders"] = [200, 200]
    stage.cycles(10)
    settle(judge)
    for cluster in Cluster.objects.all():
        rolling.roll(cluster.pk)


def dump(name: str) -> Path:
    """SQL that makes the same database again, gzipped with nothing of the day in it."""
    from django.db import connection

    if connection.vendor == "sqlite":
        target = HERE / f"{name}.sqlite.sql.gz"
        file = str(connection.settings_dict["NAME"])
        connection.close()
        with sqlite3.connect(file) as opened:
            text = "\n".join(opened.iterdump())
    else:
        target = HERE / f"{name}.postgres.sql.gz"
        own = connection.settings_dict
        url = f"postgres://{own['USER']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
        command = [sys.argv[2], "--inserts", "--no-owner", "--no-privileges", url]
        made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        text = "\n".join(line for line in made.splitlines() if not line.startswith(("\\", "--")) and line)
    target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return target


if __name__ == "__main__":
    django.setup()
    from tests.upgrade.facts import facts

    fill()
    (HERE / f"{sys.argv[1]}.json").write_text(json.dumps(facts(), indent=1, sort_keys=True) + "\n")
    print(dump(sys.argv[1]))
