"""The server: its addresses and certificates, and clients that misbehave."""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from hypercorn.utils import parse_socket_addr

from appliance.http.server.interface import ListenerTimeouts
from appliance.http.server.server import HttpServer
from appliance.http.server.sockets import ListenError
from tests.doubles.bbb_process import until
from tests.doubles.features import EventBook
from tests.doubles.listener import (
    GET,
    TCP,
    App,
    connect,
    open_listener,
    port_of,
    tls_settings,
)
from tests.doubles.public import ended, read_answer, request, serving
from tests.doubles.raw_http import Authority, make_authority
from tests.doubles.settings import settings_of

# --- addresses ------------------------------------------------------------------------------------


async def test_every_address_of_bind_is_served(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    web = settings_of(BIND=f"{TCP} unix://{path} {TCP}").web
    async with open_listener(web) as (_, _, urls, _):
        for url in (urls[0], urls[2]):
            async with await connect(url) as stream:
                await stream.send_all(GET)
                assert (await read_answer(stream)).body == b"http 127.0.0.1"
        assert urls[1] == f"unix://{path}"
        async with await trio.open_unix_socket(str(path)) as local:
            await local.send_all(GET)
            assert (await read_answer(local)).body == b"http None"
    assert not path.exists()


async def test_start_fails_with_the_address_when_it_is_taken() -> None:
    async with open_listener() as (_, _, urls, _):
        web = settings_of(BIND=f"{TCP} {urls[0].replace('http', 'tcp')}").web
        server = HttpServer(App(), web, EventBook())

        with pytest.raises(ListenError, match=rf"{port_of(urls[0])}: .*Address already in use"):
            await server.run(trio.Event())


async def test_start_fails_with_the_file_when_the_certificate_is_missing(tmp_path: Path) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    web = settings_of(BIND=TCP, TLS_CERT_FILE=str(cert), TLS_KEY_FILE=str(key)).web
    server = HttpServer(App(), web, EventBook())

    with pytest.raises(ListenError, match=r"c\.pem"):
        await server.run(trio.Event())


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A private CA with a certificate for localhost."""
    return make_authority(tmp_path)


async def serial_of(url: str, ca_file: str) -> str:
    """Connect over TLS, ask, and return the serial number of the certificate."""
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    tcp = await connect(url)
    stream = trio.SSLStream(tcp, context, server_hostname="localhost", https_compatible=True)
    async with stream:
        await stream.send_all(GET)
        assert (await read_answer(stream)).body == b"https 127.0.0.1"
        assert stream.selected_alpn_protocol() == "http/1.1"
        certificate = stream.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


async def test_ssl_address_serves_https_next_to_plain_ones(
    tmp_path: Path, authority: Authority
) -> None:
    web = tls_settings(tmp_path, f"ssl://127.0.0.1:0 {TCP} unix://{tmp_path}/a.sock")
    async with open_listener(web) as (_, _, urls, _):
        assert urls[0].startswith("https://")
        assert await serial_of(urls[0], authority.ca_file)
        context = ssl.create_default_context(cafile=authority.ca_file)
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            answer = await client.get(f"https://localhost:{port_of(urls[0])}/")
        assert answer.text == "https 127.0.0.1"
        async with await connect(urls[1]) as stream:
            await stream.send_all(GET)
            assert (await read_answer(stream)).body == b"http 127.0.0.1"
        async with await trio.open_unix_socket(f"{tmp_path}/a.sock") as local:
            await local.send_all(GET)
            assert (await read_answer(local)).body == b"http None"


async def test_a_large_response_is_served_over_tls(tmp_path: Path, authority: Authority) -> None:
    content = bytes(range(256)) * 2_000

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    web = tls_settings(tmp_path, "ssl://127.0.0.1:0")
    async with serving(answer, web, EventBook()) as (_, urls, _):
        context = ssl.create_default_context(cafile=authority.ca_file)
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            got = await client.get(f"https://localhost:{port_of(urls[0])}/")
    assert got.content == content


async def test_certificate_alone_makes_the_port_https(tmp_path: Path, authority: Authority) -> None:
    web = tls_settings(tmp_path)
    assert [str(bind) for bind in web.binds] == ["ssl://0.0.0.0:3000"]
    web = replace(web, binds=(replace(web.binds[0], host="127.0.0.1", port=0),))
    async with open_listener(web) as (_, _, urls, _):
        assert await serial_of(urls[0], authority.ca_file)


async def test_tcp_address_stays_plain_when_there_is_a_certificate(
    tmp_path: Path, authority: Authority
) -> None:
    async with open_listener(tls_settings(tmp_path, TCP)) as (_, _, urls, _):
        assert urls[0].startswith("http://")
        async with await connect(urls[0]) as stream:
            await stream.send_all(GET)
            assert (await read_answer(stream)).body == b"http 127.0.0.1"


async def test_new_certificate_is_used_after_a_reload(tmp_path: Path, authority: Authority) -> None:
    async with open_listener(tls_settings(tmp_path, "ssl://127.0.0.1:0")) as listener:
        _, server, urls, log = listener
        before = await serial_of(urls[0], authority.ca_file)
        (tmp_path / "new").mkdir()
        renewed = make_authority(tmp_path / "new")
        for name in ("server.pem", "server.key"):
            (tmp_path / "new" / name).rename(tmp_path / name)
        assert await serial_of(urls[0], authority.ca_file) == before
        server.reload_certificate()

        assert await serial_of(urls[0], renewed.ca_file) != before
        assert log.named("certificate_reloaded")


@pytest.mark.parametrize("broken", ["server.pem", "server.key"])
async def test_certificate_stays_when_the_new_files_cannot_be_used(
    broken: str, tmp_path: Path, authority: Authority
) -> None:
    async with open_listener(tls_settings(tmp_path, "ssl://127.0.0.1:0")) as listener:
        _, server, urls, log = listener
        before = await serial_of(urls[0], authority.ca_file)
        other = "ca.pem" if broken == "server.pem" else "ca.key"
        (tmp_path / broken).write_bytes((tmp_path / other).read_bytes())
        server.reload_certificate()

        assert await serial_of(urls[0], authority.ca_file) == before
        ((event, fields),) = log.errors
        assert event == "certificate_not_reloaded"
        assert str(tmp_path / "server.pem") in fields["reason"]


async def test_reload_without_a_certificate_does_nothing() -> None:
    async with open_listener() as (_, server, _, log):
        server.reload_certificate()

        assert not log.events


async def test_tls_clients_are_served_when_others_do_not_speak_tls(
    tmp_path: Path, authority: Authority
) -> None:
    web = tls_settings(tmp_path, "ssl://127.0.0.1:0")
    async with open_listener(web, ListenerTimeouts(handshake_s=0.3)) as (_, _, urls, log):
        async with await connect(urls[0]) as plain, await connect(urls[0]) as silent:
            await plain.send_all(GET)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await serial_of(urls[0], authority.ca_file)
            with trio.fail_after(40):
                while not await ended(plain):  # an alert may come first
                    pass
            assert await ended(silent, 40)
        assert not log.errors


async def test_client_that_never_reads_is_cut_off() -> None:
    async with open_listener(timeouts=ListenerTimeouts(unread_s=0.5)) as (app, _, urls, log):
        async with await connect(urls[0]) as stream:
            await stream.send_all(request("GET", "/big"))
            await until(lambda: app.under_way == 1, 40)

            await until(lambda: app.under_way == 0, 40, "the send to be given up")
        assert not [name for name, _ in log.errors if name != "request_not_answered"]


async def test_requests_are_served_while_a_thousand_connections_are_silent() -> None:
    async with open_listener() as (_, _, urls, log):
        silent: list[trio.SocketStream] = []

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 40  # both ends are in this process

        async def open_some() -> None:
            for _ in range(min(100, most)):
                silent.append(await connect(urls[0]))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(open_some)
        async with await connect(urls[0]) as stream:
            began_s = time.monotonic()
            for _ in range(50):
                await stream.send_all(GET)
                await read_answer(stream)
            took_s = time.monotonic() - began_s
        for one in silent:
            one.socket.close()
        assert not log.errors
    assert took_s < 40


async def test_other_connections_are_served_when_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = parse_socket_addr
    calls = 0

    def fail_once(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a defect")
        return real(*arguments)

    monkeypatch.setattr("appliance.http.server.connection.parse_socket_addr", fail_once)
    async with open_listener() as (_, _, urls, log):
        async with await connect(urls[0]) as stream:
            assert await ended(stream)
        async with await connect(urls[0]) as stream:
            await stream.send_all(GET)
            assert (await read_answer(stream)).status == 200
        assert [name for name, _ in log.errors] == ["connection_failed"]


# --- the limit of connections ---------------------------------------------------------------------


async def test_client_beyond_the_limit_waits_until_a_busy_one_has_left() -> None:
    async with open_listener(max_connections=2) as (app, _, urls, log):
        busy = [await connect(urls[0]) for _ in range(2)]
        for stream in busy:
            await stream.send_all(request("GET", "/slow"))
        await until(lambda: app.under_way == 2, 40)
        async with await connect(urls[0]) as waiting:
            await waiting.send_all(GET)
            with trio.move_on_after(0.5) as scope:
                await read_answer(waiting)
            assert scope.cancelled_caught
            app.go_on.set()
            for stream in busy:
                assert (await read_answer(stream)).status == 200
                await stream.aclose()
            assert (await read_answer(waiting)).body == b"http 127.0.0.1"
        assert log.named("client_connections_exhausted") == [{"maximum": 2}]


async def test_idle_connections_make_room_when_the_limit_is_reached() -> None:
    async with open_listener(max_connections=2) as (_, _, urls, _):
        idle = [await connect(urls[0]) for _ in range(2)]
        for stream in idle:
            await stream.send_all(GET)
            assert (await read_answer(stream)).status == 200
        async with await connect(urls[0]) as another:
            await another.send_all(GET)
            assert (await read_answer(another)).status == 200
        for stream in idle:
            assert await ended(stream)
            await stream.aclose()
