"""The ASGI application: HTTP by Django, /ws/ by the live room."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
http = get_asgi_application()  # sets Django up: what follows imports models

from dashboard.access.proxy import BehindProxy  # noqa: E402 - see above
from dashboard.live.origin import SameOrigin  # noqa: E402 - see above
from dashboard.routing import websocket_router  # noqa: E402 - see above

application = BehindProxy(
    ProtocolTypeRouter({"http": http, "websocket": SameOrigin(AuthMiddlewareStack(websocket_router))})
)
