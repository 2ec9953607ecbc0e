"""What the admin calls about servers take and answer (admin_pool_calls.py).

Pure. Truth: admin_json.py, which makes the answers; Scalelite's docs/api-README.md.
"""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    GIVEN_TEXT,
    ID,
    MAYBE_FLAG,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    MAYBE_TEXTS,
    MAYBE_WHOLE,
    TEXT,
    TRUTH,
    WHOLE,
    About,
    Named,
    Schema,
    fields,
    list_of,
    one_of,
    record,
    told,
)
from appliance.servers.values import MAX_LIMIT

_SERVERS = "servers"
NO_SERVER = {404: "There is no server with this id."}

_STATE = one_of("enabled", "cordoned", "disabled")
_ONLINE = one_of("online", "offline")
_LOAD: Schema = told(
    "`unavailable` if the server takes no meetings.",
    {"type": ["number", "string"], "pattern": "^unavailable$"},
)
_LIMIT = told("null: no limit.", {"type": ["integer", "null"], "minimum": 1})

_MULTIPLIER = told("A number, as a text.", TEXT, pattern=r"^[0-9.e+-]+$")

SERVER = Named(
    "Server",
    record(
        id=TEXT,
        url=TEXT,
        secret=TEXT,
        tag=told("Empty: none.", TEXT),
        bbb_version=told("Empty: not known.", TEXT),
        state=_STATE,
        load=_LOAD,
        load_multiplier=_MULTIPLIER,
        online=_ONLINE,
        max_meetings=_LIMIT,
        max_users=_LIMIT,
    ),
)
_STATUS_FIELDS: dict[str, Schema] = {
    "hostname": TEXT,
    "id": TEXT,
    "url": TEXT,
    "state": _STATE,
    "status": one_of("online", "offline", "unstable"),
    "meetings": WHOLE,
    "users": WHOLE,
    "largest_meeting": WHOLE,
    "videos": WHOLE,
    "load": _LOAD,
    "bbb_version": TEXT,
    "tag": TEXT,
    "load_multiplier": _MULTIPLIER,
    "online": _ONLINE,
    "max_meetings": _LIMIT,
    "max_users": _LIMIT,
}
SERVER_STATUS = Named("ServerStatus", record(**_STATUS_FIELDS))
POLL = Named(
    "Poll",
    record(
        id=TEXT,
        hostname=TEXT,
        state=_STATE,
        succeeded=TRUTH,
        reason=told("Why it failed.", TEXT),
        online=_ONLINE,
        meetings=WHOLE,
        users=WHOLE,
        load=_LOAD,
        bbb_version=TEXT,
    ),
)
ENDED = Named(
    "EndedMeeting",
    record(
        id=TEXT,
        server_id=TEXT,
        outcome=told(
            "gone: its server did not know it any more; skipped: forgotten without a call.",
            one_of("ended", "gone", "failed", "skipped"),
        ),
        reason=told("Why it failed.", TEXT),
    ),
)
SERVER_MEETINGS = Named(
    "ServerMeetings",
    record(
        id=TEXT,
        url=TEXT,
        failure=told("Why the server could not be asked.", TEXT),
        meetings=list_of(
            record(id=TEXT, participants=WHOLE, moderators=WHOLE, videos=WHOLE, breakout=TRUTH)
        ),
    ),
)
# --- bodies --------------------------------------------------------------------------------------

_GIVEN_LIMIT: Schema = {**MAYBE_WHOLE, "minimum": 0, "maximum": MAX_LIMIT}
_CHANGEABLE: dict[str, Schema] = {
    "load_multiplier": told(
        "Greater than 0; a server with 2 counts each user twice.", MAYBE_NUMBER
    ),
    "tag": told("What meta_server-tag asks for; empty: none.", MAYBE_TEXT),
    "max_meetings": told("0: no limit.", _GIVEN_LIMIT),
    "max_users": told("0: no limit.", _GIVEN_LIMIT),
}
_ID_BODY = fields("id", id=ID)
IDS_BODY = fields(ids=told("Empty: all.", MAYBE_TEXTS))


# --- examples ------------------------------------------------------------------------------------

SERVER_ID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"
URL_EXAMPLE = "https://bbb1.example.com/bigbluebutton/api"
_SERVER_EXAMPLE: dict[str, Any] = {
    "id": SERVER_ID,
    "url": URL_EXAMPLE,
    "secret": "SERVER-SECRET",
    "tag": "",
    "bbb_version": "3.0.4",
    "state": "enabled",
    "load": 12.0,
    "load_multiplier": "1.0",
    "online": "online",
    "max_meetings": None,
    "max_users": None,
}
_NEW_EXAMPLE = {
    **_SERVER_EXAMPLE,
    "state": "disabled",
    "load": "unavailable",
    "online": "offline",
    "bbb_version": "",
}
STATUS_EXAMPLE: dict[str, Any] = {
    "hostname": "bbb1.example.com",
    "id": SERVER_ID,
    "url": URL_EXAMPLE,
    "state": "enabled",
    "status": "online",
    "meetings": 3,
    "users": 41,
    "largest_meeting": 25,
    "videos": 9,
    "load": 12.0,
    "bbb_version": "3.0.4",
    "tag": "",
    "load_multiplier": "1.0",
    "online": "online",
    "max_meetings": None,
    "max_users": None,
}
POLL_EXAMPLE: dict[str, Any] = {
    "id": SERVER_ID,
    "hostname": "bbb1.example.com",
    "state": "enabled",
    "succeeded": True,
    "reason": "",
    "online": "online",
    "meetings": 3,
    "users": 41,
    "load": 12.0,
    "bbb_version": "3.0.4",
}
ENDED_EXAMPLE = {"id": "room-7", "server_id": SERVER_ID, "outcome": "ended", "reason": ""}
_ID_BODY_EXAMPLE = {"id": SERVER_ID}

