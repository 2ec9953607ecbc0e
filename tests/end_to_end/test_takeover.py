"""The real appliance in a Scalelite's place: it knows everything that was there, by API, ctl and
dial-in, and what it writes is what a Scalelite can read.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from tests.doubles.appliance_client import FORM, MODERATOR_PW, Answer, FrontEnd
from tests.doubles.appliance_process import ApplianceProcess, run_program, wait_for
from tests.doubles.dialplan import basic, form
from tests.doubles.recording_tars import recording_tar
from tests.doubles.scalelite_files import DELETED, OLD, PUBLISHED, UNPUBLISHED
from tests.doubles.scalelite_place import (
    BBB1,
    BBB2,
    BBB3,
    FSAPI_PASSWORD,
    HOST,
    OLD_SERVER,
    SCHOOL,
    UNI,
    Place,
    TenantFront,
    taken_over,
)

TOKEN = "04512ad106d789af91f982c1173b87fc3d53133561a0ece8ab3f5e979d1d1745"
"""Of a one-time link that Scalelite has given out."""


@pytest.fixture(scope="module")
def place(place: Place) -> Place:
    """Give the place with what only an old Scalelite leaves."""
    # bbb1 as a Scalelite before 1.1 stored it, which knew no states.
    place.keys.ask("HDEL", f"server:{BBB1}", "state")
    place.servers[BBB3].set_users("seminar", participants=3)
    place.sql(
        "INSERT INTO recordings (record_id, meeting_id) VALUES ('bare', 'math-1');"
        " INSERT INTO metadata (recording_id, key, value)"
        f" SELECT id, 'tenant-id', '{SCHOOL}' FROM recordings WHERE record_id = 'bare'"
    )
    return place


@pytest.fixture(scope="module")
def appliance(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    with taken_over(place, tmp_path_factory.mktemp("appliance")) as started:
        started.poll()
        yield started


@pytest.fixture(autouse=True)
def readable(place: Place, appliance: ApplianceProcess) -> Iterator[None]:
    """Look after each test whether a Scalelite could read what there is."""
    yield
    assert place.faults() == []
    appliance.check_log()


@pytest.fixture
def school(appliance: ApplianceProcess) -> TenantFront:
    return TenantFront(appliance.front.port, "schoolsecret", "school")


@pytest.fixture
def uni(appliance: ApplianceProcess) -> TenantFront:
    return TenantFront(appliance.front.port, "unisecret", "uni")


def ask(port: int, body: bytes, password: str) -> Answer:
    """Post a form as a FreeSWITCH gateway does."""
    name, _, value = basic("fsapi", password).partition(": ")
    headers = {name: value, "Content-Type": FORM, "Host": HOST}
    return FrontEnd(port, "").fetch("POST", "/fsapi", body, headers)


def record_ids(answer: Answer) -> list[str]:
    return [one.text or "" for one in answer.xml.iterfind(".//recording/recordID")]


# --- configuration, servers -----------------------------------------------------------------------


def test_every_variable_of_scalelite_is_taken_without_a_doubt(
    place: Place, appliance: ApplianceProcess
) -> None:
    assert appliance.events("configuration") == []
    checked = run_program("config", "check", "--json", environ=appliance.environ)
    assert (checked.returncode, json.loads(checked.stdout)["warnings"]) == (0, [])
    index = TenantFront(appliance.front.port, "schoolsecret", "school").get("")
    assert index.text("build") == "v1.6.1"


def test_servers_are_known_with_state_tag_multiplier_and_load(
    place: Place, appliance: ApplianceProcess
) -> None:
    found = {one["id"]: one for one in appliance.control.get("getServers")}

    assert {name: one["state"] for name, one in found.items()} == {
        BBB1: "enabled",
        BBB2: "enabled",
        BBB3: "cordoned",
        OLD_SERVER: "disabled",
    }
    assert {name: one["load"] for name, one in found.items()} == {
        BBB1: 30.0,  # two young meetings
        BBB2: 75.0,
        BBB3: 15.0,
        OLD_SERVER: "unavailable",
    }
    assert found[BBB2]["load_multiplier"] == "2.5"
    assert found[BBB3]["tag"] == "big"
    assert found[BBB2]["url"].endswith("/api/")
    assert all(one["online"] == "online" for one in found.values())
    listing = appliance.ctl("servers").stdout
    assert f"id: {OLD_SERVER}" in listing
    assert listing.count("load multiplier: 2.5") == 1


def test_url_that_ends_in_a_slash_is_called_without_two(
    place: Place, appliance: ApplianceProcess, school: TenantFront
) -> None:
    bbb = place.servers[BBB2]
    joined = school.get("join", meetingID="art 2", fullName="Ada", password="ap")

    assert (joined.status, school.get("getMeetingInfo", meetingID="art 2").returncode) == (
        302,
        "SUCCESS",
    )
    assert joined.location.startswith(f"{bbb.url}/join?")
    assert {urlsplit(one["path"]).path for one in bbb.requests("getMeetings")} == {
        "/bigbluebutton/api/getMeetings"
    }


# --- tenants, meetings, dial-in -------------------------------------------------------------------


def test_tenants_have_their_secrets_and_their_meetings(
    appliance: ApplianceProcess, school: TenantFront, uni: TenantFront
) -> None:
    other = TenantFront(school.port, "schoolsecret2", "school")
    foreign = TenantFront(school.port, "unisecret", "school")

    assert school.listed() == other.listed() == ["art 2", "math-1"]
    assert uni.listed() == ["big", "phys"]
    assert foreign.get("getMeetings").key == "checksumError"
    assert school.is_running("math-1") == "false"  # nobody is in it; but it is known
    assert school.info("phys").key == "notFound"
    nobody = TenantFront(school.port, appliance.environ["LOADBALANCER_SECRET"], "nobody")
    assert nobody.get("getMeetings").key == "checksumError"
    tenants = {one["name"]: one for one in appliance.control.get("getTenants")}
    assert (tenants["school"]["id"], tenants["uni"]["id"]) == (SCHOOL, UNI)
    assert tenants["uni"]["lrs_endpoint"] == "https://lrs.example.org/xapi"


def test_settings_of_a_tenant_and_parameters_of_all_go_to_the_server(
    place: Place, school: TenantFront
) -> None:
    created = school.create("new class", welcome="Hello", copyright="gone", logo="x")
    assert (created.returncode, created.message) == ("SUCCESS", "")

    server_id = place.keys.ask("HGET", "meeting:new class", "server_id")
    (request,) = [
        parse_qs(one["query"])
        for one in place.servers[server_id].requests("create")
        if "new+class" in one["query"] or "new%20class" in one["query"]
    ]
    assert request["record"] == ["true"]
    assert request["welcome"] == ["Willkommen"]
    assert request["muteOnStart"] == ["true"]
    assert request["allowModsToUnmuteUsers"] == ["false"]
    assert request["duration"] == ["480"]
    assert "copyright" not in request
    assert request["meta_tenant-id"] == [SCHOOL]
    assert school.get("end", meetingID="new class", password=MODERATOR_PW).returncode == "SUCCESS"


@pytest.mark.parametrize(
    ("tenant", "meeting_id", "server_id"),
    [
        ("school", "math-1", BBB1),
        ("school", "art 2", BBB2),
        ("uni", "phys", BBB1),
        ("uni", "big", BBB2),
    ],
)
def test_meeting_is_joined_created_again_and_shown_where_it_is(
    place: Place,
    appliance: ApplianceProcess,
    tenant: str,
    meeting_id: str,
    server_id: str,
) -> None:
    front = TenantFront(appliance.front.port, f"{tenant}secret", tenant)
    password = place.keys.ask("HGET", f"meeting:{meeting_id}", "moderator_pw")
    before = place.servers[server_id].meetings()[meeting_id]

    again = front.create(meeting_id, moderatorPW=password, attendeePW="ap")
    joined = front.get("join", meetingID=meeting_id, fullName="Ada", password=password)

    assert (again.returncode, again.key) == ("SUCCESS", "duplicateWarning")
    assert joined.location.startswith(f"{place.servers[server_id].url}/join?")
    assert place.servers[server_id].meetings()[meeting_id]["internal_id"] == before["internal_id"]
    listed = appliance.control.post("listMeetings", {})["meetings"]
    shown = {one["id"]: one for one in listed}
    assert shown[meeting_id]["server_id"] == server_id
    assert meeting_id in appliance.ctl("meetings", "list").stdout


@pytest.mark.parametrize(
    ("number", "server_id"), [("653309189", BBB1), ("765471418", BBB2), ("501051382", BBB1)]
)
def test_callers_reach_the_meeting_of_their_number(
    place: Place, appliance: ApplianceProcess, number: str, server_id: str
) -> None:
    answer = ask(appliance.front.port, form("pin", pin=number), FSAPI_PASSWORD)

    host = urlsplit(place.servers[server_id].url).hostname
    assert answer.status == 200
    assert f"{number}@{host}".encode() in answer.body
    assert ask(appliance.front.port, form("pin", pin=number), "wrong").status == 401


# --- recordings -----------------------------------------------------------------------------------


def test_recordings_are_listed_as_scalelite_left_them(
    appliance: ApplianceProcess, school: TenantFront, uni: TenantFront
) -> None:
    (shown,) = school.get("getRecordings").xml.iterfind(".//recording")
    values = {one.tag: one.text for one in shown if len(one) == 0}
    assert values["recordID"] == values["internalMeetingID"] == UNPUBLISHED
    assert (values["name"], values["meetingID"]) == ("Maths & more", "math-1")
    assert (values["state"], values["published"], values["protected"]) == (
        "unpublished",
        "false",
        "true",
    )
    assert (values["startTime"], values["endTime"]) == ("1700000000000", "1700003600000")
    assert {one.tag: one.text or "" for one in shown.iterfind("metadata/*")} == {
        "bbb-origin": "moodle",
        "edited": "by hand",
        "empty": "",
        "gl-listed": "false",
        "tenant-id": SCHOOL,
    }
    assert [one.findtext("type") for one in shown.iterfind("playback/format")] == [
        "presentation",
        "video",
    ]
    assert record_ids(uni.get("getRecordings")) == [PUBLISHED]
    images = uni.get("getRecordings").xml.findall(".//image")
    assert [one.get("alt") for one in images] == ["slide 1 & more", "slide 2 & more"]


def test_recordings_deleted_without_a_state_or_a_tenant_are_left_as_they_are(
    appliance: ApplianceProcess, school: TenantFront
) -> None:
    assert record_ids(school.get("getRecordings", state="any")) == ["bare", UNPUBLISHED]
    bare = school.get("getRecordings", recordID="bare", state="any").xml.find(".//recording")
    assert bare is not None
    assert {one.tag for one in bare} == {
        *("recordID", "meetingID", "internalMeetingID", "published", "protected", "metadata"),
        "playback",
    } - ({"playback"} if bare.find("playback") is None else set())
    for record_id in (DELETED, OLD):
        assert record_ids(school.get("getRecordings", recordID=record_id, state="any")) == []
        answer = school.get("publishRecordings", recordID=record_id, publish="true")
        assert answer.key == "notFound"
    listed = appliance.ctl("recordings", "list", "--json", "--limit", "10")
    states = {one["record_id"]: one["state"] for one in json.loads(listed.stdout)["recordings"]}
    assert states[OLD] == "published"
    assert states["bare"] is None


def test_protected_recording_is_published_and_played_by_a_link_that_scalelite_gave_out(
    place: Place, appliance: ApplianceProcess, school: TenantFront
) -> None:
    link = f"/recording/{UNPUBLISHED}/video?token={TOKEN}"
    answer = school.get("publishRecordings", recordID=UNPUBLISHED, publish="true")
    assert answer.text("published") == "true"
    assert (place.root / "published/video" / UNPUBLISHED / "index.html").exists()
    assert not (place.root / "unpublished/video" / UNPUBLISHED).exists()

    opened = school.open(link)

    assert (opened.status, opened.location) == (307, f"/playback/video/{UNPUBLISHED}/")
    cookie = opened.headers["set-cookie"].partition(";")[0]
    played = school.open(f"/video/{UNPUBLISHED}/index.html", Cookie=cookie)
    assert (played.status, played.body) == (200, f"video of {UNPUBLISHED}".encode())
    assert school.open(link).status == 404
    appliance.sensitive.update({TOKEN, cookie.partition("=")[2]})
    columns = "published, publish_updated, state"
    row = place.sql(f"SELECT {columns} FROM recordings WHERE record_id = '{UNPUBLISHED}'")
    assert row == "t|t|published"


def test_recording_is_edited_and_deleted_on_scalelites_tables(
    place: Place, uni: TenantFront
) -> None:
    edited = uni.get(
        "updateRecordings", recordID=PUBLISHED, meta_course="Physics", meta_empty="", protect="true"
    )
    assert edited.text("updated") == "true"
    assert place.faults() == []
    assert uni.get("deleteRecordings", recordID=PUBLISHED).text("deleted") == "true"

    assert record_ids(uni.get("getRecordings")) == []
    row = place.sql(f"SELECT state FROM recordings WHERE record_id = '{PUBLISHED}'")
    assert row == "deleted"
    assert not (place.root / "published/podcast" / PUBLISHED).exists()


# --- callbacks, imports ---------------------------------------------------------------------------

READY = "/ready/"
ATTRIBUTES = {
    "symbols": "---\n:analytics_callback_url: https://x.example/a\n:recording_ready_url: {url}\n",
    "quoted": '---\n:recording_ready_url: "{url}"\n',
    "indifferent": "--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\n"
    "analytics_callback_url: https://x.example/a\nrecording_ready_url: {url}\n",
    "indifferent-object": "--- !ruby/object:ActiveSupport::HashWithIndifferentAccess\n"
    "recording_ready_url: {url}\n",
    "plain": "---\nrecording_ready_url: {url}\nanalytics_callback_url:\n",
}
"""As Ruby's YAML has written callback_attributes over the years."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, dict[str, str]]]:
    """Give the URL of a front-end, and what it was sent: the token by path."""
    received: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received[self.path] = parse_qs(body)["signed_parameters"][0]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", received
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_front_ends_that_asked_scalelite_for_it_are_told_of_their_recordings(
    place: Place, appliance: ApplianceProcess, receiver: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    base, received = receiver
    for name, text in ATTRIBUTES.items():
        yaml = text.format(url=f"{base}{READY}{name}").replace("'", "''")
        place.sql(
            "INSERT INTO callback_data (meeting_id, callback_attributes, created_at, updated_at)"
            f" VALUES ('{name}', '{yaml}', now(), now())"
        )
        tar = recording_tar(
            tmp_path, f"rec-{name}", meeting_id=name, metadata={"tenant-id": SCHOOL}
        )
        hidden = place.root / "spool" / f".{tar.name}"
        hidden.write_bytes(tar.read_bytes())
        hidden.rename(place.root / "spool" / tar.name)

    wait_for(lambda: len(received) == len(ATTRIBUTES), 30, lambda: f"told: {sorted(received)}")

    for name in ATTRIBUTES:
        claims = jwt.decode(received[READY + name], "schoolsecret", algorithms=["HS256"])
        assert claims == {"meeting_id": name, "record_id": f"rec-{name}"}
        appliance.sensitive.add(received[READY + name])
        row = place.sql(
            "SELECT r.published, r.protected, r.state, c.meeting_id FROM recordings r"
            f" JOIN callback_data c ON c.recording_id = r.id WHERE r.record_id = 'rec-{name}'"
        )
        assert row == f"t|t|published|{name}"
        assert (place.root / "published/presentation" / f"rec-{name}" / "slides.svg").exists()
    # What a Scalelite wrote stays as it wrote it, in the form that only old ones have.
    place.sql("DELETE FROM callback_data WHERE meeting_id = 'plain'")


def test_what_a_create_asks_to_be_told_is_kept_as_scalelite_keeps_it(
    place: Place, school: TenantFront
) -> None:
    urls = {
        "meta_bbb-recording-ready-url": "https://moodle.example.org/ready?id=1&x=é",
        "meta_analytics-callback-url": "https://moodle.example.org/analytics",
    }
    assert school.create("told", **urls).returncode == "SUCCESS"

    text = place.sql("SELECT callback_attributes FROM callback_data WHERE meeting_id = 'told'")
    assert ":recording_ready_url: " in text
    assert ":analytics_callback_url: https://moodle.example.org/analytics" in text
    assert school.get("end", meetingID="told", password=MODERATOR_PW).returncode == "SUCCESS"


# --- afterwards -----------------------------------------------------------------------------------


def test_check_finds_nothing_that_needs_a_person_but_the_recording_without_a_format(
    appliance: ApplianceProcess,
) -> None:
    done = appliance.ctl("takeover", "check", "--json")

    serious = [one for one in json.loads(done.stdout)["findings"] if one["verdict"] == "person"]
    assert [(one["text"], one["names"]) for one in serious] == [
        ("recordings without a format", ["bare"])
    ]
    assert done.returncode == 1


def test_operations_on_servers_leave_what_scalelite_reads(
    place: Place, appliance: ApplianceProcess, school: TenantFront
) -> None:
    control = appliance.control
    for call, body in (
        ("cordonServer", {"id": BBB2}),
        ("enableServer", {"id": BBB2}),
        ("updateServer", {"id": BBB2, "server": {"tag": "x", "load_multiplier": 3}}),
        ("enableServer", {"id": OLD_SERVER}),
        ("poll", {"what": "all"}),
        ("addTenant", {"tenant": {"name": "college", "secrets": "s1:s2"}}),
        ("panicServer", {"id": OLD_SERVER}),
        ("deleteServer", {"id": OLD_SERVER}),
    ):
        control.post(call, body)
        assert place.faults() == [], call
    (college,) = [one for one in control.get("getTenants") if one["name"] == "college"]
    setting = {"tenant_id": college["id"], "param": "logo", "value": "x", "override": "true"}
    control.post("addTenantSetting", {"tenant_setting": setting})
    assert place.faults() == []
    control.post("deleteTenant", {"id": college["id"]})
    assert place.faults() == []
    assert school.get("end", meetingID="art 2", password="PLk2bYyk").returncode == "SUCCESS"
    wait_for(
        lambda: place.keys.ask("HGET", "voice_bridges", "932498093") is None,
        40,
        "the number is free",
    )
