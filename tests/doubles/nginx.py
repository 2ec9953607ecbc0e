"""nginx with the site file of the package, on free ports and in a directory of its own."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.doubles.appliance_process import wait_for
from tests.doubles.ports import free_port

SITE = Path(__file__).resolve().parents[2] / "config" / "nginx" / "scalelite-appliance.conf"
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
HOST = "bbb.example.org"
_SERVER = "server 127.0.0.1:3000 fail_timeout=1s;"
START_S = STOP_S = 40.0
REQUEST_S = 40.0

_MAIN = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
{user}
events {{ }}
http {{
  access_log off;
  types {{ text/html html; image/svg+xml svg; video/webm webm; application/xml xml; }}
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  include {directory}/site.conf;
}}
"""


@dataclass(frozen=True)
class Reply:
    """An answer to a request over TLS."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Nginx:
    """A running nginx."""

    port: int
    error_log: Path
    process: subprocess.Popen[bytes]

    def reload(self) -> None:
        """Have the configuration read again, and wait until no worker has the old one."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        before = set(children.read_text().split())
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not before & set(children.read_text().split()), STOP_S, "old workers end")

    def fetch(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Reply:
        """Send a request for HOST over TLS."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the certificate of a test
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=REQUEST_S, context=context
        )
        try:
            connection.request(method, target, body, {"Host": HOST, **headers})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read())
        finally:
            connection.close()


@contextmanager
def run_nginx(directory: Path, *ports: int, published: Path) -> Iterator[Nginx]:
    """Run nginx while the block runs, in front of the appliances on these ports.

    Only ports, paths and certificate differ from the package.
    """
    directory.mkdir()
    port = free_port()
    certificate, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={HOST}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=START_S,
    )
    changes = {
        _SERVER: "\n  ".join(_SERVER.replace("3000", str(one)) for one in ports),
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen [::]:443 ssl;": "",
        "/etc/ssl/certs/ssl-cert-snakeoil.pem": str(certificate),
        "/etc/ssl/private/ssl-cert-snakeoil.key": str(key),
        "/var/bigbluebutton/published": str(published),
    }
    site = SITE.read_text()
    for old, new in changes.items():
        assert old in site, f"{SITE.name} lacks {old}"
        site = site.replace(old, new)
    with serve_site(directory, site, port) as nginx:
        yield nginx


@contextmanager
def serve_site(directory: Path, site: str, port: int) -> Iterator[Nginx]:
    """Run nginx with a `server {}` that listens on a port of the loopback interface."""
    (directory / "site.conf").write_text(site)
    # Started by root, its workers would run as the user nobody, who cannot read the directory.
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(_MAIN.format(directory=directory, user=user))
    process = subprocess.Popen(
        [NGINX, "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")],
        start_new_session=True,
    )
    try:
        wait_for(lambda: _listens(port, process), START_S, "nginx listens")
        yield Nginx(port, directory / "error.log", process)
    finally:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "nginx has ended"
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
