"""The hub, turn by turn, with a reader that answers from memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from dashboard.live import hub as hub_module
from dashboard.live.hub import Hub
from dashboard.live.outlet import EVENTS_KEPT, Outlet
from dashboard.live.reading import Head, Update
from dashboard.live.sentences import STALE_SECONDS
from dashboard.live.wire import Position, Subject

from .fake import FakeReader


class Page:
    """A socket without a network: `frames` takes what would be sent now."""

    def __init__(self, session: str = "session") -> None:
        self.outlet = Outlet(asyncio.get_running_loop(), session_key=session)
        self.number = 0

    async def frames(self) -> list[dict[str, Any]]:
        await asyncio.sleep(0)  # deliveries come by call_soon
        out = []
        while self.outlet.has_something:
            self.number += 1
            out.append(orjson.loads(self.outlet.next_frame(self.number, 1.0)))
        return out

    async def rows(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for frame in await self.frames():
            merged |= frame.get("rows", {})
        return merged

    async def items(self) -> list[Any]:
        return [item["id"] for frame in await self.frames() if frame["t"] == "events" for item in frame["items"]]


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader()


@pytest.fixture
def hub(reader: FakeReader) -> Hub:
    return Hub(reader)


async def test_a_page_that_joins_gets_the_present_state_and_its_position(hub: Hub, reader: FakeReader) -> None:
    reader.fire(7)
    page = Page()
    hub.join(page.outlet, ["g/demo/a", "alerts", "g/demo/gone"], None)
    hub.turn()
    events, state = await page.frames()
    assert (events["t"], events["seq"], events["items"], events["reload"]) == ("events", "7.0", [], False)
    assert state["rows"] == {"g/demo/a": {"lag": 1}, "g/demo/gone": None, "alerts": {"firing": 0}}
    assert state["clusters"] == {"demo": {"cycle": 1, "taken_at": 1001.0, "interval": 5.0}}


async def test_when_no_cycle_comes_any_more_pages_are_told_once_what_is_known_then(
    hub: Hub, reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = False
    monkeypatch.setattr(hub_module, "is_stale", lambda taken_at, interval, moment: old)
    page, later = Page(), Page()
    hub.join(page.outlet, ["g/demo/a", "g/demo"], None)
    hub.turn()
    await page.frames()
    reader.rows["g/demo/a"], reader.prints["g/demo"], old = {"lag": None}, 2, True
    reader.asked.clear()
    hub.turn()
    hub.turn()
    assert len(reader.asked) == 1
    (frame,) = await page.frames()
    assert (frame["rows"], frame["hint"]) == ({"g/demo/a": {"lag": None}}, ["g/demo"])
    hub.join(later.outlet, ["g/demo/a"], None)
    hub.turn()
    assert (await later.rows())["g/demo/a"] == {"lag": None}
    reader.cycle, reader.rows["g/demo/a"], old = 2, {"lag": 5}, False
    hub.turn()
    assert await page.rows() == {"g/demo/a": {"lag": 5}}


async def test_rows_that_become_too_old_while_they_are_read_are_read_once_more(
    hub: Hub, reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1001.0 + STALE_SECONDS - 0.1
    monkeypatch.setattr("dashboard.live.hub.time.time", lambda: clock)
    read = reader.update

    def slowly(head: Head, subjects: Sequence[Subject]) -> Update:
        nonlocal clock
        found = read(head, subjects)
        clock += 0.2
        return found

    monkeypatch.setattr(reader, "update", slowly)
    page = Page()
    hub.join(page.outlet, ["g/demo/a"], None)
    hub.turn()
    await page.frames()
    reader.rows["g/demo/a"] = {"lag": None}
    hub.turn()
    assert await page.rows() == {"g/demo/a": {"lag": None}}


async def test_a_new_cycle_is_read_once_and_reaches_every_page_that_shows_it(hub: Hub, reader: FakeReader) -> None:
    pages = [Page() for _ in range(3)]
    for page in pages:
        hub.join(page.outlet, ["g/demo/a"], None)
    hub.turn()
    for page in pages:
        await page.frames()
    reader.cycle, reader.rows["g/demo/a"] = 2, {"lag": 5}
    reader.asked.clear()
    hub.turn()
    hub.turn()
    assert reader.asked == [["g/demo/a"]]
    assert [await page.rows() for page in pages] == [{"g/demo/a": {"lag": 5}}] * 3


async def test_what_nobody_shows_is_not_read(hub: Hub, reader: FakeReader) -> None:
    page = Page()
    hub.join(page.outlet, ["g/demo/a", "c/demo"], None)
    hub.turn()
    hub.subscribe(page.outlet, ["c/demo"])
    reader.cycle = 2
    reader.asked.clear()
    hub.turn()
    hub.leave(page.outlet)
    reader.cycle = 3
    hub.turn()
    assert reader.asked == [["c/demo"], []]
    assert hub.sockets == 0


async def test_a_later_subscription_is_answered_without_waiting_for_a_cycle(hub: Hub, reader: FakeReader) -> None:
    page = Page()
    hub.join(page.outlet, ["g/demo/a"], None)
    hub.turn()
    await page.frames()
    hub.subscribe(page.outlet, ["g/demo/a", "c/demo"])
    hub.turn()
    assert await page.rows() == {"c/demo": {"verdict": "ok"}}


async def test_newer_state_replaces_older_in_a_page_that_is_slow(hub: Hub, reader: FakeReader) -> None:
    page = Page()
    hub.join(page.outlet, ["g/demo/a", "c/demo"], None)
    for cycle in range(1, 50):
        reader.cycle, reader.rows["g/demo/a"] = cycle, {"lag": cycle}
        hub.turn()
    frames = [frame for frame in await page.frames() if frame["t"] == "state"]
    assert len(frames) == 1
    assert frames[0]["rows"]["g/demo/a"] == {"lag": 49}


async def test_rows_that_came_or_went_are_a_hint_to_those_who_show_the_list(hub: Hub, reader: FakeReader) -> None:
    lists, other = Page(), Page()
    hub.join(lists.outlet, ["g/demo"], None)
    hub.join(other.outlet, ["c/demo"], None)
    hub.turn()
    assert all(not frame.get("hint") for frame in await lists.frames())
    await other.frames()
    reader.cycle, reader.prints = 2, {"g/demo": 2}
    hub.turn()
    assert [frame["hint"] for frame in await lists.frames()] == [["g/demo"]]
    assert [frame["hint"] for frame in await other.frames()] == [[]]


async def test_events_reach_each_page_once_also_when_a_lower_id_is_committed_later(
    hub: Hub, reader: FakeReader
) -> None:
    page = Page()
    hub.join(page.outlet, ["c/demo"], None)
    hub.turn()
    await page.frames()
    reader.fire(12)
    hub.turn()
    reader.fire(11)
    reader.mark(3)
    hub.turn()
    hub.turn()
    assert await page.items() == [12, 11, 3]


async def test_marks_stay_with_the_pages_of_their_cluster_and_alerts_go_everywhere(
    hub: Hub, reader: FakeReader
) -> None:
    page = Page()
    hub.join(page.outlet, ["alerts"], None)
    hub.turn()
    await page.frames()
    reader.mark(1)
    reader.fire(2)
    hub.turn()
    assert await page.items() == [2]


async def test_a_page_that_comes_back_gets_exactly_what_it_missed(hub: Hub, reader: FakeReader) -> None:
    for id in range(1, 6):
        reader.fire(id)
        reader.mark(id + 100)
    page = Page()
    hub.join(page.outlet, ["c/demo"], Position(3, 104))
    hub.turn()
    assert sorted(await page.items()) == [4, 5, 105]


@pytest.mark.parametrize(
    "since",
    [
        pytest.param(Position(100, 0), id="older than the ring"),
        pytest.param(Position(5000, 0), id="from the future, or from another database"),
        pytest.param(Position(1200, 9), id="a mark from the future"),
    ],
)
async def test_a_page_beyond_the_ring_is_told_to_fetch_again(hub: Hub, reader: FakeReader, since: Position) -> None:
    for id in range(1, 1201):
        reader.fire(id)
    page = Page()
    hub.join(page.outlet, ["c/demo"], since)
    hub.turn()
    events = (await page.frames())[0]
    assert (events["reload"], events["items"], events["seq"]) == (True, [], "1200.0")


async def test_the_ring_stays_bounded_and_knows_its_end(hub: Hub, reader: FakeReader) -> None:
    hub.turn()
    for id in range(1, 701):
        reader.fire(id)
        if id % 100 == 0:
            hub.turn()
    old, new = Page(), Page()
    hub.join(old.outlet, ["c/demo"], Position(199, 0))
    hub.join(new.outlet, ["c/demo"], Position(690, 0))
    hub.turn()
    assert (await old.frames())[0]["reload"] is True
    assert await new.items() == list(range(691, 701))


async def test_a_page_that_cannot_keep_up_with_events_is_told_to_fetch_again(hub: Hub, reader: FakeReader) -> None:
    page = Page()
    hub.join(page.outlet, ["c/demo"], None)
    hub.turn()
    await page.frames()
    for id in range(1, EVENTS_KEPT + 20):
        reader.fire(id)
        hub.turn()
    events = (await page.frames())[0]
    assert events["reload"] is True
    assert len(events["items"]) < EVENTS_KEPT


async def test_an_alert_changes_the_bell_at_once(hub: Hub, reader: FakeReader) -> None:
    page = Page()
    hub.join(page.outlet, ["alerts"], None)
    hub.turn()
    await page.frames()
    reader.firing = 1
    reader.fire(1)
    hub.turn()
    assert await page.rows() == {"alerts": {"firing": 1}}
    reader.firing = 0  # acknowledged or resolved without a transition: the hint says so
    hub.hint_events()
    hub.turn()
    assert await page.rows() == {"alerts": {"firing": 0}}


async def test_a_turn_that_fails_half_way_owes_nobody_anything(hub: Hub, reader: FakeReader) -> None:
    old, new = Page(), Page()
    hub.join(old.outlet, ["g/demo/a"], None)
    hub.turn()
    await old.frames()
    reader.cycle, reader.rows["g/demo/a"] = 2, {"lag": 9}
    reader.fire(1)
    hub.join(new.outlet, ["g/demo/a"], Position(0, 0))
    reader.fails_next = 1
    with pytest.raises(RuntimeError):
        hub.turn()
    hub.turn()
    assert [frame["t"] for frame in await old.frames()] == ["events", "state"]
    frames = await new.frames()
    assert [item["id"] for item in frames[0]["items"]] == [1]
    assert frames[1]["rows"] == {"g/demo/a": {"lag": 9}}


async def test_a_cluster_that_is_removed_leaves_rows_that_say_so(hub: Hub, reader: FakeReader) -> None:
    page = Page()
    hub.join(page.outlet, ["c", "c/demo"], None)
    hub.turn()
    await page.frames()
    reader.has_cluster = False
    hub.turn()
    assert [frame["hint"] for frame in await page.frames()] == [["c"]]


async def test_a_session_that_ends_closes_its_sockets_only(
    hub: Hub, reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SESSIONS_SECONDS", 0.0)
    here, there = Page("session"), Page("elsewhere")
    for page in (here, there):
        hub.join(page.outlet, ["c/demo"], None)
    hub.turn()
    await asyncio.sleep(0)
    assert (here.outlet.is_signed_out, there.outlet.is_signed_out) == (False, True)


async def test_the_thread_looks_by_itself_goes_on_after_a_failure_and_stops(
    reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "LOOK_SECONDS", 0.02)
    hub, page = Hub(reader), Page()
    reader.fails_next = 2
    hub.start()
    hub.join(page.outlet, ["g/demo/a"], None)
    await asyncio.wait_for(page.outlet.something.wait(), 5)
    assert (await page.rows())["g/demo/a"] == {"lag": 1}
    reader.cycle, reader.rows["g/demo/a"] = 2, {"lag": 2}  # no hint is given
    await asyncio.wait_for(page.outlet.something.wait(), 5)
    assert hub.is_running
    await asyncio.to_thread(hub.stop)
    assert not hub.is_running
