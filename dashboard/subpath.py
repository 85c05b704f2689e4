"""Templates write addresses as from the root; this loader puts the sub-path of STREAMGAUGE_PUBLIC_URL before them."""

from __future__ import annotations

import re

from django.conf import settings
from django.template.base import Origin
from django.template.loaders.filesystem import Loader

# Only what a template's author wrote is changed, when it is loaded: never anything that comes from data.
_ROOTED = re.compile(r"""((?:href|src|action|formaction|hx-get|hx-post|hx-delete|data-socket|data-src)=["'])/(?!/)""")


class SubPathLoader(Loader):
    def get_contents(self, origin: Origin) -> str:
        text: str = super().get_contents(origin)
        return _ROOTED.sub(rf"\g<1>{settings.SUB_PATH}/", text) if settings.SUB_PATH else text
