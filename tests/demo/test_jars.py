"""The pinned jars: fetched once, checked, tried again, and never asked of the network when they are there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from collectors.demo import jars
from collectors.demo.jars import DownloadFailedError, Jar, fetch_missing, jar_dir, missing

CONTENT = {name: f"bytes of {name}".encode() * 50 for name in ("one", "two", "three")}
LIST = [Jar("org.example", n, "1.0", len(c), hashlib.sha256(c).hexdigest()) for n, c in CONTENT.items()]


class Shop:
    """Stands for the registry: gives each jar's bytes, after as many failures as it was told."""

    def __init__(self, *failures: bytes | Exception) -> None:
        self.failures = list(failures)
        self.asked: list[str] = []

    def __call__(self, jar: Jar, folder: Path) -> Path:
        self.asked.append(jar.artifact)
        came = folder / "came.jar"
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, Exception):
            came.write_bytes(b"half")
            raise failure
        came.write_bytes(CONTENT[jar.artifact] if failure is None else failure)
        return came


def test_each_jar_is_fetched_once_and_told(tmp_path: Path) -> None:
    shop, said = Shop(), list[str]()
    paths = fetch_missing(tmp_path, LIST, say=said.append, fetch=shop)
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert sorted(shop.asked) == sorted(CONTENT)
    assert str(jar_dir(tmp_path)) in said[0]
    assert [line[:9] for line in said[1:]] == ["  [ 1/3] ", "  [ 2/3] ", "  [ 3/3] "]
    fetch_missing(tmp_path, LIST, say=said.append, fetch=shop)
    assert len(shop.asked) == 3
    assert len(said) == 4, "a filled cache is not worth a word"


def test_a_filled_cache_asks_nothing_of_the_network(tmp_path: Path) -> None:
    fetch_missing(tmp_path, LIST, say=lambda _: None, fetch=Shop())

    def no_network(jar: Jar, folder: Path) -> Path:
        raise AssertionError(f"{jar.artifact} was asked for")

    assert len(fetch_missing(tmp_path, LIST, fetch=no_network)) == 3


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (CONTENT["one"][:40], "broken download, 40 bytes instead of 600"),
        (CONTENT["one"][:-1] + b"!", "wrong content, sha256 "),
        (ConnectionResetError("peer went away"), "ConnectionResetError: peer went away"),
    ],
)
def test_a_broken_download_is_tried_again_in_words(tmp_path: Path, failure: bytes | Exception, words: str) -> None:
    said, waits = list[str](), list[float]()
    shop = Shop(failure)
    (path,) = fetch_missing(tmp_path, LIST[:1], say=said.append, fetch=shop, pause=waits.append)
    assert path.read_bytes() == CONTENT["one"]
    assert words in said[1]
    assert "trying again in 1 s" in said[1]
    assert waits == [1.0]


def test_what_cannot_be_had_is_named_and_what_came_is_kept(tmp_path: Path) -> None:
    def shop(jar: Jar, folder: Path) -> Path:
        if jar.artifact == "two":
            raise OSError("no route to host")
        return Shop()(jar, folder)

    with pytest.raises(DownloadFailedError) as failed:
        fetch_missing(tmp_path, LIST, say=lambda _: None, fetch=shop, pause=lambda _: None)
    assert "org.example:two:1.0: OSError: no route to host" in str(failed.value)
    assert [jar.artifact for jar in missing(tmp_path, LIST)] == ["two"]
    assert not list(jar_dir(tmp_path).glob(".fetching-*")), "half files stay nowhere"


def test_a_half_file_of_an_earlier_run_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    jar_dir(tmp_path).mkdir(parents=True)
    (jar_dir(tmp_path) / LIST[0].file_name).write_bytes(b"half")
    assert missing(tmp_path, LIST[:1]) == LIST[:1]
    fetch_missing(tmp_path, LIST[:1], say=lambda _: None, fetch=Shop())
    assert missing(tmp_path, LIST[:1]) == []


def test_giving_up_begins_nothing_more(tmp_path: Path) -> None:
    """Ctrl-C during the first tries: the rest of a long list is neither begun nor tried again."""
    asked: list[str] = []

    def shop(jar: Jar, folder: Path) -> Path:
        asked.append(jar.artifact)
        raise OSError("slow network")

    def interrupt(text: str) -> None:
        if text.startswith("Fetching"):
            return
        raise KeyboardInterrupt

    many = [Jar("org.example", f"jar-{n}", "1.0", 1, "0") for n in range(60)]
    with pytest.raises(KeyboardInterrupt):
        fetch_missing(tmp_path, many, say=interrupt, fetch=shop, pause=lambda _: None)
    assert len(asked) < len(many)


@pytest.mark.parametrize(("version", "count"), [(jars.KAFKA_VERSION, 46), ("4.0.1", 44), ("3.7.2", 56)])
def test_the_pinned_list_is_whole(version: str, count: int) -> None:
    pinned = jars.broker_jars(version)
    assert len(pinned) == count
    assert len({jar.file_name for jar in pinned}) == count
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in pinned)
    assert {jar.version for jar in pinned if jar.group == "org.apache.kafka"} == {version}
