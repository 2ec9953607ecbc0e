"""The control socket: who may connect, its file, and its end."""

from __future__ import annotations

import grp
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from appliance.admin.control_socket import (
    ControlSocketError,
    Peer,
    may_connect,
    read_peer,
    serve_control,
)
from appliance.settings import ControlSettings
from tests.doubles.features import EventBook
from tests.doubles.redis_processes import short_directory

NO_GROUP = "no-such-group-here"
GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
GET_AND_CLOSE = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Say who is connected; /big sends more than a socket holds, /slow never answers."""
    if scope["path"] == "/slow":
        await trio.sleep_forever()
    body = scope["appliance.actor"].who.encode()
    if scope["path"] == "/big":
        body = b"x" * 8_000_000
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def path() -> Iterator[Path]:
    """Give a path for a socket, in a directory that does not exist yet."""
    with short_directory() as directory:
        yield directory / "run" / "ctl.sock"


async def start(
    nursery: trio.Nursery, path: Path, group: str = NO_GROUP, book: EventBook | None = None
) -> EventBook:
    book = book or EventBook()
    await nursery.start(serve_control, app, ControlSettings(path, group), book)
    return book


async def exchange(path: Path, request: bytes) -> bytes:
    """Send a request and return everything up to the end of the connection."""
    async with await trio.open_unix_socket(str(path)) as stream:
        await stream.send_all(request)
        answer = b""
        while chunk := await stream.receive_some():
            answer += chunk
        return answer


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def gid_of(path: Path) -> int:
    return path.stat().st_gid


def write(path: Path, text: str) -> None:
    path.write_text(text)


def exists(path: Path, text: str | None = None) -> bool:
    """Whether the file is there, and holds this text."""
    return path.exists() and (text is None or path.read_text() == text)


def read_answer(path: Path, uid: int, groups: list[int]) -> bytes:
    """Make a request as another user, in a process of its own."""
    program = (
        "import os, socket, sys\n"
        "path, request, uid, *groups = sys.argv[1:]\n"
        "os.setgroups([int(group) for group in groups])\n"
        "os.setgid(int(uid)); os.setuid(int(uid))\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(40); s.connect(path)\n"
        "s.sendall(request.encode())\n"
        "while chunk := s.recv(65536): sys.stdout.buffer.write(chunk)\n"
    )
    words = [str(path), GET_AND_CLOSE.decode(), str(uid), *map(str, groups)]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, timeout=40, check=False
    )
    return done.stdout + done.stderr


async def test_request_is_served_with_the_name_of_its_user(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, path)

        answer = await exchange(path, GET_AND_CLOSE)

        assert answer.startswith(b"HTTP/1.1 200")
        assert f"uid={os.getuid()}".encode() in answer
        nursery.cancel_scope.cancel()


async def test_connection_is_kept_for_a_second_request(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, path)

        assert (await exchange(path, GET + GET_AND_CLOSE)).count(b"HTTP/1.1 200") == 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("peer", "gid", "allowed"),
    [
        (Peer(0, frozenset({0})), None, True),
        (Peer(500, frozenset({500})), None, True),
        (Peer(501, frozenset({501})), None, False),
        (Peer(501, frozenset({501, 70})), 70, True),
        (Peer(501, frozenset({501, 71})), 70, False),
    ],
)
def test_only_root_ourselves_and_members_may_connect(
    peer: Peer, gid: int | None, allowed: bool
) -> None:
    assert may_connect(peer, 500, gid) is allowed


def test_peer_is_read_from_the_kernel() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    with near, far:
        peer = read_peer(near)

    assert peer == Peer(os.getuid(), frozenset({os.getgid(), *os.getgroups()}))


async def test_stranger_is_refused_even_if_the_file_lets_him_in(path: Path) -> None:
    if os.getuid() != 0:
        # Another user needs root: the rule itself is tested above.
        assert not may_connect(Peer(65_533, frozenset()), os.geteuid(), None)
        return
    group = grp.getgrgid(12).gr_name
    async with trio.open_nursery() as nursery:
        book = await start(nursery, path, group)
        os.chmod(path.parent.parent, 0o755)
        os.chmod(path, 0o666)

        refused = await trio.to_thread.run_sync(read_answer, path, 65_533, [])
        member = await trio.to_thread.run_sync(read_answer, path, 65_533, [12])

        assert refused.startswith(b"HTTP/1.1 403")
        assert b'{"error": "this user may not use the control socket"}' in refused
        assert book.named("control_connection_refused") == [{"uid": 65_533}]
        assert member.startswith(b"HTTP/1.1 200")
        assert b"uid=65533" in member
        nursery.cancel_scope.cancel()


async def test_socket_is_for_us_alone_when_the_group_does_not_exist(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, path)

        assert mode_of(path) == 0o600
        assert mode_of(path.parent) == 0o750
        nursery.cancel_scope.cancel()


async def test_socket_belongs_to_the_group_when_it_exists(path: Path) -> None:
    group = grp.getgrgid(os.getgid())
    async with trio.open_nursery() as nursery:
        await start(nursery, path, group.gr_name)

        assert mode_of(path) == 0o660
        assert gid_of(path) == group.gr_gid
        assert mode_of(path.parent) == 0o755
        nursery.cancel_scope.cancel()


async def test_socket_of_a_killed_process_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with trio.open_nursery() as nursery:
        await start(nursery, path)

        assert (await exchange(path, GET_AND_CLOSE)).startswith(b"HTTP/1.1 200")
        assert [item.name for item in path.parent.iterdir()] == ["ctl.sock"]
        nursery.cancel_scope.cancel()


async def test_socket_of_a_living_process_is_left_alone(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, path)

        with pytest.raises(ControlSocketError, match="another appliance is running"):
            await serve_control(app, ControlSettings(path, NO_GROUP), EventBook())

        assert (await exchange(path, GET_AND_CLOSE)).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()


async def test_another_file_is_never_replaced(path: Path) -> None:
    path.parent.mkdir()
    write(path, "precious")

    with pytest.raises(ControlSocketError, match="it is another file"):
        await serve_control(app, ControlSettings(path, NO_GROUP), EventBook())

    assert exists(path, "precious")


async def test_path_that_cannot_be_bound_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)

    with pytest.raises(ControlSocketError, match="cannot open the control socket"):
        await serve_control(app, ControlSettings(path, NO_GROUP), EventBook())


async def test_socket_is_removed_at_the_end_unless_a_successor_has_it(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, path)
        nursery.cancel_scope.cancel()
    assert not exists(path)

    async with trio.open_nursery() as nursery:
        await start(nursery, path)
        os.unlink(path)
        write(path, "a successor's")
        nursery.cancel_scope.cancel()
    assert exists(path, "a successor's")


@pytest.mark.parametrize("target", [b"/slow", b"/big"])
async def test_server_ends_at_once_with_a_client_that_does_not_read(
    target: bytes, path: Path
) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, path)
        async with await trio.open_unix_socket(str(path)) as stream:
            await stream.send_all(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            if target == b"/big":
                assert await stream.receive_some(1)  # the answer is on its way, and stuck
            else:
                await trio.testing.wait_all_tasks_blocked(0.05)
            began_s = time.monotonic()
            nursery.cancel_scope.cancel()
    assert time.monotonic() - began_s < 20
    assert not exists(path)


async def test_garbage_and_lost_clients_do_not_affect_others(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        book = await start(nursery, path)

        assert b" 400 " in await exchange(path, b"\x16\x03\x01 garbage\r\n\r\n")
        for _ in range(20):
            stream = await trio.open_unix_socket(str(path))
            await stream.send_all(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
            await stream.aclose()

        assert (await exchange(path, GET_AND_CLOSE)).startswith(b"HTTP/1.1 200")
        assert not book.errors
        nursery.cancel_scope.cancel()
