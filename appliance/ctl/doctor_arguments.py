"""The command line of `ctl doctor`."""

from __future__ import annotations

from typing import Any

from appliance.ctl import doctor
from appliance.ctl.parsing import Group, leaf


def add_doctor(groups: Group[Any]) -> None:
    """Declare the command."""
    leaf(
        groups,
        "doctor",
        doctor.doctor,
        "look at stores, directories, clocks, secrets and servers, and say what to do next",
        "doctor",
    )
