"""Names of topics and groups, which may hold anything, as one piece of an address, and back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from django.conf import settings

_NOT_AS_THEY_ARE = frozenset({"", ".", ".."})


def name_to_path(name: str) -> str:
    """One percent-encoded path piece, `/` included.

    '', '.' and '..' would be swallowed by browsers and proxies (RFC 3986, 5.2.4), so these, and names that begin
    with the mark itself, become `~` and base64url without padding.
    """
    if name in _NOT_AS_THEY_ARE or name.startswith("~"):
        return "~" + base64.urlsafe_b64encode(name.encode("utf-8", "surrogatepass")).decode("ascii").rstrip("=")
    return quote(name, safe="", errors="surrogatepass")


def name_from_path(piece: str) -> str:
    """The name of a piece that the server has already percent-decoded; ValueError for `~` with bad base64url."""
    if not piece.startswith("~"):
        return piece
    body = piece[1:]
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        return raw.decode("utf-8", "surrogatepass")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise ValueError(f"'~' must be followed by base64url of a name, not {body[:40]!r}") from error


def group_path(slug: str, name: str) -> str:
    """The address of a group's page. Not `reverse`, which leaves `/` as it is: `a/../b` would lose two pieces."""
    return f"{settings.SUB_PATH}/clusters/{slug}/groups/{name_to_path(name)}/"


def topic_path(slug: str, name: str) -> str:
    """The address of a topic's page (see `group_path`)."""
    return f"{settings.SUB_PATH}/clusters/{slug}/topics/{name_to_path(name)}/"


def cluster_path(slug: str) -> str:
    return f"{settings.SUB_PATH}/clusters/{slug}/"


def how_path(slug: str, group: str, topic: str = "", partition: int | None = None, of: str = "") -> str:
    """The page that says how the numbers of a group are known, of all that it reads, of a topic or of one partition;
    `of` is the quantity as the page names it ("log-end-age")."""
    asked: dict[str, str | int] = {"group": group}
    asked |= {"topic": topic} if topic else {}
    asked |= {"partition": partition} if partition is not None else {}
    return _how(slug, asked, of)


def worst_how_path(slug: str, topic: str, of: str = "") -> str:
    """The same of the group that is furthest behind on a topic, whichever it is then."""
    return _how(slug, {"topic": topic}, of)


def _how(slug: str, asked: Mapping[str, str | int], of: str) -> str:
    query = urlencode(asked, errors="surrogatepass")
    return f"{cluster_path(slug)}how/?{query}{f'#{of}' if of else ''}"


def broker_path(slug: str, node_id: str | int) -> str:
    return f"/clusters/{slug}/brokers/{node_id}/"


def star_path(kind: str, slug: str, name: str) -> str:
    """Where the star of a cluster, group or topic is given and taken."""
    return f"{settings.SUB_PATH}/stars/{kind}/{slug}/{name_to_path(name)}/"


def subject_path(slug: str, kind: str, name: str) -> str:
    """The page of what an event or an alert is about; the cluster's where it has none of its own."""
    if kind == "group":
        return group_path(slug, name)
    if kind == "topic":
        return topic_path(slug, name)
    if kind == "broker" and name.isascii() and name.isdigit():
        return broker_path(slug, name)
    return cluster_path(slug)


class NameConverter:
    """Path converter for `<name:...>`: everything up to the last slash, line breaks included (`path` stops at them)."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return name_from_path(value)  # ValueError: no match, so 404

    def to_url(self, value: str) -> str:
        raise ValueError("addresses of groups and topics are made by dashboard.names, not by reverse")
