"""Load the Lua scripts: each is one atomic rule of the pool, prepended with `lib.lua`.

The scripts are the rule where a rule must run inside Redis; they are tested as such.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib.resources import files

from appliance.redis.client import Script

FEATURES = ("callbacks", "dialin", "meetings", "servers", "tenants")
"""The folders that have scripts, in `lua/`."""


@dataclass(frozen=True, slots=True)
class Scripts:
    """Every script of the features, by the name of its file."""

    abandon_meeting: Script
    add_callback: Script
    add_hook: Script
    begin_poll: Script
    change_callbacks: Script
    claim_callbacks: Script
    claim_ended: Script
    clear_server: Script
    confirm_meeting: Script
    drop_ended: Script
    end_meeting: Script
    extend_creating: Script
    fail_server: Script
    find_meeting: Script
    find_tenant: Script
    find_voice_bridge: Script
    forget_meeting: Script
    join_meeting: Script
    lease_servers: Script
    list_meetings: Script
    list_servers: Script
    list_tenants: Script
    note_hook: Script
    observe_server: Script
    place_meeting: Script
    reach_server: Script
    read_hooks: Script
    release_leases: Script
    remove_hook: Script
    remove_server: Script
    remove_tenant: Script
    remove_tenant_setting: Script
    save_server: Script
    save_tenant: Script
    save_tenant_setting: Script
    set_server_state: Script
    settle_callback: Script
    suspect_server: Script
    sweep_hooks: Script
    sweep_meetings: Script
    sweep_servers: Script
    sweep_setting_calls: Script
    sweep_voice_bridges: Script

    @property
    def all(self) -> tuple[Script, ...]:
        """Return every script, to be loaded when a connection is made."""
        return tuple(getattr(self, field.name) for field in fields(self))


def load_scripts() -> Scripts:
    """Read the scripts from the package."""
    library = (files("appliance.redis") / "lib.lua").read_text("utf-8")
    sources = {
        path.name.removesuffix(".lua"): path.read_text("utf-8")
        for feature in FEATURES
        for path in (files(f"appliance.{feature}") / "lua").iterdir()
    }
    return Scripts(**{name: Script(name, f"{library}\n{text}") for name, text in sources.items()})
