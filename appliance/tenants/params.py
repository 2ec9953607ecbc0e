"""Parameters and tenants: what no front-end may set, what a tenant's create carries, and which
call a tenant's setting is for.

Pure. Truth: spec/administration.md, Tenants; faults 20 and 28 of Scalelite (a tenant could give
its meeting to another; settings meant for create appeared on join URLs).
"""

from __future__ import annotations

from appliance.bbb.params import Params, replace_param
from appliance.model import Tenant
from appliance.tenants.retention import PARAM as RETENTION_PARAM
from appliance.tenants.view import LRS_KEY

META = "meta_"
TENANT_KEY = "tenant-id"
"""Metadata key that names the tenant of a meeting or recording; `create` sets it."""
TENANT_PREFIX = "tenant-"
"""Metadata keys that begin so are the appliance's: no front-end may set them."""
PARENT = "parentMeetingID"
CREATE, JOIN = "create", "join"

_RESERVED = f"{META}{TENANT_PREFIX}"
_PAYLOAD = f"{META}{LRS_KEY}"

# Parameters of join, BBB API documentation ("join"); every other one belongs to create.
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
    """Drop what only we may set, for a tenant with an LRS its credentials too.

    In any case: BBB lower-cases the names of metadata.
    """
    reserved = (_RESERVED, _PAYLOAD) if tenant and tenant.lrs else _RESERVED
    return tuple([pair for pair in params if not pair[0].lower().startswith(reserved)])


def add_tenant(params: Params, tenant: Tenant) -> Params:
    """Say whose meeting it is. So it is known in lists and recordings."""
    params = replace_param(params, f"{META}{TENANT_KEY}", tenant.id)
    return replace_param(params, f"{META}{TENANT_PREFIX}name", tenant.name)


def calls_of_setting(param: str, call: str) -> tuple[str, ...]:
    """Return the calls that a setting is for: the one it names, else those that know it."""
    if param == RETENTION_PARAM:
        return ()  # ours alone, no meeting's
    if call:
        return (call,)
    if param in _BOTH:
        return (CREATE, JOIN)
    if param in _JOIN_PARAMETERS or param.startswith("userdata-"):
        return (JOIN,)
    return (CREATE,)
