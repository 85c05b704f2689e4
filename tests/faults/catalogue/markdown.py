"""The table as people read it: tests/faults/README.md."""

from __future__ import annotations

from pathlib import Path

from . import PARTS
from .row import Row

README = Path(__file__).resolve().parents[1] / "README.md"
HEAD = """# Bad days

Written by `python -m tests.faults.catalogue` from the tables in `catalogue/`; a test keeps both equal. Numbers are the
rows of the catalogue of faults and bad inputs that the project works from. *Made*: how the fault is brought about.
*Seen*: what must be seen. *Proof*: the tests, below `tests/`; those marked `long` run in `make test-long`. In every
row: no traceback, no HTTP 500, no zero for what is not known, nothing written to Kafka.
"""


def as_markdown() -> str:
    parts = [HEAD]
    for title, rows in PARTS.items():
        parts.append(f"\n## {title}\n\n| # | fault | made | seen | proof |\n|---|---|---|---|---|\n")
        parts += [_line(row) for row in rows]
    missed = [row for rows in PARTS.values() for row in rows if row.miss]
    parts.append("\n## Not made here, or not wholly\n\n| # | why |\n|---|---|\n")
    parts += [f"| {row.number} | {_cell(row.miss)} |\n" for row in missed]
    return "".join(parts)


def _line(row: Row) -> str:
    proof = "<br>".join(f"`{one}`" for one in row.proof) or "see below"
    return f"| {row.number} | {_cell(row.fault)} | {_cell(row.made)} | {_cell(row.seen)} | {proof} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
