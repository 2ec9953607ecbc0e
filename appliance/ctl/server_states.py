"""`ctl servers enable|cordon|disable|panic|drain`: the states of servers."""

from __future__ import annotations

import argparse
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import LONG_S, ControlClient, Refusal
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.names import takes_names
from appliance.ctl.progress import waiting
from appliance.ctl.tables import counted, render_bar

CONFIRMATION_NEEDED = "confirmation_needed"

_ENDING = "ending its meetings"
_DRAIN_TICK_S = 1.0
_DRAIN_POLL_S = 2.0
"""Faster than the poller, which would notice an empty server only after up to a minute."""


def add_server_states(servers: Commands[Any]) -> None:
    """Add the commands of this module to the group `servers`."""
    server = "bbb1.example.com"
    about = "let a server take meetings, and poll it at once"
    add_server_id(add_command(servers, "enable", enable, about, f"servers enable {server}"))
    about = "stop placing meetings on a server; it is disabled once it is empty"
    add_server_id(add_command(servers, "cordon", cordon, about, f"servers cordon {server}"))
    about = "disable a server and end its meetings"
    command = add_command(servers, "disable", disable, about, f"servers disable {server} --yes")
    add_server_id(command)
    about = "do not ask for confirmation if it has load"
    command.add_argument("--yes", action="store_true", help=about)
    about = "forget and end all meetings of a broken server, and disable it"
    command = add_command(servers, "panic", panic, about, f"servers panic {server}")
    add_server_id(command)
    command.add_argument("--keep-state", action="store_true", help="do not disable it")
    about = "forget the meetings without ending them"
    command.add_argument("--skip-end-calls", action="store_true", help=about)
    about = "cordon a server, and wait for it with --wait"
    example = f"servers drain {server} --wait && ssh {server} reboot"
    command = add_command(servers, "drain", drain, about, example)
    add_server_id(command)
    about = "wait until it is empty and disabled"
    command.add_argument("--wait", action="store_true", help=about)
    about = "with --wait: also until its recordings have arrived (RECORDING_OWED_HOURS)"
    command.add_argument("--recordings", action="store_true", help=about)


def add_server_id(command: argparse.ArgumentParser) -> None:
    """Add the argument with the id of a server."""
    about = "id or host of the server, or its beginning, see `servers list`"
    command.add_argument("id", metavar="ID", help=about)
    takes_names(command, "server", "id")


def enable(console: Console, client: ControlClient, args: Namespace) -> int:
    """Enable a server, and show the result of its first poll."""
    answer = client.post("enableServer", {"id": args.id})
    if console.as_json:
        console.document(answer)
    elif console.rake:
        console.line("OK")
    else:
        console.show(describe_enabled(answer))
    return DONE


def describe_enabled(answer: Mapping[str, Any]) -> str:
    """Return the result of enabling a server."""
    poll = answer["poll"]
    if poll is None:
        return "enabled; the server has not answered yet and takes meetings as soon as it does"
    if not poll["succeeded"]:
        if "FAILED" in poll["reason"]:
            return "enabled, but the server refuses API calls: check its secret"
        return f"enabled, but the server does not answer: {poll['reason']}"
    if poll["online"] == "online":
        return "enabled, online"
    return "enabled; the server answers and takes meetings after more successful polls"


def cordon(console: Console, client: ControlClient, args: Namespace) -> int:
    """Cordon a server."""
    answer = client.post("cordonServer", {"id": args.id})
    if console.as_json:
        console.document(answer)
    elif console.rake:
        console.line("OK")
    else:
        console.show(
            f"cordoned ({counted(answer['meetings'], 'meeting')}, "
            f"{counted(answer['users'], 'user')} at the last poll); it is disabled once it is empty"
        )
    return DONE


def disable(console: Console, client: ControlClient, args: Namespace) -> int:
    """Disable a server and end its meetings; ask for confirmation if it has load."""
    try:
        with waiting(console, _ENDING):
            answer = _disable(client, args.id, confirmed=args.yes)
    except Refusal as refusal:
        if refusal.kind != CONFIRMATION_NEEDED:
            raise
        if not _confirm_disable(console, str(refusal)):
            return FAILED
        with waiting(console, _ENDING):
            answer = _disable(client, args.id, confirmed=True)
    return _report_cleared(console, answer, answer["ended"], "disabled")


def _disable(client: ControlClient, server_id: str, *, confirmed: bool) -> Any:
    body = {"id": server_id, "confirmed": confirmed}
    return client.post("disableServer", body, deadline_s=LONG_S)


_RAKE_WARNING = (
    "WARNING: You are trying to disable a server with active load. You should use the cordon "
    "option if",
    "          you do not want to clear all the meetings",
)
"""A single text with a line break in Scalelite, which prints two lines."""


def _confirm_disable(console: Console, reason: str) -> bool:
    if console.rake:
        for line in _RAKE_WARNING:
            console.line(line)
        console.line("If you still wish to continue please enter `yes`")
        console.out.flush()
        agreed = console.read_yes()
    elif not console.can_ask():
        console.error(f"{reason}; confirm with --yes")
        return False
    else:
        agreed = console.ask(f"{reason[0].upper()}{reason[1:]}.")
    if not agreed:
        console.error("not disabled")
    return agreed


