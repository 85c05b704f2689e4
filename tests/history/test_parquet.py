"""Samples as Parquet, out and in again; without the library, a sentence that says what to install."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from collectors.history import exchange
from collectors.history.kinds import Kind

from .recording import BEGIN, Recorder, column, topics
from .test_blocks import EVER, living


def csv_of(recorder: Recorder, kind: Kind) -> str:
    out = io.StringIO()
    exchange.export(recorder.id, kind, out, since=EVER[0], until=EVER[1])
    return out.getvalue()


def test_what_is_exported_as_parquet_can_be_imported_and_is_the_same(db: None, tmp_path: Path) -> None:
    pytest.importorskip("arro3.io", reason="the extra parquet is not installed")
    recorder, path = Recorder(interval=60.0), tmp_path / "committed.parquet"
    living(recorder, 120)
    recorder.write({Kind.COMMITTED: column({'a,"b"\n\0\ud800': {("t,", 0): 2**63 - 1, ("t", 1): None}})})
    recorder.write({Kind.COMMITTED: column({})})
    recorder.write({Kind.COMMITTED: column({"": {("t", 0): -1}})})
    expected = csv_of(recorder, Kind.COMMITTED)
    call_command("history", "export", "demo", "committed", "--file", str(path))
    assert path.read_bytes()[:4] == b"PAR1"
    assert path.stat().st_size * 4 < len(expected)
    other = Recorder("other", interval=60.0)
    call_command("history", "import", "other", "committed", "--file", str(path))
    assert csv_of(other, Kind.COMMITTED) == expected


def test_the_file_is_what_other_programs_expect(db: None, tmp_path: Path) -> None:
    arro3 = pytest.importorskip("arro3.io", reason="the extra parquet is not installed")
    recorder, path = Recorder(), tmp_path / "end.parquet"
    recorder.write({Kind.END: topics({"a": [7, None]})})
    assert exchange.export_parquet(recorder.id, Kind.END, path, since=0.0, until=4e9) == 2
    table = arro3.read_parquet(path).read_all()
    assert table.schema.names == list(exchange.HEADER)
    assert table.schema.field("taken_at").type.time_unit == "us"
    assert table.column("value").to_pylist() == [7, None]
    assert table.column("taken_at").to_pylist()[0].timestamp() == BEGIN + 5
    assert [table.column(name).to_pylist() for name in ("owner", "partition")] == [["a", "a"], [0, 1]]


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"taken_at,cycle\n", b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_no_parquet_is_said(db: None, tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("arro3.io", reason="the extra parquet is not installed")
    Recorder()
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=r"broken\.parquet: not read as Parquet"):
        call_command("history", "import", "demo", "end", "--file", str(path))


def test_other_columns_are_named(db: None, tmp_path: Path) -> None:
    arro3 = pytest.importorskip("arro3.io", reason="the extra parquet is not installed")
    core = pytest.importorskip("arro3.core")
    Recorder()
    path = tmp_path / "other.parquet"
    arro3.write_parquet(core.Table.from_pydict({"cycle": core.Array([1], core.DataType.int64())}), path)
    with pytest.raises(CommandError, match="no column taken_at, owner, topic, partition, value"):
        call_command("history", "import", "demo", "end", "--file", str(path))


@pytest.mark.parametrize("action", ["export", "import"])
def test_without_the_library_the_command_says_what_to_install(
    db: None, tmp_path: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, path = Recorder(), tmp_path / "end.parquet"
    if action == "export":
        recorder.write({Kind.END: topics({"a": [7]})})
    else:
        path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "arro3", None)
    with pytest.raises(CommandError, match="arro3-core and arro3-io, the extra “parquet”"):
        call_command("history", action, "demo", "end", "--file", str(path))
