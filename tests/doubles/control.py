"""A control socket for tests, with the real routes and Hypercorn, and the ctl program.

ctl runs in a process of its own: a fork of one that has imported it (forked_ctl.py), or, where the
start of Python matters, a Python of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from appliance.admin.control_socket import serve_control
from appliance.admin.routes import make_control_app
from appliance.ctl.client import ControlClient
from appliance.features import Features
from appliance.settings import ControlSettings
from tests.doubles.forked_ctl import run_forked
from tests.doubles.redis_processes import short_directory

NO_GROUP = "no-such-group-here"


ROOT = Path(__file__).resolve().parent.parent.parent
CTL_DEADLINE_S = 40.0


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a ctl command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the parsed output."""
        return json.loads(self.out)


def ctl_environment(socket_path: Path | str, **variables: str) -> dict[str, str]:
    """Return the environment for a ctl process."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "CTL_SOCKET": str(socket_path),
        **variables,
    }


def run_ctl(socket_path: Path | str, *words: str, stdin: str = "", **variables: str) -> Done:
    """Run ctl in a process and return its result."""
    environ = ctl_environment(socket_path, **variables)
    done = run_forked(words, environ=environ, stdin=stdin, cwd="/", timeout_s=CTL_DEADLINE_S)
    return Done(done.returncode, done.stdout, done.stderr)


def start_ctl(socket_path: Path | str, *words: str, stdin: str = "", **variables: str) -> Done:
    """Do as run_ctl does, in a Python of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "ctl", *words],
        env=ctl_environment(socket_path, **variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=CTL_DEADLINE_S,
        check=False,
        cwd="/",
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class ControlDouble:
    """A served control socket and a client."""

    path: Path
    client: ControlClient

    async def get(self, call: str, **query: str) -> Any:
        """Make a call in a thread. Raises ControlError."""
        return await trio.to_thread.run_sync(partial(self.client.get, call, **query))

    async def post(self, call: str, body: dict[str, Any]) -> Any:
        """Make a call with a body in a thread. Raises ControlError."""
        return await trio.to_thread.run_sync(self.client.post, call, body)

    async def ctl(self, *words: str, stdin: str = "", **variables: str) -> Done:
        """Run ctl with this socket."""
        run = partial(run_ctl, self.path, *words, stdin=stdin, **variables)
        return await trio.to_thread.run_sync(run)

    async def start_ctl(self, *words: str, **variables: str) -> Done:
        """Do as `ctl` does, in a Python of its own."""
        run = partial(start_ctl, self.path, *words, stdin="", **variables)
        return await trio.to_thread.run_sync(run)


@asynccontextmanager
async def open_control(res: Features) -> AsyncIterator[ControlDouble]:
    """Serve the control socket for the block."""
    with short_directory() as directory:
        path = directory / "run" / "ctl.sock"
        async with trio.open_nursery() as nursery:
            await nursery.start(
                serve_control, make_control_app(res), ControlSettings(path, NO_GROUP), res.log
            )
            yield ControlDouble(path, ControlClient(str(path)))
            nursery.cancel_scope.cancel()
