"""`ctl tenants` and `ctl tenant-settings`: the tenants and their parameters.

The output is that of Scalelite's rake tasks, secrets included, because scripts parse it. `call` of
a setting is unknown to Scalelite and only shown where it is set.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED, USAGE
from appliance.ctl.names import takes_names
from appliance.ctl.tenant_limits import add_tenant_limits

FIELDS = (
    *("name", "secrets", "lrs_endpoint", "lrs_username", "lrs_password"),
    *("kc_token_url", "kc_client_id", "kc_client_secret", "kc_username", "kc_password"),
)
"""Fields of a tenant, in the order in which rake prints them."""
_FIELD_OPTIONS = (
    ("--lrs-endpoint", "URL of the learning record store (xAPI)"),
    ("--lrs-username", "user name for the learning record store"),
    ("--lrs-password", "password for the learning record store"),
    ("--kc-token-url", "URL of the OpenID Connect token endpoint, for example of Keycloak"),
    ("--kc-client-id", "client id for the token endpoint"),
    ("--kc-client-secret", "client secret for the token endpoint"),
    ("--kc-username", "user name for the token endpoint"),
    ("--kc-password", "password for the token endpoint"),
)
MODES = ("default", "override", "require", "map", "append", "floor", "cap", "remove")
"""Those of settings/param_rules.py, which would load much more."""
TENANT_HELP = "id or name of the tenant, or its beginning, see `tenants list`"
_SECRETS = "one or more secrets, separated by : or ,"


def add_tenants(commands: Commands[Any]) -> None:
    """Add the group `tenants`."""
    group = add_group(commands, "tenants", "manage the tenants", list_all, brief=False)
    about = "show every tenant with its id and secrets"
    command = add_command(group, "list", list_all, about, "tenants list --brief")
    command.add_argument("--brief", action="store_true", help="one line per tenant")
    about = "add a tenant; its name is the first label of its host name"
    command = add_command(group, "add", add, about, "tenants add school SECRET1:SECRET2")
    command.add_argument("name", metavar="NAME", help="school, for https://school.bbb.example.com")
    command.add_argument("secrets", metavar="SECRETS", help=_SECRETS)
    about = "change a tenant; other fields keep their values, '' removes a field of LRS or Keycloak"
    command = add_command(group, "update", update, about, "tenants update ID --secrets NEW:OLD")
    _add_tenant_id(command)
    command.add_argument("--name", metavar="N", help="first label of the host name")
    command.add_argument("--secrets", metavar="S", help=_SECRETS)
    for option, about in _FIELD_OPTIONS:
        command.add_argument(option, metavar="V", help=about)
    about = "remove a tenant and its settings"
    command = add_command(group, "remove", remove, about, "tenants remove ID")
    _add_tenant_id(command)
    about = "even if it has meetings: they continue, but front-ends cannot reach them any more"
    command.add_argument("--force", action="store_true", help=about)
    add_tenant_limits(group)


def _add_tenant_id(parser: argparse.ArgumentParser, dest: str = "id", metavar: str = "ID") -> None:
    parser.add_argument(dest, metavar=metavar, help=TENANT_HELP)
    takes_names(parser, "tenant", dest)


def add_tenant_settings(commands: Commands[Any]) -> None:
    """Add the group `tenant-settings`."""
    about = "manage parameters of create and join for a tenant"
    group = add_group(commands, "tenant-settings", about, list_settings, tenant_id=None)
    about = "show the settings of all tenants"
    example = "tenant-settings list TENANT_ID"
    command = add_command(group, "list", list_settings, about, example)
    command.add_argument("tenant_id", metavar="TENANT_ID", nargs="?", help=TENANT_HELP)
    takes_names(command, "tenant", "tenant_id")
    about = "set a parameter for every create or join of a tenant"
    example = "tenant-settings add ID logo https://school.example.com/logo.png true --call create"
    command = add_command(group, "add", add_setting, about, example)
    _add_tenant_id(command, "tenant_id", "TENANT_ID")
    command.add_argument("param", metavar="PARAM", help="name of the parameter")
    about = "value of the parameter; none for the modes remove and require"
    command.add_argument("value", metavar="VALUE", nargs="?", help=about)
    command.add_argument(
        "override",
        metavar="true|false",
        choices=("true", "false"),
        nargs="?",
        help="true: override the value of the front-end; false: use it as the default",
    )
    about = "a rule in place of true or false: " + ", ".join(MODES)
    command.add_argument("--mode", choices=MODES, metavar="MODE", help=about)
    about = "only for BBB servers whose version matches, such as 4.*"
    command.add_argument("--version", metavar="PATTERN", help=about)
    about = "only for this call (default: all calls that have the parameter)"
    command.add_argument("--call", choices=("create", "join"), help=about)
    about = "remove a setting"
    command = add_command(group, "remove", remove_setting, about, "tenant-settings remove ID")
    about = "id of the setting, see `tenant-settings list`"
    command.add_argument("id", metavar="ID", help=about)


# --- tenants -------------------------------------------------------------------------------------


def list_all(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show every tenant as rake does, or in a line each."""
    found = _get_tenants(client)
    if console.as_json:
        console.document(found)
        return DONE
    if args.brief and found:
        console.line("TenantID, Name, Secrets")
    for tenant in found:
        if args.brief:
            console.show(f"{tenant['id']}, {tenant['name']}, {tenant['secrets']}")
        else:
            _show_block(console, tenant)
    console.line(f"Total number of tenants: {len(found)}")
    if not console.rake:
        _warn_of_problems(console, found)
    return DONE


