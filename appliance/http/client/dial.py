"""Opens connections to HTTP servers: name look-up, TCP, TLS.

Keeps no connection after handing it out and knows no HTTP. Every failure here happens before a
byte of a request is sent; it is raised as httpx.ConnectError with a text that is safe to log.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import httpx
import trio

from appliance.system.exhaustion import OwnLimitError, check_descriptors
from appliance.system.wire import SocketWire, TlsWire, Wire, connect_tcp

MAX_LOOKUPS = 128
"""Name look-ups that may run at once. Each holds a thread until the system's resolver gives up,
which may be half a minute after the last caller has stopped waiting for it."""

STAGGER_S = 0.25
"""How long one address is tried alone before the next is tried in parallel (RFC 8305)."""

Lookup = Callable[[str, int], Sequence[tuple[Any, ...]]]
"""A blocking getaddrinfo for stream sockets."""


class RefusedAddressError(httpx.ConnectError):
    """None of the addresses of a host may be connected to."""


class Origin(NamedTuple):
    """Scheme, host and port of a server; connections to one origin are interchangeable."""

    tls: bool
    host: str
    """A name in ASCII (IDNA) or an address without brackets."""
    port: int

    @property
    def host_header(self) -> bytes:
        """Render the Host header (RFC 9110 section 7.2); the scheme's default port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default_port = 443 if self.tls else 80
        return (host if self.port == default_port else f"{host}:{self.port}").encode()


def parse_origin(url: httpx.URL) -> Origin:
    """Return the origin of a URL.

    Raises: httpx.UnsupportedProtocol (another scheme than http and https, or no host).
    """
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise httpx.UnsupportedProtocol("only http:// and https:// URLs with a host can be called")
    tls = url.scheme == "https"
    host = url.raw_host.decode("ascii").strip("[]")
    return Origin(tls, host, url.port or (443 if tls else 80))


