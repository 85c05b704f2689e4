"""Serves the plotly.min.js that plotly.py itself carries, so that bundle and figures are always of one version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

NAME = "plotly/plotly.min.js"


class PlotlyFinder(BaseFinder):
    """Finds one file: `plotly/plotly.min.js`, in plotly's package data."""

    def __init__(self, app_names: object = None, *args: Any, **kwargs: Any) -> None:
        self.storage = FileSystemStorage(location=bundle_path().parent)
        self.storage.prefix = "plotly"  # type: ignore[attr-defined]  # collectstatic puts it before each path
        super().__init__(*args, **kwargs)

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """Absolute path of the bundle when it is asked for (Django's older name for `find_all` is in kwargs)."""
        if path != NAME:
            return []
        found = str(bundle_path())
        return [found] if find_all or kwargs.get("all") else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        yield bundle_path().name, self.storage


def bundle_path() -> Path:
    """Where the installed plotly keeps its bundle; found without importing the package, which takes a second."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package plotly is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / "package_data" / "plotly.min.js"
