"""Parameters of tenants: reserved ones, those added to a create, and the call of each setting.

Unlike in Scalelite, a front-end cannot assign its meeting to another tenant, and settings for
create do not appear in join URLs. Pure. Source: docs/tenants.md.
"""

from __future__ import annotations

from appliance.bbb.params import META, Params, replace_param
from appliance.model import Tenant
from appliance.tenants.retention import PARAM as RETENTION_PARAM
from appliance.tenants.view import LRS_KEY

TENANT_KEY = "tenant-id"
"""Metadata key with the tenant's id of a meeting or recording; `create` sets it."""
TENANT_PREFIX = "tenant-"
"""Prefix of metadata keys that front-ends cannot set."""
PARENT = "parentMeetingID"
CREATE, JOIN = "create", "join"

_RESERVED = f"{META}{TENANT_PREFIX}"
_PAYLOAD = f"{META}{LRS_KEY}"

# Parameters of join (BigBlueButton API reference, join); all others belong to create.
_JOIN_PARAMETERS = frozenset(
    {
        *("fullName", "firstName", "lastName", "password", "role", "createTime", "userID"),
        *("webVoiceConf", "avatarURL", "webcamBackgroundURL", "redirect", "errorRedirectUrl"),
        *("logoutURL", "guest", "excludeFromDashboard", "enforceLayout", "bot", "defaultLayout"),
        *("clientURL", "joinViaHtml5"),
    }
)
_BOTH = frozenset({"logoutURL"})


def drop_reserved(params: Params, tenant: Tenant | None = None) -> Params:
    """Drop reserved metadata, for a tenant with an LRS also its credentials.

    Names are compared in lower case, since BBB lower-cases the names of metadata.
    """
    reserved = (_RESERVED, _PAYLOAD) if tenant and tenant.lrs else _RESERVED
    return tuple([pair for pair in params if not pair[0].lower().startswith(reserved)])


def add_tenant(params: Params, tenant: Tenant) -> Params:
    """Add the tenant's metadata, which identify its meetings in lists and recordings."""
    params = replace_param(params, f"{META}{TENANT_KEY}", tenant.id)
    return replace_param(params, f"{META}{TENANT_PREFIX}name", tenant.name)


def calls_of_setting(param: str, call: str) -> tuple[str, ...]:
    """Return the calls that a setting applies to: `call`, or if empty those with the parameter."""
    if param == RETENTION_PARAM:
        return ()  # a setting of the appliance, not a parameter of meetings
    if call:
        return (call,)
    if param in _BOTH:
        return (CREATE, JOIN)
    if param in _JOIN_PARAMETERS or param.startswith("userdata-"):
        return (JOIN,)
    return (CREATE,)
