"""A Scalelite and the appliance on the same stores for a while: neither disturbs the other."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.doubles.appliance_client import FORM, MODERATOR_PW, Answer, FrontEnd
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.dialplan import basic, form
from tests.doubles.scalelite_beside import ScaleliteBeside
from tests.doubles.scalelite_place import (
    BBB1,
    BBB2,
    FSAPI_PASSWORD,
    HOST,
    OLD_SERVER,
    SCHOOL,
    Place,
    TenantFront,
    taken_over,
)

NUMBER = "700000001"


@pytest.fixture(scope="module")
def appliance(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    with taken_over(place, tmp_path_factory.mktemp("appliance")) as started:
        yield started


@pytest.fixture
def beside(place: Place, appliance: ApplianceProcess) -> Iterator[ScaleliteBeside]:
    """Give the other side; what is left must be readable, but for members without a hash."""
    appliance.poll()
    yield ScaleliteBeside(place)
    appliance.poll()
    assert place.faults(loose_ends=True) == []
    appliance.check_log()


@pytest.fixture
def school(appliance: ApplianceProcess) -> TenantFront:
    return TenantFront(appliance.front.port, "schoolsecret", "school")


def call_number(appliance: ApplianceProcess, number: str) -> Answer:
    name, _, value = basic("fsapi", FSAPI_PASSWORD).partition(": ")
    headers = {name: value, "Content-Type": FORM, "Host": HOST}
    body = form("pin", pin=number)
    return FrontEnd(appliance.front.port, "").fetch("POST", "/fsapi", body, headers)


# --- meetings -------------------------------------------------------------------------------------


def test_meeting_created_there_survives_our_polls_at_every_moment_and_is_joined_here(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside, school: TenantFront
) -> None:
    heal = {"part": "pool", "dry_run": False}
    beside.reserve_number("there", NUMBER)
    appliance.control.post("healTakeover", heal)
    assert place.keys.ask("HGET", "voice_bridges", NUMBER) == "there"

    beside.write_meeting("there", BBB1, NUMBER, SCHOOL)
    for _ in range(2):  # the server does not know it yet
        appliance.poll()
        appliance.control.post("healTakeover", heal)
    assert beside.find_meeting("there")["server_id"] == BBB1
    beside.ask_server("there", BBB1, NUMBER, SCHOOL)
    appliance.poll()

    joined = school.get("join", meetingID="there", fullName="Ada", password="ap")
    assert joined.location.startswith(f"{place.servers[BBB1].url}/join?")
    again = school.create("there", moderatorPW="mp-there", attendeePW="ap")
    assert again.key == "duplicateWarning"
    host = urlsplit(place.servers[BBB1].url).hostname
    assert f"{NUMBER}@{host}".encode() in call_number(appliance, NUMBER).body
    assert "there" in school.listed()
    assert school.get("end", meetingID="there", password="mp-there").returncode == "SUCCESS"
    wait_for(lambda: place.keys.ask("EXISTS", "meeting:there") == 0, 40, "it is forgotten")
    assert place.keys.ask("HGET", "voice_bridges", NUMBER) is None


def test_meeting_created_here_is_found_there_and_may_be_forgotten_there(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside, school: TenantFront
) -> None:
    assert school.create("here").returncode == "SUCCESS"

    found = beside.find_meeting("here")
    assert (found["tenant_id"], found["moderator_pw"]) == (SCHOOL, MODERATOR_PW)
    assert place.keys.ask("SISMEMBER", "meetings", "here") == 1
    assert place.keys.ask("HGET", "voice_bridges", found["voice_bridge"]) == "here"
    assert 0 < place.keys.ask("TTL", "meeting:here") <= 86400
    assert "here" in place.servers[found["server_id"]].meetings()

    place.servers[found["server_id"]].end_meeting("here", callback=False)
    beside.forget("here")  # its poller was faster than ours
    appliance.poll()
    assert school.info("here").key == "notFound"
    assert school.create("here").returncode == "SUCCESS"
    assert beside.find_meeting("here")["voice_bridge"]
    assert school.get("end", meetingID="here", password=MODERATOR_PW).returncode == "SUCCESS"


# --- pollers --------------------------------------------------------------------------------------


def test_loads_of_another_poller_are_placed_by_and_replaced_by_ours(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside, school: TenantFront
) -> None:
    own = {name: place.keys.ask("ZSCORE", "server_load", name) for name in (BBB1, BBB2)}
    beside.poll(BBB1, 500.0, 9, 99)
    beside.poll(BBB2, 1.0, 1, 1)

    assert appliance.server(BBB1)["load"] == 500.0
    assert school.create("by their loads").returncode == "SUCCESS"
    assert beside.find_meeting("by their loads")["server_id"] == BBB2

    assert school.get("end", meetingID="by their loads", password=MODERATOR_PW).returncode
    wait_for(lambda: place.keys.ask("EXISTS", "meeting:by their loads") == 0, 40, "it is gone")
    appliance.poll()
    assert {name: place.keys.ask("ZSCORE", "server_load", name) for name in own} == own


def test_server_that_another_poller_lost_comes_back_with_ours(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside
) -> None:
    uni = TenantFront(appliance.front.port, "unisecret", "uni")
    beside.lose(BBB2)
    # It ends them, too; here the server did not hear it.
    assert appliance.status(BBB2) == "offline"
    assert uni.info("big").key == "notFound"

    appliance.poll()

    assert appliance.status(BBB2) == "online"
    assert place.keys.ask("ZSCORE", "server_load", BBB2) is not None
    again = uni.create("big", moderatorPW="nK9gKoKU", attendeePW="ap")
    assert again.returncode == "SUCCESS"


def test_states_set_there_are_followed_here(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside, school: TenantFront
) -> None:
    beside.cordon(BBB1)
    appliance.poll()
    assert appliance.server(BBB1)["state"] == "cordoned"
    assert place.keys.ask("ZSCORE", "server_load", BBB1) is None
    assert school.create("elsewhere").returncode == "SUCCESS"
    assert beside.find_meeting("elsewhere")["server_id"] == BBB2
    assert school.is_running("math-1") in ("true", "false")

    beside.disable(BBB1)
    appliance.poll()
    assert (appliance.server(BBB1)["state"], appliance.server(BBB1)["load"]) == (
        "disabled",
        "unavailable",
    )
    beside.enable(BBB1)
    appliance.poll()
    assert appliance.server(BBB1)["state"] == "enabled"
    assert place.keys.ask("ZSCORE", "server_load", BBB1) is not None
    assert school.get("end", meetingID="elsewhere", password=MODERATOR_PW).returncode == "SUCCESS"


def test_server_added_there_is_polled_here_and_one_removed_there_stays_away(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside
) -> None:
    new = place.servers[OLD_SERVER]
    beside.add_server("new.example.org", new.url, new.secret)
    beside.enable("new.example.org")
    appliance.poll()
    assert appliance.status("new.example.org") == "online"

    beside.remove_server("new.example.org")
    appliance.poll()

    assert "new.example.org" not in {one["id"] for one in appliance.control.get("getServers")}
    assert place.keys.ask("EXISTS", "server:new.example.org") == 0
    assert place.keys.ask("ZSCORE", "server_load", "new.example.org") is None
    # Scalelite leaves its counters; what we keep of it goes with our sweep.
    place.keys.ask("DEL", "new.example.org")
    appliance.control.post("healTakeover", {"part": "pool"})
    assert place.faults(loose_ends=True) == []


# --- tenants, recordings --------------------------------------------------------------------------


def test_tenant_added_and_renamed_there_is_known_here(
    appliance: ApplianceProcess, beside: ScaleliteBeside
) -> None:
    beside.add_tenant("t-3", "college", "s-1:s-2")
    college = TenantFront(appliance.front.port, "s-2", "college")
    wait_for(lambda: college.get("getMeetings").returncode == "SUCCESS", 40, "it is known")

    beside.rename_tenant("t-3", "college", "academy")
    academy = TenantFront(appliance.front.port, "s-1", "academy")
    wait_for(lambda: academy.get("getMeetings").returncode == "SUCCESS", 40, "by its new name")
    wait_for(lambda: college.get("getMeetings").key == "checksumError", 40, "by that alone")


def test_recording_imported_there_is_listed_played_and_edited_here(
    place: Place, appliance: ApplianceProcess, beside: ScaleliteBeside, school: TenantFront
) -> None:
    beside.import_recording("from-there", "math-1", SCHOOL)

    (shown,) = school.get("getRecordings", recordID="from-there").xml.iterfind(".//recording")
    assert shown.findtext("name") == "By Scalelite"
    played = school.open("/video/from-there/index.html")
    assert (played.status, played.body) == (200, b"played")
    answer = school.get("publishRecordings", recordID="from-there", publish="false")
    assert answer.text("published") == "false"
    assert (place.root / "unpublished/video/from-there/index.html").exists()
    assert school.get("deleteRecordings", recordID="from-there").text("deleted") == "true"
    assert not (place.root / "unpublished/video/from-there").exists()
