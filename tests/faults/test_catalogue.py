"""The fault table is whole, and every proof that it names is a test."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from .catalogue import PARTS, RANGES, Row
from .catalogue.markdown import README, as_markdown

TESTS = Path(__file__).resolve().parents[1]
ROWS = [row for rows in PARTS.values() for row in rows]


@cache
def functions_in(file: Path) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def test_every_row_of_the_catalogue_is_in_the_table_once_and_in_order() -> None:
    wanted = [f"{letter}{number}" for letter, count in RANGES.items() for number in range(1, count + 1)]
    found = Counter(row.number for row in ROWS)
    assert [number for number in wanted if found[number] != 1] == []
    assert [row.number for row in ROWS] == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_a_row_names_tests_that_are_there_or_says_why_there_is_none(row: Row) -> None:
    assert row.fault
    assert row.proof or row.miss
    assert not row.proof or (row.made and row.seen)
    for proof in row.proof:
        file, _, name = proof.partition("::")
        assert (TESTS / file).is_file(), proof
        assert name in functions_in(TESTS / file), proof


def test_the_table_for_people_is_up_to_date() -> None:
    assert README.read_text(encoding="utf-8") == as_markdown(), "run python -m tests.faults.catalogue"
