"""`ctl tenants` and `ctl tenant-settings`: who may use the pool, and with which parameters.

The output is what Scalelite's rake tasks print (people and scripts know it), secrets included;
`call` of a setting is ours and only shown where it is set.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.client import Caller
from appliance.ctl.console import Console

DONE, FAILED, USAGE = 0, 1, 2

FIELDS = (
    *("name", "secrets", "lrs_endpoint", "lrs_username", "lrs_password"),
    *("kc_token_url", "kc_client_id", "kc_client_secret", "kc_username", "kc_password"),
)
"""Of a tenant, in the order in which rake prints them."""


def list_all(console: Console, caller: Caller, args: Namespace) -> int:
    """Show every tenant as rake does, or each in one line."""
    found = _get_tenants(caller)
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
        _warn_of_doubts(console, found)
    return DONE


def _get_tenants(caller: Caller) -> list[dict[str, Any]]:
    found = caller.get("getTenants")
    return found if isinstance(found, list) else []  # Scalelite's answer for none is a message


def _warn_of_doubts(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    from appliance.tenants.values import unreachable_tenants  # no other command needs it

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


def add(console: Console, caller: Caller, args: Namespace) -> int:
    """Add a tenant and show its id."""
    fields = {"name": args.name, "secrets": split_secrets(args.secrets)}
    if not all(fields.values()):
        console.error("both the name and the secrets must not be empty")
        return FAILED
    answer = caller.post("addTenant", {"tenant": fields})
    return _done(console, answer["tenant"], "OK", f"New Tenant id: {answer['id']}")


def split_secrets(text: str) -> str:
    """Return secrets as they are stored: separated by colons, whichever separates them here."""
    return text.replace(",", ":")


def update(console: Console, caller: Caller, args: Namespace) -> int:
    """Change what is given."""
    given = {name: getattr(args, name) for name in FIELDS if getattr(args, name) is not None}
    if not given:
        console.error("nothing to change: give --name, --secrets, --lrs-… or --kc-…")
        return USAGE
    for name in ("name", "secrets"):
        if name in given and not given[name]:  # which the API takes for "as it is"
            console.error(f"the {name} must not be empty")
            return FAILED
    if "secrets" in given:
        given["secrets"] = split_secrets(given["secrets"])
    answer = caller.post("updateTenant", {"id": args.id, "tenant": given})
    return _done(console, answer["tenant"], "OK", f"Updated Tenant id: {answer['id']}")


def remove(console: Console, caller: Caller, args: Namespace) -> int:
    """Remove a tenant with its settings."""
    answer = caller.post("deleteTenant", {"id": args.id, "force": args.force})
    return _done(console, answer, "Tenant was successfully deleted.")


def list_settings(console: Console, caller: Caller, args: Namespace) -> int:
    """Show the settings of every tenant, or of one, as rake does."""
    query = {"tenant_id": args.tenant_id} if args.tenant_id else {}
    settings = caller.get("getTenantSettings", **query)
    if console.as_json:
        console.document(settings)
        return DONE
    tenants = [
        tenant for tenant in _get_tenants(caller) if args.tenant_id in (None, "", tenant["id"])
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
        console.show(f"\t{name}: {setting[name]}")
    if setting["call"]:
        console.show(f"\tcall: {setting['call']}")


def add_setting(console: Console, caller: Caller, args: Namespace) -> int:
    """Add a setting and show its id."""
    fields = {name: getattr(args, name) for name in ("tenant_id", "param", "value", "override")}
    if args.call is not None:
        fields["call"] = args.call
    answer = caller.post("addTenantSetting", {"tenant_setting": fields})
    return _done(console, answer["tenant_setting"], "OK", f"New TenantSetting id: {answer['id']}")


def remove_setting(console: Console, caller: Caller, args: Namespace) -> int:
    """Remove a setting."""
    answer = caller.post("deleteTenantSetting", {"id": args.id})
    return _done(console, answer, "TenantSetting was successfully deleted.")


def _done(console: Console, answer: Mapping[str, Any], *lines: str) -> int:
    if console.as_json:
        console.document(answer)
    else:
        for line in lines:
            console.show(line)
    return DONE