# --- the calls -----------------------------------------------------------------------------------

GET_SERVERS = About(
    _SERVERS,
    "All servers, with their secrets.",
    list_of(SERVER),
    [_SERVER_EXAMPLE],
    refusals={404: "There are no servers."},
)
GET_SERVER_INFO = About(
    _SERVERS,
    "One server.",
    SERVER,
    _SERVER_EXAMPLE,
    query={"id": ID},
    query_example=_ID_BODY_EXAMPLE,
    refusals=NO_SERVER,
)
ADD_SERVER = About(
    _SERVERS,
    "Adds a server, disabled; updateServer or enableServer puts it to work.",
    SERVER,
    _NEW_EXAMPLE,
    status=201,
    body=fields(
        "server",
        server=fields(
            "url",
            "secret",
            url=told("Its API endpoint, http or https.", GIVEN_TEXT),
            secret=told("Its secret, as `bbb-conf --secret` shows it.", GIVEN_TEXT),
            id=told("Default: a new one.", MAYBE_TEXT),
            **_CHANGEABLE,
        ),
    ),
    body_example={
        "server": {"url": URL_EXAMPLE, "secret": "SERVER-SECRET", "load_multiplier": 1.0}
    },
    logs="server_added",
)
UPDATE_SERVER = About(
    _SERVERS,
    "Changes what is given of a server. Disabling it ends its meetings.",
    SERVER,
    _SERVER_EXAMPLE,
    body=fields(
        "id",
        id=ID,
        server=fields(
            state={"enum": ["enable", "cordon", "disable", "", None]},
            secret=MAYBE_TEXT,
            **_CHANGEABLE,
        ),
    ),
    body_example={"id": SERVER_ID, "server": {"state": "enable", "tag": "lectures"}},
    refusals=NO_SERVER,
    logs="server_changed",
)
DELETE_SERVER = About(
    _SERVERS,
    "Removes a server; refused while it has meetings.",
    record(success=TEXT),
    {"success": f"Server id={SERVER_ID} was destroyed"},
    body=fields("id", id=ID, force=told("Forget its meetings, which run on.", MAYBE_FLAG)),
    body_example=_ID_BODY_EXAMPLE,
    refusals=NO_SERVER,
    logs="server_removed",
)
PANIC_SERVER = About(
    _SERVERS,
    "Forgets and ends all meetings of a server and disables it.",
    record(success=TEXT, state=_STATE, meetings=list_of(ENDED)),
    {
        "success": f"Server id={SERVER_ID} has been disabled and the meetings have been destroyed",
        "state": "disabled",
        "meetings": [ENDED_EXAMPLE],
    },
    body=fields(
        "id",
        id=ID,
        keep_state=told("Do not disable it.", MAYBE_FLAG),
        skip_end_calls=told("Only forget the meetings.", MAYBE_FLAG),
    ),
    body_example=_ID_BODY_EXAMPLE,
    refusals=NO_SERVER,
    logs="server_cleared",
)
ENABLE_SERVER = About(
    _SERVERS,
    "Lets a server take meetings, and polls it at once.",
    record(**_STATUS_FIELDS, poll={"anyOf": [POLL, {"type": "null"}]}),
    {**STATUS_EXAMPLE, "poll": POLL_EXAMPLE},
    body=_ID_BODY,
    body_example=_ID_BODY_EXAMPLE,
    refusals=NO_SERVER,
    logs="server_state_set",
)
CORDON_SERVER = About(
    _SERVERS,
    "Gives a server no new meetings; it is disabled once it is empty.",
    SERVER_STATUS,
    {**STATUS_EXAMPLE, "state": "cordoned"},
    body=_ID_BODY,
    body_example=_ID_BODY_EXAMPLE,
    refusals=NO_SERVER,
    logs="server_state_set",
)
DISABLE_SERVER = About(
    _SERVERS,
    "Disables a server and ends its meetings; refused while it is in use, unless confirmed.",
    record(**_STATUS_FIELDS, ended=list_of(ENDED)),
    {**STATUS_EXAMPLE, "state": "disabled", "ended": [ENDED_EXAMPLE]},
    body=fields("id", id=ID, confirmed=MAYBE_FLAG),
    body_example={"id": SERVER_ID, "confirmed": True},
    refusals={**NO_SERVER, 409: "It is in use, and this was not confirmed."},
    logs="server_state_set",
)
GET_SERVER_MEETINGS = About(
    _SERVERS,
    "Asks all or these servers what runs on them, also what was never placed here.",
    list_of(SERVER_MEETINGS),
    [
        {
            "id": SERVER_ID,
            "url": URL_EXAMPLE,
            "failure": "",
            "meetings": [
                {
                    "id": "room-7",
                    "participants": 25,
                    "moderators": 2,
                    "videos": 9,
                    "breakout": False,
                }
            ],
        }
    ],
    body=IDS_BODY,
    body_example={"ids": [SERVER_ID]},
    refusals=NO_SERVER,
)
