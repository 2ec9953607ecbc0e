"""What can go wrong between us and Redis, in two kinds: unusable now, or our own mistake.

The one place where foreign errors and Redis' error replies are translated; holds no I/O.
Source: redis.io "RESP protocol specification" (an error reply starts with a code in capitals) and
the error texts of Redis 6 to 8.
"""

from __future__ import annotations

import re

import hiredis
import trio

LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, hiredis.HiredisError)
"""All that sockets, TLS and the parser raise when a connection is of no more use."""

_UNUSABLE_CODES = frozenset(
    {
        "BUSY",  # a script runs for seconds
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",  # cannot persist, so refuses writes
        "NOAUTH",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
        "UNKILLABLE",
        "WRONGPASS",
    }
)
# Redis 6 wraps what a command inside a script answers: "ERR Error running script (...): -OOM ...".
_WRAPPED_CODE = re.compile(r"ERR Error running script.*?-([A-Z]+) ", re.DOTALL)
_CODE = re.compile(r"[A-Z]+\b")


class RedisDown(Exception):
    """The store is not usable now. `reason` holds no secret and may be logged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RedisError(Exception):
    """Redis refused a command that is wrong: a bug of ours, or data of a wrong type."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class NoScriptError(RedisError):
    """Redis does not know the script, so it did not run any of it."""


def reply_error(text: str) -> RedisDown | RedisError:
    """Translate an error reply. What Redis repeats of our arguments is cut off."""
    wrapped = _WRAPPED_CODE.match(text)
    found = _CODE.match(text)
    code = wrapped[1] if wrapped else found[0] if found else "ERR"
    if code in _UNUSABLE_CODES:
        return RedisDown(code)
    safe = text.partition(", with args beginning with")[0]
    return NoScriptError(code, safe) if code == "NOSCRIPT" else RedisError(code, safe)


def lost_reason(error: BaseException) -> str:
    """Say in a few words why a connection was lost; `error` is one of LOST."""
    if isinstance(error, hiredis.HiredisError):
        return "not an answer of Redis"
    if not isinstance(error, OSError) and isinstance(error.__cause__, OSError):
        error = error.__cause__  # trio wraps what the socket or TLS said
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return "connection broken"
