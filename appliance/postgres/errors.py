"""What can go wrong between us and PostgreSQL, in two kinds: unusable now, or a statement refused.

The one place where asyncpg's errors are translated; holds no I/O.
Source: PostgreSQL manual, appendix "Error Codes"; asyncpg/exceptions.
"""

from __future__ import annotations

import asyncpg

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import AsyncioCancelled

FOREIGN = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
    AsyncioCancelled,
)
"""All that asyncpg and the sockets below it raise when a call fails. TimeoutError is an OSError."""

_DOWN_CLASSES = frozenset(
    {
        "08",  # connection exception
        "25",  # invalid transaction state: read only (a replica), idle timeout
        "28",  # invalid authorization: role, password, pg_hba.conf
        "3D",  # the database does not exist
        "42501",  # insufficient privilege
        "53",  # insufficient resources: connections, disk, memory
        "57",  # operator intervention: shutting down, starting up, cancelled
        "58",  # system error
        "F0",  # configuration file error
        "XX",  # internal error, corrupted data
    }
)


class DatabaseRefused(Exception):
    """PostgreSQL refused a statement: a constraint, or a bug of ours. Its text holds no values.

    `sqlstate` is PostgreSQL's error code, `23505` for a unique violation; "" if asyncpg refused.
    """

    def __init__(self, text: str, sqlstate: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


def translate(error: BaseException) -> DatabaseDown | DatabaseRefused:
    """Return our error for one of FOREIGN. What may repeat values of ours is dropped."""
    name = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "XX000")
        # args[0] is the message alone; str() would add the details, which repeat whole rows.
        message = str(error.args[0]) if error.args else name
        if state in _DOWN_CLASSES or state[:2] in _DOWN_CLASSES:
            return DatabaseDown(message)
        # 22 is a value that does not fit, and its message repeats it.
        return DatabaseRefused(name if state.startswith("22") else message, state)
    if isinstance(error, asyncpg.InterfaceError) and _is_our_mistake(error):
        return DatabaseRefused(f"{name}: wrong arguments")
    return DatabaseDown(_connection_reason(error))


def _is_our_mistake(error: BaseException) -> bool:
    """Whether asyncpg refused the arguments; for their number it has no type of its own."""
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return False
    return isinstance(error, ValueError) or str(error).startswith("the server expects")


def _connection_reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0] or type(error).__name__
