"""The command line of `ctl tenants` and `ctl tenant-settings`. Holds no command."""

from __future__ import annotations

import argparse
from typing import Any

from appliance.ctl import tenants
from appliance.ctl.parsing import Group, branch, leaf

_SECRETS = "one secret or several, with : or , between them"


def add_tenants(groups: Group[Any]) -> None:
    """Declare `tenants` and its commands."""
    about = "the tenants: each has a host name and secrets of its own"
    group = branch(groups, "tenants", about, tenants.list_all, brief=False)
    about = "show every tenant with its id and secrets"
    listed = leaf(group, "list", tenants.list_all, about, "tenants list --brief")
    listed.add_argument("--brief", action="store_true", help="one line a tenant")
    add = leaf(
        group,
        "add",
        tenants.add,
        "add a tenant; its name is the first label of the host that its front-ends call",
        "tenants add school SECRET1:SECRET2",
    )
    add.add_argument("name", metavar="NAME", help="school, for https://school.bbb.example.com")
    add.add_argument("secrets", metavar="SECRETS", help=_SECRETS)
    update = leaf(
        group,
        "update",
        tenants.update,
        "change a tenant; what is not given stays as it is, '' removes a field of LRS or Keycloak",
        "tenants update ID --secrets NEW:OLD",
    )
    update.add_argument("id", metavar="ID", help="as `tenants list` shows it")
    _add_field_options(update)
    about = "remove a tenant and its settings"
    remove = leaf(group, "remove", tenants.remove, about, "tenants remove ID")
    remove.add_argument("id", metavar="ID", help="as `tenants list` shows it")
    remove.add_argument(
        "--force",
        action="store_true",
        help="even if it has meetings: they run on, but nobody can ask about them any more",
    )


def _add_field_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", metavar="N", help="the first label of its host")
    parser.add_argument("--secrets", metavar="S", help=_SECRETS)
    for option, about in (
        ("--lrs-endpoint", "URL of its learning record store (xAPI)"),
        ("--lrs-username", "user name there"),
        ("--lrs-password", "password there"),
        ("--kc-token-url", "URL of the OpenID Connect token endpoint, say Keycloak's"),
        ("--kc-client-id", "client id there"),
        ("--kc-client-secret", "client secret there"),
        ("--kc-username", "user name there"),
        ("--kc-password", "password there"),
    ):
        parser.add_argument(option, metavar="V", help=about)


def add_tenant_settings(groups: Group[Any]) -> None:
    """Declare `tenant-settings` and its commands."""
    about = "parameters that the create and join calls of a tenant get"
    group = branch(groups, "tenant-settings", about, tenants.list_settings, tenant_id=None)
    about = "show the settings of all tenants"
    listed = leaf(group, "list", tenants.list_settings, about, "tenant-settings list TENANT_ID")
    listed.add_argument("tenant_id", metavar="TENANT_ID", nargs="?", help="only of this tenant")
    add = leaf(
        group,
        "add",
        tenants.add_setting,
        "set a parameter for every create or join of a tenant",
        "tenant-settings add ID logo https://school.example.com/logo.png true --call create",
    )
    add.add_argument("tenant_id", metavar="TENANT_ID", help="as `tenants list` shows it")
    add.add_argument("param", metavar="PARAM", help="name of a parameter of create or join")
    add.add_argument("value", metavar="VALUE", help="what the parameter is set to")
    add.add_argument(
        "override",
        metavar="true|false",
        choices=("true", "false"),
        help="true: instead of what the front-end says; false: if it says nothing",
    )
    add.add_argument(
        "--call",
        choices=("create", "join"),
        help="only for this call (default: the calls that know the parameter)",
    )
    remove = leaf(
        group, "remove", tenants.remove_setting, "remove a setting", "tenant-settings remove ID"
    )
    remove.add_argument("id", metavar="ID", help="id of the setting, as the list shows it")
