"""`manage.py signinlink`: print a sign-in link."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.access import audit, links
from dashboard.models import Role

ROLES = {role.label: role for role in Role}


class Command(BaseCommand):
    help = "Print a one-time sign-in link (valid for 24 hours); it is spent by the button on its page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default="admin", help="whom the link signs in; made when not there (admin)")
        parser.add_argument("--role", choices=sorted(ROLES), help="set the person's role (a new one is admin)")
        parser.add_argument("--port", type=int, default=None, help="port of the address (STREAMGAUGE_PORT)")
        parser.add_argument("--base-url", default=None, help="what stands before /signin/ (STREAMGAUGE_PUBLIC_URL)")
        parser.add_argument(
            "--reusable-until-exit", action="store_true", help="for the demo on loopback: works until the demo ends"
        )

        parser.add_argument("--revoke-reusable", action="store_true", help="end the demo's links; makes none")

    def handle(self, *args: Any, **options: Any) -> str:
        if options["revoke_reusable"]:
            ended = links.revoke_reusable()
            if ended:
                audit.record("command line", "sign-in link revoked", "of the demo")
            return f"{ended} ended"
        here = f"http://{address_host(settings.HOST)}:{options['port'] or settings.PORT}{settings.SUB_PATH}"
        base_url = options["base_url"] or settings.PUBLIC_URL or here
        if not base_url.startswith(("http://", "https://")):
            raise CommandError(f"--base-url must begin with http:// or https://, not {base_url!r}")
        role = ROLES[options["role"]] if options["role"] else None
        try:
            link = links.issue(
                user=options["user"], role=role, base_url=base_url, reusable=options["reusable_until_exit"]
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        audit.record("command line", "sign-in link issued", options["user"])
        return link


def address_host(bound: str) -> str:
    """The host to type for an address that a server is bound to: a wildcard becomes this machine."""
    if bound in ("", "0.0.0.0", "::", "[::]"):
        return "127.0.0.1"
    return f"[{bound}]" if ":" in bound and not bound.startswith("[") else bound
