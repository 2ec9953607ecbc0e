"""`ctl servers list|add|update|load-multiplier|tag|remove|accept-empty`: the servers of the pool.

`servers list` prints what `rake servers` of Scalelite prints, because scripts parse it.
"""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl import server_states
from appliance.ctl.arguments import Commands, add_command, add_group, parse_positive_number
from appliance.ctl.client import LONG_S, ControlClient, Refusal
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.maintenance import describe_next
from appliance.ctl.names import takes_names
from appliance.ctl.progress import waiting
from appliance.ctl.tables import Column, format_time

_VALUES = ("load_multiplier", "tag", "max_meetings", "max_users", "dial_in", "dial_in_port")


def add_servers(commands: Commands[Any]) -> Commands[Any]:
    """Add the group `servers` with the commands of this module."""
    group = add_group(commands, "servers", "manage the BigBlueButton servers", list_all)
    about = "show every server with its id, URL, secret and load"
    example = "servers list --json | jq -r '.[].id'"
    command = add_command(group, "list", list_all, about, example)
    about = "servers that were removed, and from which recordings are still accepted"
    command.add_argument("--retired", action="store_true", help=about)
    _add_add(group)
    _add_update(group)
    about = "remove a server from the pool"
    command = add_command(group, "remove", remove, about, "servers remove bbb1.example.com")
    server_states.add_server_id(command)
    about = (
        "even if it has meetings, which continue but cannot be reached any more, or has to deliver"
        " recordings"
    )
    command.add_argument("--force", action="store_true", help=about)
    about = "forget a retired server: its recordings are refused from now on"
    command = add_command(group, "forget", forget, about, "servers forget bbb1.example.com")
    about = "id or host of the retired server, or its beginning, see `servers list --retired`"
    command.add_argument("id", metavar="ID", help=about)
    takes_names(command, "retired server", "id")
    about = "confirm that the pool is meant to be empty after its servers have vanished from Redis"
    add_command(group, "accept-empty", accept_empty, about, "servers accept-empty")
    return group


def _add_add(group: Commands[Any]) -> None:
    about = "add a disabled server; `bbb-conf --secret` on the server prints URL and secret"
    example = "servers add https://bbb1.example.com/bigbluebutton/api SECRET --enable"
    command = add_command(group, "add", add, about, example)
    about = "the URL that `bbb-conf --secret` prints; without it, it is asked for"
    command.add_argument("url", metavar="URL", nargs="?", default="", type=_parse_url, help=about)
    about = "the server's secret; without it, or with -, it is asked for, or read from stdin"
    command.add_argument("secret", metavar="SECRET", nargs="?", default="-", help=about)
    _add_value_options(command)
    about = "id (default: a UUID, or the host name with SERVER_ID_IS_HOSTNAME)"
    command.add_argument("--id", help=about)
    command.add_argument("--enable", action="store_true", help="enable it as well")


def _add_update(group: Commands[Any]) -> None:
    about = "change a server; options that are not given keep their values"
    example = "servers update bbb1.example.com --load-multiplier 2 --tag ''"
    command = add_command(group, "update", update, about, example)
    server_states.add_server_id(command)
    command.add_argument("--url", metavar="U", help="https://HOST/bigbluebutton/api")
    command.add_argument("--secret", metavar="S", help="the server's secret; -: ask, or read stdin")
    _add_value_options(command)

    about = "set the load multiplier of a server"
    example = "servers load-multiplier bbb1.example.com 2"
    command = add_command(group, "load-multiplier", set_multiplier, about, example)
    server_states.add_server_id(command)
    about = "a greater number for a weaker server"
    command.add_argument("load_multiplier", metavar="N", type=parse_positive_number, help=about)

    about = "set the tag of a server; '' removes it"
    command = add_command(group, "tag", set_tag, about, "servers tag bbb1.example.com lectures")
    server_states.add_server_id(command)
    command.add_argument("tag", metavar="T", help="value that meta_server-tag selects")


