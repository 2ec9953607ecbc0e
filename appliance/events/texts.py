"""Which events of the log operators are shown, and their texts. Pure.

A new event of interest is a row here. Every ERROR, and every change by an operator (`by`), is shown
with or without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

Kind = Literal[
    "server", "meeting", "recording", "callback", "access", "store", "tenant", "appliance"
]
"""The subject of an event; `access`: calls that were refused."""

_TEXTS: Mapping[Kind, Mapping[str, str]] = {
    "server": {
        "server_online": "{server} is online",
        "server_offline": "{server} is offline; it had {detached_meetings} meetings",
        "server_unstable": "{server} does not answer, {failures} times so far",
        "server_call_failed": "{subject} failed to answer {call}",
        "server_refused_call": "{subject} refuses {call}: {key}",
        "server_added": "{server} was added: {url}",
        "server_changed": "{server} was changed",
        "server_state_set": "{server} was set to {state}, from {before}",
        "server_cleared": "{server} was cleared of {meetings} meetings",
        "server_removed": "{server} was removed",
        "cordoned_server_is_empty": "{server} is empty and disabled now",
        "servers_vanished": "all {servers} servers have vanished from Redis",
        "servers_back": "{servers} servers are in Redis again",
        "maintenance_planned": "maintenance of {server} was planned, window {window}",
        "maintenance_cancelled": "maintenance of {server} was cancelled, window {window}",
        "maintenance_draining": "{server} gets no new meetings before its maintenance ({window})",
        "maintenance_open": "{server} is disabled for its maintenance ({window})",
        "maintenance_ended": "the maintenance of {server} is over ({window}); state: {state}",
        "maintenance_waits": "{subject} does not answer after its maintenance ({window})",
        "maintenance_postponed": "the maintenance of {server} waits, since the pool cannot do"
        " without it now ({window})",
        "maintenance_missed": "the maintenance of {server} did not take place ({window})",
        "maintenance_gone": "window {window} is dropped, since {server} was removed",
        "version_share_set": "version {version} gets at most {percent} % of the new meetings",
        "version_share_stopped": "version {version} gets no new meetings any more",
        "empty_pool_accepted": "the pool was accepted as empty",
        "autoscaler_told": "the autoscaler was told: {reported}, {desired_servers} servers needed",
        "autoscaler_not_told": "the autoscaler did not accept {reported}: {reason}",
        "autoscale_command_failed": "the autoscaler's command failed",
        "hooks_not_kept": "web hooks cannot be registered on {subject}",
    },
    "meeting": {
        "meeting_moved": "{meeting} was moved from {moved_from} to {server}",
        "create_failed_over": "{meeting} was created on {server}, after {failed} had failed",
        "no_place_for_meeting": "{meeting} was not created, no server can take it: {subject}",
        "meetings_taken_back": "{server} is back with {meetings} meetings",
        "meeting_on_two_servers": "{meeting} runs on {server} and {other}",
        "same_server_twice": "{server} and {other} are the same server",
        "duplicate_ended": "{meeting} was ended on {server}, since it runs elsewhere",
        "end_remembered": "{meeting} will be ended when {server} is back",
        "meetings_ended": "{meetings} meetings were ended",
        "meetings_not_ended": "meetings of {server} were not ended",
    },
    "recording": {
        "recording_received": "{record} was uploaded",
        "recording_upload_refused": "{record} was not accepted: {reason}",
        "recording_imported": "{file} was imported",
        "recording_import_waits": "{file} waits",
        "recording_import_failed": "{file} was not imported; it is tried again in {wait_s} s",
        "recording_import_given_up": "{file} cannot be imported; it is in failed/",
        "import_by_hand": "{file} is imported by hand",
        "imports_retried": "imports are tried again: {files}",
        "recordings_changed": "recordings were changed: {record_ids}",
        "recordings_assigned": "{count} recordings were given to tenant {tenant}",
        "recordings_expired": "{count} recordings have expired and were deleted",
        "recordings_repaired": "{moved} recordings were moved to the right directory",
        "spool_not_reachable": "the spool is not reachable",
    },
    "callback": {
        "callback_retried": "{subject} did not accept a callback; it is sent again",
        "callback_failed": "{host} did not accept a callback; it is given up",
        "callback_url_refused": "a callback URL was refused",
        "callbacks_retried_by_hand": "callbacks are sent again: {ids}",
        "callbacks_dropped": "callbacks were dropped: {ids}",
        "hook_created": "web hook {hook} was created",
        "hook_destroyed": "web hook {hook} was destroyed",
    },
    "access": {
        "checksum_wrong": "{count} x {call} from {client} on {host} with a wrong checksum",
        "admin_checksum_wrong": "the admin call {call} from {subject} has a wrong checksum",
        "admin_token_refused": "{subject} has no valid access token",
        "token_added": "access token {name} was added",
        "token_revoked": "access token {name} was revoked",
        "control_connection_refused": "uid {uid} may not use the control socket",
        "pins_guessed": "{wrong} wrong PINs were entered at {gateway}",
        "client_connections_exhausted": "all {maximum} client connections are in use",
    },
    "store": {
        "redis_lost": "the connection to Redis is lost",
        "redis_recovered": "Redis is back after {down_s} s",
        "redis_refuses": "Redis refuses commands",
        "database_down": "PostgreSQL does not answer",
        "database_ready": "PostgreSQL is connected",
        "database_read_only": "PostgreSQL is read-only",
        "database_writable": "PostgreSQL takes changes again",
        "database_migrated": "the database was migrated: {migration}",
        "request_without_store": "requests fail, since {subject} does not answer",
        "embedded_store_ended": "the embedded {store} has ended",
    },
    "tenant": {
        "tenant_added": "tenant {name} was added",
        "tenant_changed": "tenant {tenant} was changed",
        "tenant_removed": "tenant {name} was removed",
        "tenant_limits_changed": "limits of tenant {tenant} were changed: {limits}",
        "tenant_setting_added": "a setting of tenant {tenant} was added: {param}",
        "tenant_setting_removed": "a setting of tenant {tenant} was removed: {param}",
        "traces_erased": "traces of a {kind} were erased: {runs} runs, {analytics} reports,"
        " metadata of {recordings} recordings, {callbacks} callbacks",
    },
    "appliance": {
        "backup_written": "a backup was made",
        "backup_restored": "a backup was restored",
        "restore_incomplete": "the rows of a backup were not restored",
        "ready": "the appliance is ready",
        "stopping": "the appliance is stopping",
        "certificate_reloaded": "the TLS certificate was read again",
        "certificate_not_reloaded": "the new TLS certificate cannot be used",
        "own_limit_reached": "the appliance is out of descriptors, memory or connections",
        "service_failed": "the service {service} failed and is restarted",
        "request_failed": "a request failed with an error of the appliance",
        "handback_prepared": "the hand-back to Scalelite was prepared: {on}",
        "takeover_healed": "{count} entries of {part} were repaired for the takeover",
    },
}
KINDS: Mapping[str, Kind] = {name: kind for kind, texts in _TEXTS.items() for name in texts}
"""The kind of each event that is shown."""
FORMS = {name: text for texts in _TEXTS.values() for name, text in texts.items()}
_LAST = (("reason", ": {}"), ("exception", ": {}"), ("by", " (by {})"))
"""Fields that are added to every text."""


def kind_of(event: str, level: str, *, is_change: bool = False) -> Kind | None:
    """Return what an event is about; None: operators are not shown it.

    is_change: it names the operator who made it.
    """
    return KINDS.get(event, "appliance" if is_change or level in ("error", "critical") else None)


def describe(event: str, fields: Mapping[str, Any], translate: Callable[[str], str] = str) -> str:
    """Return the text of an event; `translate` gives the texts of FORMS in another language."""
    form = translate(FORMS[event]) if event in FORMS else None
    if form is None:
        named = " ".join(f"{name}={_say(value)}" for name, value in fields.items())
        return f"{event.replace('_', ' ')}: {named}" if named else event.replace("_", " ")
    text = form.format_map(_Said(fields))
    for name, more in _LAST:
        if fields.get(name) and f"{{{name}}}" not in form:
            text += translate(more).format(_say(fields[name]))
    return text


class _Said(dict[str, str]):
    """The values of fields as words; a missing one is a question mark."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__({name: _say(value) for name, value in fields.items()})

    def __missing__(self, name: str) -> str:
        return "?"


def _say(value: Any) -> str:
    if isinstance(value, list):
        more = len(value) - 3
        return ", ".join(map(str, value[:3])) + (f" and {more} more" if more > 0 else "")
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
