"""The control socket: HTTP on a Unix socket, for root, the appliance's user and one group.

An application under Hypercorn cannot see the peer's credentials, so connections are accepted here:
the kernel reports the credentials (SO_PEERCRED, SO_PEERGROUPS; unix(7)), and Hypercorn's TCPServer
serves each accepted connection with the name of its user in the scope.
"""

from __future__ import annotations

import errno
import grp
import json
import logging
import os
import pwd
import secrets
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from appliance.admin.passed_files import PassedFileStream
from appliance.admin_calls.actors import ACTOR_KEY, FILE_KEY, local_actor
from appliance.log import Log
from appliance.settings import ControlSettings

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

_BACKLOG = 128
_KEEP_ALIVE_S = 30.0
_PROBE_S = 1.0
_REFUSAL_S = 1.0
_SO_PEERGROUPS = 59
"""From <asm-generic/socket.h>; the socket module does not define it."""
_MAX_OPTION_BYTES = 1024
"""The most that Python reads: 256 groups."""
_MAX_PATH_BYTES = 107
"""sun_path without its NUL, unix(7): no client could connect to a longer path."""
_CREDENTIALS = struct.Struct("3i")


class ControlSocketError(Exception):
    """The control socket cannot be opened; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The credentials of a client, from the kernel."""

    uid: int
    gids: frozenset[int]


async def serve_control(
    app: AsgiApp,
    control: ControlSettings,
    log: Log,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on the control socket until cancelled, then remove the socket.

    Requests under way are cancelled too. Raises ControlSocketError: the socket cannot be opened.
    """
    gid = _find_gid(control.group)
    with _open_socket(control.socket_path, gid, log) as listener:
        server = _ControlServer(app, gid, log)
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
        task_status.started()
        try:
            await trio.serve_listeners(server.serve, listeners)
        finally:
            server.close_all()


class _ControlServer:
    """The connections of one socket."""

    def __init__(self, app: AsgiApp, gid: int | None, log: Log) -> None:
        self._app = app
        self._gid = gid
        self._log = log
        self._config = _build_config()
        self._context = WorkerContext(None)
        self._open: set[trio.SocketStream] = set()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        self._open.add(stream)
        try:
            peer = read_peer(stream.socket)
            if may_connect(peer, os.geteuid(), self._gid):
                await self._serve_peer(stream, peer)
            else:
                self._log.warning("control_connection_refused", uid=peer.uid)
                await _refuse(stream)
        except OSError as error:  # the client has left
            self._log.debug("control_connection_lost", reason=str(error))
        except Exception as error:
            self._log.error("control_connection_failed", exc_info=error)
        finally:
            self._open.discard(stream)
            await trio.aclose_forcefully(stream)

    async def _serve_peer(self, stream: trio.SocketStream, peer: Peer) -> None:
        # User names may come over the network (LDAP).
        name = await trio.to_thread.run_sync(_find_user_name, peer.uid)
        passing = PassedFileStream(stream)
        keys = {ACTOR_KEY: local_actor(peer.uid, name), FILE_KEY: lambda: passing.file}
        try:
            await TCPServer(
                ASGIWrapper(partial(_call_with_keys, self._app, keys)),
                self._config,
                self._context,
                ConnectionState({}),
                passing,  # type: ignore[arg-type]  # plain or TLS, unlike its annotation
            ).run()
        finally:
            passing.close_file()

    def close_all(self) -> None:
        """Close every connection: Hypercorn's sends cannot be cancelled, and a stopped client
        (Ctrl-Z) reads nothing."""
        for stream in list(self._open):
            stream.socket.close()


async def _call_with_keys(
    app: AsgiApp, keys: Mapping[str, Any], scope: dict[str, Any], receive: Any, send: Any
) -> None:
    await app({**scope, **keys}, receive, send)


def _build_config() -> Config:
    config = Config()
    config.keep_alive_timeout = _KEEP_ALIVE_S
    config.errorlog = logging.getLogger("hypercorn.error")  # without another handler
    config.include_server_header = False
    return config


async def _refuse(stream: trio.SocketStream) -> None:
    body = json.dumps({"error": "this user may not use the control socket"}).encode()
    head = (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with trio.move_on_after(_REFUSAL_S):
        await stream.send_all(head.encode() + body)
        await stream.send_eof()
        # If the socket is closed with a request unread, the client loses this answer.
        while await stream.receive_some(65_536):
            pass


# --- credentials ---------------------------------------------------------------------------------


def read_peer(connection: Any) -> Peer:
    """Return uid and groups of a client when it connected. Raises OSError."""
    size = _CREDENTIALS.size
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _pid, uid, gid = _CREDENTIALS.unpack(raw)
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_OPTION_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        raw = b""  # in too many groups: only its primary one counts
    groups = struct.unpack(f"{len(raw) // 4}I", raw)
    return Peer(uid, frozenset((gid, *groups)))


def may_connect(peer: Peer, own_uid: int, gid: int | None) -> bool:
    """Whether a client may administer: root, the appliance's user, or a member of the group."""
    return peer.uid in (0, own_uid) or (gid is not None and gid in peer.gids)


def _find_gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _find_user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


# --- the socket ----------------------------------------------------------------------------------


@contextmanager
def _open_socket(path: Path, gid: int | None, log: Log) -> Iterator[socket.socket]:
    """Listen on a new socket file, which replaces one that a dead process left behind."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.setblocking(False)
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(0o750 if gid is None else 0o755, parents=True)
            _check_free(path)
            own = _listen(listener, path, gid, log)
        except OSError as error:
            raise ControlSocketError(f"cannot open the control socket {path}: {error}") from error
        try:
            yield listener
        finally:
            with suppress(OSError):
                if _identity(path) == own:  # a successor may have replaced it
                    path.unlink()
    finally:
        listener.close()


def _check_free(path: Path) -> None:
    """Raise ControlSocketError if the path must not be replaced."""
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ControlSocketError(
            f"cannot open the control socket {path}: its path is over {_MAX_PATH_BYTES} bytes"
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlSocketError(f"cannot open the control socket {path}: it is another file")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return  # left behind by a process that was killed
        except (BlockingIOError, TimeoutError):
            pass  # its queue is full, so a process listens
    raise ControlSocketError(f"another appliance is running: it answers on {path}")


def _listen(listener: socket.socket, path: Path, gid: int | None, log: Log) -> tuple[int, int]:
    """Bind under another name and rename it at the end: no client meets a half-made socket."""
    new = path.with_name(f".{secrets.token_hex(3)}")
    listener.bind(str(new))
    try:
        mode = 0o600
        if gid is not None:
            try:
                os.chown(new, -1, gid)
                mode = 0o660
            except OSError as error:
                if error.errno != errno.EPERM:
                    raise
                log.info("control_socket_without_group", path=str(path))  # not a member
        new.chmod(mode)
        listener.listen(_BACKLOG)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return _identity(path)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
