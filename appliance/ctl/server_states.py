"""`ctl servers enable|cordon|disable|panic|drain`: taking servers into and out of service."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.client import LONG_S, Caller, Refusal
from appliance.ctl.console import Console
from appliance.ctl.progress import waiting
from appliance.ctl.tables import counted, render_bar

DONE, FAILED = 0, 1
CONFIRMATION_NEEDED = "confirmation_needed"

_ENDING = "ending its meetings"
_DRAIN_TICK_S = 1.0
_DRAIN_POLL_S = 2.0
"""The poller would see an empty server only at its next round, after up to a minute."""


def enable(console: Console, caller: Caller, args: Namespace) -> int:
    """Enable a server, and say what its first poll came to."""
    answer = caller.post("enableServer", {"id": args.id})
    if console.as_json:
        console.document(answer)
    elif console.rake:
        console.line("OK")
    else:
        console.show(_describe_enabled(answer))
    return DONE


def _describe_enabled(answer: Mapping[str, Any]) -> str:
    poll = answer["poll"]
    if poll is None:
        return "enabled; the server has not answered yet, it takes meetings once it does"
    if not poll["succeeded"]:
        if "FAILED" in poll["reason"]:
            return "enabled, but the server refuses our calls: is its secret right?"
        return f"enabled, but the server does not answer: {poll['reason']}"
    if poll["online"] == "online":
        return "enabled, online"
    return "enabled; the server answers, it takes meetings after more successful polls"


def cordon(console: Console, caller: Caller, args: Namespace) -> int:
    """Cordon a server."""
    answer = caller.post("cordonServer", {"id": args.id})
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


def disable(console: Console, caller: Caller, args: Namespace) -> int:
    """Disable a server and end its meetings; ask first if it has load."""
    try:
        with waiting(console, _ENDING):
            answer = _disable(caller, args.id, confirmed=args.yes)
    except Refusal as refusal:
        if refusal.kind != CONFIRMATION_NEEDED:
            raise
        if not _confirm_disable(console, str(refusal)):
            return FAILED
        with waiting(console, _ENDING):
            answer = _disable(caller, args.id, confirmed=True)
    return _report_cleared(console, answer, answer["ended"], "disabled")


def _disable(caller: Caller, server_id: str, *, confirmed: bool) -> Any:
    body = {"id": server_id, "confirmed": confirmed}
    return caller.post("disableServer", body, deadline_s=LONG_S)


_RAKE_WARNING = (
    "WARNING: You are trying to disable a server with active load. You should use the cordon "
    "option if",
    "          you do not want to clear all the meetings",
)
"""rake's is one text with a line break in it, so it prints two lines."""


def _confirm_disable(console: Console, reason: str) -> bool:
    if console.rake:
        for line in _RAKE_WARNING:
            console.line(line)
        console.line("If you still wish to continue please enter `yes`")
        console.out.flush()
        agreed = console.read_yes()
    elif not console.can_ask():
        console.error(f"{reason}; --yes does it without asking")
        return False
    else:
        agreed = console.ask(f"{reason[0].upper()}{reason[1:]}.")
    if not agreed:
        console.error("not disabled")
    return agreed


def panic(console: Console, caller: Caller, args: Namespace) -> int:
    """Clear a server of its meetings, whatever state it is in."""
    body = {
        "id": args.id,
        "server": {"keep_state": args.keep_state, "skip_end_calls": args.skip_end_calls},
    }
    with waiting(console, _ENDING):
        answer = caller.post("panicServer", body, deadline_s=LONG_S)
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
        not_ended = f", {failed} of them could not be ended there" if failed else ""
        console.line(f"{state}; {counted(len(ended), 'meeting')} cleared{not_ended}")
    return DONE


# --- drain ---------------------------------------------------------------------------------------


def drain(console: Console, caller: Caller, args: Namespace) -> int:
    """Cordon a server, and with --wait see it through to the end."""
    server = _find_row(caller, args.id)
    if server["state"] == "disabled":
        return _finish_drain(console, server, "already disabled")
    if not args.wait:
        return cordon(console, caller, args)
    caller.post("cordonServer", {"id": args.id})
    try:
        return _Drain(console, caller, args.id).wait()
    except KeyboardInterrupt:
        if console.is_terminal:
            console.err.write("\n")  # below the bar, and the ^C of the terminal
        console.error(f"server {args.id} stays cordoned, and is disabled once it is empty")
        raise


class _Drain:
    """Waits for a cordoned server to become empty and disabled."""

    def __init__(self, console: Console, caller: Caller, server_id: str) -> None:
        self._console = console
        self._caller = caller
        self._id = server_id
        self._most = 0
        self._shown = ""
        self._live = console.is_terminal and not console.as_json

    def wait(self) -> int:
        """Return the exit code."""
        next_poll_s = 0.0
        while True:
            if time.monotonic() >= next_poll_s:
                self._caller.post("poll", {"ids": [self._id]}, deadline_s=LONG_S)
                next_poll_s = time.monotonic() + _DRAIN_POLL_S
            server = _find_row(self._caller, self._id)
            if server["state"] == "disabled":
                self._end_line()
                return _finish_drain(self._console, server, "drained: empty and disabled")
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
    if server["state"] == "enabled":
        return "was enabled again meanwhile"
    if server["status"] == "offline":
        return "does not answer, so nobody can say when it is empty; disable or panic it instead"
    return None


def _finish_drain(console: Console, server: Mapping[str, Any], text: str) -> int:
    if console.as_json:
        console.document(server)
    else:
        console.line(text)
    return DONE


def _find_row(caller: Caller, server_id: str) -> dict[str, Any]:
    for server in caller.get("getStatus")["servers"]:
        if server["id"] == server_id:
            return dict(server)
    raise Refusal(f"Couldn't find server with id={server_id}", 404, "not_found")
