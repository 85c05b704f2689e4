"""A name of any kind goes into an address and comes back the same."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from django.test import AsyncRequestFactory, Client
from django.urls import resolve
from hypothesis import given
from hypothesis import strategies as st

from collectors.models import Group, Topic
from dashboard.names import group_path, name_from_path, name_to_path, topic_path

from .seed import make_cluster, moment

HOSTILE = [
    "a/b", "/", "//", "a/", "/a", "a//b", "a/../b", "%", "%2F", "%252F", "a%2Fb", ".", "..", "...", "", "~", "~x", "~~",
    " ", "a b", "a\nb", "\n", "?q=1", "#top", "a&b=c", "<script>alert(1)</script>", "\"'`", "\u202egnirts\u202c",
    "groups", "groups/x", "\\", "ünï-😀", "a;b", "a+b", "series/",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_one_piece_and_comes_back(name: str) -> None:
    piece = name_to_path(name)
    assert "/" not in piece
    assert piece not in ("", ".", "..")
    assert name_from_path(unquote(piece)) == name


@given(st.text(max_size=60))
def test_any_text_comes_back(name: str) -> None:
    assert name_from_path(unquote(name_to_path(name), errors="surrogatepass")) == name


@pytest.mark.parametrize("piece", ["~!", "~a", "~_w", "~é"])
def test_a_marked_piece_that_is_not_base64url_is_no_name(piece: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        name_from_path(piece)


@pytest.mark.django_db
@pytest.mark.parametrize("name", HOSTILE)
def test_the_page_of_a_group_is_found_under_its_address(name: str, viewer: Client) -> None:
    cluster = make_cluster()
    Group.objects.create(cluster=cluster, name=name, type="classic", state="Stable", first_seen_at=moment(0))
    response = viewer.get(group_path("demo", name))
    assert response.status_code == 200
    assert response.context["group"].name == name
    assert b"<script>alert" not in response.content
    # the list links to the same address
    listed = viewer.get("/clusters/demo/groups/").content.decode()
    assert f'href="{group_path("demo", name)}"'.replace("'", "&#x27;") in listed


@pytest.mark.django_db
@pytest.mark.parametrize("name", HOSTILE)
def test_an_asgi_server_decodes_an_address_once(name: str) -> None:
    raw = group_path("demo", name)
    request = AsyncRequestFactory().get("/")
    scope = {**request.scope, "path": unquote(raw), "raw_path": raw.encode()}  # as Daphne makes it
    from django.core.handlers.asgi import ASGIRequest

    match = resolve(ASGIRequest(scope, None).path_info)  # type: ignore[arg-type]  # no body is read
    assert match.url_name == "group"
    assert match.kwargs == {"slug": "demo", "name": name}


@pytest.mark.django_db
def test_a_topic_of_that_name_is_found_too(viewer: Client) -> None:
    cluster = make_cluster()
    for name in ("..", "~x", "a.b_c-d"):
        Topic.objects.create(
            cluster=cluster, name=name, partition_count=1, replication_factor=1, first_seen_at=moment(0),
            partitions=[[1, 0, [1], [1], []]],
        )  # fmt: skip
        assert viewer.get(topic_path("demo", name)).context["topic"].name == name


@pytest.mark.django_db
def test_what_is_not_there_is_404_with_its_name_escaped(viewer: Client) -> None:
    make_cluster()
    response = viewer.get(group_path("demo", "<b>nobody"))
    assert response.status_code == 404
    assert b"&lt;b&gt;nobody" in response.content
    assert viewer.get("/clusters/demo/groups/~!/").status_code == 404
    assert viewer.get("/clusters/none/").status_code == 404
