"""Translate errors of asyncpg and of sockets into two: DatabaseDown and DatabaseRefused.

The only place where they are translated; does no I/O.
Source: PostgreSQL manual, appendix "PostgreSQL Error Codes"; asyncpg `exceptions/__init__.py`.
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
"""Everything that asyncpg and its sockets raise when a call fails. TimeoutError is an OSError."""

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
    """PostgreSQL refused a statement: a constraint, or a defect. The text holds no values.

    `sqlstate` is the error code, `23505` for a unique violation; empty if asyncpg refused it.
    """

    def __init__(self, text: str, sqlstate: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


def translate(error: BaseException) -> DatabaseDown | DatabaseRefused:
    """Translate one of FOREIGN. Texts that may repeat values are dropped."""
    name = type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "XX000")
        # args[0] is the message; str() would append the details, which repeat whole rows.
        message = str(error.args[0]) if error.args else name
        if state in _DOWN_CLASSES or state[:2] in _DOWN_CLASSES:
            return DatabaseDown(message)
        # Class 22 is an invalid value, which the message repeats.
        return DatabaseRefused(name if state.startswith("22") else message, state)
    if isinstance(error, asyncpg.InterfaceError) and _is_wrong_argument(error):
        return DatabaseRefused(f"{name}: wrong arguments")
    return DatabaseDown(_connection_reason(error))


def _is_wrong_argument(error: BaseException) -> bool:
    """Return whether asyncpg refused the arguments; a wrong number has no type of its own."""
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return False
    return isinstance(error, ValueError) or str(error).startswith("the server expects")


def _connection_reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0] or type(error).__name__
