"""The one place that knows the Parquet library: arro3 (Apache's arrow-rs), the optional extra `parquet`.

Of the libraries that write and read Parquet it is the smallest that needs nothing beside it (12 MB of wheels; pyarrow
55 MB, duckdb 25 MB, fastparquet 2 MB and pandas), works batch by batch, and comes as one wheel for all Pythons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

NAMES = ("taken_at", "cycle", "owner", "topic", "partition", "value")
ROWS_AT_ONCE = 20_000

MAGIC = b"PAR1"


class MissingError(RuntimeError):
    """The library is not installed; the message says what installs it."""


class BadFileError(ValueError):
    """What is no Parquet file, or none of these columns."""


class Columns(NamedTuple):
    """Some rows, column by column, all of one length."""

    taken_at: list[int]  # unix microseconds
    cycle: list[int]
    owner: list[str | None]
    topic: list[str | None]
    partition: list[int | None]
    value: list[int | None]


def write(path: Path, parts: Iterable[Columns]) -> None:
    """A file of the columns NAMES, zstd; taken_at is a timestamp in UTC. `parts` are taken one by one."""
    core, io = _library()
    types = _types(core)
    schema = core.Schema([core.Field(name, kind) for name, kind in zip(NAMES, types, strict=True)])

    def batches() -> Iterator[Any]:
        for some in _joined(parts):
            arrays = [core.Array(some[0], core.DataType.int64()).cast(types[0])]
            arrays += [core.Array(values, kind) for values, kind in zip(some[1:], types[1:], strict=True)]
            yield core.RecordBatch(arrays, schema=schema)

    io.write_parquet(core.RecordBatchReader.from_batches(schema, batches()), path, compression="zstd(3)")


def read(path: Path) -> Iterator[Columns]:
    """The rows of such a file, batch by batch; BadFileError for what is none."""
    core, io = _library()
    with path.open("rb") as file:
        begin = file.read(4)
        file.seek(max(0, path.stat().st_size - 4))
        if (begin, file.read()) != (MAGIC, MAGIC):
            raise BadFileError("not read as Parquet: it does not begin and end with PAR1")
    try:
        reader = io.read_parquet(path, batch_size=ROWS_AT_ONCE)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what arro3 makes of a damaged footer; it has no class to import
            raise
        raise BadFileError(f"not read as Parquet: {error}") from None
    missing = [name for name in NAMES if name not in reader.schema.names]
    if missing:
        raise BadFileError(f"no column {', '.join(missing)}; there have to be {', '.join(NAMES)}")
    types = _types(core)
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        columns = [batch.column(name).cast(kind) for name, kind in zip(NAMES, types, strict=True)]
        yield Columns(columns[0].cast(core.DataType.int64()).to_pylist(), *(one.to_pylist() for one in columns[1:]))


def _types(core: Any) -> list[Any]:
    kinds = core.DataType
    text, whole = kinds.utf8(), kinds.int64()
    return [kinds.timestamp("us", tz="UTC"), whole, text, text, kinds.int32(), whole]


def _joined(parts: Iterable[Columns]) -> Iterator[Columns]:
    """Small parts put together: a row group for each cycle would be a large file."""
    now = Columns([], [], [], [], [], [])
    for part in parts:
        now = Columns(*(whole + more for whole, more in zip(_lists(now), _lists(part), strict=True)))
        if len(now.cycle) >= ROWS_AT_ONCE:
            yield now
            now = Columns([], [], [], [], [], [])
    if now.cycle:
        yield now


def _lists(columns: Columns) -> tuple[list[Any], ...]:
    return tuple(columns)


def _library() -> tuple[Any, Any]:
    try:
        from arro3 import core, io
    except ImportError:
        raise MissingError(
            "Parquet needs a library that is not installed: arro3-core and arro3-io, the extra “parquet” of this "
            "package; or use CSV, a file whose name does not end in .parquet"
        ) from None
    return core, io
