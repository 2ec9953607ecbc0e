"""The control interface of a simulated BBB server: JSON over POST /control/<verb>.

It has a port of its own, so that a server that refuses or hangs can still be controlled. Tests read
the received requests here, and set meetings and faults.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.doubles.bbb_api import call_name
from tests.doubles.bbb_connection import Connection, Listener
from tests.doubles.bbb_faults import Faults, parse_fault
from tests.doubles.bbb_hooks import Hooks
from tests.doubles.bbb_http import Reply, Request
from tests.doubles.bbb_state import Meeting, Refused, State

SHOWN_BODY_BYTES = 4096

Body = dict[str, Any]


class Control:
    """The application behind the control port."""

    def __init__(
        self,
        state: State,
        faults: Callable[[], Faults],
        listener: Callable[[], Listener],
        log: deque[Request],
        callbacks: list[dict[str, Any]],
        on_end: Callable[[Meeting], None],
        hooks: Hooks,
        pages: dict[str, Reply],
    ) -> None:
        self._state = state
        self._faults = faults
        self._listener = listener
        self._log = log
        self._callbacks = callbacks
        self._on_end = on_end
        self._hooks = hooks
        self._pages = pages
        self._verbs: dict[str, Callable[[Body], Any]] = {
            "state": self._show_state,
            "requests": self._show_requests,
            "clear_requests": self._clear_requests,
            "callbacks": lambda body: self._callbacks,
            "create_meeting": self._create_meeting,
            "set_users": self._set_users,
            "hooks": lambda body: [asdict(hook) for hook in self._hooks.by_id.values()],
            "forget_hooks": self._forget_hooks,
            "end_meeting": self._end_meeting,
            "forget_meetings": self._forget_meetings,
            "faults": self._set_faults,
            "clear_faults": self._clear_faults,
            "reset": self._reset,
            "drop_connections": self._drop_connections,
            "serve_pages": self._serve_pages,
        }

    def handle_head(self, request: Request, connection: Connection) -> bool:
        """Wait for the body."""
        return False

    def handle(self, request: Request, connection: Connection) -> None:
        """Run one control call."""
        verb = request.path.removeprefix(b"/control/").decode("latin-1")
        run = self._verbs.get(verb)
        status = 200
        if run is None:
            status, answer = 404, {"error": f"no such control call: {verb}"}
        else:
            try:
                answer = run(json.loads(request.body or b"{}"))
            except (ValueError, KeyError, TypeError, Refused) as error:
                status, answer = 400, {"error": f"{type(error).__name__}: {error}"}
        reply = Reply(json.dumps(answer).encode(), "application/json", status).encode()
        # A connection that the call resets is closed in the next iteration of the loop, which must
        # come before the reply.
        asyncio.get_running_loop().call_soon(connection.send, reply)

    def _show_state(self, body: Body) -> Body:
        meetings = [_shown(meeting) for meeting in self._state.meetings.values()]
        faults = [asdict(fault) for fault in self._faults().active]
        return {"meetings": meetings, "faults": faults, "requests": len(self._log)}

    def _show_requests(self, body: Body) -> list[Body]:
        wanted = body.get("call")
        shown = (_shown_request(request) for request in self._log)
        return [request for request in shown if wanted in (None, request["call"])]

    def _clear_requests(self, body: Body) -> Body:
        self._log.clear()
        self._callbacks.clear()
        return {}

    def _create_meeting(self, body: Body) -> Body:
        meeting, _new = self._state.create({name: str(value) for name, value in body.items()})
        return _shown(meeting)

    def _set_users(self, body: Body) -> Body:
        meeting = self._state.find_exactly(body.pop("meetingID"))
        listed = bool(body.pop("listed", False))
        self._state.set_users(meeting, body, listed)
        return _shown(meeting)

    def _end_meeting(self, body: Body) -> Body:
        meeting = self._state.find_exactly(body["meetingID"])
        meeting.recording_marks = bool(body.get("marks", meeting.recording_marks))
        if body.get("callback", True):
            self._on_end(meeting)
        else:
            self._state.end(meeting)
        return {}

    def _serve_pages(self, body: Body) -> Body:
        """Serve these instead of those before: path to [status, type, base64, headers]."""
        self._pages.clear()
        for path, (status, kind, content, headers) in body.items():
            extra = tuple((name, value) for name, value in headers)
            self._pages[path] = Reply(base64.b64decode(content), kind, status, extra)
        return {}

    def _forget_meetings(self, body: Body) -> Body:
        self._state.forget_all()
        return {}

    def _forget_hooks(self, body: Body) -> Body:
        self._hooks.by_id.clear()
        return {}

    def _set_faults(self, body: Body) -> Body:
        for fault in [parse_fault(raw) for raw in body["faults"]]:
            self._faults().add(fault)
        return {}

    def _clear_faults(self, body: Body) -> Body:
        self._faults().clear()
        return {}

    def _reset(self, body: Body) -> Body:
        for clear in (self._clear_faults, self._forget_meetings, self._forget_hooks):
            clear(body)
        return self._clear_requests(body)

    def _drop_connections(self, body: Body) -> Body:
        self._listener().drop_connections()
        return {}


def _shown(meeting: Meeting) -> Body:
    shown = asdict(meeting)
    del shown["rendered"]
    return shown | {"running": meeting.running}


def _shown_request(request: Request) -> Body:
    return {
        "call": call_name(request.path),
        "method": request.method,
        "path": request.path.decode("latin-1"),
        "query": request.query.decode("latin-1"),
        "headers": request.headers,
        "received_s": request.received_s,
        "body_size": request.body_size,
        "body_sha256": request.body_sha256,
        "body_start": request.body.decode("latin-1"),
    }
