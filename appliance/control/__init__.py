"""The operator's door, from the outside: how `ctl` talks to the running appliance.

Standard library only: `ctl status` has 150 ms, the start of the interpreter included.
"""

from appliance.control.client import (
    Caller,
    ControlClient,
    ControlError,
    NotRunning,
    Refusal,
    find_socket,
)

__all__ = ["Caller", "ControlClient", "ControlError", "NotRunning", "Refusal", "find_socket"]
