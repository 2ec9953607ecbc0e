"""Table of variables: BigBlueButton servers, polling, load, API calls, dial-in. Rows only."""

from __future__ import annotations

from appliance.settings.addresses import BINDS, DIAL_STRING
from appliance.settings.dial_string import DEFAULT_BRIDGE
from appliance.settings.kinds import (
    BOOLEAN,
    PARAMS,
    PATH,
    RULES,
    SECRET,
    SIZE,
    amount,
    count,
    duration,
    names,
    per_minute,
    text,
)
from appliance.settings.table import Section, Variable, variables_of

_SECONDS = duration("s")
_WEIGHT = amount(1_000_000_000)
_PARAM_NAMES = names(",", "parameter names separated by ','", r"[^\s=&]+")

CONNECT_TIMEOUT = Variable(
    "CONNECT_TIMEOUT", _SECONDS, 5.0, "Limit for connecting to a BigBlueButton server.",
)  # fmt: skip
RESPONSE_TIMEOUT = Variable(
    "RESPONSE_TIMEOUT", _SECONDS, 10.0, "Limit for the answer of a BigBlueButton server.",
)  # fmt: skip
RESPONSE_MAX_BYTES = Variable(
    "RESPONSE_MAX_BYTES", SIZE, 64 << 20,
    "A larger answer of a BigBlueButton server counts as a failure; it protects the memory.",
)  # fmt: skip
MAX_MEETINGS_PER_SERVER = Variable(
    "MAX_MEETINGS_PER_SERVER", count(1, 100_000), 5000,
    "A BigBlueButton server that lists more meetings counts as failing; it protects the memory and"
    " the other servers.",
)  # fmt: skip
BBB_CA_FILE = Variable(
    "BBB_CA_FILE", PATH, None,
    "Certificates (PEM) of a private certificate authority for BigBlueButton servers, in addition"
    " to those of the system.",
)  # fmt: skip
SERVER_ID_IS_HOSTNAME = Variable(
    "SERVER_ID_IS_HOSTNAME", BOOLEAN, False,
    "Use the host name of the URL as the id of a new server instead of a UUID.",
)  # fmt: skip
POLL_INTERVAL = Variable(
    "POLL_INTERVAL", _SECONDS, 60.0, "Time between two polls of a server.",
    fallbacks=("INTERVAL",),
)  # fmt: skip
POLL_RETRY_INTERVAL = Variable(
    "POLL_RETRY_INTERVAL", _SECONDS, 5.0,
    "Time between a failed poll and the next one; a dead server is detected within seconds.",
)  # fmt: skip
POLLER_THREADS = Variable(
    "POLLER_THREADS", count(1, 10_000), 64, "Maximum number of concurrent polls.",
)  # fmt: skip
POLLER_WAIT_TIMEOUT = Variable(
    "POLLER_WAIT_TIMEOUT", _SECONDS, 10.0, "Limit for a poll of a server.",
)  # fmt: skip
SERVER_HEALTHY_THRESHOLD = Variable(
    "SERVER_HEALTHY_THRESHOLD", count(1), 1,
    "Consecutive successful polls after which an offline server is online.",
)  # fmt: skip
SERVER_UNHEALTHY_THRESHOLD = Variable(
    "SERVER_UNHEALTHY_THRESHOLD", count(1), 2,
    "Consecutive failed polls after which a server is offline.",
)  # fmt: skip
LOAD_MIN_USER_COUNT = Variable(
    "LOAD_MIN_USER_COUNT", count(), 15,
    "Minimum number of users assumed for a meeting younger than LOAD_JOIN_BUFFER_TIME.",
)  # fmt: skip
LOAD_JOIN_BUFFER_TIME = Variable(
    "LOAD_JOIN_BUFFER_TIME", duration("min", zero=True), 15.0,
    "Age up to which a meeting counts with its expected size, because users are still joining.",
)  # fmt: skip
LOAD_COUNT_MODERATORS_TWICE = Variable(
    "LOAD_COUNT_MODERATORS_TWICE", BOOLEAN, True,
    "Count moderators twice, as Scalelite does: it adds them to the participants, which include"
    " them already. false: count each user once.",
)  # fmt: skip
LOAD_FORECAST = Variable(
    "LOAD_FORECAST", BOOLEAN, True,
    "Expect a meeting to reach the size of a hint, or of its last run.",
)  # fmt: skip
LOAD_PER_USER = Variable(
    "LOAD_PER_USER", _WEIGHT, None,
    "Load of each participant. If any of the LOAD_PER_… variables is set, they replace Scalelite's"
    " formula, in which LOAD_COUNT_MODERATORS_TWICE is; see docs/placement.md.",
    default_text="1, if another weight is set", example="1",
)  # fmt: skip
LOAD_PER_VIDEO = Variable(
    "LOAD_PER_VIDEO", _WEIGHT, None, "Load of each camera (`videoCount`), besides its user's.",
    default_text="0, if another weight is set", example="3",
)  # fmt: skip
LOAD_PER_VOICE = Variable(
    "LOAD_PER_VOICE", _WEIGHT, None,
    "Load of each microphone (`voiceParticipantCount`), besides its user's.",
    default_text="0, if another weight is set", example="0.5",
)  # fmt: skip
LOAD_PER_MEETING = Variable(
    "LOAD_PER_MEETING", _WEIGHT, None, "Load of each meeting, besides its users'.",
    default_text="0, if another weight is set", example="2",
)  # fmt: skip

