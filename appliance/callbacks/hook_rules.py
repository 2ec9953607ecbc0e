"""Web hooks: hooks of front-ends, their registrations on servers, and the answers of the calls.

A hook without meetingID gets the events of every meeting on a server, including those of other
tenants. Therefore a tenant's hook is registered once for each of the tenant's meetings, only on the
server of that meeting. A server accepts a URL only once, so an otherwise unused parameter makes the
URLs of these registrations different.
Pure. Source: documentation and source of bbb-webhooks (api.js, responses.js).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from appliance.bbb.errors import Failure
from appliance.bbb.params import Params
from appliance.bbb.xml import parse_tree
from appliance.bbb.xml_text import escape_text
from appliance.callbacks.address_rules import is_public_address
from appliance.model import MeetingId, TenantId
from appliance.tenants.scoped_id import scoped_id

MARKER = "bbb-hook"
"""The parameter that is added to a tenant's URL."""
MAX_HOOKS = 100
"""Maximum number of hooks per tenant, or in total without multitenancy."""
MAX_TEXT = 2048
"""Characters of a URL, and of a list of events."""

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch

CREATE_ERROR_KEY = "createHookError"
MISSING_URL = Failure(
    "missingParamCallbackURL", "You must specify a callbackURL in the parameters."
)
MISSING_HOOK_ID = Failure("missingParamHookID", "You must specify a hookID in the parameters.")
NO_SUCH_HOOK = Failure("destroyMissingHook", "The hook informed was not found.")
TOO_MANY = Failure(CREATE_ERROR_KEY, f"There are {MAX_HOOKS} hooks already: destroy some first.")
TOO_LONG = Failure(CREATE_ERROR_KEY, f"A parameter is longer than {MAX_TEXT} characters.")


@dataclass(frozen=True, slots=True)
class Hook:
    """A hook that a front-end registered with the appliance."""

    id: str
    callback_url: str = field(repr=False)
    meeting_id: str | None = None
    """The front-end's id; None: all its meetings."""
    event_ids: str | None = None
    """Separated by commas; None: all events."""
    raw: bool = False
    tenant_id: TenantId | None = None

    @property
    def is_global(self) -> bool:
        """Whether it belongs on every server: it is for all meetings, and of no tenant."""
        return self.meeting_id is None and self.tenant_id is None

    @property
    def bound_to(self) -> tuple[str, ...]:
        """Return the ids under which the meeting that it is bound to may be stored."""
        if self.meeting_id is None:
            return ()
        if self.tenant_id is None:
            return (self.meeting_id,)
        return (self.meeting_id, scoped_id(self.meeting_id, self.tenant_id))

    def wants(self, meeting_id: str, tenant_id: str | None) -> bool:
        """Whether it is bound to a meeting, given by its stored id."""
        if self.is_global or self.tenant_id != tenant_id:
            return False
        if self.meeting_id is None or self.meeting_id == meeting_id:
            return True
        return tenant_id is not None and scoped_id(self.meeting_id, tenant_id) == meeting_id


@dataclass(frozen=True, slots=True)
class Registration:
    """One registration of a hook on a server, which identifies it by its URL."""

    url: str = field(repr=False)
    hook_id: str
    """The appliance's id of the hook."""
    meeting_id: MeetingId | None = None
    server_hook_id: str = ""
    """The server's own id; empty: not registered yet."""

    def is_like(self, other: Registration) -> bool:
        """Whether both are for the same hook and meeting."""
        return (self.hook_id, self.meeting_id) == (other.hook_id, other.meeting_id)


@dataclass(frozen=True, slots=True)
class ServerHooks:
    """All hooks, and the registrations and meetings of one server."""

    hooks: tuple[Hook, ...]
    """All hooks of all front-ends."""
    registered: tuple[Registration, ...]
    """The appliance's registrations on the server."""
    meetings: tuple[tuple[MeetingId, str | None], ...]
    """Its meetings (stored id, tenant); empty if no hook is bound to meetings."""


@dataclass(frozen=True, slots=True)
class HookChanges:
    """The changes to be made on a server."""

    surplus: tuple[Registration, ...]
    """To be destroyed, before `missing` are created."""
    missing: tuple[Registration, ...]


def plan_hooks(state: ServerHooks, *, actual: Mapping[str, str] | None = None) -> HookChanges:
    """Return the surplus and the missing registrations of a server.

    `actual` are the hook ids by URL that the server itself lists; None: it was not asked, so the
    recorded registrations are used.
    """
    wanted = {one.url: one for one in _wanted(state)}
    kept = {one.url: one for one in state.registered}
    surplus = [one for url, one in kept.items() if not _is_wanted(wanted.get(url), one)]
    there = {one.url for one in state.registered} - {one.url for one in surplus}
    if actual is not None:
        there = {url for url in there if actual.get(url) == kept[url].server_hook_id}
    missing = [one for url, one in wanted.items() if url not in there]
    return HookChanges(tuple(surplus), tuple(missing))


