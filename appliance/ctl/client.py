"""The client of the control socket: HTTP/1.1 with JSON on a Unix socket, one connection per call.

Synchronous, standard library only. The calls are documented in docs/admin-api.md; the server is
admin/routes.py on admin/control_socket.py.
"""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any

from appliance.settings import SYSTEM_CONTROL_SOCKET, control_socket_path

PREFIX = "/scalelite/api"
SHORT_S = 30.0
LONG_S = 660.0
"""Both more than the deadline of the appliance for the call (admin_calls/call.py)."""


class ControlError(Exception):
    """A call failed. `str()` is a line for the operator."""


class NotRunning(ControlError):
    """No appliance listens on the control socket."""


class Refusal(ControlError):
    """The appliance answered with an error."""

    def __init__(
        self,
        reason: str,
        status: int,
        kind: str = "",
        problems: Sequence[str] = (),
        entries: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        """HTTP status."""
        self.kind = kind
        """`confirmation_needed`, `not_found` …, see admin_calls/refusal.py."""
        self.problems = tuple(problems)
        """All problems of the request, if the call lists them."""
        self.entries = entries
        """The part of the answer that can be shown all the same; None: nothing."""


def find_socket(environ: Mapping[str, str], *, is_root: bool) -> str:
    """Return the path of the control socket: configured, else of the user, else of the system.

    Users who administer a packaged appliance have no CTL_SOCKET in their environment.
    """
    own = control_socket_path(environ, is_root)
    configured = environ.get("CTL_SOCKET", "").strip()
    if configured or os.path.exists(own) or not os.path.exists(SYSTEM_CONTROL_SOCKET):
        return own
    return SYSTEM_CONTROL_SOCKET


class ControlClient:
    """Calls the appliance over its control socket. All methods raise ControlError."""

    def __init__(self, socket_path: str, limit_s: float = math.inf) -> None:
        """`limit_s`: for each call; the calls have limits of their own besides."""
        self._path = socket_path
        self._limit_s = limit_s

    def get(self, call: str, **query: str) -> Any:
        """Make a call that reads, and return the decoded JSON."""
        return self._get(call, query, SHORT_S)

    def get_long(self, call: str, **query: str) -> Any:
        """Make a call that reads and can take minutes, and return the decoded JSON."""
        return self._get(call, query, LONG_S)

    def _get(self, call: str, query: Mapping[str, str], deadline_s: float) -> Any:
        target = f"{PREFIX}/{call}"
        if query:
            from urllib.parse import urlencode

            target += f"?{urlencode(query)}"
        return self._call("GET", target, None, deadline_s)

    def post(
        self,
        call: str,
        body: Mapping[str, Any],
        *,
        deadline_s: float = SHORT_S,
        file: int | None = None,
    ) -> Any:
        """Make a call with a JSON body, and return the decoded JSON.

        file: a descriptor that is passed to the appliance.
        """
        content = json.dumps(body).encode()
        return self._call("POST", f"{PREFIX}/{call}", content, deadline_s, file)

    def stream(self, call: str, **query: str) -> Iterator[Any]:
        """Make a call whose answer goes on, and yield its lines; None for a sign of life."""
        from urllib.parse import urlencode

        connection = _UnixConnection(self._path, SHORT_S)
        try:
            connection.request("GET", f"{PREFIX}/{call}?{urlencode(query)}")
            response = connection.getresponse()
            if response.status >= 400:
                _decode(response.status, response.read())
            while line := response.readline():
                yield json.loads(line) if line.strip() else None
        except TimeoutError:
            raise ControlError(f"the appliance sent nothing for {SHORT_S:g} s") from None
        except (OSError, HTTPException, ValueError):
            pass  # as at the end
        finally:
            connection.close()
        raise ControlError("the appliance ended the connection")

    def _call(
        self,
        method: str,
        target: str,
        body: bytes | None,
        deadline_s: float,
        file: int | None = None,
    ) -> Any:
        connection = _UnixConnection(self._path, min(deadline_s, self._limit_s), file)
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
        return _decode(status, content)


def _decode(status: int, content: bytes) -> Any:
    try:
        document = json.loads(content)
    except ValueError:
        if status >= 400:  # from the HTTP server, for example for a target that is too long
            raise ControlError(f"the appliance refused the call: HTTP status {status}") from None
        raise ControlError("the answer of the appliance is not JSON") from None
    if status < 400:
        return document
    error = document if isinstance(document, dict) else {}
    reason = str(error.get("error") or f"HTTP status {status}")
    problems = error.get("problems")
    listed = [str(one) for one in problems] if isinstance(problems, list) else []
    raise Refusal(reason, status, str(error.get("kind", "")), listed, error.get("entries"))


class _UnixConnection(HTTPConnection):
    """An HTTPConnection to a Unix socket."""

    def __init__(self, path: str, timeout_s: float, file: int | None = None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._file = file

    def send(self, data: Any) -> None:
        """Send data; the first of them carries the descriptor of the file, if there is one."""
        if self._file is None:
            super().send(data)
            return
        self.connect()
        file, self._file = self._file, None
        sent = socket.send_fds(self.sock, [data], [file])
        super().send(data[sent:])

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
                f"the appliance is not running (no process listens on {self._path})"
            ) from None
        except PermissionError:
            raise ControlError(
                f"no permission for {self._path}: use sudo, or join the group of the socket"
            ) from None
        except OSError as error:
            raise ControlError(f"cannot connect to {self._path}: {error}") from None