_POOL = variables_of(globals())

MAX_MEETING_DURATION = Variable(
    "MAX_MEETING_DURATION", duration("min", zero=True), 0.0,
    "Maximum `duration` of a meeting; rounded up to whole minutes. 0: no limit.",
)  # fmt: skip
DEFAULT_MEETING_TTL = Variable(
    "DEFAULT_MEETING_TTL", _SECONDS, 86400.0,
    "Lifetime of a meeting record after the meeting was last seen on its server.",
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
    example="record=false,welcome=Hello\\, all",
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
CREATE_PARAM_RULES = Variable(
    "CREATE_PARAM_RULES", RULES, None,
    "Rules for parameters of create, applied after the defaults and overrides (docs/tenants.md).",
    example="duration cap 120; disabledFeatures append chat; "
    "meetingLayout map CUSTOM_LAYOUT:SMART_LAYOUT version=4.*",
)  # fmt: skip
JOIN_PARAM_RULES = Variable(
    "JOIN_PARAM_RULES", RULES, None,
    "The same for join.", example="userID require; avatarURL remove",
)  # fmt: skip
GET_MEETINGS_API_DISABLED = Variable(
    "GET_MEETINGS_API_DISABLED", BOOLEAN, False,
    "Always answer getMeetings with an empty list.",
)  # fmt: skip
PASSTHROUGH_CALLS = Variable(
    "PASSTHROUGH_CALLS",
    names(",:", "call names separated by ','", r"[A-Za-z]\w*(?:/[A-Za-z]\w*)*"),
    ("sendChatMessage",),
    "Calls with a meetingID that are passed unchanged to the meeting's server. Add calls of a new"
    " BigBlueButton version here.",
)  # fmt: skip
REQUEST_MAX_BYTES = Variable(
    "REQUEST_MAX_BYTES", SIZE, 256 << 20,
    "Maximum body of create and insertDocument (slides are part of the XML); 0: no body.",
)  # fmt: skip
CALLBACK_BLOCK_PRIVATE = Variable(
    "CALLBACK_BLOCK_PRIVATE", BOOLEAN, False,
    "Do not call callback URLs with private addresses (docs/callbacks.md).",
)  # fmt: skip
ANALYTICS_STORE = Variable(
    "ANALYTICS_STORE", BOOLEAN, False, "Store the analytics of meetings as JSON in STATE_DIR.",
)  # fmt: skip

_CALLS = variables_of(globals(), after="LOAD_PER_MEETING")

USAGE_MEETING_NAMES = Variable(
    "USAGE_MEETING_NAMES", BOOLEAN, False,
    "Keep the names of meetings in the records of usage; their ids are kept in any case.",
)  # fmt: skip
USAGE_RETENTION_DAYS = Variable(
    "USAGE_RETENTION_DAYS", duration("days"), 400.0,
    "How long the record of each meeting run is kept for `ctl usage`.",
)  # fmt: skip
ANALYTICS_RETENTION_DAYS = Variable(
    "ANALYTICS_RETENTION_DAYS", duration("days"), 30.0,
    "How long stored analytics (ANALYTICS_STORE) are kept.",
)  # fmt: skip

_USAGE = variables_of(globals(), after="ANALYTICS_STORE")

VOICE_BRIDGE_LEN = Variable(
    "VOICE_BRIDGE_LEN", count(3, 15, "digits"), 9,
    "Length of dial-in numbers; the BigBlueButton servers and VOICE_BRIDGE_MAX must allow it.",
)  # fmt: skip
VOICE_BRIDGE_MIN = Variable(
    "VOICE_BRIDGE_MIN", count(1, 20, "digits"), 5,
    "Minimum number of digits that a caller can enter.",
)  # fmt: skip
VOICE_BRIDGE_MAX = Variable(
    "VOICE_BRIDGE_MAX", count(1, 20, "digits"), 9,
    "Maximum number of digits that a caller can enter.",
)  # fmt: skip
USE_EXTERNAL_VOICE_BRIDGE = Variable(
    "USE_EXTERNAL_VOICE_BRIDGE", BOOLEAN, False,
    "Use the voiceBridge of the front-end if it is free.",
)  # fmt: skip
FSAPI_PASSWORD = Variable(
    "FSAPI_PASSWORD", SECRET, None,
    "Password of the FreeSWITCH dialplan endpoint, user `fsapi`. Set to an empty value: no"
    " password; use this only with a private FSAPI_BIND.",
    default_text="the first of LOADBALANCER_SECRET and LOADBALANCER_SECRETS",
    empty_is_a_value=True,
)  # fmt: skip
FSAPI_MAX_DURATION = Variable(
    "FSAPI_MAX_DURATION", duration("min", zero=True), None,
    "Maximum duration of a call. 0: no limit.", default_text="MAX_MEETING_DURATION",
)  # fmt: skip
FSAPI_BIND = Variable(
    "FSAPI_BIND", BINDS, None,
    "Separate listener for /fsapi, which is then not served on the public listener.",
    example="tcp://10.0.0.5:3001",
)  # fmt: skip
FSAPI_CONTEXT = Variable(
    "FSAPI_CONTEXT", text("letters, digits, dots, hyphens and underscores", "[A-Za-z0-9._-]+"),
    "public",
    "Dialplan context of the gateway in which callers arrive. Requests of other contexts are"
    " answered with `not found`.",
)  # fmt: skip
FSAPI_BRIDGE = Variable(
    "FSAPI_BRIDGE", DIAL_STRING, None,
    "Where the gateway sends a call: {pin} is the number that was entered, {host} and {port} are"
    " those of the meeting's server, {meeting} is its id; `servers update --dial-in` sets it for"
    " one server.",
    default_text=DEFAULT_BRIDGE, example="sofia/external/{pin}@{host}:{port}",
)  # fmt: skip
FSAPI_MAX_ATTEMPTS = Variable(
    "FSAPI_MAX_ATTEMPTS", per_minute(), 30,
    "Wrong numbers of one caller, against guessing: each one above that is answered late and ends"
    " the call. 0: no limit.",
)  # fmt: skip
FSAPI_MAX_GUESSES_PER_GATEWAY = Variable(
    "FSAPI_MAX_GUESSES_PER_GATEWAY", per_minute(), 600,
    "Wrong numbers of all callers of one gateway: each one above that is answered late. 0: no"
    " limit.",
)  # fmt: skip

_DIAL_IN = variables_of(globals(), after="ANALYTICS_RETENTION_DAYS")

SECTIONS = (
    Section("BigBlueButton servers", "Calls, polling and load.", _POOL),
    Section("Meetings and API calls", "Limits and parameters of the calls of front-ends.", _CALLS),
    Section("Usage", "The records of meetings that are kept (docs/tenants.md).", _USAGE),
    Section("Dial-in", "Numbers, and the dialplan endpoint for FreeSWITCH.", _DIAL_IN),
)
