"""Runs every bench, prints its table, writes `<data folder>/bench/<name>.json`."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

NAMES = ("cycle", "history_frames", "metrics_page")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()
    from django.conf import settings

    folder = Path(settings.DATA_DIR) / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or NAMES:
        lines = importlib.import_module(f"tests.bench.{name}").run()
        (folder / f"{name}.json").write_text(json.dumps(lines, indent=1))
        print(f"\n{name}")
        for line in lines:
            met = "" if line["met"] is None else ("met" if line["met"] else "NOT MET")
            print(
                f"  {line['line']:<60} {line['value']:>12} {line['unit']:<16} baseline {line['baseline']}"
                f" ratio {line['ratio']} goal {line['goal']} {met}"
            )


if __name__ == "__main__":
    main()
