"""The table of failures: keys and texts that front-ends compare."""

from __future__ import annotations

import pytest

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure
from appliance.http.errors import HttpError


def test_api_error_carries_its_failure() -> None:
    error = ApiError(Failure("someKey", "Some text.", 503))

    assert (error.key, error.message, error.http_status) == ("someKey", "Some text.", 503)
    assert str(error) == "someKey: Some text."


@pytest.mark.parametrize(("status", "key"), [(408, "requestTimeout"), (413, "requestTooLarge")])
def test_http_error_becomes_a_failure_with_its_status(status: int, key: str) -> None:
    assert errors.failure_of(HttpError(status, "Why.")) == Failure(key, "Why.", status)


def test_tag_failure_names_the_tag() -> None:
    assert errors.tag_unavailable("gpu;big") == Failure(
        "serverTagUnavailable", "There is no available server with the required tag=gpu;big."
    )


@pytest.mark.parametrize(
    ("failure", "key", "message"),
    [
        (errors.CHECKSUM_ERROR, "checksumError", "You did not pass the checksum security check"),
        (
            errors.MISSING_MEETING_ID,
            "missingParamMeetingID",
            "You must specify a meeting ID for the meeting.",
        ),
        (
            errors.MEETING_NOT_FOUND,
            "notFound",
            "We could not find a meeting with that meeting ID - perhaps the meeting is not yet"
            " running?",
        ),
        (errors.RECORDINGS_NOT_FOUND, "notFound", "We could not find recordings"),
        (errors.UNSUPPORTED_REQUEST, "unsupportedRequest", "This request is not supported."),
        (
            errors.NO_SERVER_AVAILABLE,
            "internalError",
            "Could not find any available servers.",
        ),
        (
            errors.SERVER_UNAVAILABLE,
            "serverUnavailable",
            "The server for this meeting is disabled/offline.",
        ),
        (
            errors.SIZE_ERROR,
            "sizeError",
            "Meeting ID must be between 2 and 256 characters",
        ),
        (errors.FORMAT_ERROR, "formatError", "Meeting ID cannot contain ','"),
    ],
)
def test_failure_has_the_words_of_bbb(failure: Failure, key: str, message: str) -> None:
    assert (failure.key, failure.message) == (key, message)
