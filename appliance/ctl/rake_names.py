"""Translates rake tasks of Scalelite, such as `servers:add[url,secret,2.0]`, to commands. Pure.

Source: the section Administration of Scalelite's README, and lib/tasks/ for the order of arguments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from appliance.ctl.rake_task import (
    MissingArguments,
    MisusedTask,
    NotRake,
    RakeTask,
    argument,
    required,
    split_arguments,
)
from appliance.ctl.rake_tenant_names import TENANT_TASKS

_TASK = re.compile(r"([A-Za-z_]+(?::[A-Za-z_]+)*)(?:\[(.*)\])?", re.DOTALL).fullmatch
_SYNC_MODES = ("keep", "cordon", "force")
_UNREADABLE = "WARNING! Load-multiplier was not readable or 0, so it is now 1"


def parse_rake(words: Sequence[str]) -> RakeTask | None:
    """Translate the name of a rake task; None: the words are a command of ctl.

    Raises NotRake: the task does not exist; MisusedTask: an argument is missing or invalid.
    """
    if len(words) != 1 or not (":" in words[0] or "[" in words[0] or words[0] in _BARE):
        return None
    match = _TASK(words[0])
    task = _TASKS.get(match[1]) if match else None
    if match is None or task is None:
        raise NotRake(f"no such task: {words[0].partition('[')[0]}")
    try:
        return task(split_arguments(match[2] or ""))
    except MissingArguments as error:
        name = match[1]
        raise MisusedTask(f"ERROR: {name} needs its arguments: '{name}[{error}]'") from None


def _multiplier(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the multiplier and the lines to print; like rake, use 1 for an invalid one.

    Raises MisusedTask: it is negative (Scalelite would store it).
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value < 0:
        raise MisusedTask("ERROR: the load multiplier must be a number greater than 0")
    return (text, ()) if math.isfinite(value) and value != 0 else ("1", (_UNREADABLE,))


def _add(given: list[str]) -> RakeTask:
    missing = "Error: Please input at least a URL and a secret!"
    url, secret, *rest = required(given, 2, "url,secret", missing)
    if not url.startswith(("http://", "https://")):
        raise MisusedTask("Error: Server URL must start with http:// or https://")
    before: tuple[str, ...] = ()
    options: list[str] = []
    if argument(rest, 0):
        value, before = _multiplier(rest[0])
        options.append(f"--load-multiplier={value}")
    if argument(rest, 1):
        options.append(f"--tag={rest[1]}")
    return RakeTask(("servers", "add", *options, "--", url, secret), before)


def _update(given: list[str]) -> RakeTask:
    server_id, *rest = required(given, 1, "id")
    options: list[str] = []
    before: tuple[str, ...] = (f"Updating server {server_id}...",)
    if argument(rest, 0):
        options.append(f"--secret={rest[0]}")
    if argument(rest, 1):
        value, warning = _multiplier(rest[1])
        options.append(f"--load-multiplier={value}")
        before = (*before, *warning)
    if len(rest) > 2:
        options.append(f"--tag={rest[2]}")
    return RakeTask(("servers", "update", *options, "--", server_id), before, server_id)


def _load_multiplier(given: list[str]) -> RakeTask:
    server_id = required(given, 1, "id,load_multiplier")[0]
    text = argument(given, 1)
    value, before = _multiplier(text) if text else ("1", ())  # without a warning if it is missing
    return RakeTask(("servers", "load-multiplier", "--", server_id, value), before, server_id)


def _tag(given: list[str]) -> RakeTask:
    server_id = required(given, 1, "id,tag")[0]
    return RakeTask(("servers", "tag", "--", server_id, argument(given, 1)), (), server_id)


def _panic(given: list[str]) -> RakeTask:
    server_id = required(given, 1, "id")[0]
    options = [
        option
        for index, option in ((1, "--keep-state"), (2, "--skip-end-calls"))
        if argument(given, index) not in ("", "false")
    ]
    before = (f"Panicking server {server_id}...",)
    return RakeTask(("servers", "panic", *options, "--", server_id), before, server_id)


def _server_task(command: str, doing: str) -> Callable[[list[str]], RakeTask]:
    def translate(given: list[str]) -> RakeTask:
        server_id = required(given, 1, "id")[0]
        before = (f"{doing} server {server_id}...",)
        return RakeTask(("servers", command, "--", server_id), before, server_id)

    return translate


def _sync(given: list[str]) -> RakeTask:
    path = required(given, 1, "path", "ERROR: Missing 'path' parameter")[0]
    mode = argument(given, 1)
    if mode not in ("", *_SYNC_MODES):
        modes = " ".join(_SYNC_MODES)
        raise MisusedTask(f"ERROR: Unknown sync mode '{mode}' (choose: {modes})")
    options = [f"--mode={mode}"] if mode else []
    # Like rake: any other word means a dry run.
    if argument(given, 2).lower() not in ("", "n", "no", "false"):
        options.append("--dry-run")
    return RakeTask(("servers", "sync", *options, "--", path))


def _yaml(given: list[str]) -> RakeTask:
    # Like rake: any word, even `false`, means true.
    return RakeTask(("servers", "export", *(["--verbose"] if argument(given, 0) else [])))


def _add_all(given: list[str]) -> RakeTask:
    return RakeTask(("servers", "add-all", "--", required(given, 1, "path")[0]))


def _ids_task(*words: str) -> Callable[[list[str]], RakeTask]:
    def translate(given: list[str]) -> RakeTask:
        # The ids are one argument, separated by colons; a comma separates arguments.
        ids = [part for part in ",".join(given).split(":") if part]
        return RakeTask((*words, "--", *ids))

    return translate


def _info(given: list[str]) -> RakeTask:
    return RakeTask(
        (
            "meetings",
            "info",
            "--",
            required(given, 1, "meetingId", "Error: Please input a meetingID!")[0],
        )
    )


def _add_to_tenant(given: list[str]) -> RakeTask:
    # The command reports a missing id with the message of rake.
    return RakeTask(("recordings", "add-to-tenant", "--", argument(given, 0)))


def _watch(given: list[str]) -> RakeTask:
    raise NotRake("recordings:watch is not needed: the running appliance watches the spool")


def _simple_task(*words: str) -> Callable[[list[str]], RakeTask]:
    return lambda given: RakeTask(words)


_TASKS: dict[str, Callable[[list[str]], RakeTask]] = {
    "servers:add": _add,
    "servers:update": _update,
    "servers:remove": _server_task("remove", "Removing"),
    "servers:enable": _server_task("enable", "Enabling"),
    "servers:cordon": _server_task("cordon", "Cordoning"),
    "servers:disable": _server_task("disable", "Disabling"),
    "servers:panic": _panic,
    "servers:loadMultiplier": _load_multiplier,
    "servers:tag": _tag,
    "servers:sync": _sync,
    "servers:yaml": _yaml,
    "servers:addAll": _add_all,
    "servers:meeting_list": _ids_task("servers", "meetings"),
    "meetings:list": _ids_task("meetings", "list"),
    "meetings": _ids_task("meetings", "list"),
    "meetings:info": _info,
    "meetings:end": _ids_task("meetings", "end"),
    "recordings:update": _simple_task("recordings", "update"),
    "recordings:addToTenant": _add_to_tenant,
    "recordings:watch": _watch,
    "poll:all": _simple_task("poll", "all"),
    "poll:servers": _simple_task("poll", "servers"),
    "poll:meetings": _simple_task("poll", "meetings"),
    "poll:versions": _simple_task("poll", "versions"),
    **TENANT_TASKS,
}
_BARE = frozenset({"tenantSettings"})
"""Tasks without a colon whose name is not a command of ctl."""

__all__ = ["MisusedTask", "NotRake", "RakeTask", "parse_rake"]
