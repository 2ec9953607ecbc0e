"""Tenants and tenant settings as operators enter them, and their validation.

Pure. Source of the fields: Scalelite's records (docs/stores.md). Requests use `model.Tenant`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from appliance.bbb.endpoint import MAX_TEXT, UnacceptableValue, check_secret, check_url
from appliance.model import ParamRule, TenantId
from appliance.settings.param_rules import (
    DEFAULT,
    OVERRIDE,
    RESERVED_PREFIX,
    UNTOUCHABLE,
    check_rule,
    is_param_name,
)
from appliance.tenants.retention import MAX_DAYS, is_retention
from appliance.tenants.retention import PARAM as RETENTION_PARAM

SEPARATOR = ":"
"""Between the secrets of a tenant."""
MAX_VALUE = 16_384
CALLS = ("create", "join")

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?").fullmatch
"""RFC 1123, section 2.1."""
_REACHABLE = re.compile(r"[A-Za-z0-9_-]+").fullmatch
"""Also matches names that are no valid host labels but work."""


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant as stored; missing fields are empty."""

    id: TenantId
    name: str = ""
    secrets: str = field(default="", repr=False)
    """Separated by colons."""
    lrs_endpoint: str = ""
    lrs_username: str = ""
    lrs_password: str = field(default="", repr=False)
    kc_token_url: str = ""
    kc_client_id: str = ""
    kc_client_secret: str = field(default="", repr=False)
    kc_username: str = ""
    kc_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TenantChange:
    """New values of a tenant; None keeps a value, an empty one removes it."""

    name: str | None = None
    secrets: str | None = field(default=None, repr=False)
    lrs_endpoint: str | None = None
    lrs_username: str | None = None
    lrs_password: str | None = field(default=None, repr=False)
    kc_token_url: str | None = None
    kc_client_id: str | None = None
    kc_client_secret: str | None = field(default=None, repr=False)
    kc_username: str | None = None
    kc_password: str | None = field(default=None, repr=False)

    @property
    def given(self) -> dict[str, str]:
        """Return the given values by field name."""
        return {name: value for name in TENANT_FIELDS if (value := getattr(self, name)) is not None}


TENANT_FIELDS = tuple(item.name for item in fields(TenantChange))
URL_FIELDS = ("lrs_endpoint", "kc_token_url")


@dataclass(frozen=True, slots=True)
class TenantSetting:
    """A parameter that is added to the calls of a tenant."""

    id: str
    tenant_id: TenantId
    param: str
    value: str = field(repr=False)
    """May be a password."""
    override: bool
    """Whether it overrides the front-end's value."""
    call: str = ""
    """`create` or `join`; empty: the calls that have the parameter."""
    mode: str = ""
    """Of a parameter rule, which Scalelite does not know; empty: a default or an override."""
    version: str = ""
    """Of a parameter rule: pattern of the BBB versions that it is for."""

    @property
    def rule(self) -> ParamRule:
        """Return the setting as a rule."""
        mode = self.mode or (OVERRIDE if self.override else DEFAULT)
        return ParamRule(self.param, mode, self.value, self.version)


class SaveOutcome(StrEnum):
    """Result of saving a record."""

    SAVED = "saved"
    UNKNOWN = "unknown"
    """The tenant does not exist."""
    TAKEN = "taken"
    """Another record has the name or parameter already."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Result of saving a record, with the id of the conflicting record."""

    outcome: SaveOutcome
    holder: str = ""


def check_tenant_change(change: TenantChange) -> TenantChange:
    """Check all values of a change. Raises UnacceptableValue."""
    checked = {name: _check_field(name, value) for name, value in change.given.items()}
    return replace(change, **checked)


def _check_field(name: str, value: str) -> str:
    if name == "name":
        return check_tenant_name(value)
    if name == "secrets":
        return check_secrets(value)
    if not value:
        return value
    if name in URL_FIELDS:
        try:
            return check_url(value)
        except UnacceptableValue as error:
            raise UnacceptableValue(f"{name}: {error}") from None
    if len(value) > MAX_TEXT or not value.isprintable():
        raise UnacceptableValue(f"{name} must be at most {MAX_TEXT} characters without line breaks")
    return value


def check_tenant_name(name: str) -> str:
    """Check a tenant's name, which is the host label of its requests."""
    if not _LABEL(name):
        raise UnacceptableValue(
            "the name must be one label of a host name: at most 63 letters, digits and hyphens, "
            "beginning and ending with a letter or digit"
        )
    return name


def check_secrets(secrets: str) -> str:
    """Check a tenant's secrets, separated by colons; with an empty one anybody could sign."""
    for secret in secrets.split(SEPARATOR):
        if not secret:
            raise UnacceptableValue("the secrets must not be empty; a colon stands between two")
        check_secret(secret)
    return secrets


def unreachable_tenants(tenants: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return (id, problem) for tenants, given as (id, name, secrets), that no request can reach.

    Scalelite stores any name, even the same name twice.
    """
    found = list(tenants)
    holders: dict[str, list[str]] = {}
    for tenant_id, name, _ in found:
        holders.setdefault(name.lower(), []).append(tenant_id)
    problems = []
    for tenant_id, name, secrets in found:
        others = [other for other in holders[name.lower()] if other != tenant_id]
        if not _REACHABLE(name):
            problems.append((tenant_id, f"no request has a host that begins with {name!r}"))
        elif others:
            problems.append((tenant_id, f"its name {name} is also that of {', '.join(others)}"))
        if not any(secrets.split(SEPARATOR)):
            problems.append((tenant_id, "it has no secret"))
    return problems


def check_setting(setting: TenantSetting) -> TenantSetting:
    """Check a setting. Raises UnacceptableValue.

    Any parameter name is allowed, since BigBlueButton ignores unknown ones and new versions add
    more.
    """
    _check_param(setting.param)
    if len(setting.value) > MAX_VALUE:
        raise UnacceptableValue(f"the value must not be longer than {MAX_VALUE} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in setting.value):
        raise UnacceptableValue("the value must not hold control characters or line breaks")
    if setting.param == RETENTION_PARAM and not setting.mode and not is_retention(setting.value):
        raise UnacceptableValue(
            f"{RETENTION_PARAM} must be a number of days up to {MAX_DAYS}, or 0 for no limit"
        )
    if setting.mode:
        try:
            check_rule(setting.rule)
        except ValueError as error:
            raise UnacceptableValue(str(error)) from None
        if setting.param == RETENTION_PARAM:
            raise UnacceptableValue(f"{RETENTION_PARAM} is not a parameter of a call")
    if setting.call and setting.call not in CALLS:
        raise UnacceptableValue("call must be create or join, or be left out")
    return setting


def _check_param(param: str) -> None:
    if not is_param_name(param):
        raise UnacceptableValue(
            f"the param must be at most {MAX_TEXT} printable ASCII characters without blanks"
        )
    if param in UNTOUCHABLE:
        raise UnacceptableValue(f"{param} is each request's own and cannot be set")
    if param.lower().startswith(RESERVED_PREFIX):
        raise UnacceptableValue(f"{param} says whose a meeting is and cannot be set")
