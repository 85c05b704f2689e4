"""Runs every bench, or those named, prints its table, writes `<data folder>/bench/<name>.json`."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

BENCHES = {
    "history": ("history", ()),
    "history_frames": ("history_frames", ()),
    "metrics_page": ("metrics_page", ()),
    "pages": ("pages", ()),
    "decide": ("decide", ()),
    "commit-tail": ("commit_tail", ()),
    "cycle-demo": ("cycle", ("demo",)),
    "cycle-large": ("cycle", ("large",)),
    "served-demo": ("served", ("demo",)),
    "served-large": ("served", ("large",)),
}
ALONE = {"truth": ("truth", ()), "truth-slow": ("truth", ("slow",))}
"""Not part of every run: they prove and do not measure, and take five and twelve minutes."""


def main() -> None:
    wanted = sys.argv[1:] or list(BENCHES)
    every = BENCHES | ALONE
    if unknown := [name for name in wanted if name not in every]:
        raise SystemExit(f"no such bench: {', '.join(unknown)}; there are {', '.join(every)}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()
    from django.conf import settings

    from .lines import table

    folder = Path(settings.DATA_DIR) / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        module, arguments = every[name]
        lines = importlib.import_module(f"tests.bench.{module}").run(*arguments)
        (folder / f"{name}.json").write_text(json.dumps(lines, indent=1))
        print(table(name, lines), flush=True)


if __name__ == "__main__":
    main()
