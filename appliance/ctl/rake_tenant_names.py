"""Translates the rake tasks `tenants` and `tenantSettings` of Scalelite to commands. Pure.

The order of the arguments and the messages are those of lib/tasks/tenants.rake. `tenants:showall`
existed before Scalelite 1.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from appliance.ctl.rake_task import MisusedTask, RakeTask, argument

_LRS = ("lrs_endpoint", "lrs_username", "lrs_password")
_KEYCLOAK = (
    *("lrs_endpoint", "kc_token_url", "kc_client_id"),
    *("kc_client_secret", "kc_username", "kc_password"),
)


def _secrets(parts: Sequence[str]) -> str:
    """Join secrets; a comma between them separates arguments for rake."""
    return ":".join(part for part in parts if part)


def _add(given: list[str]) -> RakeTask:
    name, secrets = argument(given, 0), _secrets(given[1:])
    if not name or not secrets:
        raise MisusedTask("Error: both name and secrets are required to create a Tenant")
    return RakeTask(("tenants", "add", "--", name, secrets))


def _update(given: list[str]) -> RakeTask:
    tenant_id, name, secrets = argument(given, 0), argument(given, 1), _secrets(given[2:])
    if not tenant_id or not (name or secrets):
        raise MisusedTask("Error: id and either name or secrets are required to update a Tenant")
    options = [f"--name={name}"] if name else []
    options += [f"--secrets={secrets}"] if secrets else []
    return RakeTask(("tenants", "update", *options, "--", tenant_id))


def _update_fields(names: Sequence[str], missing: str) -> Callable[[list[str]], RakeTask]:
    def translate(given: list[str]) -> RakeTask:
        tenant_id, *values = [argument(given, index) for index in range(1 + len(names))]
        if not tenant_id or not all(values):
            raise MisusedTask(missing)
        options = [
            f"--{name.replace('_', '-')}={value}" for name, value in zip(names, values, strict=True)
        ]
        return RakeTask(("tenants", "update", *options, "--", tenant_id))

    return translate


def _remove(command: str) -> Callable[[list[str]], RakeTask]:
    def translate(given: list[str]) -> RakeTask:
        if not argument(given, 0):
            raise MisusedTask("Error: id is required")
        return RakeTask((command, "remove", "--", given[0]))

    return translate


def _add_setting(given: list[str]) -> RakeTask:
    if len(given) < 4 or not all(given[:4]):
        raise MisusedTask(
            "Error: tenant_id, param, value and override are required to create a TenantSetting"
        )
    if len(given) > 4:
        raise MisusedTask(r"Error: write \, for a comma in the value")
    return RakeTask(("tenant-settings", "add", "--", *given))


TENANT_TASKS: dict[str, Callable[[list[str]], RakeTask]] = {
    "tenants": lambda given: RakeTask(("tenants", "list")),
    "tenants:showall": lambda given: RakeTask(("tenants", "list", "--brief")),
    "tenants:add": _add,
    "tenants:update": _update,
    "tenants:update_lrs_basic": _update_fields(
        _LRS,
        "Error: id, LRS_ENDPOINT, LRS_USERNAME, LRS_PASSWORD are required to update a Tenant",
    ),
    "tenants:update_lrs_kc": _update_fields(
        _KEYCLOAK,
        "Error: LRS_ENDPOINT, KC_TOKEN_URL, KC_CLIENT_ID, KC_CLIENT_SECRET, KC_USERNAME, "
        "KC_PASSWORD are required to update a Tenant",
    ),
    "tenants:remove": _remove("tenants"),
    "tenantSettings": lambda given: RakeTask(("tenant-settings", "list")),
    "tenantSettings:add": _add_setting,
    "tenantSettings:remove": _remove("tenant-settings"),
}
