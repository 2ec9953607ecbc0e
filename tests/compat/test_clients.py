"""What client libraries return of a running appliance, compared with what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.compat.client_programs import CLIENTS, ClientFailed, ClientProgram
from tests.doubles.appliance_client import ATTENDEE_PW, MODERATOR_PW
from tests.doubles.appliance_pool import ServedPool
from tests.doubles.recording_tars import recording_tar

Clients = Mapping[str, ClientProgram]

WITHOUT = {
    "is_running": {"bbb-client"},
    "info": {"bigbluebutton-api"},
    "meetings": {"bigbluebutton-api", "python-sage-bbb"},
    "recordings": {"bbb-client", "bigbluebutton-api", "python-sage-bbb"},
    "publish": {"bbb-client", "bigbluebutton-api"},
    "update": {"bbb-client", "bbbctl", "bigbluebutton-api", "python-sage-bbb"},
    "version": {"bbb-client", "bigbluebutton-api", "bigbluebutton-js", "bbb-promise"},
}
"""Libraries that do not have a call, or cannot make it; docs/front-ends.md has the reasons."""

FIELDS = (
    "meetingID",
    "createTime",
    "voiceBridge",
    "moderatorPW",
    "attendeePW",
    "duration",
    "participantCount",
    "moderatorCount",
)
IMPORT_S = 60.0
FORMATS = {"video": {"video.webm": b"v" * 3000}}
NAME = "Maths & more, ü 1/2"


def having(call: str) -> pytest.MarkDecorator:
    """Run a test with each library that has a call."""
    return pytest.mark.parametrize(
        "library", [name for name in CLIENTS if name not in WITHOUT.get(call, ())]
    )


def plain(value: object) -> str:
    """Return a value as it is written in XML; libraries make numbers and booleans of some."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def name_by(library: str) -> str:
    """Return NAME as a library returns it: bigbluebutton-js leaves entities as they are."""
    return NAME.replace("&", "&amp;") if library == "bigbluebutton-js" else NAME


def assert_held(pool: ServedPool, meeting_id: str, answer: Mapping[str, Any]) -> None:
    """Check every known field of an answer against getMeetingInfo."""
    held = pool.front.get("getMeetingInfo", meetingID=meeting_id)
    known = {name: answer[name] for name in FIELDS if name in answer}
    assert {name: plain(value) for name, value in known.items()} == {
        name: held.text(name) for name in known
    }


def create(client: ClientProgram, meeting_id: str, name: str = NAME) -> Any:
    return client.ask(
        "create",
        meeting_id=meeting_id,
        name=name,
        attendee_pw=ATTENDEE_PW,
        moderator_pw=MODERATOR_PW,
    )


@having("version")
def test_version_is_read(library: str, clients: Clients) -> None:
    assert clients[library].ask("version") == "2.0"


@having("create")
def test_created_meeting_is_on_one_server_and_a_repeat_finds_it(
    library: str, clients: Clients, pool: ServedPool
) -> None:
    meeting_id = f"create-{library}"
    first = create(clients[library], meeting_id)
    home = pool.holder(meeting_id)
    assert pool.front.get("getMeetingInfo", meetingID=meeting_id).text("meetingName") == NAME
    assert_held(pool, meeting_id, first)
    again = create(clients[library], meeting_id)
    assert pool.holder(meeting_id) is home
    assert_held(pool, meeting_id, again)
    if library == "bbb-client":
        assert (first["repeated"], again["repeated"]) == (False, True)
    if "messageKey" in again:
        assert again["messageKey"] == "duplicateWarning"


@having("join_url")
def test_join_url_leads_to_the_meetings_server(
    library: str, clients: Clients, pool: ServedPool
) -> None:
    meeting_id = f"join-{library}"
    create(clients[library], meeting_id)
    url = clients[library].ask(
        "join_url", meeting_id=meeting_id, name="Ada & Eve", password=ATTENDEE_PW
    )
    parts = urlsplit(url)
    assert (parts.hostname, parts.port) == ("127.0.0.1", pool.front.port)
    pool.front.checksums.add(parse_qs(parts.query)["checksum"][0])
    answer = pool.front.fetch("GET", f"{parts.path}?{parts.query}")
    assert answer.status == 302
    assert answer.location.startswith(pool.holder(meeting_id).url)
    sent = parse_qs(urlsplit(answer.location).query)
    assert (sent["fullName"], sent["meetingID"]) == (["Ada & Eve"], [meeting_id])


