"""Web, collectors, scheduler and alerts in one process, without Redis."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

log = logging.getLogger(__name__)

PORTS_TRIED = 50
        self.server.run()
        self.on_stopping()
        self._stop_threads()
