"""`ctl servers list|add|update|load-multiplier|tag|remove`: what is stored of the servers.

The output of `servers list` is what `rake servers` prints (people and scripts know it).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl import server_states
from appliance.ctl.client import LONG_S, Caller, Refusal
from appliance.ctl.console import Console

DONE, FAILED, USAGE = 0, 1, 2

_VALUES = ("load_multiplier", "tag", "max_meetings", "max_users")


def list_all(console: Console, caller: Caller, args: Namespace) -> int:
    """Show every server as rake does."""
    found = _get_servers(caller)
    if console.as_json:
        console.document(found)
    elif not found:
        console.error("No servers are configured")
    for server in [] if console.as_json else found:
        _show_block(console, server)
    return DONE


def _get_servers(caller: Caller) -> list[dict[str, Any]]:
    try:
        return list(caller.get("getServers"))
    except Refusal as refusal:
        if refusal.status == 404:  # Scalelite's answer for an empty pool
            return []
        raise


def _show_block(console: Console, server: Mapping[str, Any]) -> None:
    console.show(f"id: {server['id']}")
    console.show(f"\turl: {server['url']}")
    console.show(f"\tsecret: {server['secret']}")
    console.show(f"\t{server['state']}")
    console.show(f"\tload: {server['load']}")
    console.show(f"\tload multiplier: {server['load_multiplier']}")
    console.show(f"\tbbb version: {server['bbb_version']}")
    console.show(f"\ttag: {server['tag']}")
    for name in ("max_meetings", "max_users"):
        if server.get(name):
            console.show(f"\t{name.replace('_', ' ')}: {server[name]}")
    console.show(f"\t{server['online']}")


def add(console: Console, caller: Caller, args: Namespace) -> int:
    """Add a server, and enable it if asked to."""
    secret = _secret(console, args.secret)
    fields = {"url": args.url, "secret": secret, **_given(args, "id", *_VALUES)}
    server = caller.post("addServer", {"server": fields})
    if console.as_json:
        enabled = caller.post("enableServer", {"id": server["id"]}) if args.enable else {}
        console.document({**server, **enabled})
        return DONE
    console.line("OK")
    console.show(f"id: {server['id']}")
    if not args.url.rstrip("/").endswith("/api"):
        console.error("note: the url of a BigBlueButton API usually ends in /bigbluebutton/api")
    if args.enable:
        args.id = server["id"]
        return server_states.enable(console, caller, args)
    return DONE


def update(console: Console, caller: Caller, args: Namespace) -> int:
    """Change what is given."""
    given = _given(args, "secret", *_VALUES)
    if not given and not console.rake:
        console.error("nothing to change: give --secret, --load-multiplier, --tag, --max-… or more")
        return USAGE
    if "secret" in given:
        given["secret"] = _secret(console, given["secret"])
    if "secret" in given and not given["secret"]:
        console.error("the secret must not be empty")
        return FAILED
    return _change(console, caller, args.id, given)


def _secret(console: Console, given: str) -> str:
    """Return a secret; `-` is read from standard input, where no list of processes shows it."""
    return console.stdin.readline().strip() if given == "-" else given


def set_multiplier(console: Console, caller: Caller, args: Namespace) -> int:
    """Set a server's load multiplier."""
    return _change(console, caller, args.id, {"load_multiplier": args.load_multiplier})


def set_tag(console: Console, caller: Caller, args: Namespace) -> int:
    """Set or remove a server's tag."""
    return _change(console, caller, args.id, {"tag": args.tag})


def remove(console: Console, caller: Caller, args: Namespace) -> int:
    """Remove a server."""
    answer = caller.post("deleteServer", {"id": args.id, "force": args.force})
    return _done(console, answer)


def _change(console: Console, caller: Caller, server_id: str, fields: Mapping[str, Any]) -> int:
    body = {"id": server_id, "server": fields}
    return _done(console, caller.post("updateServer", body, deadline_s=LONG_S))


def _done(console: Console, answer: Any) -> int:
    if console.as_json:
        console.document(answer)
    else:
        console.line("OK")
    return DONE


def _given(args: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