@having("is_running")
def test_running_meeting_is_told_from_an_empty_and_an_unknown_one(
    library: str, clients: Clients, pool: ServedPool
) -> None:
    client, meeting_id = clients[library], f"running-{library}"
    create(client, meeting_id)
    assert client.ask("is_running", meeting_id=meeting_id) is False
    pool.holder(meeting_id).set_users(meeting_id, listed=True, participants=2, moderators=1)
    assert client.ask("is_running", meeting_id=meeting_id) is True
    assert client.ask("is_running", meeting_id=f"unknown-{library}") is False


@having("info")
def test_meeting_info_is_what_the_server_has(
    library: str, clients: Clients, pool: ServedPool
) -> None:
    client, meeting_id = clients[library], f"info-{library}"
    create(client, meeting_id)
    pool.holder(meeting_id).set_users(meeting_id, listed=True, participants=3, moderators=1)
    info = client.ask("info", meeting_id=meeting_id)
    assert (info["meetingName"], plain(info["participantCount"])) == (name_by(library), "3")
    assert_held(pool, meeting_id, info)


@having("info")
def test_unknown_meeting_is_an_error_of_the_library(library: str, clients: Clients) -> None:
    with pytest.raises(ClientFailed, match=r"(?i)not ?found|not exist|could not find|couldn't"):
        clients[library].ask("info", meeting_id=f"unknown-{library}")


@having("meetings")
def test_meetings_of_all_servers_are_listed(
    library: str, clients: Clients, pool: ServedPool
) -> None:
    ids = [f"listed-{number}-{library}" for number in range(2)]
    for meeting_id in ids:
        create(clients[library], meeting_id)
    assert all(server.meetings() for server in pool.servers)
    found = {one["meetingID"]: one for one in clients[library].ask("meetings")}
    for meeting_id in ids:
        assert found[meeting_id]["meetingName"] == name_by(library)
        assert_held(pool, meeting_id, found[meeting_id])
    assert set(found) == {name for server in pool.servers for name in server.meetings()}


@having("end")
def test_ended_meeting_is_gone(library: str, clients: Clients, pool: ServedPool) -> None:
    client, meeting_id = clients[library], f"end-{library}"
    create(client, meeting_id)
    assert client.ask("end", meeting_id=meeting_id, password=MODERATOR_PW) is True
    assert pool.holders(meeting_id) == []
    assert pool.front.get("getMeetingInfo", meetingID=meeting_id).key == "notFound"


def deliver(pool: ServedPool, directory: Path, library: str) -> list[str]:
    """Import two recordings of one meeting and return their ids."""
    ids = [f"rec-{number}-{library}" for number in range(2)]
    spool = pool.appliance.spool
    for record_id in ids:
        made = recording_tar(directory, record_id, FORMATS, meeting_id=f"of-{library}", name=NAME)
        (spool / f".{made.name}").write_bytes(made.read_bytes())
        (spool / f".{made.name}").rename(spool / made.name)
        pool.appliance.wait_event("recording_imported", IMPORT_S, recordings=[record_id])
    return ids


@having("recordings")
def test_recordings_are_listed(
    library: str, clients: Clients, pool: ServedPool, tmp_path: Path
) -> None:
    client, meeting_id = clients[library], f"of-{library}"
    assert client.ask("recordings", meeting_id=meeting_id) == []
    ids = deliver(pool, tmp_path, library)
    found = {one["recordID"]: one for one in client.ask("recordings", meeting_id=meeting_id)}
    assert set(found) == set(ids)
    for one in found.values():
        assert (one["meetingID"], one["name"]) == (meeting_id, name_by(library))
        assert one["state"] == "published"
        assert (plain(one["published"]), one["type"]) == ("true", "video")


@having("publish")
def test_recording_is_unpublished_and_published_and_deleted(
    library: str, clients: Clients, pool: ServedPool, tmp_path: Path
) -> None:
    client = clients[library]
    record_id = deliver(pool, tmp_path, f"changed-{library}")[0]

    def state() -> str:
        return pool.front.get("getRecordings", recordID=record_id, state="any").text(".//state")

    assert client.ask("publish", record_id=record_id, publish=False) is False
    assert state() == "unpublished"
    assert client.ask("publish", record_id=record_id, publish=True) is True
    assert state() == "published"
    assert client.ask("delete", record_id=record_id) is True
    assert state() in ("", "deleted")


@having("update")
def test_recording_gets_metadata(
    library: str, clients: Clients, pool: ServedPool, tmp_path: Path
) -> None:
    record_id = deliver(pool, tmp_path, f"updated-{library}")[0]
    updated = clients[library].ask("update", record_id=record_id, key="course", value="a & ü")
    assert updated is True
    shown = pool.front.get("getRecordings", recordID=record_id)
    assert shown.text(".//metadata/course") == "a & ü"
