"""Files over the wire: ranges, conditional requests, and files that change while they are sent."""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from appliance.http.file_response import CHUNK_BYTES, Span, parse_range
from appliance.recordings.playback.served_files import ServedFiles
from tests.doubles.features import open_features, rewire
from tests.doubles.public import Answer, Public, receive, request, serve_public

DEADLINE_S = 40.0
MODIFIED_S = 1_700_000_000
BODY = bytes(range(256)) * 4
SIZE = len(BODY)
TARGET = "/playback/files/a.webm"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes=0-9", Span(0, 10)),
        ("bytes=90-", Span(90, 10)),
        ("bytes=-10", Span(90, 10)),
        ("bytes=-1000", Span(0, 100)),
        ("bytes=95-1000", Span(95, 5)),
        ("Bytes = 1 - 2 ", Span(1, 2)),
        ("bytes=0-" + "9" * 40, Span(0, 100)),
        ("bytes=100-", Span(100, 0)),
        ("bytes=-0", Span(100, 0)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=a-b", None),
        ("bytes=--5", None),
        ("lines=0-1", None),
        ("bytes=0-" + "9" * 200, None),
        ("bytes=\u0661-", None),
        ("", None),
    ],
)
def test_range_is_read(text: str, expected: Span | None) -> None:
    assert parse_range(text, 100) == expected


@given(st.text(alphabet="bytes=-,0123 ", max_size=20), st.integers(0, 30))
def test_range_never_leaves_the_file(text: str, size: int) -> None:
    span = parse_range("bytes=" + text, size)
    assert span is None or (span.start >= 0 and span.length >= 0)
    assert span is None or not span.length or span.start + span.length <= size


