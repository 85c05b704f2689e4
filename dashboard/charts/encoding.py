"""A chart on its way to a reader: as JSON for people and scripts, as columns of bytes for the page's script; pure.

Columns, version 1, all little-endian: the bytes `SGC1`; uint32, the length in bytes of what follows it up to the
columns; JSON, padded with spaces so that the columns begin at a multiple of 8; then the columns one after the other,
float64, NaN where nothing is known. In the JSON, `columns` holds their lengths (numbers, not bytes), and wherever an
array belongs there is `{"column": i}`; several places may name one column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from .figures import Chart, Json, described

MAGIC = b"SGC1"
COLUMNS_TYPE = "application/vnd.streamgauge.columns"
_HEAD_BYTES = 8


def chart_json(chart: Chart) -> Json:
    """The chart with arrays as lists, None where nothing is known; whole numbers stay whole."""
    found: Json = _each_array(described(chart), _listed)
    return found


def chart_columns(chart: Chart) -> bytes:
    """The chart as the module says; about half the bytes of JSON, and nothing to parse."""
    columns: list[np.ndarray] = []
    places: dict[int, int] = {}

    def placed(array: np.ndarray) -> Json:
        if id(array) not in places:
            places[id(array)] = len(columns)
            columns.append(array)
        return {"column": places[id(array)]}

    whole = _each_array(described(chart), placed)
    head = orjson.dumps({**whole, "columns": [len(column) for column in columns]})
    head += b" " * (-(len(head) + _HEAD_BYTES) % 8)
    bodies = [np.ascontiguousarray(column, dtype="<f8").tobytes() for column in columns]
    return b"".join([MAGIC, len(head).to_bytes(4, "little"), head, *bodies])


def _each_array(value: Any, turn: Any) -> Any:
    if isinstance(value, np.ndarray):
        return turn(value)
    if isinstance(value, dict):
        return {key: _each_array(part, turn) for key, part in value.items()}
    return [_each_array(part, turn) for part in value] if isinstance(value, list) else value


def _listed(array: np.ndarray) -> list[float | None]:
    unknown = np.isnan(array)
    known = array[~unknown]
    is_whole = bool((known == np.trunc(known)).all()) and bool((np.abs(known) < 2.0**53).all())
    numbers = np.where(unknown, 0, array).astype(np.int64).tolist() if is_whole else array.tolist()
    return [None if gone else number for number, gone in zip(numbers, unknown.tolist(), strict=True)]
