"""Hints that something was stored: straight to this process's hub, and with Redis to every other's."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from channels.layers import get_channel_layer
from django.conf import settings

if TYPE_CHECKING:
    from dashboard.live.hub import Hub

log = logging.getLogger(__name__)

GROUP = "streamgauge.hints"
CYCLE = "cycle"
SEND_SECONDS = 2.0
MOST_WAITING = 20
"""Hints that wait while Redis does not answer; more are dropped, since a hub looks by itself anyway."""

_here: list[Hub] = []


def announce(kind: str, data: Mapping[str, Any]) -> None:
    """Tell the hubs that a `cycle` (data: cluster), an `alert` or a `delivery` was stored. Never blocks or raises."""
    for hub in list(_here):
        _tell(hub, kind, data)
    if settings.REDIS_URL:
        _publisher.send({"type": "hint", "kind": kind, "cluster": data.get("cluster")})


def attach(hub: Hub) -> None:
    """From now on this process's hints go straight to this hub."""
    _here.append(hub)


def detach(hub: Hub) -> None:
    if hub in _here:
        _here.remove(hub)


def _tell(hub: Hub, kind: str, data: Mapping[str, Any]) -> None:
    if kind == CYCLE:
        hub.hint(data.get("cluster"))
    else:
        hub.hint_events()


class _Publisher:
    """Sends from one daemon thread with a loop of its own.

    The sampler must not wait for Redis, and the pub/sub layer keeps its connections per loop: a loop for each
    message would connect each time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._failures = 0

    def send(self, message: dict[str, Any]) -> None:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="announcer", daemon=True).start()
            if self._waiting >= MOST_WAITING:
                return
            self._waiting += 1
        asyncio.run_coroutine_threadsafe(self._send(message), self._loop)

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await get_channel_layer().group_send(GROUP, message)
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - whatever Redis answers, a hint may be lost
            self._failures += 1
            if self._failures & (self._failures - 1) == 0:
                log.warning("hint not sent error=%r count=%s: pages are at most 2 s later", error, self._failures)
        finally:
            with self._lock:
                self._waiting -= 1


_publisher = _Publisher()


def listen(loop: asyncio.AbstractEventLoop, hub: Hub) -> None:
    """With Redis: hear the hints of other processes for as long as the loop runs, by one subscription."""
    if settings.REDIS_URL:
        asyncio.run_coroutine_threadsafe(_listen(hub), loop)


async def _listen(hub: Hub) -> None:
    pause = 1.0
    while True:
        try:
            layer = get_channel_layer()
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
            while True:
                message = await layer.receive(channel)
                pause = 1.0
                _tell(hub, str(message.get("kind")), message)
        except Exception as error:  # noqa: BLE001 - Redis comes and goes; the hub looks by itself meanwhile
            log.warning("hints of other processes not heard error=%r: next try in %.0f s", error, pause)
            await asyncio.sleep(pause)
            pause = min(30.0, pause * 2)
