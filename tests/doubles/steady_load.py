"""Front-ends that call a pool through nginx all the time, and what they get.

Each keeps its TLS connection, as real ones do, and makes a meeting, joins it and asks for it; every
second meeting is created with a POST, as front-ends do that send slides. Nothing is repeated: what
fails is a failure.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from xml.etree import ElementTree

from tests.doubles.appliance_client import ATTENDEE_PW, FORM, MODERATOR_PW, PREFIX, FrontEnd
from tests.doubles.nginx import HOST
from tests.doubles.signing import sign_form

LIMIT_S = 40.0
PAUSE_S = 0.01
"""Of each front-end between two calls: on two cores the load must not be what is slow."""


@dataclass
class SteadyLoad:
    """The calls that were made, counted by all front-ends together."""

    answered: list[int] = field(default_factory=lambda: [0])
    failures: list[str] = field(default_factory=list)

    def _client(self, number: int, port: int, secret: str, stop: threading.Event) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the certificate of a test
        front = FrontEnd(port, secret)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=LIMIT_S, context=context
        )
        count = 0
        while not stop.wait(PAUSE_S):
            meeting_id = f"steady {number} {count // 4}"
            call = ("create", "join", "isMeetingRunning", "create")[count % 4]
            try:
                self._ask(connection, front, call, meeting_id, posted=count // 4 % 2 == 1)
                self.answered[0] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append(f"{call} {meeting_id}: {error!r}")
                connection.close()
            count += 1
        connection.close()

    def _ask(
        self,
        connection: http.client.HTTPSConnection,
        front: FrontEnd,
        call: str,
        meeting_id: str,
        *,
        posted: bool,
    ) -> None:
        """Make a call, and check its answer. Raises AssertionError."""
        params = {"meetingID": meeting_id}
        if call == "create":
            params |= {"attendeePW": ATTENDEE_PW, "moderatorPW": MODERATOR_PW}
        if call == "join":
            params |= {"fullName": "Ada", "password": ATTENDEE_PW}
        if call == "create" and posted:
            body = sign_form(call, params, front.secret, over="empty")
            headers = {"Host": HOST, "Content-Type": FORM}
            connection.request("POST", PREFIX + call, body.encode(), headers)
        else:
            connection.request("GET", front.target(call, params), headers={"Host": HOST})
        answer = connection.getresponse()
        text = answer.read()
        if call == "join":
            assert answer.status == 302, (answer.status, text)
            return
        assert answer.status == 200, (answer.status, text)
        assert ElementTree.fromstring(text).findtext("returncode") == "SUCCESS", text

    @contextmanager
    def run(self, port: int, secret: str, *, front_ends: int = 6) -> Iterator[None]:
        """Make calls while the block runs."""
        stop = threading.Event()
        threads = [
            threading.Thread(target=self._client, args=(number, port, secret, stop))
            for number in range(front_ends)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
