"""`ctl top`: the servers and the calls of a running appliance, as they change, with keys to act.

Drawn by rich (Debian's python3-rich), which the package only suggests: it is imported when the
command runs.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from appliance.ctl.arguments import Commands, add_command, parse_positive_number
from appliance.ctl.client import ControlClient, ControlError
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.overview import summarize
from appliance.ctl.server_states import describe_enabled
from appliance.ctl.tables import counted
from appliance.redaction import escape_control

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

MISSING = "`ctl top` needs rich: apt install python3-rich, or use `ctl status --watch`"
_KEYS = "↑↓ select   s sort   c cordon   d drain   e enable   q quit"
_STYLES = {"online": "green", "unstable": "yellow", "offline": "red", "cordoned": "yellow"}
_KEY = re.compile(r"\x1b\[[A-Z]|.", re.DOTALL)
_UP, _DOWN = ("\x1b[A", "k"), ("\x1b[B", "j")
_CALLS, _EVENTS = 5, 3
_KEPT = 6
"""Snapshots over which rates are taken."""

Row = Mapping[str, Any]


def add_top(commands: Commands[Any]) -> None:
    """Add the command `top`."""
    about = "show servers, calls and events as they change; keys sort, cordon, drain and enable"
    command = add_command(commands, "top", run_top, about, "top --interval 1")
    about = "refresh interval (2 s)"
    command.add_argument(
        "--interval", metavar="S", type=parse_positive_number, default=2.0, help=about
    )


def run_top(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the view until q or Ctrl-C; with --json a single snapshot."""
    view = TopView(client)
    view.look()
    if console.as_json:
        console.document({"status": view.status, "activity": view.snapshots[-1]})
        return DONE
    if not (console.is_terminal and console.stdin.isatty()):
        console.error("ctl top needs a terminal; scripts use --json")
        return FAILED
    try:
        from rich.console import Console as Screen
        from rich.live import Live
    except ImportError:
        console.error(MISSING.replace("`", "'"))
        return FAILED
    screen = Screen(file=console.out, no_color=console.no_color)
    try:
        with _keys_at_once(), Live(console=screen, screen=True, auto_refresh=False) as live:
            while True:
                live.update(draw(view, screen.height), refresh=True)
                if any(view.press(key) for key in _wait_for_keys(args.interval)):
                    return DONE
    except KeyboardInterrupt:
        return DONE


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Get keys without Enter, and do not show them."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _wait_for_keys(limit_s: float) -> list[str]:
    """Return the keys that were pressed, an empty one after a time without any."""
    if not select.select([sys.stdin], [], [], limit_s)[0]:
        return [""]
    text = os.read(sys.stdin.fileno(), 64).decode(errors="replace")
    return _KEY.findall(text) or ["q"]  # nothing to read: the terminal is gone


# --- what is shown -------------------------------------------------------------------------------


@dataclass(slots=True)
class TopView:
    """The state of the appliance, and the selected server."""

    client: ControlClient
    status: Row = field(default_factory=lambda: {"servers": []})
    events: Sequence[Row] = ()
    snapshots: deque[Row] = field(default_factory=lambda: deque(maxlen=_KEPT))
    order: int = 0
    selected: str = ""
    message: str = ""

    def look(self) -> None:
        """Ask the appliance. Raises ControlError."""
        self.status = self.client.get("getStatus")
        self.events = self.client.get("getEvents", limit=str(_EVENTS))["events"]
        self.snapshots.append(self.client.get("getActivity"))

    def servers(self) -> list[Row]:
        """Return the servers in their order."""
        _, key = ORDERS[self.order]
        return sorted(self.status["servers"], key=key)

    def press(self, key: str) -> bool:
        """Do what a key says, and look again; return whether it ends the view."""
        if key == "q":
            return True
        try:
            if key in (*_UP, *_DOWN):
                self._select(-1 if key in _UP else 1)
                return False
            if key == "s":
                self.order = (self.order + 1) % len(ORDERS)
                return False
            if key in ("c", "d", "e"):
                self._act(key)
            elif self.message.startswith("!"):
                self.message = ""
            self.look()
        except ControlError as error:  # it may be restarting: keep watching
            self.message = f"! {error}"
        return False

    def chosen(self) -> Row | None:
        """Return the selected server, the first one at the beginning; None: there is none."""
        servers = self.servers()
        first = servers[0] if servers else None
        return next((one for one in servers if one["id"] == self.selected), first)

    def _select(self, step: int) -> None:
        ids = [one["id"] for one in self.servers()]
        chosen = self.chosen()
        if chosen is not None:
            index = ids.index(chosen["id"]) + step
            self.selected = ids[min(max(index, 0), len(ids) - 1)]

    def _act(self, key: str) -> None:
        server = self.chosen()
        if server is None:
            return
        self.selected = server["id"]
        if key == "e":
            answer = self.client.post("enableServer", {"id": server["id"]})
            done = describe_enabled(answer)
        else:
            answer = self.client.post("cordonServer", {"id": server["id"]})
            left = counted(answer["meetings"], "meeting")
            done = "cordoned" if key == "c" else f"drains: {left} left; it is disabled once empty"
        self.message = f"{server['hostname']}: {done}"


def _load(server: Row) -> float:
    return server["load"] if isinstance(server["load"], int | float) else -1.0


