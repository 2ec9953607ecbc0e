"""Calls over the control socket: HTTP/1.1 with JSON on a Unix socket, one connection a call.

Synchronous, standard library only. The server's half is admin/routes.py (calls, fields) and
admin/control_socket.py (who may connect).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, Protocol

from appliance.settings import SYSTEM_CONTROL_SOCKET, control_socket_path

PREFIX = "/scalelite/api"
SHORT_S = 30.0
LONG_S = 660.0
"""A little more than the appliance gives itself for calls to many servers."""


class ControlError(Exception):
    """A call was not done; `str()` is one line for people."""


class NotRunning(ControlError):
    """Nobody listens on the control socket."""


class Refusal(ControlError):
    """The appliance answered, and refused."""

    def __init__(
        self, reason: str, status: int, kind: str = "", problems: Sequence[str] = ()
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.problems = tuple(problems)
        """Everything that is wrong, one by one, where a call says so."""
        self.kind = kind
        """`confirmation_needed`, `not_found` …, as admin_calls/refusal.py has them."""


class Caller(Protocol):
    """What the commands need of a client."""

    def get(self, call: str, **query: str) -> Any:
        """Make a call that changes nothing and return its JSON. Raises ControlError."""

    def get_long(self, call: str, **query: str) -> Any:
        """Make one that may take minutes. Raises ControlError."""

    def post(self, call: str, body: Mapping[str, Any], *, deadline_s: float = SHORT_S) -> Any:
        """Make a call with a body and return its JSON. Raises ControlError."""


def find_socket(environ: Mapping[str, str], *, is_root: bool) -> str:
    """Return the control socket's path: what is configured, else ours, else the system's.

    The environment of a user who administers a packaged appliance says nothing of it.
    """
    own = control_socket_path(environ, is_root)
    configured = environ.get("CTL_SOCKET", "").strip()
    if configured or os.path.exists(own) or not os.path.exists(SYSTEM_CONTROL_SOCKET):
        return own
    return SYSTEM_CONTROL_SOCKET


class ControlClient:
    """Calls to the appliance behind one socket."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path

    def get(self, call: str, **query: str) -> Any:
        """Make a call that changes nothing and return its JSON. Raises ControlError."""
        return self._get(call, query, SHORT_S)

    def get_long(self, call: str, **query: str) -> Any:
        """Make one that may take minutes. Raises ControlError."""
        return self._get(call, query, LONG_S)

    def _get(self, call: str, query: Mapping[str, str], deadline_s: float) -> Any:
        target = f"{PREFIX}/{call}"
        if query:
            from urllib.parse import urlencode

            target += f"?{urlencode(query)}"
        return self._call("GET", target, None, deadline_s)

    def post(self, call: str, body: Mapping[str, Any], *, deadline_s: float = SHORT_S) -> Any:
        """Make a call with a body and return its JSON. Raises ControlError."""
        return self._call("POST", f"{PREFIX}/{call}", json.dumps(body).encode(), deadline_s)

    def _call(self, method: str, target: str, body: bytes | None, deadline_s: float) -> Any:
        connection = _UnixConnection(self._path, deadline_s)
        headers = {"Connection": "close", "Content-Type": "application/json"}
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except ControlError:
            raise
        except TimeoutError:
            raise ControlError(f"the appliance did not answer within {deadline_s:g} s") from None
        except (OSError, HTTPException):
            raise ControlError("the appliance closed the connection without an answer") from None
        finally:
            connection.close()
        return _read(status, content)


def _read(status: int, content: bytes) -> Any:
    try:
        document = json.loads(content)
    except ValueError:
        if status >= 400:  # before the call was looked at: a target that is too long, say
            raise ControlError(f"the appliance refused the call: HTTP status {status}") from None
        raise ControlError("the appliance gave an answer that is no JSON") from None
    if status < 400:
        return document
    error = document if isinstance(document, dict) else {}
    reason = str(error.get("error") or f"HTTP status {status}")
    problems = error.get("problems")
    listed = [str(one) for one in problems] if isinstance(problems, list) else []
    raise Refusal(reason, status, str(error.get("kind", "")), listed)


class _UnixConnection(HTTPConnection):
    """http.client's connection, on a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect. Raises NotRunning, ControlError."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except (FileNotFoundError, NotADirectoryError):
            raise NotRunning(f"the appliance is not running (no socket {self._path})") from None
        except ConnectionRefusedError:
            raise NotRunning(
                f"the appliance is not running (nobody listens on {self._path})"
            ) from None
        except PermissionError:
            raise ControlError(
                f"no permission for {self._path}: be root, or a member of its group"
            ) from None
        except OSError as error:
            raise ControlError(f"cannot connect to {self._path}: {error}") from None