def _get_tenants(client: ControlClient) -> list[dict[str, Any]]:
    found = client.get("getTenants")
    return found if isinstance(found, list) else []  # without tenants the answer is a message


def _warn_of_problems(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    from appliance.tenants.values import unreachable_tenants  # only needed here

    console.out.flush()
    for tenant_id, doubt in unreachable_tenants(
        (tenant["id"], tenant["name"], tenant["secrets"]) for tenant in found
    ):
        console.error(f"warning: tenant {tenant_id}: {doubt}")


def _show_block(console: Console, tenant: Mapping[str, Any]) -> None:
    console.show(f"id: {tenant['id']}")
    for name in FIELDS:
        if name in tenant:
            console.show(f"\t{name}: {tenant[name]}")


def add(console: Console, client: ControlClient, args: Namespace) -> int:
    """Add a tenant and show its id."""
    fields = {"name": args.name, "secrets": split_secrets(args.secrets)}
    if not all(fields.values()):
        console.error("both the name and the secrets must not be empty")
        return FAILED
    answer = client.post("addTenant", {"tenant": fields})
    return _done(console, answer["tenant"], "OK", f"New Tenant id: {answer['id']}")


def split_secrets(text: str) -> str:
    """Return secrets in the stored form, separated by colons."""
    return text.replace(",", ":")


def update(console: Console, client: ControlClient, args: Namespace) -> int:
    """Change the given fields of a tenant."""
    given = {name: getattr(args, name) for name in FIELDS if getattr(args, name) is not None}
    if not given:
        console.error("nothing to change: give --name, --secrets, --lrs-… or --kc-…")
        return USAGE
    for name in ("name", "secrets"):
        if name in given and not given[name]:  # for the API, empty means unchanged
            console.error(f"the {name} must not be empty")
            return FAILED
    if "secrets" in given:
        given["secrets"] = split_secrets(given["secrets"])
    answer = client.post("updateTenant", {"id": args.id, "tenant": given})
    return _done(console, answer["tenant"], "OK", f"Updated Tenant id: {answer['id']}")


def remove(console: Console, client: ControlClient, args: Namespace) -> int:
    """Remove a tenant with its settings."""
    answer = client.post("deleteTenant", {"id": args.id, "force": args.force})
    return _done(console, answer, "Tenant was successfully deleted.")


# --- settings ------------------------------------------------------------------------------------


def list_settings(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show the settings of every tenant, or of one, as rake does."""
    query = {"tenant_id": args.tenant_id} if args.tenant_id else {}
    settings = client.get("getTenantSettings", **query)
    if console.as_json:
        console.document(settings)
        return DONE
    tenants = [
        tenant for tenant in _get_tenants(client) if args.tenant_id in (None, "", tenant["id"])
    ]
    for tenant in tenants:
        console.show(f"Tenant: {tenant['name']}")
        own = [setting for setting in settings if setting["tenant_id"] == tenant["id"]]
        for setting in own:
            _show_setting(console, setting)
        if not own:
            console.out.flush()
            console.error("  No custom settings are configured")
    return DONE


def _show_setting(console: Console, setting: Mapping[str, Any]) -> None:
    console.show(f"  id: {setting['id']}")
    for name in ("param", "value", "override"):
        if name != "override" or setting[name]:
            console.show(f"\t{name}: {setting[name]}")
    if not setting["override"]:
        console.show(f"\tmode: {setting['mode']}")
    for name in ("version", "call"):
        if setting[name]:
            console.show(f"\t{name}: {setting[name]}")


def add_setting(console: Console, client: ControlClient, args: Namespace) -> int:
    """Add a setting and show its id."""
    if (args.mode is None) == (args.override is None):
        console.error("say true, false or --mode after the value, and only one of them")
        return USAGE
    names = ("tenant_id", "param", "value", "override", "call", "mode", "version")
    given = {name: getattr(args, name) for name in names}
    fields = {name: value for name, value in given.items() if value is not None}
    answer = client.post("addTenantSetting", {"tenant_setting": fields})
    return _done(console, answer["tenant_setting"], "OK", f"New TenantSetting id: {answer['id']}")


def remove_setting(console: Console, client: ControlClient, args: Namespace) -> int:
    """Remove a setting."""
    answer = client.post("deleteTenantSetting", {"id": args.id})
    return _done(console, answer, "TenantSetting was successfully deleted.")


def _done(console: Console, answer: Mapping[str, Any], *lines: str) -> int:
    if console.as_json:
        console.document(answer)
    else:
        for line in lines:
            console.show(line)
    return DONE
