"""Every error of the driver becomes one of the two types, without the values that it repeats."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import asyncpg
import pytest

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import AsyncioCancelled
from appliance.postgres.errors import FOREIGN, DatabaseRefused, translate


def _family(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def _of_the_driver() -> list[type[BaseException]]:
    roots = [asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError]
    return sorted({kind for root in roots for kind in _family(root)}, key=lambda k: k.__name__)


def test_translate_knows_every_error_of_the_driver() -> None:
    kinds = _of_the_driver()

    assert len(kinds) > 200
    for kind in kinds:
        assert issubclass(kind, FOREIGN), kind
        assert isinstance(translate(kind("said")), DatabaseDown | DatabaseRefused), kind


@pytest.mark.parametrize(
    "kind", [ConnectionRefusedError, TimeoutError, socket.gaierror, ssl.SSLError, EOFError]
)
def test_foreign_contains_errors_of_sockets(kind: type[BaseException]) -> None:
    assert issubclass(kind, FOREIGN)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "starting up"),
        (asyncpg.AdminShutdownError("terminating connection"), "terminating"),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), "too many"),
        (asyncpg.InvalidPasswordError("password authentication failed"), "authentication"),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), "does not exist"),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), "cannot execute"),
        (asyncpg.InsufficientPrivilegeError("permission denied for schema public"), "denied"),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), "closed"),
        (asyncpg.InterfaceError("connection is closed"), "closed"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (OSError("several addresses\nfailed"), "several addresses"),
        (TimeoutError(), "no answer in time"),
        (AsyncioCancelled("cancelled on the asyncio side"), "cancelled"),
    ],
)
def test_translate_returns_down_when_the_database_cannot_be_used(
    error: BaseException, reason: str
) -> None:
    found = translate(error)

    assert isinstance(found, DatabaseDown)
    assert reason in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("error", "sqlstate"),
    [
        (asyncpg.UniqueViolationError("duplicate key value violates"), "23505"),
        (asyncpg.UndefinedTableError('relation "x" does not exist'), "42P01"),
        (asyncpg.DeadlockDetectedError("deadlock detected"), "40P01"),
        (asyncpg.InterfaceError("the server expects 1 argument for this query"), ""),
        (asyncpg.exceptions.DataError("invalid input for query argument $1"), "22000"),
    ],
)
def test_translate_returns_refused_when_the_statement_is_wrong(
    error: BaseException, sqlstate: str
) -> None:
    found = translate(error)

    assert isinstance(found, DatabaseRefused)
    assert found.sqlstate == sqlstate


def test_translate_omits_values() -> None:
    unique = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
    unique.detail = "Key (record_id)=(geheim) already exists."
    wrong = asyncpg.InvalidTextRepresentationError('invalid input syntax for integer: "geheim"')

    for error in (unique, wrong):
        assert "geheim" in str(error)
        assert "geheim" not in str(translate(error))
