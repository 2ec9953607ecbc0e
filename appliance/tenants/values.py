"""What the operator may say about a tenant and its settings, and what of it can be stored. Pure.

Source of the fields: Scalelite's records of tenants and tenant settings (docs/stores.md). A tenant
as requests see it is `model.Tenant`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from appliance.bbb.endpoint import MAX_TEXT, UnacceptableValue, check_secret, check_url
from appliance.model import TenantId
from appliance.tenants.retention import MAX_DAYS, is_retention
from appliance.tenants.retention import PARAM as RETENTION_PARAM

SEPARATOR = ":"
"""Between the secrets of a tenant."""
MAX_VALUE = 16_384
CALLS = ("create", "join")

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?").fullmatch
"""RFC 1123, section 2.1."""
_REACHABLE = re.compile(r"[A-Za-z0-9_-]+").fullmatch
"""Not all of these are host labels, but they work."""
_PARAM = re.compile(r"[\x21-\x7e]{1,255}").fullmatch
_OF_THE_REQUEST = frozenset({"checksum", "meetingID"})


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant as it is stored; what it does not have is empty."""

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
    """What to set of a tenant; None leaves it, and what is empty is removed."""

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
        """Return what it names."""
        return {name: value for name in TENANT_FIELDS if (value := getattr(self, name)) is not None}


TENANT_FIELDS = tuple(item.name for item in fields(TenantChange))
URL_FIELDS = ("lrs_endpoint", "kc_token_url")


@dataclass(frozen=True, slots=True)
class TenantSetting:
    """A parameter that the calls of a tenant get."""

    id: str
    tenant_id: TenantId
    param: str
    value: str = field(repr=False)
    """It may be a password."""
    override: bool
    """Whether it counts more than what the front-end says."""
    call: str = ""
    """`create` or `join`; empty: the calls that know the parameter."""


class SaveOutcome(StrEnum):
    """What became of a record that was to be saved."""

    SAVED = "saved"
    UNKNOWN = "unknown"
    """There is no such tenant."""
    TAKEN = "taken"
    """Another record has it already."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of it, and the id of the record in its way."""

    outcome: SaveOutcome
    holder: str = ""


def check_tenant_change(change: TenantChange) -> TenantChange:
    """Check everything that a change names. Raises UnacceptableValue."""
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
    """Check a tenant's name, by which its requests are known: one label of a host name."""
    if not _LABEL(name):
        raise UnacceptableValue(
            "the name must be one label of a host name: at most 63 letters, digits and hyphens, "
            "beginning and ending with a letter or digit"
        )
    return name


def check_secrets(secrets: str) -> str:
    """Check a tenant's secrets, separated by colons: one empty secret would sign everything."""
    for secret in secrets.split(SEPARATOR):
        if not secret:
            raise UnacceptableValue("the secrets must not be empty; a colon stands between two")
        check_secret(secret)
    return secrets


def tenant_doubts(tenants: Iterable[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """Return (id, what is wrong) of tenants (id, name, secrets) that no request can reach.

    A Scalelite stores any name, and one name twice.
    """
    found = list(tenants)
    holders: dict[str, list[str]] = {}
    for tenant_id, name, _ in found:
        holders.setdefault(name.lower(), []).append(tenant_id)
    doubts = []
    for tenant_id, name, secrets in found:
        others = [other for other in holders[name.lower()] if other != tenant_id]
        if not _REACHABLE(name):
            doubts.append((tenant_id, f"no request has a host that begins with {name!r}"))
        elif others:
            doubts.append((tenant_id, f"its name {name} is also that of {', '.join(others)}"))
        if not any(secrets.split(SEPARATOR)):
            doubts.append((tenant_id, "it has no secret"))
    return doubts


def check_setting(setting: TenantSetting) -> TenantSetting:
    """Check a setting. Raises UnacceptableValue.

    Any name is allowed: BigBlueButton ignores what it does not know, and knows more each year.
    """
    if not _PARAM(setting.param):
        raise UnacceptableValue(
            f"the param must be at most {MAX_TEXT} printable ASCII characters without blanks"
        )
    if setting.param in _OF_THE_REQUEST:
        raise UnacceptableValue(f"{setting.param} is each request's own and cannot be set")
    if len(setting.value) > MAX_VALUE:
        raise UnacceptableValue(f"the value must not be longer than {MAX_VALUE} characters")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in setting.value):
        raise UnacceptableValue("the value must not hold control characters or line breaks")
    if setting.param == RETENTION_PARAM and not is_retention(setting.value):
        raise UnacceptableValue(
            f"{RETENTION_PARAM} must be a number of days up to {MAX_DAYS}, or 0 for ever"
        )
    if setting.call and setting.call not in CALLS:
        raise UnacceptableValue("call must be create or join, or be left out")
    return setting
