"""Listening on addresses, and loading TLS files."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.http.server.sockets import ListenError, load_tls, open_listeners
from appliance.settings import Bind, WebSettings
from tests.doubles.raw_http import make_authority

TCP = Bind("tcp", "127.0.0.1", 0)
WEB = WebSettings((TCP,), None, None, ())


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def unix(path: Path) -> Bind:
    return Bind("unix", path=str(path))


async def test_several_addresses_are_listened_on(tmp_path: Path) -> None:
    binds = (TCP, unix(tmp_path / "a.sock"), Bind("ssl", "localhost", 0), TCP)
    with open_listeners(binds, unread_s=7.5) as listeners:
        urls = [listener.url for listener in listeners]
        assert [url.rpartition(":")[0] for url in urls] == [
            "http://127.0.0.1",
            "unix",
            "https://127.0.0.1",
            "http://127.0.0.1",
        ]
        assert [listener.tls for listener in listeners] == [False, False, True, False]
        assert len(set(urls)) == 4
        for listener in (listeners[0], listeners[2]):
            timeout_ms = listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert timeout_ms == 7500
        port = int(urls[0].rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=40).close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=40)


async def test_ipv6_includes_ipv4_unless_it_is_listed_too() -> None:
    if not has_ipv6():
        return  # nothing to test here; CI has IPv6
    with open_listeners((Bind("tcp", "::", 0),), unread_s=1) as (only,):
        port = int(only.url.rpartition(":")[2])
        assert only.url == f"http://[::]:{port}"
        socket.create_connection(("127.0.0.1", port), timeout=40).close()
        socket.create_connection(("::1", port), timeout=40).close()
    both = (Bind("tcp", "0.0.0.0", port), Bind("tcp", "::", port))
    with open_listeners(both, unread_s=1) as listeners:
        assert [listener.url for listener in listeners] == [
            f"http://0.0.0.0:{port}",
            f"http://[::]:{port}",
        ]


async def test_unix_socket_is_open_to_all_users_who_reach_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with open_listeners((unix(path),), unread_s=1) as (listener,):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert listener.url == f"unix://{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


async def test_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    with open_listeners((unix(path),), unread_s=1), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


async def test_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as successor:
        with open_listeners((unix(path),), unread_s=1):
            path.unlink()
            successor.bind(str(path))

        assert path.exists()


def _taken_port(_: Path) -> tuple[Bind, list[socket.socket]]:
    other = socket.create_server(("127.0.0.1", 0))
    return Bind("tcp", "127.0.0.1", other.getsockname()[1]), [other]


def _live_socket(folder: Path) -> tuple[Bind, list[socket.socket]]:
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(folder / "a.sock"))
    other.listen()
    return unix(folder / "a.sock"), [other]


def _file(folder: Path) -> tuple[Bind, list[socket.socket]]:
    (folder / "a.sock").write_text("precious")
    return unix(folder / "a.sock"), []


def _no_folder(folder: Path) -> tuple[Bind, list[socket.socket]]:
    return unix(folder / "missing" / "a.sock"), []


def _foreign_address(_: Path) -> tuple[Bind, list[socket.socket]]:
    return Bind("tcp", "192.0.2.1", 0), []


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (_taken_port, "Address already in use"),
        (_live_socket, "Address already in use"),
        (_file, "Address already in use"),
        (_no_folder, "No such file or directory"),
        (_foreign_address, "Cannot assign requested address"),
    ],
)
async def test_error_names_the_address_and_the_reason_when_it_cannot_be_bound(
    case: Callable[[Path], tuple[Bind, list[socket.socket]]], reason: str, tmp_path: Path
) -> None:
    bind, holders = case(tmp_path)
    first = unix(tmp_path / "first.sock")
    before = set(os.listdir(tmp_path))

    with pytest.raises(ListenError) as caught, open_listeners((first, bind), unread_s=1):
        raise AssertionError("it listens")

    assert str(bind) in str(caught.value)
    assert reason in str(caught.value)
    # What was opened before is closed, and existing files are kept.
    assert set(os.listdir(tmp_path)) == before
    for holder in holders:
        holder.close()


# --- TLS files ------------------------------------------------------------------------------------


def test_certificate_is_loaded_with_its_key(tmp_path: Path) -> None:
    make_authority(tmp_path)
    web = replace(WEB, tls_cert_file=tmp_path / "server.pem", tls_key_file=tmp_path / "server.key")

    context = load_tls(web)

    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert load_tls(WEB) is None


@pytest.mark.parametrize(
    ("cert", "key"),
    [
        ("missing.pem", "server.key"),
        ("server.pem", "missing.key"),
        ("server.pem", "ca.key"),
        ("garbage", "server.key"),
        ("server.pem", "garbage"),
        ("server.pem", "locked.key"),
    ],
)
def test_error_names_the_files_when_they_cannot_be_used(
    cert: str, key: str, tmp_path: Path
) -> None:
    make_authority(tmp_path)
    (tmp_path / "garbage").write_text("-----BEGIN CERTIFICATE-----\n")
    lock = ["openssl", "pkey", "-in", "server.key", "-aes128", "-passout", "pass:x"]
    subprocess.run([*lock, "-out", "locked.key"], cwd=tmp_path, check=True, timeout=40)
    web = replace(WEB, tls_cert_file=tmp_path / cert, tls_key_file=tmp_path / key)

    with pytest.raises(ListenError) as caught:
        load_tls(web)

    assert str(tmp_path / cert) in str(caught.value)
    assert str(tmp_path / key) in str(caught.value)
