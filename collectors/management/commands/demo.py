"""A real Kafka on this machine, a small company's traffic, and everything of Streamgauge: one foreground command."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from collectors.demo import elsewhere, jars
from collectors.demo.acts import ACTS, BROKER, Act
from collectors.demo.director import Director
from collectors.demo.effects import BrokerAway, Deleting, Effect, SamplingCut, ShortRetention
from collectors.demo.elsewhere import Elsewhere
from collectors.demo.nodes import KafkaCluster
from collectors.demo.processes import FolderInUseError, PidFile, only_user_of
from collectors.demo.programs import KafkaFailedError
from collectors.demo.secured import SecuredKafka, write_private
from collectors.demo.topics import TopicsRefusedError, create_topics
from collectors.demo.trickle import Trickle
from collectors.kafka import librarylog
from collectors.kafka.settings import ConnectionSettings
from collectors.models import Cluster
from collectors.secrets import encrypt

SLUG = "demo"
SECURED_SLUG = "secured"
ELSEWHERE_SLUG = "demo-elsewhere"
SECURED_FOLDER = "kafka-secured"


class Command(BaseCommand):
    help = "Start a three-node Kafka with traffic, watch it, and show it. Ctrl-C ends everything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="port of the pages (a taken one is stepped over)"
        )
        parser.add_argument(
            "--secured", action="store_true", help="also a node with TLS, sign-in and few rights, as a second cluster"
        )
        parser.add_argument("--act", choices=sorted(ACTS), help="start with this act, after half a minute of quiet")
        parser.add_argument(
            "--bootstrap",
            metavar="HOST:PORT",
            help="play on this test cluster of yours instead: asks first, and removes what it made when it ends",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        os.environ["STREAMGAUGE_DEMO"] = "1"
        settings.DEMO = True
        # the demo's own webhook receivers and brokers are on this machine
        settings.ALLOWED_NETWORKS = sorted({*settings.ALLOWED_NETWORKS, "loopback"})
        signal.signal(signal.SIGTERM, _end)
        folder = Path(settings.DATA_DIR) / "kafka"
        if options["bootstrap"]:
            self._elsewhere(options)
            return
        try:
            with KafkaCluster(folder, cache_dir=settings.CACHE_DIR, say=self._say) as nodes:
                self._run(nodes, folder, options)
        except (KafkaFailedError, FolderInUseError, TopicsRefusedError, jars.DownloadFailedError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            pass
        self._say("Ended. The history stays; make demo goes on with it.")

    def _run(self, nodes: KafkaCluster, folder: Path, options: dict[str, Any]) -> None:
        self._say("Starting three Kafka nodes ...")
        nodes.start()
        call_command("upgrade")
        self._say(f"  ready in {nodes.wait_ready():.1f} s")
        create_topics(nodes.bootstrap)
        cluster = register(nodes.bootstrap)
        with contextlib.ExitStack() as beside:
            if options["secured"]:
                beside.enter_context(self._secured())
            else:
                # of an earlier demo: what a kill left of it, and its row
                secured = Path(settings.DATA_DIR) / SECURED_FOLDER
                PidFile(secured / "pids", marker=f"-Dstreamgauge.folder={secured}").end_left_over()
                Cluster.objects.filter(slug=SECURED_SLUG).update(is_paused=True)
            Cluster.objects.filter(slug=ELSEWHERE_SLUG).update(is_paused=True)
            tell = beside.enter_context(traffic(nodes.bootstrap, folder, marker=nodes.marker))
            director = Director(
                cluster.pk,
                tell,
                first=ACTS[options["act"]] if options["act"] else None,
                effects={
                    "broker": BrokerAway(nodes, int(BROKER.subject)),
                    "sampling": SamplingCut(cluster.pk),
                    "retention": ShortRetention(nodes.bootstrap),
                },
            )
            director.start()
            try:
                # Kafka and the traffic end beside the web and the collectors, not after them
                call_command(
                    "serve",
                    port=options["port"],
                    on_ready=self._ready,
                    on_stopping=lambda: self._end(nodes, director, tell),
                )
            finally:
                director.stop()
                call_command("signinlink", revoke_reusable=True, stdout=open(os.devnull, "w"))  # noqa: SIM115

    def _elsewhere(self, options: dict[str, Any]) -> None:
        """The same company on a cluster that is there already; what was made is removed whatever ends the demo."""
        first = ACTS[options["act"]] if options["act"] else None
        if options["secured"] or (first is not None and first.effect in ("broker", "sampling")):
            raise CommandError(
                "--secured and the acts broker and blind need the demo's own Kafka: leave out --bootstrap."
            )
        folder = Path(settings.DATA_DIR) / "elsewhere"
        try:
            with only_user_of(folder):
                found = elsewhere.look(options["bootstrap"])
                self._say(elsewhere.question(found))
                if self._answer("Create all this? Type yes: ") != "yes":
                    self._say("Nothing was created.")
                    return
                self._play_elsewhere(found, folder, first, options["port"])
        except (elsewhere.NotReachedError, FolderInUseError, TopicsRefusedError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            pass

    def _play_elsewhere(self, found: Elsewhere, folder: Path, first: Act | None, port: int) -> None:
        call_command("upgrade")
        Cluster.objects.filter(slug__in=(SLUG, SECURED_SLUG)).update(is_paused=True)
        connection = ConnectionSettings.from_properties({"bootstrap.servers": found.bootstrap})
        prefix = elsewhere.PREFIX
        try:
            create_topics(found.bootstrap, prefix)
            cluster = register_as(ELSEWHERE_SLUG, "Demo on a test cluster", connection)
            marker = f"-Dstreamgauge.folder={folder.absolute()}"
            with traffic(found.bootstrap, folder, marker=marker, prefix=prefix) as tell:
                effects: dict[str, Effect] = {"retention": Deleting(found.bootstrap, prefix)}
                director = Director(cluster.pk, tell, first=first, effects=effects, prefix=prefix)
                director.start()

                def stop() -> None:
                    self._say("Stopping ...")
                    director.stop()
                    tell.end()

                try:
                    call_command("serve", port=port, on_ready=self._ready, on_stopping=stop)
                finally:
                    director.stop()
                    call_command("signinlink", revoke_reusable=True, stdout=open(os.devnull, "w"))  # noqa: SIM115
        finally:
            Cluster.objects.filter(slug=ELSEWHERE_SLUG).update(is_paused=True)
            self._say(f"Deleting the topics and groups {prefix}... ")
            left = elsewhere.remove(found.bootstrap)
            self._say(
                "Not deleted:\n  " + "\n  ".join(left) if left else "All that was made is gone. The history stays."
            )

    def _answer(self, asked: str) -> str:
        """What is typed, or piped in; "" when there is nobody to ask."""
        self.stdout.write(asked, ending="")
        self.stdout.flush()
        return sys.stdin.readline().strip().lower()

    @contextlib.contextmanager
    def _secured(self) -> Iterator[None]:
        """The node that asks who one is, watched as its user "observer", who may only describe topics and groups."""
        folder = Path(settings.DATA_DIR) / SECURED_FOLDER
        with SecuredKafka(folder, cache_dir=settings.CACHE_DIR, say=self._say) as node:
            self._say("Starting the secured node ...")
            node.start()
            self._say(f"  ready in {node.wait_ready():.1f} s: SASL_SSL on {node.address()}")
            trickle = Trickle(node.bootstrap)
            trickle.start()
            for user in ("observer", "standard", "nobody"):
                lines = (f"{key}={' '.join(value.split())}\n" for key, value in node.properties(user).items())
                write_private(folder / f"{user}.properties", "".join(lines))
            connection = ConnectionSettings.from_properties(node.properties("observer"))
            register_as(SECURED_SLUG, "Secured", connection)
            self._say(f"  client.properties of its users: {folder}/*.properties")
            try:
                yield
            finally:
                trickle.stop()

    def _end(self, nodes: KafkaCluster, director: Director, tell: Tell) -> None:
        self._say("Stopping ...")
        logging.getLogger(librarylog.log.name).setLevel(logging.ERROR)  # the brokers go away on purpose now
        director.stop()
        tell.end()
        nodes.stop()

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


def register(bootstrap: str) -> Cluster:
    """The demo's row; its address is brought up to date, its history kept."""
    return register_as(SLUG, "Demo company", ConnectionSettings.from_properties({"bootstrap.servers": bootstrap}))


