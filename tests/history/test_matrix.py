"""The codec of blocks: what goes in comes out, damage is told, and bytes of version 1 stay readable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collectors.history import matrix
from collectors.history.codec import BadBodyError
from collectors.history.matrix import Matrix

FIXTURE = Path(__file__).parent / "fixtures" / "matrix-v1.bin"
LEAST, MOST = -(2**63), 2**63 - 1
NUMBERS = st.one_of(st.integers(LEAST, MOST), st.integers(-300, 300), st.sampled_from([LEAST, MOST, 0, -1, 255, 256]))


def made(rows: list[list[int | None]], absent: set[tuple[int, int]] = frozenset()) -> Matrix:  # type: ignore[assignment]  # never changed
    known = np.array([[value is not None for value in row] for row in rows], dtype=np.bool_).reshape(len(rows), -1)
    values = np.array([[value or 0 for value in row] for row in rows], dtype=np.int64).reshape(known.shape)
    present = np.ones(known.shape, dtype=np.bool_)
    for row, column in absent:
        present[row, column] = known[row, column] = False
        values[row, column] = 0
    return Matrix(values, known, present)


def same(found: Matrix, expected: Matrix) -> bool:
    return all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in ("values", "known", "present"))


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    rows, columns = draw(st.integers(0, 6)), draw(st.integers(0, 9))
    cells = [[draw(st.one_of(st.none(), NUMBERS)) for _ in range(columns)] for _ in range(rows)]
    if not rows or not columns:
        empty = np.zeros((rows, columns), dtype=np.int64)
        there = np.ones((rows, columns), dtype=np.bool_)
        return Matrix(empty, there, there)
    absent = draw(st.sets(st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1))))
    return made(cells, absent)


@given(matrices(), st.booleans())
@example(made([[LEAST, MOST, LEAST], [MOST, LEAST, MOST]]), True)
@example(made([[None, None], [None, 5], [5, None]]), True)
def test_what_goes_in_comes_out(given_: Matrix, differences: bool) -> None:
    opened = matrix.open_body(matrix.encode(given_, differences=differences))
    assert same(matrix.decode(opened), given_)
    for row in range(given_.values.shape[0]):
        one = matrix.decode(opened, np.array([row], dtype=np.int64))
        assert same(one, Matrix(*(getattr(given_, name)[row : row + 1] for name in ("values", "known", "present"))))


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(-1, 2**31 - 1)), min_size=1, max_size=9))
@example([("\ud800 half", 0), ("\0", 2**31 - 1)])
def test_names_of_rows_come_out(pairs: list[tuple[str, int]]) -> None:
    body = matrix.encode(made([[1]] * len(pairs)), pairs=pairs)
    assert matrix.open_body(body).pairs == pairs


@given(st.data())
def test_any_damage_is_told(data: st.DataObject) -> None:
    body = matrix.encode(made([[1, 2, 3, None], [5, 5, 5, 5]], {(1, 2)}), pairs=[("a", 0), ("a", 1)])
    at = data.draw(st.integers(0, len(body) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(body)
    damaged[at] ^= 1 << bit
    for broken in (bytes(damaged), body[:at]):
        with pytest.raises(BadBodyError):
            matrix.decode(matrix.open_body(broken))


def test_a_younger_codec_is_named() -> None:
    body = bytearray(matrix.encode(made([[1]])))
    body[0] = 9
    with pytest.raises(BadBodyError, match="codec version 9, this program reads 1"):
        matrix.open_body(bytes(body))


FIXED = made(
    [
        [10**12 + i * i for i in range(40)],
        [None if i % 7 == 0 else 500 - 3 * i for i in range(40)],
        [0] * 40,
        [LEAST, MOST] * 20,
    ],
    {(2, i) for i in range(10)},
)
FIXED_PAIRS = [("orders", 0), ("orders", 1), ("zahlungen-ü", 0), ("\ud800", 7)]


def test_bytes_of_version_1_stay_readable() -> None:
    """The file was written by the first program that had blocks; it is never written again."""
    opened = matrix.open_body(FIXTURE.read_bytes())
    assert opened.pairs == FIXED_PAIRS
    assert same(matrix.decode(opened), FIXED)


def test_counters_take_less_than_a_byte_each() -> None:
    random = np.random.default_rng(5)
    rates = np.where(random.random(100) < 0.3, 0.0, random.lognormal(3.0, 1.5, 100) * 15.0)
    values = np.cumsum(random.poisson(rates[:, None], (100, 480)), axis=1, dtype=np.int64) + 10**9
    everywhere = np.ones(values.shape, dtype=np.bool_)
    assert len(matrix.encode(Matrix(values, everywhere, everywhere))) < 0.95 * values.size
