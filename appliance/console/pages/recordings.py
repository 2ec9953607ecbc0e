"""Recordings: search, one recording and its changes, the pipeline of imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec import UNSET
from quart import Response

from appliance.admin_calls.actors import Role
from appliance.admin_calls.refusal import ErrorAnswer, Refused
from appliance.console.core import (
    Console,
    Done,
    LivePage,
    Notice,
    PageFailed,
    Route,
    View,
    Visit,
)
from appliance.console.live import Parts
from appliance.console.pages.meetings import read_tenant_names
from appliance.console.pages.shared import redirect_to
from appliance.console.snapshot import PoolSnapshot
from appliance.faults import StoreDown

PARAMS = ("q", "state", "tenant")
_NEWEST = 1000
"""Among so many a search by words looks; an exact meetingID or recordID is always found."""
_SHOWN = 100
_IMPORTS = 20
_REFUSED = 20
_STEPS = {"extracting": 1 / 3, "placing": 2 / 3}
_RUNNING = ("waiting", "extracting", "placing", "interrupted")


async def show(console: Console, visit: Visit) -> Response:
    """Show the newest recordings, or those that a search finds, and the imports."""
    query, state = visit.view.param("q"), visit.view.param("state")
    fields: dict[str, Any] = {"state": state, "limit": str(_NEWEST if query else _SHOWN)}
    if tenant := visit.view.param("tenant"):
        fields["tenant_id"] = tenant
    answer, problem = await console.try_call(visit, "listRecordings", **fields)
    found: list[Any] = list(answer.recordings) if answer else []
    if query and answer:
        found = _search(found, query)
        if not found:
            exact = await console.call(visit, "listRecordings", meeting_id=query, **fields)
            found = list(exact.recordings)
        if not found and (await console.try_call(visit, "getRecordingInfo", id=query))[0]:
            return redirect_to(_path(query))
    return await console.live_page(
        visit,
        LIVE,
        recordings=found[:_SHOWN],
        count=answer.count if answer else 0,
        shown=min(len(found), _SHOWN),
        problem=problem,
        incomplete=bool(problem),
        tenants=await read_tenant_names(console),
        newest=_NEWEST,
    )


def _search(recordings: Sequence[Any], query: str) -> list[Any]:
    words = query.lower().split()
    return [
        one
        for one in recordings
        if all(word in f"{one.name} {one.meeting_id} {one.record_id}".lower() for word in words)
    ]


async def parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    """Render the pipeline of imports."""
    if view.tenant_id is not None or console.features.recordings.admin is None:
        return Parts({"imports": ""})
    try:
        answer = await console.calls.make("getImports", view.actor, {"limit": str(_IMPORTS)})
    except (Refused, ErrorAnswer):
        return Parts({"imports": ""})
    running = [(one, _progress(one)) for one in answer.imports if one.state in _RUNNING]
    done = [one for one in answer.imports if one.state not in _RUNNING]
    try:
        refused = await console.calls.make("getRefusedUploads", view.actor, {})
    except StoreDown:
        refused = []  # the page says that Redis is away
    html = console.part(
        "imports",
        view,
        running=running,
        done=done[:8],
        spool=answer.spool,
        failed=answer.failed,
        refused=refused[:_REFUSED],
        refused_count=len(refused),
    )
    return Parts({"imports": html})


def _progress(one: Any) -> float | None:
    """Return how far an import is, as a share: of the bytes where they are counted, else of its
    three steps; None: it waits."""
    if one.state == "placing" and one.upload_size:
        return float(min(1.0, (one.uploaded or 0) / one.upload_size))
    if one.unpacked is UNSET or not one.size:
        return _STEPS.get(one.state)
    return float(min(1.0, one.unpacked / one.size))


# --- one recording -------------------------------------------------------------------------------


async def show_one(console: Console, visit: Visit) -> Response:
    """Show everything about a recording."""
    one = await console.call(visit, "getRecordingInfo", id=visit.view.param("id"))
    host = console.settings.api.url_host
    base = f"https://{host}" if console.settings.console.binds and host else ""
    tenants = await read_tenant_names(console)
    return await console.page(visit, "recording.html", one=one, base=base, tenants=tenants)


async def publish(console: Console, visit: Visit) -> Done:
    """Publish it, or take it back."""
    wanted = visit.field("publish") == "true"
    return await _update(
        console, visit, "It is published" if wanted else "It is unpublished", publish=wanted
    )


async def protect(console: Console, visit: Visit) -> Done:
    """Protect it, or end its protection."""
    wanted = visit.field("protect") == "true"
    text = "It is protected" if wanted else "It is not protected any more"
    return await _update(console, visit, text, protect=wanted)


async def rename(console: Console, visit: Visit) -> Done:
    """Give it another name."""
    name = visit.field("name")
    if not name:
        raise PageFailed(400, "The name is missing")
    return await _update(console, visit, "It was renamed", metadata={"name": name})


async def _update(console: Console, visit: Visit, text: str, **changes: Any) -> Done:
    record_id = visit.view.param("id")
    await console.call(visit, "updateRecordings", ids=[record_id], **changes)
    return Done(Notice(visit.texts.t(text)), _path(record_id))


async def delete(console: Console, visit: Visit) -> Response | Done:
    """Delete it with its files; asks first."""
    record_id = visit.view.param("id")
    if not visit.field("confirmed"):
        one = await console.call(visit, "getRecordingInfo", id=record_id)
        name = one.name or record_id
        return await console.page(
            visit,
            "confirm.html",
            title=visit.texts.t("Delete {name}?", name=name),
            lines=[
                visit.texts.t(
                    "Its files ({size}) are deleted, too; they can only be imported again.",
                    size=visit.texts.size(one.size),
                )
            ],
            action=f"{_path(record_id)}/delete",
            fields=(),
            typed="",
            button=visit.texts.t("Delete {name}", name=name),
            back=_path(record_id),
        )
    await console.call(visit, "deleteRecordings", ids=[record_id])
    return Done(Notice(visit.texts.t("The recording was deleted")), "/scalelite/recordings")


async def retry(console: Console, visit: Visit) -> Done:
    """Try a failed import again, or all."""
    files = [name for name in visit.form.get("file", []) if name]
    answer = await console.call(visit, "retryImports", files=files)
    back = [one for one in answer if one.problem is None]
    problems = tuple(f"{one.file}: {one.problem}" for one in answer if one.problem is not None)
    text = visit.texts.n(len(back), "{n} import begins again", "{n} imports begin again")
    kind = "failed" if problems else "done"
    return Done(Notice(text, kind, details=problems), "/scalelite/recordings#failed")


def _path(record_id: str) -> str:
    return f"/scalelite/recordings/{quote(record_id, safe='')}"


LIVE = LivePage("recordings", parts, 1.5, (), for_tenants=True)
_ONE = "/recordings/<id>"


def _post(name: str, handler: Any, role: Role = Role.OPERATOR) -> Route:
    return Route(f"{_ONE}/{name}", handler, "POST", "recordings", role, for_tenants=True)


ROUTES = (
    Route("/recordings", show, page="recordings", params=PARAMS, for_tenants=True),
    Route("/recordings/retry", retry, "POST", "recordings", Role.OPERATOR),
    Route(_ONE, show_one, page="recordings", for_tenants=True),
    _post("publish", publish),
    _post("protect", protect),
    _post("rename", rename),
    Route(f"{_ONE}/delete", delete, "POST", "recordings", Role.ADMIN),
)
