"""One row of the fault table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`number` is that of facts/reliability.md; `proof` names tests as "room/test_file.py::test_name" below tests/.

    `miss` says what of the row cannot be made or seen here, and why; a row without any proof has nothing else.
    """

    number: str
    fault: str
    made: str
    seen: str
    proof: tuple[str, ...] = ()
    miss: str = ""
