"""What servers tell the running appliance, and what becomes of it at real receivers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest

from appliance.bbb.server_token import server_of_token
from appliance.model import Server, ServerId
from tests.doubles.appliance_client import FrontEnd
from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.appliance_process import wait_for
from tests.doubles.callback_sink import CallbackSink, callback_sink

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Keep reports; no poll comes unless it is asked for."""
    return {**SHORT_TIMEOUTS, "POLL_INTERVAL": "600", "ANALYTICS_STORE": "true"}


@pytest.fixture
def sink() -> Iterator[CallbackSink]:
    """Give the front-end's receiver."""
    with callback_sink() as opened:
        yield opened


def came(sink: CallbackSink, path: str) -> list[tuple[str, str, bytes]]:
    """Return what came to a path, whatever its query."""
    return [one for one in list(sink.received) if one[1].partition("?")[0] == path]


def wait_came(sink: CallbackSink, path: str, count: int = 1) -> list[tuple[str, str, bytes]]:
    """Wait until so much has come to a path."""
    wait_for(lambda: len(came(sink, path)) >= count, WITHIN_S, f"{count} calls of {path}")
    return came(sink, path)


def test_end_of_a_meeting_and_its_analytics_reach_the_front_end(
    pool: ServedPool, sink: CallbackSink
) -> None:
    pool.front.create(
        "math",
        meetingEndedURL=sink.url("/ended?course=7"),
        meetingKeepEvents="true",
        meta_endCallbackUrl=sink.url("/old"),
        **{"meta_analytics-callback-url": sink.url("/events")},
    )
    holder = pool.holder("math")
    holder.end_meeting("math", marks=True)

    assert wait_came(sink, "/ended") == [("GET", "/ended?course=7&recordingmarks=true", b"")]
    (old, *_) = wait_came(sink, "/old")
    assert old == ("GET", "/old?recordingmarks=true&meetingID=math", b"")
    assert pool.record("math") == {}
    assert pool.front.info("math").key == "notFound"
    ((method, _, body),) = wait_came(sink, "/events")
    document = json.loads(body)
    assert (method, document["customer"], document["meeting_id"]) == ("POST", "scalelite", "math")
    (head,) = [one for one in sink.heads if "authorization" in one]
    ours = Server(ServerId("us"), "", pool.appliance.environ["LOADBALANCER_SECRET"])
    assert server_of_token([ours], head["authorization"], now_s=time.time()) == "us"
    (kept,) = json.loads(pool.appliance.ctl("analytics", "list", "--json").stdout)
    assert kept["meeting_id"] == "math"
    shown = json.loads(pool.appliance.ctl("analytics", "show", kept["id"]).stdout)
    assert shown == document


def test_end_that_a_server_could_not_tell_is_told_once(
    pool: ServedPool, sink: CallbackSink
) -> None:
    pool.front.create("math", meetingEndedURL=sink.url("/ended"))
    holder = pool.holder("math")
    holder.end_meeting("math", callback=False)
    pool.appliance.poll()

    assert wait_came(sink, "/ended") == [("GET", "/ended", b"")]
    url = holder.requests("create")[0]["query"]
    assert "meeting_ended" in url
    assert len(came(sink, "/ended")) == 1


def test_hook_is_on_every_server_also_on_one_that_comes_later(
    empty_pool: ServedPool, sink: CallbackSink
) -> None:
    pool = empty_pool
    first, second, third = pool.servers
    front: FrontEnd = pool.front
    pool.ids = [pool.appliance.add_server(server) for server in (first, second)]
    created = front.get("hooks/create", callbackURL=sink.url("/hook?key=k"))
    assert created.text("hookID") == "1"
    assert [len(server.hooks()) for server in pool.servers] == [1, 1, 0]

    pool.ids.append(pool.appliance.add_server(third))
    wait_for(lambda: len(third.hooks()) == 1, WITHIN_S, "the hook on the new server")
    front.create("math")
    pool.holder("math").end_meeting("math")
    events = [json.loads(_form(body)["event"])[0]["data"]["id"] for _, _, body in _two(sink)]
    assert sorted(events) == ["meeting-created", "meeting-ended"]

    assert front.get("hooks/destroy", hookID="1").text("removed") == "true"
    assert [server.hooks() for server in pool.servers] == [[], [], []]


def _two(sink: CallbackSink) -> list[tuple[str, str, bytes]]:
    return wait_came(sink, "/hook", 2)


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode()))
