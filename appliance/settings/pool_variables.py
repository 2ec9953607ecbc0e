"""Table of variables: BBB servers, polling, load, API calls, dial-in.

Rows only. Truth: spec/configuration.md, spec/balancing.md, spec/dial-in.md.
"""

from __future__ import annotations

from appliance.settings.addresses import BINDS
from appliance.settings.kinds import (
    BOOLEAN,
    PARAMS,
    PATH,
    SECRET,
    SIZE,
    count,
    duration,
    names,
    per_minute,
)
from appliance.settings.table import Section, Variable, variables_of

_SECONDS = duration("s")
_PARAM_NAMES = names(",", "parameter names separated by ','", r"[^\s=&]+")

CONNECT_TIMEOUT = Variable(
    "CONNECT_TIMEOUT", _SECONDS, 5.0, "Limit for connecting to a BBB server.",
)  # fmt: skip
RESPONSE_TIMEOUT = Variable(
    "RESPONSE_TIMEOUT", _SECONDS, 10.0, "Limit for the answer of a BBB server.",
)  # fmt: skip
RESPONSE_MAX_BYTES = Variable(
    "RESPONSE_MAX_BYTES", SIZE, 64 << 20,
    "A larger answer of a BBB server counts as a failure, so that none can fill our memory.",
)  # fmt: skip
BBB_CA_FILE = Variable(
    "BBB_CA_FILE", PATH, None,
    "Certificates (PEM) of a private authority that BBB servers may be signed by, besides the"
    " system's.",
)  # fmt: skip
SERVER_ID_IS_HOSTNAME = Variable(
    "SERVER_ID_IS_HOSTNAME", BOOLEAN, False,
    "New servers get the host name of their URL as id instead of a UUID.",
)  # fmt: skip
POLL_INTERVAL = Variable(
    "POLL_INTERVAL", _SECONDS, 60.0, "Time between two polls of a server.",
    fallbacks=("INTERVAL",),
)  # fmt: skip
POLL_RETRY_INTERVAL = Variable(
    "POLL_RETRY_INTERVAL", _SECONDS, 5.0,
    "Time to the next poll after a failed one, so that a dead server is out in seconds.",
)  # fmt: skip
POLLER_THREADS = Variable(
    "POLLER_THREADS", count(1, 10_000), 64, "Polls under way at once.",
)  # fmt: skip
POLLER_WAIT_TIMEOUT = Variable(
    "POLLER_WAIT_TIMEOUT", _SECONDS, 10.0, "Limit for one poll of one server.",
)  # fmt: skip
SERVER_HEALTHY_THRESHOLD = Variable(
    "SERVER_HEALTHY_THRESHOLD", count(1), 1,
    "Successful polls that bring an offline server online.",
)  # fmt: skip
SERVER_UNHEALTHY_THRESHOLD = Variable(
    "SERVER_UNHEALTHY_THRESHOLD", count(1), 2,
    "Failed polls that take a server offline.",
)  # fmt: skip
LOAD_MIN_USER_COUNT = Variable(
    "LOAD_MIN_USER_COUNT", count(), 15,
    "Users that a new meeting counts for until it is older than LOAD_JOIN_BUFFER_TIME.",
)  # fmt: skip
LOAD_JOIN_BUFFER_TIME = Variable(
    "LOAD_JOIN_BUFFER_TIME", duration("min", zero=True), 15.0,
    "Age up to which a meeting counts for its expected size, since its users are still coming.",
)  # fmt: skip
LOAD_COUNT_MODERATORS_TWICE = Variable(
    "LOAD_COUNT_MODERATORS_TWICE", BOOLEAN, True,
    "Scalelite's formula adds moderators to participants, who include them already; false counts"
    " right.",
)  # fmt: skip
LOAD_FORECAST = Variable(
    "LOAD_FORECAST", BOOLEAN, True,
    "Expect a meeting to be as large as a hint says, or as its last run was.",
)  # fmt: skip

_POOL = variables_of(globals())