def panic(console: Console, client: ControlClient, args: Namespace) -> int:
    """Remove the meetings of a server, independently of its state."""
    body = {
        "id": args.id,
        "server": {"keep_state": args.keep_state, "skip_end_calls": args.skip_end_calls},
    }
    with waiting(console, _ENDING):
        answer = client.post("panicServer", body, deadline_s=LONG_S)
    state = "cleared, state kept" if args.keep_state else "disabled"
    return _report_cleared(console, answer, answer["meetings"], state)


def _report_cleared(
    console: Console, answer: Any, ended: Sequence[Mapping[str, Any]], state: str
) -> int:
    if console.as_json:
        console.document(answer)
        return DONE
    for meeting in ended:
        console.show(f"Clearing Meeting id={meeting['id']}")
        if meeting["outcome"] == "failed":
            console.error(f"WARNING: Could not end meeting id={meeting['id']}: {meeting['reason']}")
    if console.rake:
        console.line("OK")
    else:
        failed = sum(meeting["outcome"] == "failed" for meeting in ended)
        not_ended = f", {failed} of them not ended on the server" if failed else ""
        console.line(f"{state}; {counted(len(ended), 'meeting')} cleared{not_ended}")
    return DONE


# --- drain ---------------------------------------------------------------------------------------


def drain(console: Console, client: ControlClient, args: Namespace) -> int:
    """Cordon a server, and with --wait wait until it is disabled."""
    if args.recordings and not args.wait:
        console.error("--recordings is for --wait")
        return USAGE
    server = _find_row(client, args.id)
    owes = args.recordings and server["recordings_awaited"]
    if server["state"] == "disabled" and not owes:
        return _finish_drain(console, server, "already disabled")
    if not args.wait:
        return cordon(console, client, args)
    if server["state"] != "disabled":
        client.post("cordonServer", {"id": args.id})
    try:
        return _Drain(console, client, args.id, recordings=args.recordings).wait()
    except KeyboardInterrupt:
        if console.is_terminal:
            console.err.write("\n")  # below the progress bar
        console.error(f"server {args.id} stays cordoned and is disabled once it is empty")
        raise


_DRAINED = "drained: empty and disabled"


class _Drain:
    """Waits until a cordoned server is empty and disabled, and owes no recordings."""

    def __init__(
        self, console: Console, client: ControlClient, server_id: str, *, recordings: bool
    ) -> None:
        self._console = console
        self._recordings = recordings
        self._client = client
        self._id = server_id
        self._most = 0
        self._shown = ""
        self._live = console.is_terminal and not console.as_json

    def wait(self) -> int:
        """Wait, and return the exit code."""
        next_poll_s, disabled = 0.0, False
        while True:
            if time.monotonic() >= next_poll_s and not disabled:
                self._client.post("poll", {"ids": [self._id]}, deadline_s=LONG_S)
                next_poll_s = time.monotonic() + _DRAIN_POLL_S
            server = _find_row(self._client, self._id)
            disabled = server["state"] == "disabled"
            if disabled and not (self._recordings and server["recordings_awaited"]):
                self._end_line()
                arrived = ", its recordings have arrived" if self._recordings else ""
                return _finish_drain(self._console, server, f"{_DRAINED}{arrived}")
            if (problem := _drain_problem(server)) is not None:
                self._end_line()
                self._console.error(f"server {self._id} {problem}")
                return FAILED
            self._show(server)
            time.sleep(_DRAIN_TICK_S)

    def _show(self, server: Mapping[str, Any]) -> None:
        left = server["meetings"]
        self._most = max(self._most, left)
        users = counted(server["users"], "user")
        text = f"draining: {counted(left, 'meeting')}, {users} left"
        if server["state"] == "disabled":
            text = f"empty: {counted(server['recordings_awaited'], 'recording')} to deliver"
        if self._live:
            bar = render_bar(self._most - left, self._most)
            self._console.out.write(f"\r\x1b[K{bar} {text}")
            self._console.out.flush()
        elif text != self._shown and not self._console.as_json:
            self._console.line(text)
            self._console.out.flush()
        self._shown = text

    def _end_line(self) -> None:
        if self._live and self._shown:
            self._console.line()


def _drain_problem(server: Mapping[str, Any]) -> str | None:
    if server["state"] == "disabled":
        return None
    if server["state"] == "enabled":
        return "was enabled again in the meantime"
    if server["status"] == "offline":
        return "does not answer, so its meetings are unknown; use `disable` or `panic` instead"
    return None


def _finish_drain(console: Console, server: Mapping[str, Any], text: str) -> int:
    if console.as_json:
        console.document(server)
    else:
        console.line(text)
    return DONE


def _find_row(client: ControlClient, server_id: str) -> dict[str, Any]:
    for server in client.get("getStatus")["servers"]:
        if server["id"] == server_id:
            return dict(server)
    raise Refusal(f"Couldn't find server with id={server_id}", 404, "not_found")
