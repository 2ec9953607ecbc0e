"""A front-end that sends signed calls to a running appliance over plain HTTP/1.1.

Synchronous, with a connection per call, so that threads may use it concurrently. Signs with
tests/doubles/signing.py, which shares no code with the appliance.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

from tests.doubles.signing import ParamsLike, checksum, encode_params, sign_form

PREFIX = "/bigbluebutton/api/"
ANSWER_LIMIT_S = 40.0
FORM = "application/x-www-form-urlencoded"
XML = "application/xml"
ATTENDEE_PW, MODERATOR_PW = "attendee-pw-9c41", "moderator-pw-7f3a"
"""Passwords of the meetings that tests create; ApplianceProcess checks that no log has them."""

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Headers
    """Names in lower case."""
    body: bytes
    took_s: float

    @property
    def xml(self) -> ElementTree.Element:
        """Return the parsed body. Raises ElementTree.ParseError."""
        return ElementTree.fromstring(self.body)

    def text(self, path: str) -> str:
        """Return the text of an element of the body, or ''."""
        return self.xml.findtext(path) or ""

    @property
    def returncode(self) -> str:
        """Return SUCCESS or FAILED."""
        return self.text("returncode")

    @property
    def key(self) -> str:
        """Return the messageKey, or ''."""
        return self.text("messageKey")

    @property
    def message(self) -> str:
        """Return the message, or ''."""
        return self.text("message")

    @property
    def location(self) -> str:
        """Return the target of a redirect, or ''."""
        return self.headers.get("location", "")


class FrontEnd:
    """A front-end with a secret of the appliance that listens on a TCP port of the loopback."""

    def __init__(self, port: int, secret: str, *, host: str = "127.0.0.1") -> None:
        self.port = port
        self.secret = secret
        self._host = host
        self.checksums: set[str] = set()
        """All checksums sent: none of them may be in a log."""

    def fetch(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Headers | None = None,
        *,
        limit_s: float = ANSWER_LIMIT_S,
    ) -> Answer:
        """Send a request unchanged. Raises OSError, http.client.HTTPException."""
        connection = http.client.HTTPConnection(self._host, self.port, timeout=limit_s)
        began_s = time.monotonic()
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, content, time.monotonic() - began_s)

    def target(self, call: str, params: ParamsLike = "", algorithm: str = "sha256") -> str:
        """Return path and query of a signed call."""
        query = encode_params(params)
        signed = checksum(call, query, self.secret, algorithm)
        self.checksums.add(signed)
        return f"{PREFIX}{call}?{query}{'&' if query else ''}checksum={signed}"

    def get(self, call: str, **params: str) -> Answer:
        """Make a signed GET call."""
        return self.fetch("GET", self.target(call, params))

    def get_query(self, call: str, query: str, *, limit_s: float = ANSWER_LIMIT_S) -> Answer:
        """Make a signed GET call with a query string that is sent unchanged."""
        return self.fetch("GET", self.target(call, query), limit_s=limit_s)

    def post_form(self, call: str, *, over: str = "empty", **params: str) -> Answer:
        """Make a signed call with a form; `over` as in sign_form."""
        body = sign_form(call, params, self.secret, over=over)
        self.checksums.add(body.rpartition("checksum=")[2])
        return self.fetch("POST", PREFIX + call, body.encode(), {"Content-Type": FORM})

    def post_xml(
        self,
        call: str,
        document: bytes | Iterable[bytes],
        *,
        length: int | None = None,
        **params: str,
    ) -> Answer:
        """Make a signed call with an XML body, which is sent chunked if it has no known length.

        `length`: Content-Length of a body that is an iterable.
        """
        headers = {"Content-Type": XML}
        if length is not None:
            headers["Content-Length"] = str(length)
        return self.fetch("POST", self.target(call, params), document, headers, limit_s=60)

    def create(self, meeting_id: str, **params: str) -> Answer:
        """Create a meeting with ATTENDEE_PW and MODERATOR_PW."""
        known = {"attendeePW": ATTENDEE_PW, "moderatorPW": MODERATOR_PW, "name": meeting_id}
        return self.get("create", **{"meetingID": meeting_id, **known, **params})

    def join(self, meeting_id: str, **params: str) -> Answer:
        """Join a meeting as an attendee; the answer is a redirect."""
        known = {"fullName": "Ada", "password": ATTENDEE_PW}
        return self.get("join", **{"meetingID": meeting_id, **known, **params})

    def is_running(self, meeting_id: str) -> str:
        """Return `true`, `false`, or the messageKey of a failure."""
        answer = self.get("isMeetingRunning", meetingID=meeting_id)
        return answer.text("running") or answer.key

    def info(self, meeting_id: str) -> Answer:
        """Call getMeetingInfo."""
        return self.get("getMeetingInfo", meetingID=meeting_id)

    def listed(self) -> list[str]:
        """Return the ids that getMeetings lists, sorted."""
        found = self.get("getMeetings").xml.findall("meetings/meeting/meetingID")
        return sorted(element.text or "" for element in found)

    def create_all(
        self, meeting_ids: Iterable[str], at_once: int = 32, **params: str
    ) -> list[Answer]:
        """Create meetings, `at_once` of them concurrently, and return the answers in order."""
        with ThreadPoolExecutor(at_once) as threads:
            return list(threads.map(partial(self.create, **params), meeting_ids))
