"""One connection to real Redis servers: TCP, Unix socket, TLS, authentication, Sentinel."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.redis.connection import (
    RedisAddress,
    Script,
    connect,
    new_reader,
    pack,
    parse_address,
)
from appliance.redis.errors import RedisDown
from tests.doubles.ports import free_port
from tests.doubles.redis_processes import (
    RedisProcess,
    redis_process,
    sentinel_process,
    short_directory,
    tls_redis_process,
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with redis_process() as server:
        yield server


@pytest.fixture(scope="module")
def locked_redis() -> Iterator[RedisProcess]:
    acl = ("--user", "ann", "on", ">wort", "~*", "-@all", "+get", "+auth")
    with redis_process("--requirepass", "geheim", *acl) as server:
        yield server


async def talk(address: RedisAddress, *command: str) -> bytes:
    """Connect, send one command and return the first bytes of the answer."""
    with trio.fail_after(40):
        wire = await connect(address, parse_address(address), ())
        try:
            await wire.send_all(pack(command))
            return await wire.receive_some()
        finally:
            wire.close()


async def refusal(address: RedisAddress) -> str:
    """Return the reason why connecting to address fails."""
    with trio.fail_after(40), pytest.raises(RedisDown) as failure:
        await connect(address, parse_address(address), ())
    return failure.value.reason


# --- addresses and bytes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://example.org", ("example.org", 6379, None, 0, None, None)),
        ("redis://example.org:7000/3", ("example.org", 7000, None, 3, None, None)),
        ("redis://ann:w%40rt@[::1]:7000", ("::1", 7000, None, 0, "ann", "w@rt")),
        ("redis://:wort@example.org/?db=2", ("example.org", 6379, None, 2, None, "wort")),
        ("unix:///run/redis.sock?db=4", ("localhost", 6379, "/run/redis.sock", 4, None, None)),
        ("unix://:wort@/run/redis.sock", ("localhost", 6379, "/run/redis.sock", 0, None, "wort")),
    ],
)
def test_address_is_read(url: str, expected: tuple[object, ...]) -> None:
    found = parse_address(RedisAddress(url))

    assert (found.host, found.port, found.path, found.db) == expected[:4]
    assert (found.username, found.password) == expected[4:]
    assert found.tls is None


@pytest.mark.parametrize(
    "url", ["http://geheim@example.org", "redis://:geheim@example.org:port", "unix://", "geheim"]
)
def test_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="address") as failure:
        parse_address(RedisAddress(url))

    assert "geheim" not in str(failure.value)


def test_repr_of_an_address_hides_its_password() -> None:
    address = RedisAddress("rediss://ann:geheim@example.org")

    assert "geheim" not in repr(address) + repr(parse_address(address))


def test_pack_and_reader_keep_bytes_that_are_no_text() -> None:
    reader = new_reader(lambda text: text, None)
    reader.feed(b"$5\r\n\xff\xc3\xbc\x00a\r\n")

    assert pack(("SET", reader.gets(), 1, 0.1)) == (
        b"*4\r\n$3\r\nSET\r\n$5\r\n\xff\xc3\xbc\x00a\r\n$1\r\n1\r\n$3\r\n0.1\r\n"
    )


@pytest.mark.parametrize("argument", [None, [], object()])
def test_pack_refuses_what_redis_has_no_type_for(argument: object) -> None:
    with pytest.raises(TypeError):
        pack(("SET", "a", argument))  # type: ignore[arg-type]


# --- connecting -----------------------------------------------------------------------------------


async def test_connect_reaches_redis_by_unix_socket_and_tcp(redis: RedisProcess) -> None:
    for url in (redis.unix_url, redis.tcp_url):
        assert b"name=scalelite-appliance" in await talk(RedisAddress(url), "CLIENT", "INFO")


async def test_connect_selects_the_database(redis: RedisProcess) -> None:
    for url in (redis.unix_url + "?db=5", redis.tcp_url + "/5"):
        assert b" db=5 " in await talk(RedisAddress(url), "CLIENT", "INFO")


async def test_connect_loads_the_scripts_even_if_one_is_broken(redis: RedisProcess) -> None:
    good, broken = Script("good", "return 7"), Script("broken", "return return")
    address = RedisAddress(redis.unix_url)

    (await connect(address, parse_address(address), [broken, good])).close()

    assert redis.ask("SCRIPT", "EXISTS", good.sha1, broken.sha1) == [1, 0]


async def test_connect_logs_in(locked_redis: RedisProcess) -> None:
    host = f"127.0.0.1:{locked_redis.port}"
    for url in (f"redis://:geheim@{host}", f"unix://:geheim@{locked_redis.socket_path}"):
        assert b"user=default" in await talk(RedisAddress(url), "CLIENT", "INFO")


async def test_connect_accepts_a_user_with_few_rights(locked_redis: RedisProcess) -> None:
    url = f"redis://ann:wort@127.0.0.1:{locked_redis.port}"

    assert await talk(RedisAddress(url), "GET", "nothing") == b"$-1\r\n"


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        ("", "a password is required, but REDIS_URL has none"),
        (":falsch@", "the password (or user name) in REDIS_URL is wrong"),
        ("ann:falsch@", "the password (or user name) in REDIS_URL is wrong"),
        ("nobody:geheim@", "the password (or user name) in REDIS_URL is wrong"),
    ],
)
async def test_connect_names_the_refusal_of_the_credentials(
    locked_redis: RedisProcess, login: str, reason: str
) -> None:
    address = RedisAddress(f"redis://{login}127.0.0.1:{locked_redis.port}")
    # More scripts than Redis accepts before authentication (16 KiB), as the appliance loads.
    scripts = [Script(f"s{number}", "--" + "x" * 9000 + "\nreturn 1") for number in range(4)]

    with trio.fail_after(40), pytest.raises(RedisDown) as failure:
        await connect(address, parse_address(address), scripts)

    assert failure.value.reason == reason


async def test_connect_refuses_an_unknown_database(redis: RedisProcess) -> None:
    reason = await refusal(RedisAddress(redis.tcp_url + "/999"))

    assert reason.startswith("SELECT refused")


async def test_connect_fails_when_there_is_no_listener() -> None:
    with short_directory() as directory:
        reasons = [
            await refusal(RedisAddress(f"redis://127.0.0.1:{free_port()}")),
            await refusal(RedisAddress(f"unix://{directory}/none.sock")),
        ]

    assert "attempts to connect" in reasons[0]
    assert reasons[1] == "No such file or directory"


async def test_connect_refuses_a_replica() -> None:
    with redis_process() as server:
        server.ask("REPLICAOF", "127.0.0.1", str(free_port()))

        assert await refusal(RedisAddress(server.unix_url)) == "not a master"


# --- TLS ------------------------------------------------------------------------------------------


async def test_connect_checks_the_certificate_of_tls(tmp_path: Path) -> None:
    with tls_redis_process(tmp_path) as server:
        known = f"ssl_ca_certs={tmp_path}/ca.crt"
        right = f"rediss://localhost:{server.port}?{known}"
        wrong_name = f"rediss://127.0.0.1:{server.port}?{known}"
        unknown_signer = f"rediss://localhost:{server.port}"

        assert await talk(RedisAddress(right), "PING") == b"+PONG\r\n"
        assert "certificate" in await refusal(RedisAddress(wrong_name))
        assert "certificate" in await refusal(RedisAddress(unknown_signer))
        assert await talk(RedisAddress(unknown_signer + "?ssl_cert_reqs=none"), "PING")


# --- servers that misbehave -----------------------------------------------------------------------


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """Serve on TCP: answer every connection with `answer` and close; None: never answer."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            if answer is None:
                await trio.sleep_forever()
            else:
                await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not a Redis reply"),
        (b"", "closed by Redis"),
        (b"+OK\r\n-LOADI", "closed by Redis"),
        (b"+OK\r\n-LOADING still reading\r\n*1\r\n$6\r\nmaster\r\n", "LOADING"),
        (None, "no answer to connecting"),
    ],
)
async def test_connect_fails_when_the_server_answers_wrongly(
    answer: bytes | None, reason: str
) -> None:
    async with answering(answer) as port:
        assert await refusal(RedisAddress(f"redis://127.0.0.1:{port}")) == reason


