"""The calls of the BBB API about meetings: each parses, calls one use case and renders.

Source: BigBlueButton API reference.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import quart
from quart import Blueprint

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.params import Params
from appliance.bbb.signed_request import Accepts, ApiCall, Caller, SignedRequest, xml_response
from appliance.bbb.xml import XML_TYPE
from appliance.faults import StoreDown
from appliance.http.messages import Response
from appliance.http.quart_app import json_response
from appliance.meetings import calls as meetings
from appliance.meetings.create import create_meeting
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.end import end_meeting
from appliance.meetings.join_failure import error_redirect, is_browser, wants_xml
from appliance.meetings.listing import MeetingLists, get_sessions
from appliance.tenants.param_rules import merge_join_params
from appliance.tenants.signed_calls import SignedCalls

_PLAIN, _WITH_KEY = ("getJoinUrl", "learningDashboard", "feedback"), ("guestWait", "enter")
"""Calls with a session token, which only the server knows that issued it; refused in two forms."""
_NO_SESSION = "The session token is not known here, only to the server of its meeting."


def make_frequent_calls(deps: MeetingDeps) -> dict[str, ApiCall]:
    """Return the calls that are made all the time, by name."""
    return {
        "create": ApiCall(partial(_create, deps), accepts=Accepts.FORM_OR_XML),
        "join": ApiCall(partial(_join, deps), frozenset({"GET", "HEAD"}), Accepts.NOTHING),
        "isMeetingRunning": ApiCall(_in_xml(meetings.is_meeting_running, deps)),
        "getMeetingInfo": ApiCall(_in_xml(meetings.get_meeting_info, deps)),
        "getMeetings": ApiCall(partial(_get_meetings, MeetingLists(deps))),
        "end": ApiCall(_in_xml(end_meeting, deps)),
    }


def _in_xml(
    use_case: Callable[[MeetingDeps, Caller, Params], Awaitable[bytes]], deps: MeetingDeps
) -> Callable[[Caller, SignedRequest], Awaitable[Response]]:
    async def answer(caller: Caller, signed: SignedRequest) -> Response:
        return xml_response(await use_case(deps, caller, signed.params))

    return answer


async def _get_meetings(lists: MeetingLists, caller: Caller, signed: SignedRequest) -> Response:
    first, *more = await lists.get(caller, signed.params)
    return xml_response(first, more=more)


async def _create(deps: MeetingDeps, caller: Caller, signed: SignedRequest) -> Response:
    term = deps.store.redis.term
    made = create_meeting(deps, caller, signed.params, signed.body, secret=signed.secret)
    answer = await made
    # Else a failover right after the answer could lose the meeting (REDIS_MIN_REPLICAS).
    await deps.store.redis.wait_replicated(term)
    return xml_response(answer)


async def _join(deps: MeetingDeps, caller: Caller, signed: SignedRequest) -> Response:
    try:
        return _redirect(await meetings.join_meeting(deps, caller, signed.params))
    except ApiError as error:
        failure = error.failure
    except StoreDown as error:
        deps.faults.note("request_without_store", "redis", reason=str(error))
        failure = errors.STORE_DOWN
    answer = await _failed_join(deps, caller, signed, failure)
    if answer is None:
        raise ApiError(failure)
    return answer


async def _failed_join(
    deps: MeetingDeps, caller: Caller, signed: SignedRequest, failure: Failure
) -> Response | None:
    """Return what a person sees whose join fails; None: an API client, which gets XML."""
    # As the server would have got them: with settings, and without what is excluded.
    params = merge_join_params(signed.params, deps.settings.api, caller.tenant, refuses=False)
    if wants_xml(params):
        return None
    logout_url = await meetings.find_logout_url(deps, caller, signed.params)
    target = error_redirect(params, logout_url, failure)
    if target is not None:
        return _redirect(target)
    request = signed.request
    if request is None or not is_browser(request.header(b"accept") or ""):
        return None
    return deps.join_pages.render(failure, request.header(b"accept-language") or "")


def _redirect(url: str) -> Response:
    # A signed URL must not be kept by anything on the way.
    headers = ((b"location", url.encode("ascii")), (b"cache-control", b"no-store"))
    return Response(302, b"text/html; charset=utf-8", b"", headers)


def make_meeting_blueprint(
    deps: MeetingDeps, calls: SignedCalls, passed_through: frozenset[str]
) -> Blueprint:
    """Return insertDocument, getSessions, the calls that are passed on to the server of their
    meeting, and the refusals of those that need a session token.
    """
    blueprint = Blueprint("meetings", __name__)

    async def insert_document(caller: Caller, signed: SignedRequest) -> quart.Response:
        if signed.body is None:
            raise ApiError(errors.UNSUPPORTED_CONTENT_TYPE)
        body = await meetings.insert_document(deps, caller, signed.params, signed.body)
        return quart.Response(body, content_type=XML_TYPE)

    own = ("insertDocument", "getSessions")
    calls.add(blueprint, own[0], insert_document, methods=("POST",), accepts=Accepts.XML)
    calls.add_xml(blueprint, own[1], partial(get_sessions, deps))
    for name in (*_PLAIN, *_WITH_KEY):
        refuse = partial(_refuse_session, name)
        blueprint.add_url_rule(f"/{name}", name, refuse, methods=("GET", "POST"))
    for name in passed_through.difference(own, _PLAIN, _WITH_KEY):
        calls.add_xml(blueprint, name, partial(meetings.pass_through, deps, name))
    return blueprint


def _refuse_session(name: str) -> quart.Response:
    """Refuse as BBB refuses an unknown token: in JSON, whatever the checksum."""
    key = {"messageKey": "missingSession"} if name in _WITH_KEY else {}
    return json_response({"response": {"returncode": "FAILED", **key, "message": _NO_SESSION}})
