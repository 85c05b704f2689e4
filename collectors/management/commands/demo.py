"""A real Kafka on this machine, a small company's traffic, and everything of Streamgauge: one foreground command."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from collectors.demo import jars
from collectors.demo.acts import ACTS
from collectors.demo.company import TOPICS
from collectors.demo.director import Director
from collectors.demo.nodes import KafkaCluster, KafkaFailedError
from collectors.demo.processes import FolderInUseError, PidFile
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster
from collectors.secrets import encrypt

SLUG = "demo"
TOPICS_SECONDS = 30.0


class Command(BaseCommand):
    help = "Start a three-node Kafka with traffic, watch it, and show it. Ctrl-C ends everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="port of the pages (a taken one is stepped over)"
        )
        parser.add_argument("--act", choices=sorted(ACTS), help="start with this act at once")

    def handle(self, *args: Any, **options: Any) -> None:
        os.environ["STREAMGAUGE_DEMO"] = "1"
        settings.DEMO = True
        # the demo's own webhook receivers and brokers are on this machine
        settings.ALLOWED_NETWORKS = sorted({*settings.ALLOWED_NETWORKS, "loopback"})
        signal.signal(signal.SIGTERM, _end)
        folder = Path(settings.DATA_DIR) / "kafka"
        try:
            with KafkaCluster(folder, cache_dir=settings.CACHE_DIR, say=self._say) as nodes:
                self._run(nodes, folder, options)
        except (KafkaFailedError, FolderInUseError, jars.DownloadFailedError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            pass
        self._say("Ended. The history stays; make demo goes on with it.")

    def _run(self, nodes: KafkaCluster, folder: Path, options: dict[str, Any]) -> None:
        self._say("Starting three Kafka nodes ...")
        nodes.start()
        call_command("migrate", interactive=False, verbosity=0)
        self._say(f"  ready in {nodes.wait_ready():.1f} s")
        create_topics(nodes.bootstrap)
        cluster = register(nodes.bootstrap)
        with traffic(nodes, folder) as tell:
            director = Director(cluster.pk, tell, first=ACTS[options["act"]] if options["act"] else None)
            director.start()
            try:
                call_command("serve", port=options["port"], on_ready=self._ready)
            finally:
                director.stop()
                self._say("Stopping Kafka and the traffic ...")

    def _ready(self, port: int) -> None:
        link = call_command("signinlink", port=port, reusable_until_exit=True, stdout=open(os.devnull, "w"))  # noqa: SIM115
        self._say(
            f"\nStreamgauge watches its demo company.\n"
            f"  Address    http://{settings.HOST}:{port}/\n"
            f"  Sign in    {link}\n"
            f"  Data       {settings.DATA_DIR}\n"
            f"  Stop       Ctrl-C\n"
        )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _end(*_: object) -> None:
    raise KeyboardInterrupt


def create_topics(bootstrap: str) -> None:
    """Create the company's topics that are not there yet; CommandError when the cluster refuses one."""
    quiet = logging.getLogger("demo.admin")
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=quiet)
    deadline = time.monotonic() + TOPICS_SECONDS
    there = set(admin.list_topics(timeout=10).topics)
    wanted = [NewTopic(t.name, t.partitions, 3, config=t.config) for t in TOPICS if t.name not in there]
    while wanted:
        failed = {}
        for name, future in admin.create_topics(wanted, operation_timeout=10).items():
            try:
                future.result(15)
            except Exception as error:  # noqa: BLE001 - the library raises its own and plain ones; both are told
                failed[name] = error
        there = set(admin.list_topics(timeout=10).topics)
        wanted = [topic for topic in wanted if topic.topic not in there]
        if wanted and time.monotonic() > deadline:
            raise CommandError(f"topics could not be made: {failed}")


def register(bootstrap: str) -> Cluster:
    """The demo's row; its address is brought up to date, its history kept."""
    stored = encrypt(
        ConnectionSettings.from_properties({"bootstrap.servers": bootstrap}).to_stored(), settings.INSTANCE_KEY
    )
    cluster, _ = Cluster.objects.update_or_create(
        slug=SLUG, defaults={"name": "Demo company", "settings_encrypted": stored, "is_paused": False}
    )
    return cluster


@contextlib.contextmanager
def traffic(nodes: KafkaCluster, folder: Path) -> Iterator[Any]:
    """The traffic's process while the block runs; gives the function that sends it an order."""
    pids = PidFile(folder / "traffic-pids", marker=nodes.marker)
    pids.end_left_over()
    log_file = folder / "logs" / "traffic.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "collectors.demo.traffic"]
    command += [f"--bootstrap={nodes.bootstrap}", f"--folder={nodes.marker}"]
    with log_file.open("ab") as output:
        process = subprocess.Popen(
            # a session of its own: Ctrl-C in the terminal goes to the command, which ends this in its own order
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=settings.BASE_DIR,
        )
    pids.add("traffic", process.pid)

    def tell(order: dict[str, Any]) -> None:
        if process.stdin is not None and process.poll() is None:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()

    try:
        yield tell
    finally:
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(2.0)
        pids.remove("traffic")
