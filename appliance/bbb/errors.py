"""The failures of API calls, each with its key, text and HTTP status.

Keys and texts are those of BBB and Scalelite, since front-ends compare them. xml.py renders them.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.http.errors import HttpError


@dataclass(frozen=True, slots=True)
class Failure:
    """One FAILED answer as a value. `message` is unescaped text."""

    key: str
    message: str
    http_status: int = 200


class ApiError(Exception):
    """Ends a request with a FAILED answer, which public/ renders."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return f"{self.failure.key}: {self.failure.message}"

    @property
    def key(self) -> str:
        """Return the messageKey."""
        return self.failure.key

    @property
    def message(self) -> str:
        """Return the readable text, unescaped."""
        return self.failure.message

    @property
    def http_status(self) -> int:
        """Return the HTTP status, in most cases 200, as in BBB."""
        return self.failure.http_status


CHECKSUM_ERROR = Failure("checksumError", "You did not pass the checksum security check")
MISSING_MEETING_ID = Failure(
    "missingParamMeetingID", "You must specify a meeting ID for the meeting."
)
MEETING_NOT_FOUND = Failure(
    "notFound",
    "We could not find a meeting with that meeting ID - perhaps the meeting is not yet running?",
)
UNSUPPORTED_REQUEST = Failure("unsupportedRequest", "This request is not supported.")
UNSUPPORTED_CONTENT_TYPE = Failure(
    "unsupportedContentType", "POST request Content-Type is missing or unsupported"
)
SIZE_ERROR = Failure("sizeError", "Meeting ID must be between 2 and 256 characters")
ID_NOT_UNIQUE = Failure(
    "idNotUnique",
    "A meeting already exists with that meeting ID.  Please use a different meeting ID.",
)
INVALID_MEETING_ID = Failure("validationError", "Invalid meeting ID")
INVALID_MEETING_ID = Failure("validationError", "Invalid meeting ID")
FORMAT_ERROR = Failure("formatError", "Meeting ID cannot contain ','")
INVALID_PASSWORD = Failure("invalidPassword", "The supplied moderator password is incorrect")
PARENT_ID_MISSING = Failure(
    "parentMeetingIDMissing", "No parent meeting ID was provided for the breakout room"
)
PARENT_NOT_FOUND = Failure(
    "parentMeetingDoesNotExist", "No parent meeting exists for the breakout room"
)

NO_SERVER_AVAILABLE = Failure("internalError", "Could not find any available servers.")
UNABLE_TO_CREATE = Failure("internalError", "Unable to create meeting on server.")
UNABLE_TO_ACCESS_MEETING = Failure("internalError", "Unable to access meeting on server.")
UNABLE_TO_ACCESS_SERVER = Failure("internalError", "Unable to access server.")
UNABLE_TO_INSERT_DOCUMENT = Failure("internalError", "Unable to insert document on server.")
SERVER_UNAVAILABLE = Failure(
    "serverUnavailable", "The server for this meeting is disabled/offline."
)

STORE_DOWN = Failure("internalError", "The meeting store is not reachable.")
NO_VOICE_BRIDGE = Failure("internalError", "Could not allocate a voice bridge number.")
INTERNAL_ERROR = Failure("internalError", "The request could not be handled.")
"""For a defect of the appliance: the answer contains no details, the log does."""

MISSING_RECORDING_FILTER = Failure(
    "missingParameters", "param meetingID or recordID must be included."
)
MISSING_RECORD_ID = Failure("missingParamRecordID", "You must specify a recordID.")
MISSING_PUBLISH = Failure("missingParamPublish", "You must specify a publish value true or false.")
RECORDINGS_NOT_FOUND = Failure("notFound", "We could not find recordings")
UNABLE_TO_PUBLISH = Failure("internalError", "Unable to publish/unpublish recording.")
UNABLE_TO_DELETE = Failure("internalError", "Unable to delete recording.")
EMPTY_TEXT_TRACK = Failure("empty_uploaded_text_track", "Empty uploaded text track.")
INVALID_KIND = Failure("invalidKind", "Invalid kind parameter, expected subtitles or captions.")
INVALID_LANG = Failure("invalidLang", "Malformed lang parameter, expected a tag as of RFC 5646.")
RECORDINGS_DOWN = Failure("internalError", "The recording store is not reachable.")

URI_TOO_LONG = Failure("requestTooLarge", "The address of the request is too long.")

_KEY_OF_STATUS = {408: "requestTimeout", 413: "requestTooLarge"}


def failure_of(error: HttpError) -> Failure:
    """Return the failure of a request that could not be read; its HTTP status stays."""
    return Failure(_KEY_OF_STATUS[error.status], error.reason, error.status)


def no_recording(record_id: str) -> Failure:
    """Return the failure of a text track call for an unknown recording."""
    return Failure("noRecordings", f"No recording was found for {record_id}.")


def tag_unavailable(tag: str) -> Failure:
    """Return the failure of a create if no available server has the required tag."""
    return Failure(
        "serverTagUnavailable", f"There is no available server with the required tag={tag}."
    )
