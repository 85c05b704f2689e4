"""Hints that something is new: a direct call in one process, one channel-layer message with Redis. They may be lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings

from .hub import Hub, get_hub

log = logging.getLogger(__name__)

GROUP = "streamgauge.hints"
RETRY_SECONDS = 5.0


def announce(kind: str, data: Mapping[str, Any]) -> None:
    """Tell the hubs of all web processes to look now. Never raises: who misses it looks 2 s later."""
    get_hub().hint(data.get("cluster"))
    if not settings.REDIS_URL:
        return
    try:
        async_to_sync(get_channel_layer().group_send)(GROUP, {"type": "hint", "kind": kind})
    except Exception as error:  # noqa: BLE001 - Redis away is a normal event, and a hint is worth nothing more
        log.debug("hint not sent: %s", error)


async def listen(hub: Hub) -> None:
    """The one subscription of a web process; runs for ever, Redis may come and go."""
    while True:
        try:
            layer = get_channel_layer()
            channel = await layer.new_channel()
            await layer.group_add(GROUP, channel)
            while True:
                await layer.receive(channel)
                hub.hint()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            log.info("hints not heard: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
