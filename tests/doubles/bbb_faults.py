"""The faults that can be injected into a simulated BBB server.

A fault applies to a call (or `*`), for the next `times` matching requests or until it is cleared.
`executed` states whether the call takes effect despite its faulty answer: a create that is answered
with 500 may or may not have created the meeting.
The kinds are those of the table `_STRIKES` at the end, LISTENER_KINDS and `delay`.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from tests.doubles import bbb_xml_answers as answers
from tests.doubles.bbb_connection import Connection, Listener
from tests.doubles.bbb_http import Reply, Request

LISTENER_KINDS = ("refuse", "hang_accept")
"""Kinds that apply to the whole server: `call`, `times` and `match` are ignored."""
SPOILERS = ("delay", "half", "truncated", "wrong_content_type", "slow_drip", "gzip")
"""Kinds that alter the real answer, and therefore execute the call by default."""
_BILLION = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 10))
BOMB = (
    f'<?xml version="1.0"?><!DOCTYPE response [<!ENTITY a0 "ha">{_BILLION}]>'
    "<response><returncode>SUCCESS</returncode><running>&a9;</running></response>"
).encode()
EXTERNAL_ENTITY = (
    b'<?xml version="1.0"?><!DOCTYPE response [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<response><returncode>SUCCESS</returncode><running>&x;</running></response>"
)
CANNED = answers.succeeded("simulated", "The answer to a call that was not executed.")
ERROR_PAGE = b"<html><head><title>Error</title></head><body><h1>Error</h1></body></html>"
BINARY = bytes(range(256)) * 8


@dataclass(slots=True)
class Fault:
    """A fault, with the fields of the control call `faults`."""

    kind: str
    call: str = "*"
    times: int | None = None
    """None: until cleared."""
    executed: bool | None = None
    """None: the default of the kind."""
    early: bool = False
    """Strike after the header, before the body is read (hang, close, reset, status)."""
    seconds: float = 1.0
    """delay: before the answer, unless the faults are cleared; slow_drip: between two bytes."""
    status: int = 500
    size: int = 50 * 1024 * 1024
    """big: bytes; 0 means endless."""
    key: str = "internalError"
    message: str = "simulated failure"
    match: str = ""
    """Strike only requests whose raw query contains this text."""

    @property
    def executes(self) -> bool:
        """Return whether the call takes effect."""
        return self.kind in SPOILERS if self.executed is None else self.executed

    def fits(self, call: str, request: Request, early: bool) -> bool:
        """Return whether the fault strikes this request now."""
        return (
            self.early is early
            and self.kind not in LISTENER_KINDS
            and self.call in ("*", call)
            and self.match.encode() in request.query
        )


def parse_fault(raw: dict[str, Any]) -> Fault:
    """Make a fault from JSON. Raises ValueError: unknown kind or field."""
    unknown = set(raw) - {field.name for field in fields(Fault)}
    if unknown or raw.get("kind") not in (*LISTENER_KINDS, "delay", *_STRIKES):
        raise ValueError(f"not a fault: {sorted(raw)} kind={raw.get('kind')!r}")
    return Fault(**raw)


class Faults:
    """The active faults, in the order in which they were set; the first that fits strikes."""

    def __init__(self, listener: Listener) -> None:
        self.active: list[Fault] = []
        self._listener = listener
        self._late: list[Callable[[], None]] = []

    def add(self, fault: Fault) -> None:
        """Activate a fault."""
        if fault.kind == "refuse":
            self._listener.refuse()
        elif fault.kind == "hang_accept":
            self._listener.stall()
        self.active.append(fault)

    def clear(self) -> None:
        """Remove all faults: delayed answers are sent now; hanging requests stay unanswered."""
        self.active.clear()
        self._listener.open()
        for answer in tuple(self._late):
            answer()

    def take(self, call: str, request: Request, early: bool = False) -> Fault | None:
        """Return the fault that strikes this request, and decrement its `times`."""
        for fault in self.active:
            if fault.fits(call, request, early):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.active.remove(fault)
                return fault
        return None

    def strike(
        self, fault: Fault, request: Request, connection: Connection, execute: Callable[[], Reply]
    ) -> None:
        """Answer a request with the fault; `execute` runs the call and returns its answer."""
        if fault.kind == "delay":
            self._delay(fault, connection, execute)
            return
        reply = execute() if fault.executes else Reply(CANNED)
        _STRIKES[fault.kind](fault, request, connection, reply)

    def _delay(self, fault: Fault, connection: Connection, execute: Callable[[], Reply]) -> None:
        done = execute() if fault.executes else None

        def answer() -> None:
            if answer in self._late:
                self._late.remove(answer)
                connection.send((done or execute()).encode())

        self._late.append(answer)
        asyncio.get_running_loop().call_later(fault.seconds, answer)


Strike = Callable[[Fault, Request, Connection, Reply], None]


def _hang(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.hang(read_on=not fault.early)


def _status(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    page = Reply(ERROR_PAGE, "text/html", fault.status)
    connection.send(page.encode(), close=fault.early)


def _close(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.close()


def _reset(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.reset()


def _half(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    whole = reply.encode()
    connection.send(whole[: len(whole) - len(reply.body) // 2 - 1], close=True)


def _truncated(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    body = reply.body[: len(reply.body) // 2]
    connection.send(reply._replace(body=body).encode())


def _wrong_type(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    body = reply.body if fault.executes else ERROR_PAGE
    connection.send(reply._replace(body=body, content_type="text/html").encode())


def _drip(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.send_slowly(reply.encode(), fault.seconds)


def _gzip(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    headers = (*reply.headers, ("Content-Encoding", "gzip"))
    connection.send(reply._replace(body=gzip.compress(reply.body), headers=headers).encode())


def _redirect(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    target = request.target.decode("latin-1")
    connection.send(Reply(b"", "text/html", 302, (("Location", target),)).encode())


def _big(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.send_in_pieces(_big_pieces(fault.size))


def _big_pieces(size: int) -> Iterator[bytes]:
    """Yield a chunked, well-formed answer of about `size` bytes, endless if 0."""
    filler = b"a" * 65_536
    start, end = answers.succeeded("big", "_").split(b"_")
    yield Reply(b"").head("Transfer-Encoding: chunked")
    yield _chunk(start)
    for _ in range(size // len(filler)) if size else itertools.repeat(None):
        yield _chunk(filler)
    yield _chunk(end)
    yield b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _failed(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.send(Reply(answers.failed(fault.key, fault.message)).encode())


def _canned(body: bytes) -> Strike:
    def send(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
        connection.send(Reply(body).encode())

    return send


def _not_http(fault: Fault, request: Request, connection: Connection, reply: Reply) -> None:
    connection.send(BINARY, close=True)


_STRIKES: dict[str, Strike] = {
    "hang": _hang,
    "status": _status,
    "close": _close,
    "reset": _reset,
    "half": _half,
    "truncated": _truncated,
    "wrong_content_type": _wrong_type,
    "slow_drip": _drip,
    "gzip": _gzip,
    "redirect_loop": _redirect,
    "big": _big,
    "failed": _failed,
    "garbage": _canned(BINARY),
    "empty": _canned(b""),
    "bomb": _canned(BOMB),
    "external_entity": _canned(EXTERNAL_ENTITY),
    "no_returncode": _canned(b"<response><version>2.0</version></response>"),
    "not_http": _not_http,
}
