"""Translate errors of Redis, of sockets and of TLS into two: RedisDown and RedisError.

The only place where they are translated; does no I/O.
Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (an error reply starts with a
code in capitals); error texts of Redis 6 to 8.
"""

from __future__ import annotations

import re

import hiredis
import trio

LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, hiredis.HiredisError)
"""Everything that sockets, TLS and the parser raise when a connection can no longer be used."""

_UNUSABLE_CODES = frozenset(
    {
        "BUSY",  # a script has been running for seconds
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",  # cannot persist, so it refuses writes
        "NOPERM",
        "NOAUTH",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNKILLABLE",
        "WRONGPASS",
    }
)
WRITES_REFUSED = frozenset({"MISCONF", "NOREPLICAS", "OOM"})
"""Reasons with which Redis refuses to write, and goes on answering reads."""
# Redis 6 wraps the error of a command within a script: "ERR Error running script (...): -OOM ...".
_WRAPPED_CODE = re.compile(r"ERR Error running script.*?-([A-Z]+) ", re.DOTALL)
_CODE = re.compile(r"[A-Z]+\b")
NO_PERMISSION = "the user of REDIS_URL may not use the keys of the namespace, or a command (NOPERM)"


class RedisDown(Exception):
    """Redis cannot be used now. `reason` holds no secret and may be logged.

    `sent`: bytes of the command may have been sent, so that it may have been run.
    """

    def __init__(self, reason: str, *, sent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class RedisError(Exception):
    """Redis refused a command: a defect of the caller, or a key of the wrong type."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NoScriptError(RedisError):
    """Redis does not have the script, so nothing was run."""


def reply_error(text: str) -> RedisDown | RedisError:
    """Translate an error reply; arguments that it repeats are removed, as they may be secret."""
    wrapped = _WRAPPED_CODE.match(text)
    found = _CODE.match(text)
    code = wrapped[1] if wrapped else found[0] if found else "ERR"
    if code in _UNUSABLE_CODES:
        return RedisDown(NO_PERMISSION if code == "NOPERM" else code)
    safe = text.partition(", with args beginning with")[0]
    return NoScriptError(code, safe) if code == "NOSCRIPT" else RedisError(code, safe)


def lost_reason(error: BaseException) -> str:
    """Return a short reason why a connection was lost; `error` is one of LOST."""
    if isinstance(error, hiredis.HiredisError):
        return "not a Redis reply"
    if not isinstance(error, OSError) and isinstance(error.__cause__, OSError):
        error = error.__cause__  # Trio wraps the error of the socket or of TLS
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return "connection broken"