def _add_value_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--load-multiplier",
        metavar="N",
        type=parse_positive_number,
        help="a greater number for a weaker server",
    )
    about = "value that meta_server-tag selects; '' removes it"
    parser.add_argument("--tag", metavar="T", help=about)
    about = "maximum number of meetings; 0: no limit"
    parser.add_argument("--max-meetings", metavar="N", type=_parse_maximum, help=about)
    about = "maximum number of users; 0: no limit"
    parser.add_argument("--max-users", metavar="N", type=_parse_maximum, help=about)
    about = (
        "where calls to its meetings are sent, such as 'sofia/external/{pin}@{host}:{port}'; with"
        " {pin}, {host}, {port} and {meeting}; '' for FSAPI_BRIDGE"
    )
    parser.add_argument("--dial-in", metavar="D", help=about)
    about = "the {port} of --dial-in (5060); 0: the default"
    parser.add_argument("--dial-in-port", metavar="N", type=_parse_maximum, help=about)


def _parse_url(text: str) -> str:
    """Refuse a missing URL where it cannot be asked for."""
    if not text.strip() and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise argparse.ArgumentTypeError("it is missing, as `bbb-conf --secret` prints it")
    return text


def _parse_maximum(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, or 0 for no limit")
    return int(text)


# --- list ----------------------------------------------------------------------------------------


def list_all(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show every server, or those that were removed."""
    if getattr(args, "retired", False):
        return _list_retired(console, client)
    found = _get_servers(client)
    if console.as_json:
        console.document(found)
    elif not found:
        console.error("No servers are configured")
    for server in [] if console.as_json else found:
        _show_block(console, server)
    return DONE


_RETIRED_COLUMNS = (
    Column("HOSTNAME"),
    Column("ID", drop=2),
    Column("URL", drop=1),
    Column("RETIRED (UTC)"),
    Column("UNTIL (UTC)"),
    Column("OWED", right=True),
)


def _list_retired(console: Console, client: ControlClient) -> int:
    found = client.get("getRetiredServers")
    if console.as_json:
        console.document(found)
        return DONE
    rows = [
        (
            *(one["hostname"], one["id"], one["url"]),
            *(format_time(one["retired"]), format_time(one["until"]), one["recordings_owed"]),
        )
        for one in found
    ]
    console.table(_RETIRED_COLUMNS, rows)
    return DONE


def _get_servers(client: ControlClient) -> list[dict[str, Any]]:
    try:
        return list(client.get("getServers"))
    except Refusal as refusal:
        if refusal.status == 404:  # the answer for an empty pool
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
    for name in ("max_meetings", "max_users", "dial_in", "dial_in_port", "recordings_owed"):
        if server.get(name):
            console.show(f"\t{name.replace('_', ' ')}: {server[name]}")
    if server.get("maintenance"):
        console.show(f"\tmaintenance: {describe_next(server['maintenance'])}")
    console.show(f"\t{server['online']}")


# --- changes -------------------------------------------------------------------------------------


def add(console: Console, client: ControlClient, args: Namespace) -> int:
    """Add a server, show its version and clock, and enable it with --enable.

    On a terminal URL and secret are asked for if they are missing, and then whether to enable it.
    """
    url, note = _complete_url(args.url or _ask_url(console))
    fields = {"url": url, "secret": _read_secret(console, args.secret)}
    server = client.post("addServer", {"server": {**fields, **_given(args, "id", *_VALUES)}})
    if note:
        console.error(note)
    if not console.as_json:
        console.line("OK")
        console.show(f"id: {server['id']}")
    if console.rake:  # rake only adds it
        return DONE
    with waiting(console, "asking the server"):
        found = client.get("inspectServer", id=server["id"])
    if not console.as_json and (found["answers"] or not args.enable):
        _show_found(console, found)
    enable = args.enable or (not args.url and found["secret_right"] and console.ask("Enable it?"))
    enabled = client.post("enableServer", {"id": server["id"]}) if enable else None
    if console.as_json:
        console.document({**server, **(enabled or {}), "found": found})
    elif enabled is not None:
        console.show(server_states.describe_enabled(enabled))
    return DONE if enabled is None or enabled["online"] == "online" else FAILED


def _ask_url(console: Console) -> str:
    """Ask for a URL until there is one; a host name will do. Empty after Ctrl-D."""
    question = "Host or URL ('bbb-conf --secret' on the server shows it): "
    while (line := console.read_line(question)).strip() == "" and line:
        console.error("a host such as bbb1.example.com is needed; Ctrl-C ends")
    answer = line.strip()
    return answer if "://" in answer or not answer else f"https://{answer}"


def _complete_url(given: str) -> tuple[str, str]:
    """Return the URL of the API, and a note for who gave another one, which may be empty."""
    from appliance.bbb.endpoint import complete_api_url  # imports urllib, slow for other commands

    url = complete_api_url(given)
    if url.rstrip("/") != given.rstrip("/"):
        return url, f"note: the url is completed to {url}"
    if "://" in url and not url.rstrip("/").endswith("/api"):
        return url, "note: the URL of a BigBlueButton API usually ends in /bigbluebutton/api"
    return url, ""


def _show_found(console: Console, found: Mapping[str, Any]) -> None:
    finding = found["finding"]
    if finding["level"] == "ok":
        console.show(finding["text"])
        return
    console.error(f"{'warning' if finding['level'] == 'warn' else 'error'}: {finding['text']}")
    advice = finding["advice"].replace("`", "'")
    console.error(f"  -> {advice}")


def update(console: Console, client: ControlClient, args: Namespace) -> int:
    """Change the given values of a server."""
    given = _given(args, "url", "secret", *_VALUES)
    if not given and not console.rake:
        console.error(
            "nothing to change: give --url, --secret, --load-multiplier, --tag, --max-… or"
            " --dial-in…"
        )
        return USAGE
    note = ""
    if "url" in given:
        given["url"], note = _complete_url(given["url"])
    if "secret" in given:
        given["secret"] = _read_secret(console, given["secret"])
    if "secret" in given and not given["secret"]:
        console.error("the secret must not be empty")
        return FAILED
    code = _change(console, client, args.id, given)
    if note:
        console.error(note)
    return code


def _read_secret(console: Console, given: str) -> str:
    """Return a secret; `-` reads it from standard input, to keep it out of the process list.

    On a terminal it is asked for, and not shown.
    """
    if given != "-":
        return given
    if not console.can_ask():
        return console.stdin.readline().strip()
    from getpass import getpass

    try:
        return getpass("Secret ('bbb-conf --secret' on the server shows it): ", console.err).strip()
    except EOFError:  # Ctrl-D
        return ""


def set_multiplier(console: Console, client: ControlClient, args: Namespace) -> int:
    """Set a server's load multiplier."""
    return _change(console, client, args.id, {"load_multiplier": args.load_multiplier})


def set_tag(console: Console, client: ControlClient, args: Namespace) -> int:
    """Set or remove a server's tag."""
    return _change(console, client, args.id, {"tag": args.tag})


def remove(console: Console, client: ControlClient, args: Namespace) -> int:
    """Remove a server."""
    answer = client.post("deleteServer", {"id": args.id, "force": args.force})
    return _report_ok(console, answer)


def forget(console: Console, client: ControlClient, args: Namespace) -> int:
    """Forget a retired server."""
    return _report_ok(console, client.post("forgetServer", {"id": args.id}))


def accept_empty(console: Console, client: ControlClient, args: Namespace) -> int:
    """Accept that the pool is empty."""
    return _report_ok(console, client.post("acceptEmpty", {}))


def _change(
    console: Console, client: ControlClient, server_id: str, fields: Mapping[str, Any]
) -> int:
    body = {"id": server_id, "server": fields}
    return _report_ok(console, client.post("updateServer", body, deadline_s=LONG_S))


def _report_ok(console: Console, answer: Any) -> int:
    if console.as_json:
        console.document(answer)
    else:
        console.line("OK")
    return DONE


def _given(args: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
