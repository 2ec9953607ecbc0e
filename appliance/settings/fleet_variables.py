"""Table of variables: the size of the pool, and servers that come and go. Rows only."""

from __future__ import annotations

from appliance.settings.addresses import HOOK_URL
from appliance.settings.kinds import COMMAND, SECRET, TIME_ZONE, count, duration
from appliance.settings.table import Section, Variable, variables_of

SEATS_PER_SERVER = Variable(
    "SEATS_PER_SERVER", count(1, 100_000), 200,
    "Users that a BigBlueButton server carries; one with `max_users` carries that many.",
)  # fmt: skip
POOL_HEADROOM = Variable(
    "POOL_HEADROOM", count(0, 1000), 20,
    "Room to keep free above the users that are there or expected, in percent.",
)  # fmt: skip
POOL_MIN_SERVERS = Variable(
    "POOL_MIN_SERVERS", count(0, 100_000), 1, "Never ask for fewer servers.",
)  # fmt: skip
POOL_MAX_SERVERS = Variable(
    "POOL_MAX_SERVERS", count(1, 100_000), None, "Never ask for more servers.",
    default_text="no limit",
)  # fmt: skip
POOL_TIME_ZONE = Variable(
    "POOL_TIME_ZONE", TIME_ZONE, None,
    "Time zone of the users: the forecast is that of the same hour of the same weekday there, also"
    " when daylight saving time begins or ends.",
    default_text="that of the machine", example="Europe/Berlin",
)  # fmt: skip
AUTOSCALE_URL = Variable(
    "AUTOSCALE_URL", HOOK_URL, None,
    "Gets a signed POST when the number of servers that are needed changes, a server becomes safe"
    " to stop, or one goes offline (docs/fleet.md).",
    example="https://scaler.example.org/hook",
)  # fmt: skip
AUTOSCALE_COMMAND = Variable(
    "AUTOSCALE_COMMAND", COMMAND, None,
    "Program that is run instead, or as well; it gets the same JSON on standard input.",
    example="/usr/local/sbin/scale-pool --zone 'north 1'",
)  # fmt: skip
AUTOSCALE_TIMEOUT = Variable(
    "AUTOSCALE_TIMEOUT", duration("s"), 60.0,
    "Limit for AUTOSCALE_COMMAND; it is ended with all that it has started, and run again.",
)  # fmt: skip
AUTOSCALE_SECRET = Variable(
    "AUTOSCALE_SECRET", SECRET, None, "Signs the body of the POST (HMAC-SHA256).",
    default_text="ADMIN_SECRET, else the first of LOADBALANCER_SECRET and LOADBALANCER_SECRETS",
)  # fmt: skip

_SIZE = variables_of(globals())

RECORDING_OWED_HOURS = Variable(
    "RECORDING_OWED_HOURS", duration("h", zero=True), 48.0,
    "How long a recording that a server still owes keeps it from being removed. 0: it does not.",
)  # fmt: skip
RETIRED_SERVER_DAYS = Variable(
    "RETIRED_SERVER_DAYS", duration("days", zero=True), 14.0,
    "How long recordings, analytics and ends of meetings are accepted from a server that was"
    " removed. 0: not at all.",
)  # fmt: skip
SELF_REGISTER_POLLS = Variable(
    "SELF_REGISTER_POLLS", count(1, 1000), 3,
    "Consecutive successful polls after which a server that registered itself is enabled.",
)  # fmt: skip

_CHANGE = variables_of(globals(), after="AUTOSCALE_SECRET")

SECTIONS = (
    Section("Size of the pool", "Capacity, forecast and autoscaling (docs/fleet.md).", _SIZE),
    Section(
        "Servers that come and go", "Recordings owed, retired servers (docs/fleet.md).", _CHANGE
    ),
)