ORDERS = (
    ("load", lambda server: (-_load(server), server["hostname"])),
    ("meetings", lambda server: (-server["meetings"], server["hostname"])),
    ("users", lambda server: (-server["users"], server["hostname"])),
    ("host", lambda server: server["hostname"]),
)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something was done in the last seconds, and how long it took."""

    name: str
    per_s: float
    failed: int
    mean_ms: float
    p95_ms: float
    """The bound of the bucket in which the 95th percentile is."""


def find_rates(old: Row, new: Row, kind: str) -> list[Rate]:
    """Return the rates between two snapshots, the highest first. Pure. kind: calls or polls."""
    took_s = max((new["time_ms"] - old["time_ms"]) / 1000, 0.001)
    before = {(one["name"], one["result"]): one for one in old[kind]}
    found: dict[str, list[Any]] = {}
    for one in new[kind]:
        earlier = before.get((one["name"], one["result"]))
        if earlier is not None and earlier["count"] > one["count"]:
            earlier = None  # the appliance was restarted
        count = one["count"] - (earlier["count"] if earlier else 0)
        if not count:
            continue
        sums = found.setdefault(one["name"], [0, 0, 0.0, [0] * len(one["buckets"])])
        sums[0] += count
        sums[1] += count if one["result"] not in ("ok", "refused") else 0
        sums[2] += one["seconds"] - (earlier["seconds"] if earlier else 0.0)
        less = earlier["buckets"] if earlier else [0] * len(one["buckets"])
        sums[3] = [a + b - c for a, b, c in zip(sums[3], one["buckets"], less, strict=True)]
    bounds = new["bounds"]
    rates = [
        Rate(name, count / took_s, failed, 1000 * total_s / count, _find_p95(buckets, bounds))
        for name, (count, failed, total_s, buckets) in found.items()
    ]
    return sorted(rates, key=lambda rate: (-rate.per_s, rate.name))


def _find_p95(buckets: Sequence[int], bounds: Sequence[float]) -> float:
    wanted, seen = 0.95 * sum(buckets), 0
    for count, bound in zip(buckets, bounds, strict=False):
        seen += count
        if seen >= wanted:
            return 1000 * bound
    return float("inf")


# --- drawing -------------------------------------------------------------------------------------


def draw(view: TopView, height: int) -> Group:
    """Return the screen."""
    from rich.console import Group
    from rich.text import Text

    old, new = view.snapshots[0], view.snapshots[-1]
    head = f"{new['appliance']}  {time.strftime('%H:%M:%S')}  {summarize(view.status)}"
    lines = [
        f"{time.strftime('%H:%M:%S', time.localtime(one['time_ms'] / 1000))}  {one['text']}"
        for one in view.events
    ]
    room = max(height - _CALLS - _EVENTS - 8, 3)
    return Group(
        _plain(head, "bold"),
        _draw_calls(find_rates(old, new, "calls")),
        Text(),
        _draw_servers(view, {one.name: one for one in find_rates(old, new, "polls")}, room),
        Text(),
        *(_plain(line, "dim") for line in lines),
        _plain(view.message, "bold yellow"),
        _plain(f"{_KEYS}   (sorted by {ORDERS[view.order][0]})", "reverse"),
    )


def _plain(text: str, style: str = "") -> Any:
    """Return text that is not taken for markup, on one line."""
    from rich.text import Text

    return Text(escape_control(text), style=style, no_wrap=True, overflow="ellipsis")


def _new_table(*columns: tuple[str, bool]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    return table


def _draw_calls(rates: Sequence[Rate]) -> Table:
    table = _new_table(
        ("CALL", False), ("PER S", True), ("MEAN MS", True), ("P95 MS", True), ("ERRORS", True)
    )
    for rate in islice(rates, _CALLS):
        table.add_row(
            _plain(rate.name),
            f"{rate.per_s:.1f}",
            f"{rate.mean_ms:.1f}",
            f"≤ {rate.p95_ms:g}",
            _plain(str(rate.failed), "red" if rate.failed else ""),
        )
    for _ in range(_CALLS - len(rates)):  # the servers below keep their place
        table.add_row("")
    return table


def _draw_servers(view: TopView, polls: Mapping[str, Rate], room: int) -> Table:
    table = _new_table(
        *(("HOST", False), ("STATE", False), ("STATUS", False), ("MEETINGS", True)),
        *(("USERS", True), ("VIDEOS", True), ("LOAD", True), ("POLL MS", True)),
    )
    servers, chosen = view.servers(), view.chosen()
    index = 0 if chosen is None else [one["id"] for one in servers].index(chosen["id"])
    first = max(0, min(index - room // 2, len(servers) - room))
    for server in servers[first : first + room]:
        poll = polls.get(server["id"])
        table.add_row(
            _plain(server["hostname"]),
            _plain(server["state"], _STYLES.get(server["state"], "")),
            _plain(server["status"], _STYLES.get(server["status"], "")),
            *(str(server[name]) for name in ("meetings", "users", "videos")),
            "-" if _load(server) < 0 else f"{_load(server):g}",
            "-" if poll is None else f"{poll.mean_ms:.0f}",
            style="reverse" if chosen is not None and server["id"] == chosen["id"] else "",
        )
    return table
