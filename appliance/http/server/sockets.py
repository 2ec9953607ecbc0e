"""Binds the addresses of a listener, and loads its TLS files.

Source: docs/configuration.md (BIND, TLS_CERT_FILE, TLS_KEY_FILE); ip(7), unix(7).
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.http.server.accept import prepare_listener
from appliance.settings import Bind, WebSettings
from appliance.settings.addresses import leaves_ipv4
from appliance.system.host_facts import certificate_problem

BACKLOG = 1024
"""Clients of a Unix socket get EAGAIN beyond it; the kernel lowers it to net.core.somaxconn."""
_SOCKET_MODE = 0o666
"""The directory of a Unix socket decides who may connect: the proxy runs as another user."""
_PROBE_S = 1.0


class ListenError(Exception):
    """A listener cannot be opened, or its TLS files not be used; `str()` names it and says why."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One bound socket."""

    socket: socket.socket
    tls: bool
    url: str


@contextmanager
def open_listeners(binds: Sequence[Bind], *, unread_s: float) -> Iterator[list[Listener]]:
    """Listen on addresses; on exit their sockets are closed and Unix sockets removed.

    `unread_s`: how long a client may take no bytes. Raises: ListenError.
    """
    with ExitStack() as stack:
        listeners = []
        for bind in binds:
            try:
                bound = stack.enter_context(_bound(bind, binds))
                prepare_listener(bound, unread_s)
                bound.listen(BACKLOG)
            except OSError as error:
                raise ListenError(f"cannot listen on {bind}: {error}") from error
            listeners.append(Listener(bound, bind.scheme == "ssl", _url(bind, bound)))
        yield listeners


def load_tls(web: WebSettings) -> ssl.SSLContext | None:
    """Load the certificate and its key, None if there is none. Raises: ListenError."""
    if web.tls_cert_file is None or web.tls_key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password OpenSSL would ask the terminal for the one of an encrypted key.
        context.load_cert_chain(web.tls_cert_file, web.tls_key_file, password="")
    except (OSError, ValueError) as error:
        problem = certificate_problem(web.tls_cert_file, web.tls_key_file) or error
        raise ListenError(
            f"cannot use TLS_CERT_FILE {web.tls_cert_file} with TLS_KEY_FILE {web.tls_key_file}:"
            f" {problem}"
        ) from error
    return context


@contextmanager
def _bound(bind: Bind, binds: Sequence[Bind]) -> Iterator[socket.socket]:
    if bind.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as bound, _socket_file(bound, Path(bind.path)):
            yield bound
        return
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    with socket.socket(family) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only_ipv6 = leaves_ipv4(bind, binds)
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        bound.bind((bind.host, bind.port))
        yield bound


@contextmanager
def _socket_file(bound: socket.socket, path: Path) -> Iterator[None]:
    """Bind to a socket file, replacing one left by a dead process; remove it on exit."""
    if _is_stale(path):
        path.unlink()
    bound.bind(str(path))
    path.chmod(_SOCKET_MODE)
    own = _identity(path)
    try:
        yield
    finally:
        with suppress(OSError):
            if _identity(path) == own:  # a successor may have replaced it
                path.unlink()


def _is_stale(path: Path) -> bool:
    """Return whether a file is a socket without a listener."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            pass  # its queue is full, or this process may not connect to it
    return False


def _identity(path: Path) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _url(bind: Bind, bound: socket.socket) -> str:
    """Return the URL of a listener, with the port that the kernel chose if PORT is 0."""
    if bind.scheme == "unix":
        return str(bind)
    host, port = bound.getsockname()[:2]
    scheme = "https" if bind.scheme == "ssl" else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
