"""Addresses of sockets: one."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import path, re_path

from dashboard.live.consumer import LiveConsumer
from dashboard.live.origin import refuse

# Without the last line an unknown address is a traceback and a 500.
websocket_router = URLRouter([path("ws/", LiveConsumer.as_asgi()), re_path(r"", refuse)])  # type: ignore[arg-type]  # ASGI, not a view
