"""Texts that Java clients are configured by: client.properties and the JAAS line in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_TEXT = 1_000_000
MAX_KEYS = 500
_SERVER_LIST = re.compile(r"^\s*[^\s=:#!,]+:\d{1,5}(\s*,\s*[^\s=:,]+:\d{1,5})*\s*,?\s*$")


class SettingsError(ValueError):
    """The settings cannot be used; the text quotes the bad value (never a secret) and says what would be right."""


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values of a Java properties text (java.util.Properties.load); a key given twice is an error.

    A text that is nothing but host:port addresses is taken for bootstrap.servers.
    """
    if len(text) > MAX_TEXT:
        raise SettingsError(f"the text has {len(text)} characters, at most {MAX_TEXT} are read")
    if _SERVER_LIST.match(text):
        return {"bootstrap.servers": text.strip()}
    found: dict[str, str] = {}
    for line in _logical_lines(text):
        key, value = _split(line)
        if key in found:
            raise SettingsError(f"{shown(key)} is given twice")
        if len(found) >= MAX_KEYS:
            raise SettingsError(f"there are more than {MAX_KEYS} keys")
        found[key] = value
    return found


def shown(text: str) -> str:
    """A stranger's key for a message: its control characters spelt out, its length bounded."""
    spelt = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return spelt if len(spelt) <= 100 else spelt[:100] + "…"


def _logical_lines(text: str) -> list[str]:
    """Lines without comments and blank ones, continued lines joined."""
    lines: list[str] = []
    pending: str | None = None
    for natural in re.split(r"\r\n|\n|\r", text):
        line = natural.lstrip(" \t\f")
        if pending is None and (not line or line[0] in "#!"):
            continue
        whole = (pending or "") + line
        backslashes = len(whole) - len(whole.rstrip("\\"))
        if backslashes % 2:
            pending = whole[:-1]
            continue
        lines.append(whole)
        pending = None
    return lines if pending is None else [*lines, pending]


def _split(line: str) -> tuple[str, str]:
    end = 0
    while end < len(line) and line[end] not in "=: \t\f":
        end += 2 if line[end] == "\\" else 1
    rest = line[end:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return _unescape(line[:end]), _unescape(rest)


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        found = match.group(1)
        if found[0] == "u" and len(found) == 5:
            return chr(int(found[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(found, found)

    plain = re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text, flags=re.DOTALL)
    # Java writes characters above U+FFFF as two escapes; a half of one is left for the checks to refuse.
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass") if "\\u" in text else plain


# --- JAAS -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JaasEntry:
    """One login module with its options."""

    module: str
    options: dict[str, str] = field(repr=False)  # among them passwords

    @property
    def name(self) -> str:
        """The class without its package."""
        return self.module.rpartition(".")[2]


_FLAGS = frozenset({"required", "requisite", "sufficient", "optional"})
_TOKEN = re.compile(
    r"""\s+ | //[^\n]* | /\*.*?\*/ |
        (?P<quoted>"(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*') |
        (?P<sign>[=;]) |
        (?P<word>[^\s=;"']+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}


def parse_jaas(text: str) -> JaasEntry:
    """The one entry of sasl.jaas.config. No message of it quotes a value: those are secrets."""
    tokens = _jaas_tokens(text)
    if not tokens:
        raise _jaas("is empty")
    kind, module = tokens.pop(0)
    if kind == "sign" or not tokens or tokens.pop(0)[1].lower() not in _FLAGS:
        raise _jaas("begins with the class of a login module and the word required")
    options: dict[str, str] = {}
    while tokens and tokens[0] != ("sign", ";"):
        kind, name = tokens.pop(0)
        if kind == "sign" or len(tokens) < 2 or tokens.pop(0) != ("sign", "="):
            raise _jaas(f'holds options as name="value", and ends with a semicolon (look after {_last(options)})')
        kind, value = tokens.pop(0)
        if kind == "sign":
            raise _jaas(f'has no value for {shown(name)}: write {shown(name)}="..."')
        if tokens and tokens[0] == ("sign", "="):
            raise _jaas(f"has an '=' within the value of {shown(name)}: put that value in double quotes")
        if name in options:
            raise _jaas(f"gives {shown(name)} twice")
        options[name] = value
    if not tokens:
        raise _jaas("has to end with a semicolon")
    if len(tokens) > 1:
        raise _jaas("goes on after the semicolon: one login module, and values with ';' in double quotes")
    return JaasEntry(module, options)


def _jaas_tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _jaas("has a quote that is not closed")
        at = match.end()
        if match.lastgroup == "quoted":
            inner = match.group()[1:-1]
            plain = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), inner, flags=re.DOTALL)
            tokens.append(("quoted", plain))
        elif match.lastgroup:
            tokens.append((match.lastgroup, match.group()))
    return tokens


def _last(options: dict[str, str]) -> str:
    return shown(list(options)[-1]) if options else "the word required"


def _jaas(what: str) -> SettingsError:
    return SettingsError(f"sasl.jaas.config {what}")
