"""The failures of API calls, each with its key, text and HTTP status.

Keys and texts are those of BBB and Scalelite, since front-ends compare them. xml.py renders them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.bbb.params import MAX_PARAMETERS
from appliance.http.errors import HttpError
from appliance.settings import Algorithm


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


class ChecksumReason(StrEnum):
    """Why a request was not taken for signed; label of scalelite_checksum_errors_total."""

    MISSING = "missing"
    ALGORITHM = "algorithm"
    """LOADBALANCER_CHECKSUM_ALGORITHM does not allow it."""
    WRONG = "wrong"
    TENANT = "tenant"
    """The host is of no tenant."""


class ChecksumError(ApiError):
    """Ends a request that is not signed as it must be."""

    def __init__(
        self,
        reason: ChecksumReason,
        *,
        algorithm: Algorithm | None = None,
        repeated: str | None = None,
    ) -> None:
        """`algorithm`: that of the given checksum; `repeated`: a parameter that occurs twice."""
        super().__init__(CHECKSUM_ERROR)
        self.reason = reason
        self.algorithm = algorithm
        self.repeated = repeated


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
FORMAT_ERROR = Failure("formatError", "Meeting ID cannot contain ','")
INVALID_PASSWORD = Failure("invalidPassword", "The supplied moderator password is incorrect")
PARENT_ID_MISSING = Failure(
    "parentMeetingIDMissing", "No parent meeting ID was provided for the breakout room"
)
PARENT_NOT_FOUND = Failure(
    "parentMeetingDoesNotExist", "No parent meeting exists for the breakout room"
)
INTERNAL_ID = Failure(
    "validationError", "Meeting ID cannot have the form of an internal meeting ID"
)
"""The key is that of BBB's MeetingIDConstraint; BBB itself accepts such ids."""

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

TOO_MANY_PARAMETERS = Failure(
    "requestTooLarge", f"The request has more than {MAX_PARAMETERS} parameters."
)
LARGE_HEAD = Failure(
    "requestTooLarge",
    "The request line or the headers are too large. Send long parameters as a form (POST).",
    431,
)

LIMIT_REACHED = {
    "max_meetings": Failure(
        "meetingLimitReached", "The maximum number of meetings at the same time is reached."
    ),
    "max_users": Failure(
        "userLimitReached", "The maximum number of users at the same time is reached."
    ),
    "max_users_per_meeting": Failure(
        "userLimitReached", "The maximum number of users of this meeting is reached."
    ),
    "max_recordings_gb": Failure(
        "recordingLimitReached", "The storage for recordings is used up; nothing can be recorded."
    ),
    "max_creates_per_minute": Failure(
        "rateLimited", "Too many meetings were created within a minute. Please try again later."
    ),
}
"""By the limit of a tenant that is reached (docs/tenants.md)."""

_KEY_OF_STATUS = {408: "requestTimeout", 413: "requestTooLarge"}


def failure_of(error: HttpError) -> Failure:
    """Return the failure of a request that could not be read; its HTTP status stays."""
    return Failure(_KEY_OF_STATUS[error.status], error.reason, error.status)


def missing_parameter(param: str) -> Failure:
    """Return the failure of a call without a parameter that a rule requires."""
    return Failure("missingParameter", f"You must specify the parameter {param}.")


def no_recording(record_id: str) -> Failure:
    """Return the failure of a text track call for an unknown recording."""
    return Failure("noRecordings", f"No recording was found for {record_id}.")


def tag_unavailable(tag: str) -> Failure:
    """Return the failure of a create if no available server has the required tag."""
    return Failure(
        "serverTagUnavailable", f"There is no available server with the required tag={tag}."
    )
