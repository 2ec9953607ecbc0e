"""The API calls of a simulated BBB server: checksum, parameters, one function per call.

Pure: Request in, Reply out. Refusals and their messages follow BBB 3.0 (ValidationService and
ApiController of bbb-web).
"""

from __future__ import annotations

import hashlib
import html
import unicodedata
from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import quote_plus, unquote_to_bytes

from tests.doubles import bbb_xml_answers as answers
from tests.doubles.bbb_hooks import Hooks
from tests.doubles.bbb_http import Reply, Request
from tests.doubles.bbb_state import Meeting, Refused, State

PREFIX = b"/bigbluebutton/api"
CLIENT_PATH = b"/html5client/join"
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
XML_TYPES = ("application/xml", "text/xml")
HASHES = {40: hashlib.sha1, 64: hashlib.sha256, 96: hashlib.sha384, 128: hashlib.sha512}

METHODS = {
    "join": ("GET",),
    "insertDocument": ("POST",),
    "hooks/create": ("GET",),
    "hooks/list": ("GET",),
    "hooks/destroy": ("GET",),
}

Params = dict[str, str]


class Server(Protocol):
    """The parts of the server that the calls use."""

    hooks: Hooks

    def end_meeting(self, meeting: Meeting) -> None:
        """End a meeting."""

    def send_event(self, event: str, meeting: Meeting) -> None:
        """Send an event to the web hooks."""


def call_name(path: bytes) -> str | None:
    """Return the API call of a path: "index" for the root, None for a path not of the API."""
    if not path.startswith(PREFIX):
        return None
    rest = path[len(PREFIX) :]
    if rest in (b"", b"/"):
        return "index"
    return rest[1:].decode("latin-1") if rest.startswith(b"/") else None


def parse_params(raw: bytes) -> list[tuple[str, str]]:
    """Decode a form-encoded query or body, in order."""
    return [
        (_decode(name), _decode(value))
        for name, _, value in (part.partition(b"=") for part in raw.split(b"&") if part)
    ]


def _decode(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "replace")


def cut_checksum(raw: bytes) -> tuple[bytes, bytes]:
    """Return the raw query without its first checksum parameter, and that checksum."""
    start = 0 if raw.startswith(b"checksum=") else raw.find(b"&checksum=") + 1
    if start == 0 and not raw.startswith(b"checksum="):
        return raw, b""
    end = raw.find(b"&", start)
    if end < 0:
        return raw[: max(start - 1, 0)], raw[start + 9 :]
    return raw[:start] + raw[end + 1 :], raw[start + 9 : end]


