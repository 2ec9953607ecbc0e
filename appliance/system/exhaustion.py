"""Errors that this process caused by reaching a limit of its own: descriptors, memory, threads.

They say nothing about the peer of a connection. Source: errno(3).
"""

from __future__ import annotations

import errno
import socket

EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class OwnLimitError(OSError):
    """A limit of this process was reached; `str()` names it."""


def is_own_limit(error: BaseException | None) -> bool:
    """Return whether an error, one of its causes or of its group is due to a limit of our own."""
    if error is None:
        return False
    if isinstance(error, OwnLimitError):
        return True
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        return True
    if isinstance(error, BaseExceptionGroup):
        return any(is_own_limit(one) for one in error.exceptions)
    return is_own_limit(error.__cause__)


def check_descriptors() -> None:
    """Raise OwnLimitError if no socket can be opened.

    For libraries that hide why they failed, such as the system's resolver.
    """
    try:
        socket.socket().close()
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise OwnLimitError(error.strerror) from error
