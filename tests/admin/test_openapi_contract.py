"""The running admin API keeps what its OpenAPI document says: schemathesis asks it over HTTP.

Signed requests, good and bad ones, made up from the document: none may be answered by a 5xx, and
every answer must have a status, a content type and a shape that the document names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import trio
from requests.auth import AuthBase
from schemathesis import engine
from schemathesis.engine import events

from appliance.admin.openapi import make_document
from appliance.admin.routes import CALLS
from tests.doubles.admin_examples import (
    RecordingRoom,
    have_a_meeting,
    have_a_recording,
    have_a_setting,
    open_place,
)
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.settings import SECRET

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

CHECKS: dict[str, Any] = {
    "enabled": False,
    **{
        check: {"enabled": True}
        for check in (
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
            "response_headers_conformance",
            "negative_data_rejection",
            "unsupported_method",
            "allow_header_conformance",
        )
    },
}
"""Left out: ignored_auth, since a wrong checksum has status 200, as with Scalelite; and
positive_data_acceptance, since a schema cannot say what a good URL, tag or secret is."""

CONFIG: dict[str, Any] = {
    "generation": {
        "deterministic": True,
        "max-examples": 4,
        "no-shrink": True,
        "database": "none",
        "with-security-parameters": False,
    },
    "checks": CHECKS,
    "phases": {"stateful": {"enabled": False}},
    "request-timeout": 60,
}


class Signer(AuthBase):
    """Signs each request as it goes out, over the query as it is spelled."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert request.url is not None
        base, _, query = request.url.partition("?")
        kept = "&".join(part for part in query.split("&") if not part.startswith("checksum="))
        name = base.partition("/scalelite/api/")[2]
        signed = hashlib.sha256(f"{name}{kept}{SECRET}".encode()).hexdigest()
        request.url = f"{base}?{kept}{'&' if kept else ''}checksum={signed}"
        return request


class Findings:
    """What the run came to."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.statuses: dict[str, Counter[int]] = {}

    def take(self, event: events.EngineEvent) -> None:
        """Record an event."""
        if isinstance(event, events.NonFatalError):
            self.failures.append(f"{event.label}: {event.value}")
        elif isinstance(event, events.FatalError):
            self.failures.append(str(event.exception))
        elif isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        seen = self.statuses.setdefault(recorder.label, Counter())
        for interaction in recorder.interactions.values():
            if interaction.response is not None:
                seen[interaction.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    request = recorder.interactions[case_id].request
                    failure = check.failure_info.failure
                    self.failures.append(
                        f"{recorder.label}: {check.name}: {failure.title}: {failure.message}\n"
                        f"  {request.method} {request.uri} {request.body!r}"
                    )


def run_engine(port: int) -> Findings:
    """Try the API on a loopback port; blocks."""
    config = schemathesis.Config.from_dict(CONFIG)
    schema = schemathesis.openapi.from_dict(make_document(CALLS), config=config)
    schema.config.update(base_url=f"http://127.0.0.1:{port}")
    schema.auth.set_from_requests(Signer())
    findings = Findings()
    for event in engine.from_schema(schema).execute():
        findings.take(event)
    return findings


@pytest.mark.timeout(600)  # some thousand requests; half a minute on a machine without other load
async def test_running_api_is_what_its_document_says(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    database_url: str,
    tmp_path: Path,
) -> None:
    room = RecordingRoom(database_url, tmp_path)
    async with open_place(redis_url, redis_namespace, bbbs, room) as place:
        await have_a_meeting(place)
        await have_a_setting(place)
        await have_a_recording(place)

        findings = await trio.to_thread.run_sync(run_engine, place.public.port)
        errors = place.public.log.errors

    # After the block, whose exception groups would hide the failures.
    assert not findings.failures, "\n".join(findings.failures)
    described = {f"{call.method} /scalelite/api/{call.name}" for call in CALLS if not call.local}
    assert set(findings.statuses) == described
    assert all(seen.total() >= 4 for seen in findings.statuses.values())
    assert not errors
