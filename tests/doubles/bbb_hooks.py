"""The web hooks of a simulated BBB server.

Pure: Request in, Reply out. Follows api.js, responses.js and hooks.js of bbb-webhooks: a URL is
registered once, independent of the other parameters; only GET; calls to hooks are signed with the
server's secret.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.doubles.bbb_http import Reply

Params = dict[str, str]


@dataclass(slots=True)
class Hook:
    """A registered hook."""

    id: str
    url: str
    meeting_id: str | None
    event_ids: list[str] | None
    raw: bool

    def wants(self, event: str, meeting_id: str) -> bool:
        """Return whether the hook gets an event of a meeting."""
        if self.meeting_id is not None and self.meeting_id != meeting_id:
            return False
        return self.event_ids is None or event in self.event_ids


class Hooks:
    """The hooks of a server; they outlive its meetings."""

    def __init__(self) -> None:
        self.by_id: dict[str, Hook] = {}

    def create(self, params: Params) -> Reply:
        """Answer hooks/create."""
        url = params.get("callbackURL")
        if url is None:
            return _failed(
                "missingParamCallbackURL", "You must specify a callbackURL in the parameters."
            )
        for hook in self.by_id.values():
            if hook.url == url:
                return _succeeded(
                    f"<hookID>{hook.id}</hookID><messageKey>duplicateWarning</messageKey>"
                    "<message>There is already a hook for this callback URL.</message>"
                )
        events = params.get("eventID")
        hook = Hook(
            id=str(uuid.uuid4()),
            url=url,
            meeting_id=params.get("meetingID"),
            event_ids=events.lower().split(",") if events else None,
            raw=params.get("getRaw", "").lower() == "true",
        )
        self.by_id[hook.id] = hook
        return _succeeded(f"<hookID>{hook.id}</hookID>{_flags(hook)}")

    def destroy(self, params: Params) -> Reply:
        """Answer hooks/destroy."""
        hook_id = params.get("hookID")
        if hook_id is None:
            return _failed("missingParamHookID", "You must specify a hookID in the parameters.")
        if self.by_id.pop(hook_id, None) is None:
            return _failed("destroyMissingHook", "The hook informed was not found.")
        return _succeeded("<removed>true</removed>")

    def list(self, params: Params) -> Reply:
        """Answer hooks/list."""
        listed = "".join(_listed(hook) for hook in self.by_id.values())
        return _succeeded(f"<hooks>{listed}</hooks>")


def _listed(hook: Hook) -> str:
    meeting = events = ""
    if hook.meeting_id is not None:
        meeting = f"<meetingID>{_cdata(hook.meeting_id)}</meetingID>"
    if hook.event_ids is not None:
        events = f"<eventID>{escape(','.join(hook.event_ids))}</eventID>"
    return (
        f"<hook><hookID>{hook.id}</hookID><callbackURL>{_cdata(hook.url)}</callbackURL>"
        f"{meeting}{events}{_flags(hook)}</hook>"
    )


def _flags(hook: Hook) -> str:
    raw = "true" if hook.raw else "false"
    return f"<permanentHook>false</permanentHook><rawData>{raw}</rawData>"


def _cdata(text: str) -> str:
    return f"<![CDATA[{text}]]>"


def _succeeded(content: str) -> Reply:
    body = f"<response><returncode>SUCCESS</returncode>{content}</response>"
    return Reply(body.encode(), "text/xml; charset=utf-8")


def _failed(key: str, message: str) -> Reply:
    body = (
        f"<response><returncode>FAILED</returncode><messageKey>{key}</messageKey>"
        f"<message>{message}</message></response>"
    )
    return Reply(body.encode(), "text/xml; charset=utf-8")
