"""`make run`: the appliance with embedded stores and three simulated BigBlueButton servers.

For trials only: it listens on the loopback interface, and its secret is public. The data are in
.state/demo of the checkout, or in --state-dir; the simulated servers store nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: its packages are found from the root

from appliance.ctl.client import ControlError  # noqa: E402
from tests.doubles.bbb_process import BbbProcess  # noqa: E402
from tests.doubles.signing import sign_url  # noqa: E402
from tools.demo_appliance import (  # noqa: E402
    PROGRAM,
    SECRET,
    Appliance,
    DemoError,
    Interrupted,
    Signals,
    describe_exit,
    open_state,
    run_appliance,
)

SERVERS = ("bbb1", "bbb2", "bbb3")
TOKEN = "demo"
CLASSES = (
    ("analysis-2", "Analysis II", 64),
    ("physics-101", "Physics 101", 41),
    ("law-seminar", "Seminar on civil law", 18),
    ("staff", "Staff meeting", 9),
    ("office-hours", "Office hours", 3),
)
"""Id, name and usual number of users of the meetings that make the pool look alive."""
CHANGE_S = 4.0
MEETING = {"meetingID": "demo", "name": "Demo", "moderatorPW": "mp", "attendeePW": "ap"}


def main(arguments: list[str]) -> int:
    """Run the demo until Ctrl-C or SIGTERM; return the exit code."""
    options = _parse_options(arguments)
    signals = Signals()
    try:
        port = _check_port(options.port)
        with (
            open_state(Path(options.state_dir).resolve()) as state,
            _run_servers(port) as servers,
            run_appliance(port, state, signals) as appliance,
        ):
            say(f"starting the appliance; its log is {state.log_file}")
            appliance.wait_until_ready()
            _fill_pool(appliance, servers)
            appliance.wait_until_online(SERVERS)
            classes = _begin_classes(appliance, servers)
            _print_tour(appliance, servers, _make_token(appliance))
            _watch(appliance, servers, signals, classes)
    except Interrupted:
        say("stopped")
    except (DemoError, ControlError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"demo: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def say(text: str) -> None:
    """Print a line about the progress."""
    _print(f"demo: {text}")


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except OSError:  # the reader has ended: continue without output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make run", description="Try the appliance with three simulated servers."
    )
    parser.add_argument(
        "--port",
        default=os.environ.get("PORT") or "3000",
        help="port of the API on 127.0.0.1 (default: the variable PORT, else 3000)",
    )
    parser.add_argument(
        "--state-dir", default=ROOT / ".state" / "demo", help="directory of stores and log"
    )
    return parser.parse_args(arguments)


def _check_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise DemoError(f"PORT must be a number from 1 to 65535, not {text!r}")
    if not _is_free(int(text)):
        raise DemoError(f"port {text} is in use; choose another one: PORT=3100 make run")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except (OSError, OverflowError):
            return False
    return True


@contextlib.contextmanager
def _run_servers(port: int) -> Iterator[list[BbbProcess]]:
    """Run the servers, if possible on the next ports, so that they are easy to forward by ssh."""
    servers = [
        BbbProcess(
            server_id=name,
            secret=f"{name}-secret",
            port=port + number if _is_free(port + number) else 0,
        )
        for number, name in enumerate(SERVERS, start=1)
    ]
    with contextlib.ExitStack() as stack:
        # Ctrl-C in a terminal is sent to all processes. The servers inherit this mask, so that only
        # SIGTERM from this process stops them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for server in servers:
                stack.enter_context(server)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield servers


def _fill_pool(appliance: Appliance, servers: list[BbbProcess]) -> None:
    """Replace the servers of an earlier run, which had other ports and lost their meetings."""
    known = {row["id"] for row in appliance.servers()}
    for server in servers:
        if server.server_id in known:
            appliance.ctl("servers", "remove", server.server_id, "--force")
        appliance.ctl(
            "servers", "add", server.url, server.secret, "--id", server.server_id, "--enable"
        )


def _make_token(appliance: Appliance) -> str:
    """Return a new token for the console; that of an earlier run ends."""
    with contextlib.suppress(ControlError):
        appliance.control.post("revokeToken", {"name": TOKEN})
    token: str = appliance.control.post("addToken", {"name": TOKEN, "role": "admin"})["token"]
    return token


def _begin_classes(appliance: Appliance, servers: list[BbbProcess]) -> dict[str, BbbProcess]:
    """Create a few meetings with users; return the server of each."""
    for meeting_id, name, _ in CLASSES:
        create = {"meetingID": meeting_id, "name": name, "moderatorPW": "mp", "attendeePW": "ap"}
        with urllib.request.urlopen(sign_url(appliance.api, "create", create, SECRET), timeout=10):
            pass
    begun = {}
    for server in servers:
        for meeting_id, _, users in CLASSES:
            if meeting_id in server.meetings():
                server.set_users(meeting_id, participants=users, videos=users // 5)
                begun[meeting_id] = server
    return begun


def _change_users(classes: dict[str, BbbProcess], left: dict[str, int]) -> None:
    """Have a few users join or leave one of the meetings, if it still runs."""
    meeting_id, _, users = random.choice(CLASSES)
    server = classes.get(meeting_id)
    if server is None or server.server_id not in left:
        return
    with contextlib.suppress(RuntimeError, OSError):
        now = max(1, users + random.randint(-users // 3, users // 3))
        server.set_users(meeting_id, participants=now, videos=now // 5)


def _print_tour(appliance: Appliance, servers: list[BbbProcess], token: str) -> None:
    def url(call: str, **params: str) -> str:
        return sign_url(appliance.api, call, params, SECRET)

    ctl = f"{shlex.quote(PROGRAM)} ctl"
    kill = servers[0].pid
    create = url("create", **MEETING)
    join = url("join", meetingID="demo", fullName="Ada", password="mp")
    running = url("isMeetingRunning", meetingID="demo")
    _print(f"""
The appliance is running with {len(servers)} simulated servers, for this host only.
  API     {appliance.api}
  secret  {SECRET} (public: do not use it in production)

In a browser: the console, with the token to log in.
  {appliance.api.removesuffix("bigbluebutton/api")}scalelite/
  {token}

In a browser: create a meeting, join it as moderator, check that it is running.
  {create}
  {join}
  {running}

In another terminal:
  export CTL_SOCKET={shlex.quote(str(appliance.state.control_socket))}
  {ctl} status
  {ctl} meetings list
  {ctl} servers drain bbb2
  kill {kill}  # {SERVERS[0]} fails; after a few seconds, its meetings can be created on others

Ctrl-C stops everything.""")


def _watch(
    appliance: Appliance,
    servers: list[BbbProcess],
    signals: Signals,
    classes: dict[str, BbbProcess],
) -> None:
    """Watch the child processes. Raises Interrupted; DemoError: the appliance has ended."""
    left = {server.server_id: server.pid for server in servers if server.pid is not None}
    next_change_s = time.monotonic()
    while True:
        signals.pause()
        appliance.check()
        if time.monotonic() >= next_change_s:
            next_change_s = time.monotonic() + CHANGE_S
            _change_users(classes, left)
        for name, pid in list(left.items()):
            # WNOWAIT: BbbProcess collects the exit status.
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                del left[name]
                code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                say(f"{name} has ended ({describe_exit(code)}); the pool continues without it")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