class Api:
    """The calls of one server, on its meetings."""

    def __init__(
        self,
        state: State,
        secret: str,
        version: str,
        server_id: str,
        base_url: str,
        server: Server,
    ) -> None:
        self.state = state
        self.base_url = base_url
        self.server_id = server_id
        self._secret = secret.encode()
        self._version = version
        self._server = server
        self._calls: dict[str, Callable[[Request, Params], Reply]] = {
            "create": self._create,
            "join": self._join,
            "isMeetingRunning": self._is_meeting_running,
            "getMeetingInfo": self._get_meeting_info,
            "getMeetings": self._get_meetings,
            "getSessions": self._get_sessions,
            "end": self._end,
            "insertDocument": self._insert_document,
            "sendChatMessage": self._send_chat_message,
            "hooks/create": lambda _, params: server.hooks.create(params),
            "hooks/list": lambda _, params: server.hooks.list(params),
            "hooks/destroy": lambda _, params: server.hooks.destroy(params),
        }

    def answer(self, call: str, request: Request) -> Reply:
        """Execute a call and return the answer of BBB."""
        if call == "index":
            return Reply(answers.index(self._version, self.base_url))
        handler = self._calls.get(call)
        allowed = METHODS.get(call, ("GET", "POST"))
        if handler is None or request.method not in allowed:
            return Reply(answers.failed("unsupportedRequest", "This request is not supported."))
        try:
            return handler(request, self._checked_params(call, request))
        except Refused as refusal:
            return Reply(answers.failed(*refusal.args))

    # -- checksums -------------------------------------------------------------------------------

    def _checked_params(self, call: str, request: Request) -> Params:
        params = self._signed_params(call, request)
        # create looks at what was sent, since it refuses an id that would have to be changed.
        return params if call == "create" else {k: sanitize(v) for k, v in params.items()}

    def _signed_params(self, call: str, request: Request) -> Params:
        query, checksum = cut_checksum(request.query)
        content_type = ""
        if request.body_size:
            content_type = request.headers.get("content-type", "").partition(";")[0].lower()
            self._check_content_type(call, content_type.strip())
        if query or content_type not in FORM_TYPES:
            self._check(call, checksum, (query,))
            return _first_wins(parse_params(query))
        body, body_checksum = cut_checksum(request.body)
        pairs = parse_params(body)
        self._check(call, checksum or body_checksum, (b"", body, _sorted_form(pairs)))
        return _first_wins(pairs)

    @staticmethod
    def _check_content_type(call: str, content_type: str) -> None:
        known: tuple[str, ...] = FORM_TYPES
        if call == "create":
            known = FORM_TYPES + XML_TYPES
        elif call == "insertDocument":
            known = XML_TYPES
        if content_type not in known:
            raise Refused(
                "unsupportedContentType", "POST request Content-Type is missing or unsupported"
            )

    def _check(self, call: str, checksum: bytes, signed: Iterable[bytes]) -> None:
        if not checksum:
            raise Refused("checksumError", "You did not pass the checksum security check")
        make = HASHES.get(len(checksum))
        given = checksum.decode("latin-1").lower()
        if make is None or not any(
            make(call.encode() + text + self._secret).hexdigest() == given for text in signed
        ):
            raise Refused("checksumError", "Checksums do not match")

    # -- the calls -------------------------------------------------------------------------------

    def _create(self, request: Request, params: Params) -> Reply:
        meeting_id = _meeting_id({"meetingID": sanitize(params.get("meetingID", ""))})
        if meeting_id != params["meetingID"]:
            raise Refused("validationError", "Invalid meeting ID")
        meeting, new = self.state.create(params, request.body.count(b"<document"))
        if new:
            self._server.send_event("meeting-created", meeting)
        return Reply(answers.created(meeting, new))

    def _join(self, request: Request, params: Params) -> Reply:
        meeting = self.state.find(_meeting_id(params))
        if not params.get("fullName", "").strip():
            raise Refused("validationError", "You must provide your name")
        token, user = self.state.join(meeting, params)
        url = f"{self.base_url}{CLIENT_PATH.decode()}?sessionToken={token}"
        if params.get("redirect", "").lower() == "false":
            return Reply(answers.joined(meeting, user, token, url))
        return Reply(b"", "text/html", 302, (("Location", url),))

    def _is_meeting_running(self, request: Request, params: Params) -> Reply:
        meeting = self.state.look_up(_meeting_id(params))
        return Reply(answers.running(meeting is not None and meeting.running))

    def _get_meeting_info(self, request: Request, params: Params) -> Reply:
        return Reply(answers.meeting_info(self.state.find(_meeting_id(params))))

    def _get_meetings(self, request: Request, params: Params) -> Reply:
        return Reply(answers.meetings(self.state.meetings.values()))

    def _get_sessions(self, request: Request, params: Params) -> Reply:
        return Reply(answers.sessions(self.state.list_sessions()))

    def _end(self, request: Request, params: Params) -> Reply:
        meeting = self.state.find(_meeting_id(params))
        password = params.get("password")
        if password and password != meeting.moderator_pw:
            raise Refused("invalidPassword", "The supplied moderator password is incorrect")
        self._server.end_meeting(meeting)
        return Reply(answers.succeeded("sentEndMeetingRequest", answers.END_SENT))

    def _insert_document(self, request: Request, params: Params) -> Reply:
        meeting = self.state.find(_meeting_id(params))
        meeting.documents += request.body.count(b"<document")
        return Reply(answers.succeeded("presentationUploaded", "Presentation is being uploaded"))

    def _send_chat_message(self, request: Request, params: Params) -> Reply:
        meeting = self.state.find(_meeting_id(params))
        message = params.get("message")
        if message is None:
            raise Refused("validationError", "You must provide the param message")
        if not 1 <= len(message) <= 500:
            raise Refused("sizeError", "Param message must be between 1 and 500 characters")
        meeting.chat.append(message)
        return Reply(answers.succeeded("messageSent", "Message successfully sent"))

    # -- the page of a joined user -----------------------------------------------------------------

    def client_page(self, request: Request) -> Reply:
        """Return the page that replaces BBB's HTML5 client."""
        token = dict(parse_params(request.query)).get("sessionToken", "")
        session = self.state.sessions.get(token)
        if session is None:
            return Reply(_page("No such session", []), "text/html; charset=utf-8", 404)
        rows = [
            ("Meeting", session.meeting_name),
            ("meetingID", session.meeting_id),
            ("User", session.user_name),
            ("Role", session.role),
            ("Server", f"{self.server_id} ({self.base_url})"),
        ]
        return Reply(_page("You are in the meeting", rows), "text/html; charset=utf-8")


def _page(title: str, rows: list[tuple[str, str]]) -> bytes:
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:16px sans-serif;margin:4em}th{text-align:left;padding-right:2em}</style>"
        f"<h1>{title}</h1><p>A simulated BigBlueButton server.</p><table>{body}</table></html>"
    ).encode()


def _first_wins(pairs: list[tuple[str, str]]) -> Params:
    return dict(reversed(pairs)) if len(pairs) > 1 else dict(pairs)


def sanitize(text: str) -> str:
    """Drop control characters and trim, as BBB's ParamsUtil.sanitizeString does."""
    if text.isprintable() and text.strip() == text:
        return text
    return "".join(one for one in text if unicodedata.category(one) != "Cc").strip(" ")


def _sorted_form(pairs: list[tuple[str, str]]) -> bytes:
    """Return the text that BBB 2.4-2.6 signs: parameters sorted by name, values re-encoded."""
    ordered = sorted(pairs, key=lambda pair: pair[0])
    return "&".join(f"{name}={quote_plus(value, safe='*')}" for name, value in ordered).encode()


def _meeting_id(params: Params) -> str:
    meeting_id = params.get("meetingID", "")
    if not meeting_id:
        raise Refused("missingParamMeetingID", "You must provide a meeting ID")
    if not 2 <= len(meeting_id) <= 256:
        raise Refused("sizeError", "Meeting ID must be between 2 and 256 characters")
    if "," in meeting_id:
        raise Refused("formatError", "Meeting ID cannot contain ','")
    return meeting_id