async def ask(public: Public, *headers: str, method: str = "GET") -> Answer:
    """Ask for the file."""
    async with await public.connect() as stream:
        await stream.send_all(request(method, TARGET, headers=[*headers, "Connection: close"]))
        data = b""
        while part := await stream.receive_some():
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return Answer(
        int(lines[0].split()[1]),
        {name.lower(): value for name, _, value in (one.partition(": ") for one in lines[1:])},
        body,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make the file."""
    file = tmp_path / "files" / "a.webm"
    file.parent.mkdir()
    file.write_bytes(BODY)
    os.utime(file, (MODIFIED_S, MODIFIED_S))
    return file


@pytest.fixture
async def public(redis_url: str, redis_namespace: str, path: Path) -> AsyncIterator[Public]:
    """Serve the file."""
    variables = {"PLAYBACK_DIR": str(path.parent.parent)}
    async with open_features(redis_url, redis_namespace, log=None, **variables) as bare:
        res = rewire(bare, recordings__served=ServedFiles(bare.settings.recordings))
        async with serve_public(res) as public:
            yield public


async def test_whole_file_comes_with_its_validators(public: Public) -> None:
    with trio.fail_after(DEADLINE_S):
        answer = await ask(public)
        assert (answer.status, answer.body) == (200, BODY)
        headers = answer.headers
        assert headers["content-length"] == str(SIZE)
        assert headers["content-type"] == "video/webm"
        assert headers["accept-ranges"] == "bytes"
        assert headers["last-modified"] == formatdate(MODIFIED_S, usegmt=True)
        assert headers["etag"] == f'"{MODIFIED_S * 10**9:x}-{SIZE:x}"'
        head = await ask(public, "Range: bytes=0-1", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        same = ("content-length", "content-type", "etag", "last-modified", "accept-ranges")
        assert [head.headers[name] for name in same] == [headers[name] for name in same]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("0-0", 0, 0), ("10-19", 10, 19), ("1000-", 1000, SIZE - 1), ("-24", SIZE - 24, SIZE - 1)],
)
async def test_part_is_answered(public: Public, wanted: str, first: int, last: int) -> None:
    with trio.fail_after(DEADLINE_S):
        answer = await ask(public, f"Range: bytes={wanted}")
        assert (answer.status, answer.body) == (206, BODY[first : last + 1])
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
        assert answer.headers["content-length"] == str(last - first + 1)


async def test_several_ranges_are_answered_with_the_whole(public: Public) -> None:
    with trio.fail_after(DEADLINE_S):
        answer = await ask(public, "Range: bytes=0-1,4-5")
        assert (answer.status, answer.body) == (200, BODY)
        assert "content-range" not in answer.headers


@pytest.mark.parametrize("wanted", [f"{SIZE}-", "-0", "99999999999999999999-"])
async def test_range_beyond_the_end_is_refused(public: Public, wanted: str) -> None:
    with trio.fail_after(DEADLINE_S):
        answer = await ask(public, f"Range: bytes={wanted}")
        assert (answer.status, answer.body) == (416, b"")
        assert answer.headers["content-range"] == f"bytes */{SIZE}"


async def test_conditions_are_kept(public: Public) -> None:
    with trio.fail_after(DEADLINE_S):
        whole = (await ask(public)).headers
        tag, modified = whole["etag"], whole["last-modified"]
        later = formatdate(MODIFIED_S + 5, usegmt=True)
        earlier = formatdate(MODIFIED_S - 5, usegmt=True)
        part = "Range: bytes=0-1"
        for headers, status in (
            ([f"If-None-Match: {tag}"], 304),
            ([f'If-None-Match: "x", W/{tag}'], 304),
            (["If-None-Match: *"], 304),
            (['If-None-Match: "x"', f"If-Modified-Since: {modified}"], 200),
            ([f"If-Modified-Since: {modified}"], 304),
            ([f"If-Modified-Since: {later}"], 304),
            ([f"If-Modified-Since: {earlier}"], 200),
            (["If-Modified-Since: yesterday"], 200),
            (["If-Modified-Since: Tue, 99 Nov 9999999 99:99:99 GMT"], 200),
            ([part, f"If-Range: {tag}"], 206),
            ([part, f"If-Range: {modified}"], 206),
            ([part, f"If-Range: W/{tag}"], 200),
            ([part, f"If-Range: {later}"], 200),
            ([part, 'If-Range: "x"'], 200),
            ([part, f"If-None-Match: {tag}"], 304),
            ([f'If-Match: "x", {tag}'], 200),
            (["If-Match: *"], 200),
            ([f"If-Match: W/{tag}"], 412),
            ([part, 'If-Match: "x"', f"If-None-Match: {tag}"], 412),
            ([f"If-Unmodified-Since: {modified}"], 200),
            ([f"If-Unmodified-Since: {earlier}"], 412),
            ([f"If-Match: {tag}", f"If-Unmodified-Since: {earlier}"], 200),
            (["If-Unmodified-Since: yesterday"], 200),
        ):
            answer = await ask(public, *headers)
            assert answer.status == status, headers
            if status == 304:
                assert answer.body == b""
                assert answer.headers["etag"] == tag
                assert "content-length" not in answer.headers


async def test_empty_file_is_served(public: Public, path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        write(path, b"")
        answer = await ask(public)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
        assert (await ask(public, "Range: bytes=0-")).status == 416


async def test_connection_is_kept_after_each_kind_of_answer(public: Public) -> None:
    with trio.fail_after(DEADLINE_S):
        async with await public.connect() as stream:
            for headers, status in (
                (["Range: bytes=0-0"], b"206"),
                (["If-None-Match: *"], b"304"),
                (["Range: bytes=9999-"], b"416"),
                ([], b"200"),
            ):
                await stream.send_all(request("GET", TARGET, headers=headers))
                data = await receive(stream)
                assert data.startswith(b"HTTP/1.1 " + status)
                while status == b"200" and not data.endswith(BODY):
                    data += await receive(stream)
                while status == b"206" and not data.endswith(b"\r\n\r\n\0"):
                    data += await receive(stream)


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file."""
    path.write_bytes(content)


async def begin_large(public: Public, path: Path, chunks: int) -> trio.SocketStream:
    """Write a large file, ask for it and read the beginning."""
    with path.open("wb") as file:
        file.truncate(chunks * CHUNK_BYTES)
    stream = await public.connect()
    await stream.send_all(request("GET", TARGET, headers=["Connection: close"]))
    await receive(stream)
    return stream


async def drain(stream: trio.SocketStream) -> int:
    """Return how many bytes come before the end."""
    count = 0
    try:
        while part := await stream.receive_some(CHUNK_BYTES):
            count += len(part)
    except trio.BrokenResourceError:
        pass
    return count


async def test_connection_is_cut_off_when_the_file_shrinks(public: Public, path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with await begin_large(public, path, 200) as stream:
            os.truncate(path, CHUNK_BYTES)
            assert await drain(stream) < 200 * CHUNK_BYTES
        (warning,) = public.log.named("file_not_read_to_its_end")
        assert warning["path"] == TARGET
        write(path, BODY)
        assert (await ask(public)).body == BODY


async def test_file_that_vanishes_is_sent_to_its_end(public: Public, path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with await begin_large(public, path, 100) as stream:
            os.unlink(path)
            assert await drain(stream) > 99 * CHUNK_BYTES
        assert (await ask(public)).status == 404


async def test_client_that_leaves_ends_the_work(public: Public, path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            stream = await begin_large(public, path, 4000)
            await stream.aclose()
        while len(os.listdir("/proc/self/fd")) > before:
            await trio.sleep(0.01)
        assert (await ask(public, "Range: bytes=0-0")).status == 206
        assert not public.log.errors


async def test_memory_stays_flat(public: Public, path: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        await drain_large(public, path, 20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await drain_large(public, path, 800)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < 16 * 1024


async def drain_large(public: Public, path: Path, chunks: int) -> None:
    """Read a large file wholly."""
    async with await begin_large(public, path, chunks) as stream:
        assert await drain(stream) > (chunks - 1) * CHUNK_BYTES
