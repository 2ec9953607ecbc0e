"""`ctl tokens [list|add|revoke]`: access tokens for the admin API and the console."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group, parse_positive_number
from appliance.ctl.client import ControlClient
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE
from appliance.ctl.names import takes_names
from appliance.ctl.tables import Column, format_time

ROLES = ("viewer", "operator", "admin")
_COLUMNS = (
    Column("NAME", whole=True),
    Column("ROLE"),
    Column("TENANT", drop=2),
    Column("CREATED", drop=1),
    Column("EXPIRES"),
    Column("LAST USED"),
)


def add_tokens(commands: Commands[Any]) -> None:
    """Add the group `tokens`."""
    about = "manage access tokens for the admin API and the console"
    group = add_group(commands, "tokens", about, show)
    about = "show every token, never its secret"
    add_command(group, "list", show, about, "tokens list")
    about = "add a token and print it, once; only its hash is stored"
    example = "tokens add monitoring --role viewer --days 365"
    command = add_command(group, "add", add, about, example)
    command.add_argument("name", metavar="NAME", help="name of the token, for logs and lists")
    about = "viewer reads all but secrets; operator also changes states and ends meetings"
    command.add_argument("--role", choices=ROLES, required=True, help=about)
    about = "id or name of a tenant: only its meetings, recordings, usage and settings"
    command.add_argument("--tenant", metavar="T", help=about)
    takes_names(command, "tenant", "tenant")
    about = "until it expires (default: never)"
    command.add_argument("--days", metavar="N", type=parse_positive_number, help=about)
    about = "revoke a token; it is refused at once by every appliance"
    command = add_command(group, "revoke", revoke, about, "tokens revoke monitoring")
    about = "name of the token, see `tokens list`"
    offers(command.add_argument("name", metavar="NAME", help=about), "token")


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the tokens in a table."""
    tokens = client.get("listTokens")
    if console.as_json:
        console.document(tokens)
    else:
        console.table(_COLUMNS, list(map(_row, tokens)))
    return DONE


def _row(token: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        token["name"],
        token["role"],
        token["tenant"] or "-",
        format_time(token["created"]),
        "never" if token["expires"] is None else format_time(token["expires"]),
        "never" if token["last_used"] is None else format_time(token["last_used"]),
    )


def add(console: Console, client: ControlClient, args: Namespace) -> int:
    """Add a token. Only its secret goes to standard output, so that a script can take it."""
    body = {"name": args.name, "role": args.role, "tenant": args.tenant or "", "days": args.days}
    added = client.post("addToken", body)
    if console.as_json:
        console.document(added)
        return DONE
    console.show(added["token"])
    console.out.flush()
    console.error(f"note: token {added['name']} is shown only now, keep it in a safe place")
    return DONE


def revoke(console: Console, client: ControlClient, args: Namespace) -> int:
    """Revoke a token."""
    answer = client.post("revokeToken", {"name": args.name})
    if console.as_json:
        console.document(answer)
    else:
        console.line(f"Token {args.name} was revoked.")
    return DONE
