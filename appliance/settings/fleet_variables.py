"""Table of variables: servers that come and go. Rows only."""

from __future__ import annotations

from appliance.settings.kinds import count, duration
from appliance.settings.table import Section, Variable, variables_of

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

_FLEET = variables_of(globals())

SECTIONS = (Section("Fleet", "Servers that come and go (docs/fleet.md).", _FLEET),)
