"""Client libraries as programs that a test asks to make their calls.

Each runs in its environment below build/compat, which tools/compat-clients makes, driven by a file
of tests/compat/drivers.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "build" / "compat"
DRIVERS = "tests/compat/drivers"
STOP_S = 20.0

NODE_CLIENTS = ("bigbluebutton-js", "bbb-promise")
CLIENTS = (
    "bigbluebutton-api-python",
    "bbb-client",
    "bbbctl",
    "bigbluebutton-api",
    "python-sage-bbb",
    *NODE_CLIENTS,
)


class ClientFailed(Exception):
    """The library raised an exception, or returned an answer that says FAILED."""


class ClientProgram:
    """A library in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, call: str, **arguments: object) -> Any:
        """Return what the library returns. Raises: ClientFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": call, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()  # each test has a deadline
        assert line, f"the driver has ended with {self._process.wait(STOP_S)}"
        answer = json.loads(line)
        if "error" in answer:
            raise ClientFailed(answer["error"])
        return answer["result"]


@contextmanager
def client_program(name: str, api_url: str, secret: str) -> Iterator[ClientProgram]:
    """Give a library that calls the API at this address."""
    driver, environment = f"{name.replace('-', '_')}_driver", ENVIRONMENTS / name
    if name in NODE_CLIENTS:
        command = ["node", f"{DRIVERS}/{driver}.js"]
    else:
        command = [str(environment / "venv/bin/python"), "-m", f"tests.compat.drivers.{driver}"]
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "NODE_PATH": str(environment / "node_modules"),
        "NODE_NO_WARNINGS": "1",
        "COMPAT_API_URL": api_url,
        "COMPAT_SECRET": secret,
    }
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield ClientProgram(process)
        finally:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