def register_as(slug: str, name: str, connection: ConnectionSettings) -> Cluster:
    """The row of a cluster of the demo, brought up to date; one that was deleted is back."""
    stored = encrypt(connection.to_stored(), settings.INSTANCE_KEY)
    cluster, _ = Cluster.everything.update_or_create(
        slug=slug,
        # its own id is learnt anew: who deletes the folder of the demo's Kafka gets another cluster
        defaults={
            "name": name,
            "settings_encrypted": stored,
            "is_paused": False,
            "deleted_at": None,
            "kafka_cluster_id": "",
        },
    )
    return cluster


class Tell:
    """Sends orders to the traffic's process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def __call__(self, order: dict[str, Any]) -> None:
        if self.process.stdin is not None and self.process.poll() is None:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Close its input, which is its sign to end; kill it when it does not."""
        with contextlib.suppress(OSError, ValueError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(4.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(2.0)


@contextlib.contextmanager
def traffic(bootstrap: str, folder: Path, *, marker: str, prefix: str = "") -> Iterator[Tell]:
    """The traffic's process while the block runs; gives what sends it orders.

    `marker` is a text by which a later start knows it as its own, `prefix` comes before all names of topics and groups.
    """
    pids = PidFile(folder / "traffic-pids", marker=marker)
    pids.end_left_over()
    log_file = folder / "logs" / "traffic.log"
    log_file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "collectors.demo.traffic"]
    command += [f"--bootstrap={bootstrap}", f"--folder={marker}", f"--prefix={prefix}"]
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

    tell = Tell(process)
    try:
        yield tell
    finally:
        tell.end()
        pids.remove("traffic")