def open_ssl_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Make the context that all connections share: the system's CAs, plus those of `ca_file`.

    Raises: OSError (not readable), ssl.SSLError (no certificate in it).
    """
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialer:
    """Opens connections; shares the TLS context and the name look-ups that are running."""

    def __init__(
        self,
        ssl_context: ssl.SSLContext,
        lookup: Lookup | None = None,
        allows: Callable[[str], bool] | None = None,
    ) -> None:
        """Resolve names with `lookup`, None: with the system's resolver.

        Only addresses that `allows` accepts are connected to. It is called with the resolved
        address, which is then the one connected to: a name cannot resolve to another address
        between the check and the connection.
        """
        self._ssl_context = ssl_context
        self._allows = allows
        self._names = _Names(lookup or _getaddrinfo)

    async def dial(self, origin: Origin) -> Wire:
        """Connect, with the TLS handshake done. The caller sets the deadline.

        Raises: httpx.ConnectError, including RefusedAddressError.
        """
        try:
            tcp = await self._connect(origin.host, origin.port)
        except OSError as exc:
            raise httpx.ConnectError(f"cannot connect: {_reason(exc)}") from exc
        if not origin.tls:
            return tcp
        tls = trio.SSLStream(
            tcp, self._ssl_context, server_hostname=origin.host, https_compatible=True
        )
        shaken = False
        try:
            await tls.do_handshake()
            shaken = True
        except (trio.BrokenResourceError, OSError) as exc:
            raise httpx.ConnectError(f"TLS handshake failed: {_tls_reason(exc)}") from exc
        finally:
            if not shaken:
                tcp.close()
        return TlsWire(tls)

    async def _connect(self, host: str, port: int) -> SocketWire:
        """Return a connected socket. Raises: OSError, RefusedAddressError."""
        addresses = [host] if _is_address(host) else await self._names.resolve(host, port)
        if self._allows is not None:
            addresses = [address for address in addresses if self._allows(address)]
            if not addresses:
                raise RefusedAddressError("the address may not be called")
        addresses = _interleave(addresses)
        if len(addresses) == 1:
            return await connect_tcp(addresses[0], port)
        return await _connect_any(addresses, port)


class _Names:
    """Looks names up in threads, at most one thread for a name at any time.

    trio.socket.getaddrinfo is not used: a look-up that hangs keeps its token of Trio's thread
    limiter after its caller is cancelled, so forty of them would block every other thread of the
    process, and retries against one dead name would each start another.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._running: dict[tuple[str, int], _PendingLookup] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a name. Raises: OSError (socket.gaierror)."""
        pending = self._running.get((host, port))
        if pending is None:
            if len(self._running) >= MAX_LOOKUPS:
                raise OwnLimitError("too many name look-ups are running")
            pending = _PendingLookup()
            self._start(host, port, pending)
            self._running[host, port] = pending
        await pending.done.wait()
        if pending.failure is not None:
            raise OSError(_reason(pending.failure)) from pending.failure
        return pending.addresses

    def _start(self, host: str, port: int, pending: _PendingLookup) -> None:
        token = trio.lowlevel.current_trio_token()

        def work() -> None:
            try:
                pending.addresses = [str(entry[4][0]) for entry in self._lookup(host, port)]
                if not pending.addresses:
                    pending.failure = OSError("the name has no address")
            except Exception as exc:  # raised in the waiting tasks by `resolve`
                pending.failure = _failure_of_lookup(exc)

        def finish() -> None:
            del self._running[host, port]
            pending.done.set()

        def deliver(_outcome: object) -> None:
            try:
                token.run_sync_soon(finish)
            except trio.RunFinishedError:
                return  # the process is stopping, no task waits any more

        try:
            trio.lowlevel.start_thread_soon(work, deliver, name="name look-up")
        except RuntimeError as exc:
            raise OwnLimitError("no thread for a name look-up") from exc


class _PendingLookup:
    """One running look-up, shared by all tasks that wait for it."""

    __slots__ = ("addresses", "done", "failure")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.addresses: list[str] = []
        self.failure: Exception | None = None


def _failure_of_lookup(failure: Exception) -> Exception:
    """Return why a look-up failed: the resolver calls a lack of descriptors an unknown name."""
    try:
        check_descriptors()
    except OwnLimitError as exc:
        return exc
    return failure


def _getaddrinfo(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _interleave(addresses: Sequence[str]) -> list[str]:
    """Order addresses so that the second tried is of the other family (RFC 8305 section 4)."""
    unique = list(dict.fromkeys(addresses))
    other = [a for a in unique if (":" in a) != (":" in unique[0])]
    return [unique[0], *other[:1], *(a for a in unique[1:] if a not in other[:1])]


async def _connect_any(addresses: Sequence[str], port: int) -> SocketWire:
    """Connect to the address that accepts first ("happy eyeballs"). Raises: OSError."""
    winners: list[SocketWire] = []
    failures: list[OSError] = []

    async def attempt(address: str, failed: trio.Event) -> None:
        try:
            winners.append(await connect_tcp(address, port))
        except OSError as exc:
            failures.append(exc)
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    finished = False
    try:
        async with trio.open_nursery() as nursery:
            for address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, address, failed)
                with trio.move_on_after(STAGGER_S):
                    await failed.wait()
        finished = True
    finally:
        for spare in winners[1 if finished else 0 :]:
            spare.close()
    if not winners:
        raise failures[0]
    return winners[0]


def _reason(exc: BaseException) -> str:
    """Return the reason in a few words: never an address, a path or what the peer sent.

    trio.open_tcp_stream raises an OSError without errno whose cause is a group of the errors of
    each address.
    """
    cause = exc.__cause__
    if isinstance(cause, BaseExceptionGroup) and cause.exceptions:
        exc = cause.exceptions[0]
    if isinstance(exc, socket.gaierror):
        return f"name look-up failed ({exc.strerror})"
    if isinstance(exc, OSError):
        return os.strerror(exc.errno) if exc.errno else str(exc)
    return type(exc).__name__


def _tls_reason(exc: BaseException) -> str:
    cause = exc.__cause__ or exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, ssl.SSLError):
        return cause.reason or "protocol error"
    return _reason(cause)
