"""Calls to front-ends that wait or failed, and the web hooks that front-ends have registered."""

from __future__ import annotations

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.callbacks.rules import host_of_url
from appliance.console.core import Console, Done, Notice, PageFailed, Route, Visit

_LIMIT = 200


async def show(console: Console, visit: Visit) -> Response:
    """Show the queue and the hooks."""
    state = visit.view.param("state")
    answer = await console.call(visit, "listCallbacks", state=state, limit=str(_LIMIT))
    hooks = sorted(await console.features.callbacks.hooks.all(), key=lambda one: one.id)
    shown = [(hook, host_of_url(hook.callback_url)) for hook in hooks]
    return await console.page(
        visit,
        "callbacks.html",
        callbacks=answer.callbacks,
        problems=answer.problems,
        hooks=shown,
        now_ms=console.features.now_ms(),
        limit=_LIMIT,
    )


async def retry(console: Console, visit: Visit) -> Done:
    """Try the selected ones now, or all that failed."""
    ids = visit.form.get("ids", [])
    answer = await console.call(visit, "retryCallbacks", ids=ids)
    text = visit.texts.n(len(answer.ids), "{n} call is tried again", "{n} calls are tried again")
    return Done(Notice(text, details=tuple(answer.problems)), "/scalelite/callbacks")


async def drop(console: Console, visit: Visit) -> Done:
    """Drop the selected ones."""
    ids = visit.form.get("ids", [])
    if not ids:
        raise PageFailed(400, "Select calls first")
    answer = await console.call(visit, "dropCallbacks", ids=ids)
    text = visit.texts.n(len(answer.ids), "{n} call was dropped", "{n} calls were dropped")
    return Done(Notice(text, details=tuple(answer.problems)), "/scalelite/callbacks")


ROUTES = (
    Route("/callbacks", show, page="callbacks", params=("state",)),
    Route("/callbacks/retry", retry, "POST", "callbacks", Role.OPERATOR),
    Route("/callbacks/drop", drop, "POST", "callbacks", Role.ADMIN),
)
