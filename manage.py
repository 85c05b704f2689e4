#!/usr/bin/env python3
"""Django's command line with Streamgauge's settings."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        import dashboard.settings  # noqa: F401 - a wrong variable is one sentence, not a traceback
    except (ValueError, ImproperlyConfigured) as error:
        print(f"streamgauge: {error}", file=sys.stderr)
        sys.exit(2)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
