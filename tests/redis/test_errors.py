"""Errors of Redis and of the drivers, and which of the two types each becomes."""

from __future__ import annotations

import errno
import inspect
import socket
import ssl

import hiredis
import pytest
import trio

from appliance.redis.errors import (
    LOST,
    NO_PERMISSION,
    NoScriptError,
    RedisDown,
    RedisError,
    lost_reason,
    reply_error,
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("READONLY You can't write against a read only replica.", "READONLY"),
        (
            "READONLY You can't write against a read only replica. script: ab, on @user:1.",
            "READONLY",
        ),
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("MISCONF Redis is configured to save RDB snapshots, but it's unable to", "MISCONF"),
        ("MASTERDOWN Link with MASTER is down", "MASTERDOWN"),
        ("BUSY Redis is busy running a script.", "BUSY"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("NOPERM this user has no permissions to run the 'get' command", NO_PERMISSION),
        (
            "ERR Error running script (call to f_ab): @user_script:1: @user_script: 1: "
            "-OOM command not allowed when used memory > 'maxmemory'. ",
            "OOM",
        ),
        (
            "ERR Error running script (call to f_ab): @user_script:1: "
            "-READONLY You can't write against a read only replica. ",
            "READONLY",
        ),
    ],
)
def test_reply_error_is_down_when_redis_cannot_be_used(text: str, reason: str) -> None:
    error = reply_error(text)

    assert isinstance(error, RedisDown)
    assert error.reason == reason


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
        ("ERR unknown command 'FOO'", "ERR"),
        ("ERR Error compiling script (new function): user_script:1: '=' expected", "ERR"),
        ("EXECABORT Transaction discarded because of previous errors.", "EXECABORT"),
        ("unusual text of a script", "ERR"),
        ("", "ERR"),
    ],
)
def test_reply_error_is_an_error_when_the_command_is_wrong(text: str, code: str) -> None:
    error = reply_error(text)

    assert type(error) is RedisError
    assert error.code == code


def test_reply_error_is_no_script_error_when_the_script_is_unknown() -> None:
    assert isinstance(reply_error("NOSCRIPT No matching script."), NoScriptError)


def test_reply_error_omits_the_arguments_that_redis_repeats() -> None:
    error = reply_error("ERR unknown command 'FOO', with args beginning with: 'geheim' ")

    assert "geheim" not in str(error)


def test_lost_holds_every_error_of_the_drivers() -> None:
    hiredis_errors = [
        kind
        for _, kind in inspect.getmembers(hiredis, inspect.isclass)
        if issubclass(kind, Exception)
    ]
    of_sockets = [TimeoutError, ConnectionResetError, BrokenPipeError, socket.gaierror]
    of_tls = [ssl.SSLError, ssl.SSLEOFError, ssl.SSLCertVerificationError]
    of_trio = [trio.BrokenResourceError, trio.ClosedResourceError]

    for kind in [*hiredis_errors, *of_sockets, *of_tls, *of_trio]:
        assert issubclass(kind, LOST), kind


def _broken_by_tls() -> trio.BrokenResourceError:
    error = trio.BrokenResourceError()
    error.__cause__ = ssl.SSLError(1, "certificate verify failed")
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (OSError("all attempts to connect failed"), "all attempts to connect failed"),
        (OSError(), "OSError"),
        (hiredis.ProtocolError("Protocol error"), "not a Redis reply"),
        (_broken_by_tls(), "certificate verify failed"),
        (trio.ClosedResourceError(), "connection broken"),
    ],
)
def test_lost_reason_is_the_cause(error: Exception, reason: str) -> None:
    assert lost_reason(error) == reason