def _is_wanted(wanted: Registration | None, registered: Registration) -> bool:
    return wanted is not None and wanted.is_like(registered)


def _wanted(state: ServerHooks) -> Iterator[Registration]:
    for hook in state.hooks:
        if hook.is_global:
            yield Registration(hook.callback_url, hook.id)
            continue
        for meeting_id, tenant_id in state.meetings:
            if hook.wants(meeting_id, tenant_id):
                yield Registration(_url_for(hook, meeting_id), hook.id, meeting_id)


def _url_for(hook: Hook, meeting_id: str) -> str:
    if hook.tenant_id is None:
        return hook.callback_url
    names = f"{hook.id}\0{meeting_id}".encode("utf-8", "surrogatepass")
    added = f"{MARKER}={hook.id}-{hashlib.sha256(names).hexdigest()[:16]}"
    parts = urlsplit(hook.callback_url)
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))


def refusal_of_private_url(url: str) -> str | None:
    """Return why a URL is private and must not be registered on servers, None if it may be.

    Servers resolve names themselves, so only addresses can be checked, in every form that a URL
    allows: a host whose last label is a number is an address (WHATWG URL).
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    last = host.rpartition(".")[2]
    if not host.isascii():
        return "its host is not in ASCII"
    if last == "localhost" or ((":" in host or _NUMBER(last)) and not is_public_address(host)):
        return "its address is private"
    return None


def creation_params(hook: Hook, registration: Registration) -> Params:
    """Return the parameters of the server's hooks/create."""
    params = [("callbackURL", registration.url)]
    if registration.meeting_id is not None:
        params.append(("meetingID", registration.meeting_id))
    if hook.event_ids is not None:
        params.append(("eventID", hook.event_ids))
    params.append(("getRaw", "true" if hook.raw else "false"))
    return tuple(params)


def parse_hook_id(body: bytes) -> str | None:
    """Return the hookID of a server's answer to hooks/create. Raises MalformedAnswer."""
    return (parse_tree(body).findtext("hookID") or "").strip() or None


def parse_hook_list(body: bytes) -> dict[str, str]:
    """Return the hook ids of a server's hooks/list answer, by URL. Raises MalformedAnswer."""
    found: dict[str, str] = {}
    for hook in parse_tree(body).iterfind("hooks/hook"):
        url = (hook.findtext("callbackURL") or "").strip()
        hook_id = (hook.findtext("hookID") or "").strip()
        if url and hook_id:
            found[url] = hook_id
    return found


def visible_hooks(
    hooks: Iterable[Hook], tenant_id: TenantId | None, meeting_id: str | None
) -> list[Hook]:
    """Return a tenant's hooks, oldest first; with `meeting_id` those that get its events."""
    mine = [hook for hook in hooks if hook.tenant_id == tenant_id]
    if meeting_id:
        mine = [hook for hook in mine if hook.meeting_id in (None, meeting_id)]
    return sorted(mine, key=lambda hook: int(hook.id))


def render_created(hook: Hook) -> bytes:
    """Render the answer to a hooks/create that added a hook."""
    return _success(
        f"<hookID>{hook.id}</hookID><permanentHook>false</permanentHook>"
        f"<rawData>{_boolean(hook.raw)}</rawData>"
    )


def render_duplicate(hook_id: str) -> bytes:
    """Render the answer to a hooks/create whose URL is registered already."""
    return _success(
        f"<hookID>{hook_id}</hookID><messageKey>duplicateWarning</messageKey>"
        "<message>There is already a hook for this callback URL.</message>"
    )


def render_destroyed() -> bytes:
    """Render the answer to a successful hooks/destroy."""
    return _success("<removed>true</removed>")


def render_hooks(hooks: Sequence[Hook]) -> bytes:
    """Render the answer to hooks/list."""
    return _success(f"<hooks>{''.join(_render_hook(hook) for hook in hooks)}</hooks>")


def _render_hook(hook: Hook) -> str:
    meeting = events = ""
    if hook.meeting_id is not None:
        meeting = f"<meetingID>{escape_text(hook.meeting_id)}</meetingID>"
    if hook.event_ids is not None:
        events = f"<eventID>{escape_text(hook.event_ids)}</eventID>"
    return (
        f"<hook><hookID>{hook.id}</hookID>"
        f"<callbackURL>{escape_text(hook.callback_url)}</callbackURL>{meeting}{events}"
        f"<permanentHook>false</permanentHook><rawData>{_boolean(hook.raw)}</rawData></hook>"
    )


def _success(content: str) -> bytes:
    return f"<response><returncode>SUCCESS</returncode>{content}</response>".encode(
        "utf-8", "replace"
    )


def _boolean(value: bool) -> str:
    return "true" if value else "false"
