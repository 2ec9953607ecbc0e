"""Errors become responses: one place for what is logged of them, one renderer per protocol."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import quart
from quart import request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.bbb.signed_request import xml_failure
from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.errors import HttpError
from appliance.http.messages import ClientGone, Response
from appliance.http.quart_app import refuse_method, text_response, to_quart
from appliance.log import Log

API_PREFIX = "/bigbluebutton/api"
_CALL = re.compile(rb"(?:GET|POST) (?:https?://[^/ ]*)?/+bigbluebutton/").match

ErrorHandler = Callable[[Exception], Awaitable[quart.Response]]


class ErrorReader:
    """Finds the failure that an error is shown as, and logs what an operator must know."""

    def __init__(self, log: Log, faults: FaultLog) -> None:
        self._log = log
        self._faults = faults

    def failure_of(self, error: Exception, path: str) -> Failure:
        """Return the failure of a request that ended with an error. Raises: ClientGone."""
        if isinstance(error, ClientGone):
            raise error
        if isinstance(error, ApiError):
            return error.failure
        if isinstance(error, HttpError):
            return errors.failure_of(error)
        if isinstance(error, StoreDown):
            self._faults.note("request_without_store", "redis", reason=str(error))
            return errors.STORE_DOWN
        if isinstance(error, DatabaseDown):
            self._faults.note("request_without_store", "postgres", reason=str(error))
            return errors.RECORDINGS_DOWN
        # Never the query: it is signed, and may hold passwords.
        self._log.error("request_failed", path=path, exc_info=error)
        return errors.INTERNAL_ERROR

    def handler(self, render: Callable[[Failure], quart.Response]) -> ErrorHandler:
        """Return an error handler for a blueprint whose failures are rendered so."""

        async def handle(error: Exception) -> quart.Response:
            return render(self.failure_of(error, request.path))

        return handle


def in_xml(failure: Failure) -> quart.Response:
    """Return a failure as the BBB API shows it."""
    return to_quart(xml_failure(failure))


def in_text(failure: Failure) -> quart.Response:
    """Return a failure for a program that looks at the HTTP status."""
    if failure is errors.INTERNAL_ERROR:
        return text_response(500, failure.message)
    if failure.http_status == 200:
        return text_response(503, "try again later")
    return text_response(failure.http_status, failure.message)


def refuse_large_head(received: bytes) -> Response | None:
    """Return the response to a call whose head is over a limit; None: it is no call of the API."""
    return xml_failure(errors.LARGE_HEAD) if _CALL(received) else None


async def refuse_route(error: HTTPException) -> quart.Response:
    """Return the response to a request that no route takes."""
    in_api = quart.request.path.startswith(API_PREFIX + "/")
    if isinstance(error, MethodNotAllowed) and not in_api:
        return refuse_method(error)
    response = in_xml(errors.UNSUPPORTED_REQUEST)
    response.status_code = 200 if in_api else 404
    return response
