"""What a page asks of the collector: hints in the database, which no page waits for or fails by."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError, InterfaceError

from collectors import storage
from collectors.domain.topology import GroupType
from collectors.models import Group

from .errors import is_database_away

log = logging.getLogger(__name__)

BUSY_SECONDS = 0.1
"""Whoever else writes has the database's lock for a few milliseconds, or for so long that people should not wait."""


def want_head(group: Group, *, now: datetime) -> None:
    """Ask that the head of a group's backlog be read while its page is looked at: one write each half minute."""
    if group.type == GroupType.SHARE or not group.may_want_head(now):
        return
    try:
        with storage.hurried(BUSY_SECONDS):
            Group.objects.filter(pk=group.pk).want_heads(now)
    except (DatabaseError, InterfaceError) as error:
        if not is_database_away(error):
            raise
        log.info("head not asked for group=%r reason=%s", group.name, storage.why(error))
