"""Retention by setting, a file that shrinks, the forecast, CSV out and in."""

from __future__ import annotations

import csv
import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from collectors.domain.keeping import parse_keep
from collectors.history import compaction, exchange, forecast, keep, queries, rolling, vacuum
from collectors.history.cache import clear_caches
from collectors.history.kinds import Kind
from collectors.models import Block, Frame, Lease, Rollup, RollupState, Span
from dashboard.settings import SQLITE_OPTIONS

from .recording import BEGIN, Recorder, column, topics
from .test_blocks import EVER, flat, living

DAY = 86_400.0


@pytest.fixture
def stored(db: None) -> Recorder:
    recorder = Recorder(interval=60.0)
    living(recorder, 300)
    compaction.run(before_cycles={})
    clear_caches()
    return recorder


def test_each_storey_goes_when_it_is_too_old(stored: Recorder, settings: Settings) -> None:
    settings.HISTORY_KEEP = parse_keep("blocks=1,*/size/blocks=0.1,1min=2,10min=3,1h=100")
    span = Span.objects.filter(kind="end").order_by("until")[0]
    keep.forget_old(now=span.until + 0.5 * DAY)
    assert not Span.objects.filter(kind="size").exists(), "of its kind, earlier"
    assert Span.objects.filter(pk=span.pk).exists()
    keep.forget_old(now=stored.now + 1.2 * DAY)
    assert not Block.objects.exists()
    assert not Frame.objects.filter(kind="end", cycle__lt=stored.cycle - 90).exists()
    assert Rollup.objects.filter(resolution=60).exists()
    keep.forget_old(now=stored.now + 2.5 * DAY)
    assert set(Rollup.objects.values_list("resolution", flat=True)) == {600, 3600}
    keep.forget_old(now=stored.now + 5 * DAY)
    assert set(Rollup.objects.values_list("resolution", flat=True)) == {3600}
    assert queries.cluster_at(stored.id) is not None, "the newest sample stays, however old"


@pytest.mark.sqlite
@pytest.mark.django_db
def test_a_file_gives_back_what_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "KEPT_FREE_PAGES", 10)
    file = tmp_path / "own.sqlite3"
    vacuum.begin(file)
    own = connection.copy(alias="own")
    own.settings_dict = {**connection.settings_dict, "NAME": str(file)}
    monkeypatch.setattr(vacuum, "connection", own)
    with own.cursor() as cursor:
        cursor.execute("CREATE TABLE large (body BLOB)")
        cursor.executemany("INSERT INTO large VALUES (%s)", [(b"x" * 4000,)] * 2000)
        cursor.execute("DELETE FROM large")
        vacuum.begin(file)  # one that is there stays as it is
        assert vacuum.shrink() > 1000
        assert vacuum._pragma(cursor, "page_count") < 400
    own.close()


@pytest.mark.sqlite
@pytest.mark.django_db
def test_a_connection_opens_while_another_process_writes(tmp_path: Path) -> None:
    file = tmp_path / "own.sqlite3"
    vacuum.begin(file)
    own = connection.copy(alias="own")
    own.settings_dict = {**connection.settings_dict, "NAME": str(file), "OPTIONS": {**SQLITE_OPTIONS, "timeout": 0.2}}
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE one (n INTEGER)")
        writer.execute("BEGIN IMMEDIATE")
        with own.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM one")
            assert cursor.fetchone() == (0,)
    own.close()


def test_the_forecast_is_what_is_there_a_day_times_the_days(stored: Recorder) -> None:
    found = {f"{one.name} {one.kind}".strip(): one for one in forecast.storeys(stored.cluster)}
    assert {"frames", "blocks end", "blocks committed", "1min", "10min", "1h"} <= set(found)
    blocks = found["blocks end"]
    assert blocks.rows == Block.objects.filter(span__kind="end").count()
    exact = sum(len(bytes(body)) for body in Block.objects.filter(span__kind="end").values_list("body", flat=True))
    assert exact <= blocks.size <= exact * 2 + blocks.rows * 200
    assert blocks.a_day is None, "two hours tell nothing of a day"
    assert forecast.total([1.0, None]) is None
    day = forecast.Storey("blocks", "end", 10, 1000, BEGIN, BEGIN + 2 * DAY, 7.0)
    assert (day.a_day, day.when_full, day.after(3)) == (500, 3500, 1500)


def test_what_is_exported_can_be_imported_and_is_the_same(stored: Recorder) -> None:
    out = io.StringIO()
    rows = exchange.export(stored.id, Kind.COMMITTED, out, since=EVER[0], until=EVER[1])
    assert rows > 900
    other = Recorder("other", interval=60.0)
    assert exchange.load(other.cluster, Kind.COMMITTED, io.StringIO(out.getvalue())) == 300
    again = io.StringIO()
    exchange.export(other.id, Kind.COMMITTED, again, since=EVER[0], until=EVER[1])
    assert again.getvalue() == out.getvalue()
    for group in ("g", "passing"):
        before, after = (queries.series(pk, Kind.COMMITTED, group, *EVER) for pk in (stored.id, other.id))
        assert after.times == pytest.approx(before.times, abs=1e-6), "CSV has microseconds"
        assert [*flat(replace(after, times=before.times))] == [*flat(before)]
    with pytest.raises(exchange.ExchangeError, match="has samples of committed"):
        exchange.load(other.cluster, Kind.COMMITTED, io.StringIO(out.getvalue()))