MAX_MEETING_DURATION = Variable(
    "MAX_MEETING_DURATION", duration("min", zero=True), 0.0,
    "Longest duration that a create may ask for; rounded up to whole minutes. 0: no limit.",
)  # fmt: skip
DEFAULT_MEETING_TTL = Variable(
    "DEFAULT_MEETING_TTL", _SECONDS, 86400.0,
    "A meeting is forgotten this long after it was last seen on its server.",
)  # fmt: skip
CREATE_EXCLUDE_PARAMS = Variable(
    "CREATE_EXCLUDE_PARAMS", _PARAM_NAMES, None,
    "Parameters of create that front-ends cannot set.", example="lockSettingsDisableCam,logo",
)  # fmt: skip
JOIN_EXCLUDE_PARAMS = Variable(
    "JOIN_EXCLUDE_PARAMS", _PARAM_NAMES, None,
    "Parameters of join that front-ends cannot set.", example="userdata-bbb_custom_style_url",
)  # fmt: skip
DEFAULT_CREATE_PARAMS = Variable(
    "DEFAULT_CREATE_PARAMS", PARAMS, None,
    r"Parameters of create that front-ends may override; `\,` is a comma in a value.",
    example="record=false,welcome=Hello\\, everybody",
)  # fmt: skip
OVERRIDE_CREATE_PARAMS = Variable(
    "OVERRIDE_CREATE_PARAMS", PARAMS, None,
    "Parameters of create that front-ends cannot override.",
    example="webcamsOnlyForModerator=true",
)  # fmt: skip
DEFAULT_JOIN_PARAMS = Variable(
    "DEFAULT_JOIN_PARAMS", PARAMS, None,
    "Parameters of join that front-ends may override.",
    example="userdata-bbb_skip_check_audio=true",
)  # fmt: skip
OVERRIDE_JOIN_PARAMS = Variable(
    "OVERRIDE_JOIN_PARAMS", PARAMS, None,
    "Parameters of join that front-ends cannot override.", example="excludeFromDashboard=true",
)  # fmt: skip
GET_MEETINGS_API_DISABLED = Variable(
    "GET_MEETINGS_API_DISABLED", BOOLEAN, False,
    "getMeetings always answers that there are none.",
)  # fmt: skip
PASSTHROUGH_CALLS = Variable(
    "PASSTHROUGH_CALLS",
    names(",:", "call names separated by ','", r"[A-Za-z]\w*(?:/[A-Za-z]\w*)*"),
    ("sendChatMessage",),
    "Calls that name a meeting and are handed on to its server as they are, so that a new BBB call"
    " works the day it ships.",
)  # fmt: skip
REQUEST_MAX_BYTES = Variable(
    "REQUEST_MAX_BYTES", SIZE, 256 << 20,
    "Largest body of create and insertDocument (slides come inside the XML); 0: no body at all.",
)  # fmt: skip
CALLBACK_BLOCK_PRIVATE = Variable(
    "CALLBACK_BLOCK_PRIVATE", BOOLEAN, False,
    "Do not call URLs of front-ends that lead to private addresses (docs/callbacks.md).",
)  # fmt: skip
ANALYTICS_STORE = Variable(
    "ANALYTICS_STORE", BOOLEAN, False, "Keep the analytics of meetings as JSON under STATE_DIR.",
)  # fmt: skip

_CALLS = variables_of(globals(), after="LOAD_FORECAST")

VOICE_BRIDGE_LEN = Variable(
    "VOICE_BRIDGE_LEN", count(3, 15, "digits"), 9,
    "Length of dial-in numbers; the BBB servers and VOICE_BRIDGE_MAX must allow it.",
)  # fmt: skip
VOICE_BRIDGE_MIN = Variable(
    "VOICE_BRIDGE_MIN", count(1, 20, "digits"), 5, "Fewest digits that a caller is asked for.",
)  # fmt: skip
VOICE_BRIDGE_MAX = Variable(
    "VOICE_BRIDGE_MAX", count(1, 20, "digits"), 9, "Most digits that a caller is asked for.",
)  # fmt: skip
USE_EXTERNAL_VOICE_BRIDGE = Variable(
    "USE_EXTERNAL_VOICE_BRIDGE", BOOLEAN, False,
    "Take the front-end's number if it is free.",
)  # fmt: skip
FSAPI_PASSWORD = Variable(
    "FSAPI_PASSWORD", SECRET, None,
    "Password of the FreeSWITCH dialplan endpoint, user `fsapi`. Set and empty: everybody who"
    " reaches the endpoint is answered, so only do that together with a private FSAPI_BIND.",
    default_text="the first of LOADBALANCER_SECRET and LOADBALANCER_SECRETS",
    empty_is_a_value=True,
)  # fmt: skip
FSAPI_MAX_DURATION = Variable(
    "FSAPI_MAX_DURATION", duration("min", zero=True), None,
    "Calls are hung up after this time. 0: no limit.", default_text="MAX_MEETING_DURATION",
)  # fmt: skip
FSAPI_BIND = Variable(
    "FSAPI_BIND", BINDS, None,
    "A listener of its own for /fsapi, which then is not on the public one.",
    example="tcp://10.0.0.5:3001",
)  # fmt: skip
FSAPI_MAX_ATTEMPTS = Variable(
    "FSAPI_MAX_ATTEMPTS", per_minute(), 30,
    "Wrong numbers that one caller may enter, since numbers can be guessed.",
)  # fmt: skip

_DIAL_IN = variables_of(globals(), after="ANALYTICS_STORE")

SECTIONS = (
    Section("BigBlueButton servers", "How servers are called, polled and compared.", _POOL),
    Section("Meetings and API calls", "What front-ends may do.", _CALLS),
    Section("Dial-in", "Numbers, and the dialplan endpoint for FreeSWITCH.", _DIAL_IN),
)
