"""BBB's cluster proxy: a real nginx with what `ctl cluster-proxy nginx` prints, before two servers.

The simulated servers send who joins to the proxy, as `cluster-proxy bbb` has BBB do.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingUDPServer
from urllib.parse import urlsplit

import pytest

from tests.doubles.appliance_pool import ServedPool
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.ctl_program import ctl
from tests.doubles.nginx import serve_site
from tests.doubles.ports import free_port

WAIT_S = 40.0


@pytest.fixture(scope="module")
def proxy_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def servers(proxy_port: int) -> Iterator[list[BbbProcess]]:
    """Give two servers that send users to the proxy, under a path of their own."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                BbbProcess(server_id=one, public_url=f"http://127.0.0.1:{proxy_port}/{one}")
            )
            for one in ("bbb-1", "bbb-2")
        ]


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked; a websocket is opened."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers["Upgrade"]:
            self.send_response(101)
            self.send_header("Upgrade", self.headers["Upgrade"])
            self.send_header("Connection", self.headers["Connection"])
            self.end_headers()
            self.wfile.write(b"through the socket: " + self.rfile.readline())
            self.close_connection = True
            return
        body = f"{self.path} {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextlib.contextmanager
def serving(opened: TCPServer) -> Iterator[int]:
    """Serve in a thread; yield the port."""
    with opened as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def echo_server() -> AbstractContextManager[int]:
    """Serve Echo on a port."""
    return serving(ThreadingHTTPServer(("127.0.0.1", 0), Echo))


def name_server() -> AbstractContextManager[int]:
    """Serve DNS on a port: names under .test are this machine, others do not exist."""

    class Lookup(BaseRequestHandler):
        def handle(self) -> None:
            question, sock = self.request
            end = question.index(b"\0", 12) + 5  # after name, type and class
            exists = question[12:end].endswith(b"\x04test\0", 0, -4)
            answers = exists and question[end - 4 : end] == b"\0\1\0\1"  # A, IN
            head = question[:2] + (b"\x81\x80" if exists else b"\x81\x83")  # NXDOMAIN
            address = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if answers else b""
            counts = b"\0\1\0" + bytes([answers]) + b"\0\0\0\0"
            sock.sendto(head + counts + question[12:end] + address, self.client_address)

    return serving(ThreadingUDPServer(("127.0.0.1", 0), Lookup))


def fetch(port: int, target: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def redirection(url: str) -> str:
    """Return where a BBB server sends who joins."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().headers["Location"]


def test_users_join_through_the_proxy_and_new_servers_follow(
    empty_pool: ServedPool, proxy_port: int, tmp_path: Path
) -> None:
    pool = empty_pool
    pool.ids = [pool.appliance.add_server(bbb, id=bbb.server_id) for bbb in pool.servers]
    included = tmp_path / "cluster-proxy.conf"
    included.write_text(ctl(pool, "cluster-proxy", "nginx"))
    site = f"server {{\n  listen 127.0.0.1:{proxy_port};\n  include {included};\n}}\n"
    directory = tmp_path / "nginx"
    directory.mkdir()
    with serve_site(directory, site, proxy_port) as nginx, echo_server() as echo_port:
        for number in range(4):
            meeting = f"room-{number}"
            assert pool.front.create(meeting).returncode == "SUCCESS"
            server_id = pool.id_of(pool.holder(meeting))
            url = urlsplit(redirection(pool.front.join(meeting).location))
            assert (url.netloc, url.path) == (
                f"127.0.0.1:{proxy_port}",
                f"/{server_id}/html5client/join",
            )
            status, page = fetch(proxy_port, f"{url.path}?{url.query}")
            assert status == 200
            assert "You are in the meeting" in page
            assert server_id in page
        assert {pool.id_of(pool.holder(f"room-{number}")) for number in range(4)} == {*pool.ids}
        assert fetch(proxy_port, "/bbb-3/html5client/")[0] == 404

        # Another server: the file is written again, and nginx is reloaded.
        url_of_third = f"http://127.0.0.1:{echo_port}/bigbluebutton/api"
        third = {"url": url_of_third, "secret": "s3cret-3", "id": "bbb-3"}
        pool.appliance.control.post("addServer", {"server": third})
        included.write_text(ctl(pool, "cluster-proxy", "nginx"))
        nginx.reload()
        for path, seen in (
            ("/bbb-3/html5client/locales/de.json?x=1", "/bbb-3/html5client/locales/de.json?x=1"),
            ("/bbb-3/bigbluebutton/api/rest?y", "/bigbluebutton/api/rest?y"),
        ):
            assert fetch(proxy_port, path) == (200, f"{seen} 127.0.0.1:{echo_port}")
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        connection = http.client.HTTPConnection("127.0.0.1", proxy_port, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request("GET", "/bbb-3/html5client/sockjs", headers=upgrade)
            assert connection.sock is not None
            reader = connection.sock.makefile("rb")
            head = list(iter(reader.readline, b"\r\n"))
            assert head[0].startswith(b"HTTP/1.1 101 ")
            assert b"Upgrade: websocket\r\n" in head
            connection.sock.sendall(b"hello\n")
            assert reader.readline() == b"through the socket: hello\n"


def test_server_that_nginx_cannot_find_does_not_stop_the_others_with_a_resolver(
    empty_pool: ServedPool, tmp_path: Path
) -> None:
    port = free_port()
    with name_server() as dns_port, echo_server() as echo_port:
        for server_id, host in (("bbb-4", "bbb-4.test"), ("bbb-5", "bbb-5.invalid")):
            url = f"http://{host}:{echo_port}/bigbluebutton/api"
            new = {"url": url, "secret": "s3cret", "id": server_id}
            empty_pool.appliance.control.post("addServer", {"server": new})
        words = ("cluster-proxy", "nginx", "--resolver", f"127.0.0.1:{dns_port}")
        included = ctl(empty_pool, *words)
        site = f"server {{\n  listen 127.0.0.1:{port};\n{included}}}\n"
        with serve_site(tmp_path, site, port):
            for path, seen in (
                ("/bbb-4/html5client/a%20b.json?x=1", "/bbb-4/html5client/a%20b.json?x=1"),
                ("/bbb-4/bigbluebutton/api/rest?y=%2F", "/bigbluebutton/api/rest?y=%2F"),
            ):
                assert fetch(port, path) == (200, f"{seen} bbb-4.test:{echo_port}")
            assert fetch(port, "/bbb-5/html5client/")[0] == 502
