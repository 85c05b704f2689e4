"""Lists on the server: sort, filter, search and page by what the address says, worst first unless told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Row = TypeVar("Row")

PAGE_ROWS = 50
LONGEST_SEARCH = 200
SPARK = "~"


@dataclass(frozen=True, slots=True)
class ListState:
    """What a list shows. `sort` is a key of the page's columns; a leading "-" means descending."""

    sort: str
    search: str
    show: str
    page: int

    @property
    def key(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def is_descending(self) -> bool:
        return self.sort.startswith("-")


def read_state(
    params: Mapping[str, str], *, columns: Sequence[str], default_sort: str, shows: Sequence[str]
) -> ListState:
    """The state of a list; what cannot be read is as if it had not been given."""
    sort = params.get("sort", "")
    page = params.get("page", "1")
    show = params.get("show", "")
    return ListState(
        sort=sort if sort.removeprefix("-") in columns else default_sort,
        search=params.get("q", "")[:LONGEST_SEARCH].strip(),
        show=show if show in shows else shows[0],
        page=min(max(1, int(page)), 10**6) if page.isascii() and page.isdigit() and len(page) < 8 else 1,
    )


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    rows: list[Row]
    number: int
    total: int
    found: int

    @property
    def first(self) -> int:
        return (self.number - 1) * PAGE_ROWS + 1 if self.found else 0

    @property
    def last(self) -> int:
        return min(self.number * PAGE_ROWS, self.found)

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // PAGE_ROWS))

    @property
    def previous(self) -> int | None:
        return self.number - 1 if self.number > 1 else None

    @property
    def next(self) -> int | None:
        return self.number + 1 if self.number < self.pages else None


def arrange(
    rows: Sequence[Row],
    state: ListState,
    *,
    name: Callable[[Row], str],
    keys: Mapping[str, Callable[[Row], Any]],
    wanted: Callable[[Row, str], bool | None],
) -> Page[Row]:
    """Filter, sort, cut. Rows whose key is None (unknown) come last in both directions."""
    needle = state.search.casefold()
    found = [row for row in rows if wanted(row, state.show) and (not needle or needle in name(row).casefold())]
    found.sort(key=lambda row: name(row).casefold())
    of = keys[state.key]
    known = [row for row in found if of(row) is not None]
    unknown = [row for row in found if of(row) is None]
    known.sort(key=of, reverse=state.is_descending)
    found = known + unknown
    pages = max(1, -(-len(found) // PAGE_ROWS))
    number = min(state.page, pages)
    return Page(found[(number - 1) * PAGE_ROWS : number * PAGE_ROWS], number, len(rows), len(found))


def tabs(
    rows: Sequence[Row], shows: Mapping[str, str], *, wanted: Callable[[Row, str], bool | None], is_known: bool
) -> list[tuple[str, str, int | None]]:
    """(key, label, number of rows) of each of `shows`; rows of which it is not known (None) are not counted.

    The number is None where it is known of no row, and where nobody knows yet which rows there are (not `is_known`).
    """
    out: list[tuple[str, str, int | None]] = []
    for key, label in shows.items():
        told = [answer for row in rows if (answer := wanted(row, key)) is not None]
        out.append((key, label, sum(told) if is_known and (told or not rows) else None))
    return out


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's head: what a click sorts by, and how it is sorted now."""

    key: str
    label: str
    is_number: bool
    sort: str  # the value of ?sort= that a click asks for; "" when it cannot be sorted
    aria: str  # "ascending", "descending" or ""
    title: str = ""
    is_spark: bool = False


def headings(state: ListState, columns: Sequence[tuple[str, str, bool, str]]) -> list[Heading]:
    """`columns`: (key, label, is a number, title); the key is "" where nothing sorts, SPARK for a sparkline.

    Numbers sort from the top first.
    """
    out = []
    for key, label, is_number, title in columns:
        aria = "" if key != state.key or not key else "descending" if state.is_descending else "ascending"
        first, second = (f"-{key}", key) if is_number else (key, f"-{key}")
        is_spark = key == SPARK
        sort = "" if is_spark or not key else second if state.sort == first else first
        out.append(Heading(key, label, is_number, sort, aria, title, is_spark))
    return out
