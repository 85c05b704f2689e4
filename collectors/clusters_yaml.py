"""Clusters as code: `clusters.yaml` read with the line of everything, so that a mistake is told with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from .domain.scope import Scope, ScopeError
from .kafka.allowed import SECRET

MAX_BYTES = 1_000_000
MAX_CLUSTERS = 500
_KEYS = ("name", "slug", "interval", "properties", "properties_file", "topics", "groups", "commit_times")
_SWITCH = {"true": True, "false": False}
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class FileRefusedError(ValueError):
    """The file cannot be used; the text names file and line, quotes the value, and says what would be right."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cluster as written; `source` is what kafka.reading takes, or "" where `properties_file` is given."""

    where: str  # "clusters.yaml, line 3"
    name: str
    slug: str
    interval: float
    source: str | dict[str, str]
    properties_file: str
    scope: Scope
    commit_times: bool = False


def read_clusters(path: Path, environment: Mapping[str, str]) -> list[Entry]:
    """The clusters of a file. `${NAME}` within properties stands for a variable, so that secrets need not be in it."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8") if len(content) <= MAX_BYTES else ""
    except OSError as error:
        raise FileRefusedError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise FileRefusedError(f"{path} is not UTF-8 (byte {error.start})") from None
    if len(content) > MAX_BYTES:
        raise FileRefusedError(f"{path} has more than {MAX_BYTES} bytes")
    return _Reader(path.name, environment).read(text)


class _Reader:
    def __init__(self, file: str, environment: Mapping[str, str]) -> None:
        self.file = file
        self.environment = environment

    def read(self, text: str) -> list[Entry]:
        try:
            # nodes, not values: they know their lines, and nothing in them is more than text
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except RecursionError:
            raise FileRefusedError(f"{self.file}: it is nested too deep") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark is not None else ""
            problem = getattr(error, "problem", None) or "it cannot be read"
            raise FileRefusedError(f"{self.file}{line}: this is no YAML: {problem}") from None
        if root is None:
            return []
        top = self._mapping(root, "the file", ("clusters",))
        if "clusters" not in top:
            raise self._refused(root, "the file has no list of clusters: begin it with “clusters:”")
        listed = top["clusters"]
        if isinstance(listed, yaml.ScalarNode) and listed.value in ("", "~", "null"):
            return []
        items = self._items(listed, "clusters")
        if len(items) > MAX_CLUSTERS:
            raise self._refused(listed, f"{len(items)} clusters, at most {MAX_CLUSTERS}")
        return [self._cluster(node) for node in items]

    def _cluster(self, node: yaml.Node) -> Entry:
        fields = self._mapping(node, "a cluster", _KEYS)
        if "name" not in fields:
            raise self._refused(node, "name is missing: give the cluster a name")
        if ("properties" in fields) == ("properties_file" in fields):
            raise self._refused(node, "give either properties or properties_file")
        source: str | dict[str, str] = ""
        if "properties" in fields:
            source = self._properties(fields["properties"])
        interval = 5.0
        if "interval" in fields:
            given = self._text(fields["interval"], "interval")
            try:
                interval = float(given)
            except ValueError:
                raise self._refused(fields["interval"], f"interval {given!r}: use seconds, 1 to 300") from None
        return Entry(
            where=self._where(node),
            name=self._text(fields["name"], "name"),
            slug=self._text(fields["slug"], "slug") if "slug" in fields else "",
            interval=interval,
            source=source,
            properties_file=self._text(fields["properties_file"], "properties_file")
            if "properties_file" in fields
            else "",
            scope=self._scope(fields),
            commit_times=self._switch(fields["commit_times"], "commit_times") if "commit_times" in fields else False,
        )

    def _switch(self, node: yaml.Node, what: str) -> bool:
        given = self._text(node, what)
        if given.lower() not in _SWITCH:
            raise self._refused(node, f"{what} {given[:60]!r}: use true or false")
        return _SWITCH[given.lower()]

    def _properties(self, node: yaml.Node) -> str | dict[str, str]:
        if isinstance(node, yaml.ScalarNode):
            return self._filled(node, node.value)
        found = self._mapping(node, "properties", None)
        return {key: self._filled(one, self._text(one, key)) for key, one in found.items()}

    def _filled(self, node: yaml.Node, text: str) -> str:
        def one(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.environment:
                raise self._refused(node, f"${{{name}}} stands for a variable that is not set")
            return self.environment[name]

        return _PLACEHOLDER.sub(one, text)

    def _scope(self, fields: Mapping[str, yaml.Node]) -> Scope:
        given: dict[str, list[str]] = {}
        for what in ("topics", "groups"):
            if what not in fields:
                continue
            for which, node in self._mapping(fields[what], what, ("include", "exclude")).items():
                is_one = isinstance(node, yaml.ScalarNode)
                items = [node] if is_one else self._items(node, f"{what} {which}")
                given[f"{what}_{which}"] = [self._text(item, f"{what} {which}") for item in items]
        try:
            return Scope.read(given)
        except ScopeError as error:
            raise self._refused(fields[error.field.partition("_")[0]], str(error)) from None

    # --- nodes --------------------------------------------------------------------------------------------

    def _mapping(self, node: yaml.Node, what: str, known: tuple[str, ...] | None) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self._refused(node, f"{what} {self._quoted(node)}: use “key: value” lines")
        found: dict[str, yaml.Node] = {}
        for key_node, value in node.value:
            key = self._text(key_node, "a key")
            if known is not None and key not in known:
                raise self._refused(key_node, f"{what}: {key[:60]!r} is unknown: use {', '.join(known)}")
            if key in found:
                raise self._refused(key_node, f"{key[:60]!r} is given twice")
            found[key] = value
        return found

    def _items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._refused(node, f"{what} {self._quoted(node)}: use a list, a line with “- ” for each")
        return list(node.value)

    def _text(self, node: yaml.Node, what: str) -> str:
        """The text as it is written: “yes” and “0123” are not made into something else."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._refused(node, f"{what}: one value is expected, quoted where it begins with {{ or [")
        if node.tag == "tag:yaml.org,2002:null" and not SECRET.search(what):
            raise self._refused(node, f"{what} is empty")
        return str(node.value)

    def _quoted(self, node: yaml.Node) -> str:
        return repr(node.value[:60]) if isinstance(node, yaml.ScalarNode) else "of another shape"

    def _where(self, node: yaml.Node) -> str:
        return f"{self.file}, line {node.start_mark.line + 1}"

    def _refused(self, node: yaml.Node, text: str) -> FileRefusedError:
        return FileRefusedError(f"{self._where(node)}: {text}")
