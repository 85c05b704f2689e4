"""Kills compaction again and again and compares what is read: `python -m tests.history.killed <kills> <seed>`.

A program of its own: it forks children that compact, in a database of its own (STREAMGAUGE_DATA_DIR), and ends them
with SIGKILL at random moments. It ends with 1 and says what differs, if anything does.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time


def main(kills: int, seed: int) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    random_, begin = random.Random(seed), time.monotonic()
    whole, done = _round("whole", 0, random_, None), 0
    struck = 0
    for turn in range(kills):
        if done >= kills:
            break
        result = _round(f"killed-{turn}", kills - done, random_, whole)
        if not isinstance(result, tuple):
            print(result)
            return 1
        done += result[0]
        struck += result[1]
        print(
            f"{done} of {kills} kills, {struck} in time, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True
        )
    print(f"{done} kills, {struck} of them before the work was done; nothing lost, nothing doubled")
    return 0 if struck * 3 >= done else 1


def _round(slug: str, kills: int, random_: random.Random, whole: object) -> object:
    """One cluster compacted: without kills what is stored; else (kills, those that came in time) or what differs."""
    from django.db import connection

    from collectors.history import compaction
    from collectors.history.cache import clear_caches
    from collectors.models import Block, Cluster, Frame, Lease, Rollup, RollupFrame, Span

    from .recording import Recorder
    from .test_blocks import flat, living, pictures

    Cluster.everything.all().delete()
    recorder = Recorder(slug, interval=60.0)
    living(recorder, 280)
    before = pictures(recorder)
    frames = Frame.objects.filter(cluster=recorder.cluster).count()

    def stored() -> list[object]:
        rollups = Rollup.objects.filter(cluster=recorder.cluster)
        blocks = Block.objects.filter(span__cluster=recorder.cluster, span__is_ready=True)
        minutes = RollupFrame.objects.filter(cluster=recorder.cluster)
        fields = "span__kind", "span__first_cycle", "owner", "part", "body"
        return [
            sorted(tuple(map(bytes_or, row)) for row in rows)
            for rows in (
                rollups.values_list("family", "owner", "resolution", "start", "body"),
                blocks.values_list(*fields),
                minutes.values_list("family", "minute", "body"),
            )
        ]

    def bytes_or(value: object) -> object:
        return bytes(value) if isinstance(value, memoryview) else value

    if not kills:
        begin = time.monotonic()
        compaction.run(before_cycles={})
        return time.monotonic() - begin, stored()
    assert isinstance(whole, tuple)
    seconds, expected = whole
    struck = 0
    for count in range(1, kills + 1):
        connection.close()
        child = os.fork()
        if child == 0:
            compaction.run(before_cycles={})
            os._exit(0)
        time.sleep(random_.uniform(0, seconds * 1.2))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        struck += os.WIFSIGNALED(status)
        Lease.objects.all().delete()  # it would lapse after a minute; nobody wants to wait for that
        clear_caches()
        after = pictures(recorder)
        for name, found in before.items():
            if list(flat(after[name])) != list(flat(found)):
                return f"after kill {count} of {slug}: {name} is not what it was"
        if not os.WIFSIGNALED(status):
            break
    compaction.run(before_cycles={})
    if Span.objects.filter(cluster=recorder.cluster, is_ready=False).exists():
        return f"{slug}: a span stayed unfinished"
    if stored() != expected:
        return f"{slug}: not the blocks and rollups of a run without kills"
    if Frame.objects.filter(cluster=recorder.cluster).count() >= frames:
        return f"{slug}: no frames went"
    return count, struck


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
