"""HTTP calls with the standard library, without product code. Redirects are not followed."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from typing import Any

from tests.doubles.bbb_process import BbbProcess

TIMEOUT_S = 40.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def fetch(
    url: str, body: bytes | None = None, content_type: str = "", timeout_s: float = TIMEOUT_S
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names in lower case) and body."""
    request = urllib.request.Request(url, body)
    if content_type:
        request.add_header("Content-Type", content_type)
    try:
        with OPENER.open(request, timeout=timeout_s) as answer:
            return answer.status, _lowered(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _lowered(error.headers), error.read()


def _lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def call(bbb: BbbProcess, name: str, /, **params: str) -> dict[str, str]:
    """Make a signed call and return the elements of the answer."""
    return parsed(fetch(bbb.sign(name, params))[2])


def parsed(body: bytes) -> dict[str, str]:
    return {element.tag: element.text or "" for element in ET.fromstring(body)}


def open_socket(bbb: BbbProcess) -> socket.socket:
    """Open a TCP connection to the API port."""
    return socket.create_connection(("127.0.0.1", bbb.port), TIMEOUT_S)


def peak_memory_mb(bbb: BbbProcess) -> float:
    """Return the peak resident memory of the server's process in MiB."""
    with open(f"/proc/{bbb.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
