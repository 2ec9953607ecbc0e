"""The calls of the BBB API about meetings: each parses, calls one use case and renders.

Source: BigBlueButton API reference.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.bbb import errors
from appliance.bbb.api_call import ApiCall, xml_response
from appliance.bbb.caller import Caller
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.signed_request import Accepts, SignedRequest
from appliance.faults import StoreDown
from appliance.http.messages import Response
from appliance.meetings import calls as meetings
from appliance.meetings.create import create_meeting
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.end import end_meeting
from appliance.meetings.join_failure import error_redirect, is_browser, wants_xml
from appliance.meetings.listing import get_meetings


async def _create(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
    made = create_meeting(deps, caller, request.params, request.body, secret=request.secret)
    answer = await made
    # Else a failover right after the answer could lose the meeting (REDIS_MIN_REPLICAS).
    await deps.store.redis.wait_replicated()
    return xml_response(answer)


async def _join(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
    try:
        return _redirect(await meetings.join_meeting(deps, caller, request.params))
    except ApiError as error:
        failure = error.failure
    except StoreDown as error:
        deps.faults.note("request_without_store", "redis", reason=str(error))
        failure = errors.STORE_DOWN
    answer = await _failed_join(deps, caller, request, failure)
    if answer is None:
        raise ApiError(failure)
    return answer


async def _failed_join(
    deps: MeetingDeps, caller: Caller, request: SignedRequest, failure: Failure
) -> Response | None:
    """Return what a person sees whose join fails; None: an API client, which gets XML."""
    if wants_xml(request.params):
        return None
    logout_url = await meetings.find_logout_url(deps, caller, request.params)
    target = error_redirect(request.params, logout_url, failure)
    if target is not None:
        return _redirect(target)
    if not is_browser(request.accept):
        return None
    return deps.join_pages.render(failure, request.accept_language)


def _redirect(url: str) -> Response:
    # A signed URL must not be kept by anything on the way.
    headers = ((b"location", url.encode("ascii")), (b"cache-control", b"no-store"))
    return Response(302, b"text/html; charset=utf-8", b"", headers)


async def _is_meeting_running(
    deps: MeetingDeps, caller: Caller, request: SignedRequest
) -> Response:
    return xml_response(await meetings.is_meeting_running(deps, caller, request.params))


async def _get_meeting_info(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await meetings.get_meeting_info(deps, caller, request.params))


async def _get_meetings(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await get_meetings(deps, caller, request.params))


async def _end(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
    return xml_response(await end_meeting(deps, caller, request.params))


async def _insert_document(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
    if request.body is None:
        raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
    return xml_response(await meetings.insert_document(deps, caller, request.params, request.body))


MEETING_CALLS: Mapping[str, ApiCall[MeetingDeps]] = {
    "create": ApiCall(_create, accepts=Accepts.FORM_OR_XML),
    "join": ApiCall(_join, methods=frozenset({"GET", "HEAD"}), accepts=Accepts.NOTHING),
    "isMeetingRunning": ApiCall(_is_meeting_running),
    "getMeetingInfo": ApiCall(_get_meeting_info),
    "getMeetings": ApiCall(_get_meetings),
    "end": ApiCall(_end),
    "insertDocument": ApiCall(_insert_document, frozenset({"POST"}), Accepts.XML),
}


def passed_through(name: str) -> ApiCall[MeetingDeps]:
    """Return a call that is handed on to the server of the meeting that it names."""

    async def handle(deps: MeetingDeps, caller: Caller, request: SignedRequest) -> Response:
        return xml_response(await meetings.pass_through(deps, caller, name, request.params))

    return ApiCall(handle)