def test_strange_names_and_moments_without_members_survive_csv(db: None) -> None:
    recorder = Recorder()
    name = 'a,"b"\n\0\ud800'
    recorder.write({Kind.COMMITTED: column({name: {("t,", 0): 2**63 - 1}})})
    recorder.write({Kind.COMMITTED: column({})})
    recorder.write({Kind.COMMITTED: column({'"quoted"': {("t", 0): None}})})
    out = io.StringIO()
    exchange.export(recorder.id, Kind.COMMITTED, out, since=EVER[0], until=EVER[1])
    other = Recorder("other")
    assert exchange.load(other.cluster, Kind.COMMITTED, io.StringIO(out.getvalue())) == 3
    again = io.StringIO()
    exchange.export(other.id, Kind.COMMITTED, again, since=EVER[0], until=EVER[1])
    assert again.getvalue() == out.getvalue()


def test_h26_a_name_that_is_a_formula_is_exported_as_text_and_comes_back(db: None) -> None:
    recorder = Recorder()
    names = ['=HYPERLINK("http://x")', "+1", "-orders", "@SUM(A1)", "plain=name"]
    recorder.write({Kind.COMMITTED: column({name: {(name, 0): 7} for name in names})})
    out = io.StringIO()
    exchange.export(recorder.id, Kind.COMMITTED, out, since=EVER[0], until=EVER[1])
    cells = [cell for row in list(csv.reader(io.StringIO(out.getvalue())))[1:] for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert cells.count("plain=name") == 2
    other = Recorder("other")
    assert exchange.load(other.cluster, Kind.COMMITTED, io.StringIO(out.getvalue())) == 1
    again = io.StringIO()
    exchange.export(other.id, Kind.COMMITTED, again, since=EVER[0], until=EVER[1])
    assert again.getvalue() == out.getvalue()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x\n", "line 1: the header"),
        ("{h}\n2026-01-01,1,g,t,0\n", "line 2"),
        ("{h}\nsoon,1,g,t,0,5\n", "line 2"),
        ("{h}\n2026-01-01,1,g,t,0,99999999999999999999\n", "does not fit into 64 bits"),
        ("{h}\n2026-01-01,2,g,t,0,5\n2026-01-01,1,g,t,0,5\n", "rows have to be in order of cycles"),
    ],
)
def test_what_cannot_be_imported_names_its_line(db: None, text: str, said: str) -> None:
    recorder = Recorder()
    with pytest.raises(exchange.ExchangeError, match=said):
        exchange.load(recorder.cluster, Kind.END, io.StringIO(text.replace("{h}", ",".join(exchange.HEADER))))


def test_verify_reads_everything_and_names_what_is_damaged(
    stored: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    found = exchange.verify(stored.id)
    assert not found.bad
    assert set(found.read) == {"frames", "spans", "blocks", "rollups", "minutes"}
    call_command("history", "verify", "demo")
    assert "0 damaged" in capsys.readouterr().out
    for row in (Block.objects.first(), Rollup.objects.first(), Frame.objects.order_by("-cycle").first()):
        assert row is not None
        row.body = bytes(row.body)[:-1] + bytes([bytes(row.body)[-1] ^ 1])
        row.save()
    with pytest.raises(CommandError, match="3 damaged"):
        call_command("history", "verify")
    said = capsys.readouterr().out
    assert "3 damaged" in said
    assert "does not match its checksum" in said


def test_the_command_shows_and_forecasts(stored: Recorder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call_command("history", "show")
    call_command("history", "forecast", "demo")
    said = capsys.readouterr().out
    assert "blocks end" in said
    assert "after a year" in said
    file = tmp_path / "ends.csv"
    call_command("history", "export", "demo", "end", "--owner", "b", "--file", str(file), "--from", "2023-11-14T22:00Z")
    assert file.read_text().splitlines()[0] == ",".join(exchange.HEADER)
    Recorder("other")
    call_command("history", "import", "other", "end", "--file", str(file))
    with pytest.raises(CommandError, match="there is no cluster"):
        call_command("history", "show", "nobody")
    assert topics({"b": [1]}).layout.owners == ("b",)


def test_what_is_imported_comes_before_what_is_sampled_afterwards(stored: Recorder) -> None:
    out = io.StringIO()
    exchange.export(stored.id, Kind.COMMITTED, out, since=EVER[0], until=EVER[1])
    other = Recorder("other")
    Lease.objects.create(
        name=f"cluster:{other.id}", holder="a worker", expires_at=timezone.now() + timedelta(seconds=10), epoch=1
    )
    with pytest.raises(exchange.ExchangeError, match="other is being sampled: pause it"):
        exchange.load(other.cluster, Kind.COMMITTED, io.StringIO(out.getvalue()))
    Lease.objects.all().delete()
    exchange.load(other.cluster, Kind.COMMITTED, io.StringIO(out.getvalue()))
    newest = max(int(row[1]) for row in list(csv.reader(io.StringIO(out.getvalue())))[1:])
    other.cluster.refresh_from_db()
    assert other.cluster.last_cycle == newest
    while rolling.roll(other.id):
        pass
    state = RollupState.objects.get(cluster=other.cluster)
    out = io.StringIO()
    exchange.export(stored.id, Kind.END, out, since=EVER[0], until=EVER[1])
    exchange.load(other.cluster, Kind.END, io.StringIO(out.getvalue()))
    state.refresh_from_db()
    assert state.cycle == 0, "the minutes of both kinds are made anew"