async def test_connect_waits_for_a_place_in_a_full_backlog() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "redis.sock"))
        listener.listen(0)
        address = RedisAddress(f"unix://{directory}/redis.sock")
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(directory / "redis.sock"))

            assert await refusal(address) == "no answer to connecting"

            async with trio.open_nursery() as nursery:
                nursery.start_soon(_answer_second, listener)
                wire = await connect(address, parse_address(address), ())
                wire.close()


async def _answer_second(listener: socket.socket) -> None:
    await trio.testing.wait_all_tasks_blocked()
    listener.accept()[0].close()
    await trio.lowlevel.wait_readable(listener)
    second = listener.accept()[0]
    second.setblocking(True)
    with second:
        await trio.lowlevel.wait_readable(second)
        second.recv(4096)
        second.sendall(b"+OK\r\n+PONG\r\n*1\r\n$6\r\nmaster\r\n")


# --- Sentinel -------------------------------------------------------------------------------------


async def test_connect_asks_one_sentinel_after_the_other(redis: RedisProcess) -> None:
    async with answering(None) as hung, answering(b"$-1\r\n") as ignorant:
        with sentinel_process(redis.port) as port:
            sentinels = tuple(("127.0.0.1", number) for number in (hung, ignorant, port))
            address = RedisAddress("redis:///7", sentinels, "pool")

            info = await talk(address, "CLIENT", "INFO")

    assert b" db=7 " in info
    assert f"laddr=127.0.0.1:{redis.port} ".encode() in info


async def test_connect_fails_when_no_sentinel_knows_the_master(redis: RedisProcess) -> None:
    with sentinel_process(redis.port) as port:
        address = RedisAddress(
            "redis://", (("127.0.0.1", free_port()), ("127.0.0.1", port)), "other"
        )

        assert await refusal(address) == "no Sentinel knows the master"
