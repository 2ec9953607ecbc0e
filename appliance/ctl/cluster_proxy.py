"""`ctl cluster-proxy nginx|bbb`: the configuration of BBB's cluster proxy from the pool as it is.

With --watch a file is kept up to date: replaced as a whole, only when it changes, and then reloaded
by a command, which is repeated until it succeeds. An appliance that does not answer changes
nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import ControlClient, ControlError
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.server_states import add_server_id
from appliance.system.new_file import new_file

_INTERVAL_S = 2.0
_RELOAD_LIMIT_S = 60.0
_LONGEST_PAUSE_S = 60.0
"""Between two attempts to reload."""
_UNKNOWN_NAME = "host not found in upstream"
"""nginx says so, and refuses the whole file."""


def add_cluster_proxy(commands: Commands[Any]) -> None:
    """Add the group with its commands."""
    group = add_group(commands, "cluster-proxy", "configure BBB's cluster proxy from the pool")
    about = "print the location blocks of all servers, for inside nginx' server {}"
    example = (
        "cluster-proxy nginx --watch /etc/nginx/cluster-proxy.conf"
        " --reload 'nginx -t && nginx -s reload'"
    )
    command = add_command(group, "nginx", run, about, example)
    about = (
        "name servers, separated by blanks: nginx looks servers up when they are needed, so that a"
        " name which it cannot find stops no other server"
    )
    command.add_argument("--resolver", metavar="ADDRESS", help=about)
    _add_watch(command)
    about = "print the settings of a BBB server behind the proxy, file by file"
    example = "cluster-proxy bbb bbb1.example.com --proxy bbb.example.com"
    command = add_command(group, "bbb", run, about, example)
    add_server_id(command)
    about = "host name of the proxy (default: URL_HOST)"
    command.add_argument("--proxy", metavar="HOST", help=about)
    _add_watch(command)


def _add_watch(command: argparse.ArgumentParser) -> None:
    about = "keep this file up to date instead of printing, until stopped"
    command.add_argument("--watch", metavar="FILE", help=about)
    about = "with --watch: run this by the shell after each change, until it succeeds"
    command.add_argument("--reload", metavar="COMMAND", help=about)


def run(console: Console, client: ControlClient, args: Namespace) -> int:
    """Print the configuration, or keep a file up to date."""
    names = ("id", "proxy", "resolver")
    asked = {name: getattr(args, name) for name in names if getattr(args, name, None)}
    if args.watch:
        return _Watch(console, client, asked, Path(args.watch), args.reload).run()
    if args.reload:
        console.error("--reload is for --watch FILE")
        return USAGE
    found = client.get("clusterProxy", **asked)
    if console.as_json:
        console.document(found)
        return DONE
    console.out.write(found["text"])
    _report_refused(console, found["refused"])
    return DONE


def _report_refused(console: Console, refused: list[str]) -> None:
    for server_id in refused:
        console.error(
            f"warning: server {server_id!r} is left out: its id or URL holds more than a path or a"
            " host may"
        )


class _Watch:
    """Keeps a file up to date."""

    def __init__(
        self,
        console: Console,
        client: ControlClient,
        asked: dict[str, str],
        path: Path,
        command: str | None,
    ) -> None:
        self._console, self._client, self._asked = console, client, asked
        self._path, self._command = path, command
        self._due_s: float | None = None
        """When the command is to be run; None: not at all."""
        self._pause_s = _INTERVAL_S
        self._said = ""
        self._refused: list[str] = []

    def run(self) -> int:
        """Compare and write until the process is stopped; returns if there is no directory."""
        if not self._path.parent.is_dir():
            self._console.error(f"{self._path.parent} is not a directory")
            return FAILED
        while True:
            self._look()
            if self._due_s is not None and time.monotonic() >= self._due_s:
                self._reload()
            time.sleep(_INTERVAL_S)

    def _look(self) -> None:
        try:
            found = self._client.get("clusterProxy", **self._asked)
        except ControlError as error:
            self._say(f"{error}; {self._path} stays as it is")
            return
        try:
            self._update(found)
        except OSError as error:
            self._say(f"{self._path}: {error.strerror}")
        else:
            self._say("")

    def _update(self, found: Mapping[str, Any]) -> None:
        """Write the file if it is another one. Raises OSError."""
        if found["refused"] != self._refused:
            self._refused = found["refused"]
            _report_refused(self._console, self._refused)
        text = found["text"]
        if self._path.exists() and self._path.read_text("utf-8", "replace") == text:
            return
        _replace(self._path, text)
        self._console.line(f"{self._path} was written")
        self._console.out.flush()
        if self._command:
            self._due_s, self._pause_s = 0.0, _INTERVAL_S

    def _say(self, problem: str) -> None:
        """Report a problem once."""
        if problem and problem != self._said:
            self._console.error(problem)
        self._said = problem

    def _reload(self) -> None:
        failure = _run_command(self._command or "")
        if not failure:
            self._due_s = None
            self._console.line("reloaded")
            self._console.out.flush()
            return
        if _UNKNOWN_NAME in failure and "resolver" not in self._asked:
            failure += "; with --resolver ADDRESS, nginx would do without this server"
        self._console.error(f"reload failed, next try in {self._pause_s:.0f} s: {failure}")
        self._due_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)


def _run_command(command: str) -> str:
    """Run a command by the shell; return why it failed, empty: it did not."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_RELOAD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_RELOAD_LIMIT_S:.0f} s"
    lines = done.stdout.strip().splitlines()
    return "" if done.returncode == 0 else f"exit code {done.returncode} {' / '.join(lines[-3:])}"


def _replace(path: Path, text: str) -> None:
    """Write a file; an existing one keeps its mode. Raises OSError."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    with new_file(path.resolve(), mode) as file:  # a link stays one
        file.write(text.encode())
