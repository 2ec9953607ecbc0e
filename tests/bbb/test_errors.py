"""The table of failures: keys and texts that front-ends compare."""

from __future__ import annotations

import pytest

from appliance.bbb import errors
from appliance.bbb.errors import ApiError, Failure

ALL = {name: value for name, value in vars(errors).items() if isinstance(value, Failure)}


def test_api_error_carries_its_failure() -> None:
    error = ApiError(errors.BODY_TOO_LARGE)

    assert (error.key, error.message, error.http_status) == (
        errors.BODY_TOO_LARGE.key,
        errors.BODY_TOO_LARGE.message,
        413,
    )
    assert error.failure is errors.BODY_TOO_LARGE
    assert str(error) == f"{error.key}: {error.message}"


def test_tag_failure_names_the_tag() -> None:
    assert errors.tag_unavailable("gpu;big") == Failure(
        "serverTagUnavailable", "There is no available server with the required tag=gpu;big."
    )


@pytest.mark.parametrize("name", sorted(ALL.keys() - {"BODY_TOO_LARGE", "BODY_STALLED"}))
def test_failure_has_status_200_when_it_is_of_the_api(name: str) -> None:
    assert ALL[name].http_status == 200


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
