"""What the admin calls about meetings, polls and the pool take and answer (admin_pool_calls.py).

Pure. Truth: admin_json.py, which makes the answers.
"""

from __future__ import annotations

from typing import Any

from appliance.admin_calls.schema import (
    ID,
    MAYBE_FLAG,
    MAYBE_TEXTS,
    TEXT,
    TEXT_OR_NULL,
    TRUTH,
    WHOLE,
    About,
    Named,
    Schema,
    fields,
    list_of,
    record,
    told,
)
from appliance.servers.admin_schema import (
    ENDED,
    ENDED_EXAMPLE,
    IDS_BODY,
    NO_SERVER,
    POLL,
    POLL_EXAMPLE,
    SERVER_ID,
    SERVER_STATUS,
    STATUS_EXAMPLE,
    URL_EXAMPLE,
)

_MEETINGS, _POOL = "meetings", "pool"
_MEETING_FIELDS: dict[str, Schema] = {
    "id": TEXT,
    "server_id": TEXT,
    "server_url": told("Empty: its server is gone.", TEXT),
    "tenant_id": TEXT,
    "voice_bridge": TEXT_OR_NULL,
    "reachable": told("Whether its server can be asked.", TRUTH),
}
MEETING = Named("Meeting", record(**_MEETING_FIELDS))
SHOWN_MEETING = Named(
    "MeetingInfo",
    record(
        **_MEETING_FIELDS,
        name=TEXT,
        internal_id=TEXT,
        created=told("As the server writes it.", TEXT),
        recording=TRUTH,
        running=TRUTH,
        participants=WHOLE,
        moderators=WHOLE,
        videos=WHOLE,
        metadata={"type": "object", "additionalProperties": TEXT},
    ),
)
_UNKNOWN = told("Ids that nobody knows.", list_of(TEXT))


_MEETING_EXAMPLE: dict[str, Any] = {
    "id": "room-7",
    "server_id": SERVER_ID,
    "server_url": URL_EXAMPLE,
    "tenant_id": "",
    "voice_bridge": "73211",
    "reachable": True,
}

GET_STATUS = About(
    _POOL,
    "The state of the pool, without secrets.",
    record(
        servers=list_of(SERVER_STATUS),
        meetings=WHOLE,
        users=WHOLE,
        available=told("How many servers take meetings.", WHOLE),
    ),
    {"servers": [STATUS_EXAMPLE], "meetings": 3, "users": 41, "available": 1},
)
LIST_MEETINGS = About(
    _MEETINGS,
    "All or these meetings with their servers.",
    record(meetings=list_of(MEETING), unknown=_UNKNOWN),
    {"meetings": [_MEETING_EXAMPLE], "unknown": []},
    body=IDS_BODY,
    body_example={"ids": ["room-7"]},
)
GET_MEETING_INFO = About(
    _MEETINGS,
    "What a meeting's server says about it, without passwords.",
    SHOWN_MEETING,
    {
        **_MEETING_EXAMPLE,
        "name": "Room 7",
        "internal_id": "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1633448534000",
        "created": "Tue Oct 05 15:42:14 UTC 2021",
        "recording": False,
        "running": True,
        "participants": 25,
        "moderators": 2,
        "videos": 9,
        "metadata": {"bbb-origin": "Moodle"},
    },
    query={"id": ID},
    query_example={"id": "room-7"},
    refusals={404: "Nobody knows this meeting.", 502: "Its server does not answer."},
)
END_MEETINGS = About(
    _MEETINGS,
    "Ends these meetings, or all.",
    record(meetings=list_of(ENDED), unknown=_UNKNOWN),
    {"meetings": [ENDED_EXAMPLE], "unknown": []},
    body=fields(ids=MAYBE_TEXTS, all=told("End all meetings of the pool.", MAYBE_FLAG)),
    body_example={"ids": ["room-7"]},
    logs="meetings_ended",
)
POLL_SERVERS = About(
    _POOL,
    "Asks all or these servers at once, and tells what each answered.",
    list_of(POLL),
    [POLL_EXAMPLE],
    body=fields(
        what=told(
            "`versions` asks for nothing else.",
            {"enum": ["all", "servers", "meetings", "versions", "", None]},
        ),
        ids=MAYBE_TEXTS,
    ),
    body_example={"what": "all"},
    refusals=NO_SERVER,
)
