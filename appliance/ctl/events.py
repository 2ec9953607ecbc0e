"""`ctl events`: what happened recently, on all appliances, and with --follow what happens."""

from __future__ import annotations

import argparse
import platform
import re
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_limit_option
from appliance.ctl.client import ControlClient, ControlError, Refusal
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.tables import DIM, RED, YELLOW, paint

_KINDS = ("server", "meeting", "recording", "callback", "access", "store", "tenant", "appliance")
_STYLES = {"warning": YELLOW, "error": RED, "critical": RED}
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE = re.compile(r"(\d{1,6})([smhd])").fullmatch
_SHOWN, _MOST = 50, 1000
_RETRY_S = 2.0


def add_events(commands: Commands[Any]) -> None:
    """Add the command `events`."""
    about = "show what happened: states of servers, moves, imports, refused calls, changes"
    command = add_command(commands, "events", show_events, about, "events --follow --since 1h")
    command.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    about = "show events from then on: 30m, 2h, 1d, or a local time such as '2026-11-29 20:15'"
    command.add_argument("--since", metavar="WHEN", type=parse_since, default=0, help=about)
    about = "show only events about this"
    command.add_argument("--kind", choices=_KINDS, help=about)
    add_limit_option(command, default=_SHOWN, maximum=_MOST)
    command.set_defaults(limit=None)  # the default depends on --since


def parse_since(text: str) -> int:
    """Return a point in time as ms since the epoch: an age, or a time in ISO 8601."""
    if match := _AGE(text):
        return int((time.time() - int(match[1]) * _UNITS_S[match[2]]) * 1000)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither an age such as 30m, 2h or 1d nor a time"
        ) from None


def show_events(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the last events, and with --follow all that come."""
    limit = args.limit or (_MOST if args.since else _SHOWN)
    asked = _MOST if args.kind else limit
    recent = client.get("getEvents", limit=str(asked), since_ms=str(args.since))["events"]
    found = [one for one in recent if args.kind in (None, one["kind"])][-limit:]
    if console.as_json and not args.follow:
        console.document(found)
        return DONE
    for event in found:
        _show(console, event)
    if args.follow:
        console.out.flush()
        with suppress(KeyboardInterrupt):
            for event in _follow(console, client, recent, args.since):
                if args.kind in (None, event["kind"]):
                    _show(console, event)
                    console.out.flush()
    elif not found:
        console.error("no events")
    return DONE


def _follow(
    console: Console, client: ControlClient, recent: Sequence[Mapping[str, Any]], since_ms: int
) -> Iterator[Mapping[str, Any]]:
    """Yield events after the recent ones, without end; the appliance may be restarted meanwhile."""
    last_ms = max([since_ms, *(event["time_ms"] for event in recent)])
    shown = {event["id"] for event in recent}
    away = False
    while True:
        try:
            for event in client.stream("followEvents", limit=str(_MOST), since_ms=str(last_ms)):
                if away:
                    console.error("the appliance is back")
                away = False
                if event is None or event["id"] in shown:
                    continue
                last_ms = max(last_ms, event["time_ms"])
                shown.add(event["id"])
                yield event
        except Refusal:
            raise
        except ControlError as error:
            if not away:
                console.error(f"{error}; waiting for it (Ctrl-C ends)")
            away = True
            time.sleep(_RETRY_S)


def _show(console: Console, event: Mapping[str, Any]) -> None:
    if console.as_json:
        import json

        console.line(json.dumps(event))
        return
    moment = datetime.fromtimestamp(event["time_ms"] / 1000)
    here = event["appliance"] in ("", platform.node())
    where = "" if here else f" [{event['appliance']}]"
    head = f"{moment:%Y-%m-%d %H:%M:%S}  {event['kind']:<9}  "
    line = console.wrapped(f"{head}{event['text']}{where}", " " * len(head))
    style = _STYLES.get(event["level"], DIM if event["kind"] == "appliance" else "")
    console.line(paint(line, style) if console.colours else line)
