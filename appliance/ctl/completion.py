"""The names that shells offer for servers, meetings and the like: `ctl --complete KIND WORD`.

Called at each press of Tab by the scripts that tools/make_manual.py generates: it prints a
candidate a line, and nothing at all when the appliance is down or slow.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence

from appliance.ctl.client import ControlClient, ControlError
from appliance.ctl.exit_codes import DONE
from appliance.ctl.names import list_known

FLAG = "--complete"
LIMIT_S = 2.0
"""For the answer of the appliance."""
_MOST = 200
_RECORDING, _TOKEN = "recording", "token"
_OWED = "owed recording"
_VERSION, _WINDOW, _MAINTAINED = "version", "window", "maintained"
"""A maintenance window or a server that has one; the first word of `servers maintenance`."""
_SAFE = re.compile(r"[\w@%+=:,./~-]+", re.ASCII).fullmatch
"""Characters that no shell interprets: ids of meetings are chosen by users of front-ends."""


def offers(action: argparse.Action, kind: str) -> None:
    """Declare that an argument is completed with objects of a kind, without being resolved."""
    action.objects = kind  # type: ignore[attr-defined]


def kinds_by_action(parser: argparse.ArgumentParser) -> Iterable[tuple[argparse.Action, str]]:
    """Yield the arguments of a command that stand for objects, with their kind."""
    kind, dest = parser.get_default("named") or ("", "")
    for action in parser._actions:
        own = getattr(action, "objects", kind if action.dest == dest else "")
        if own:
            yield action, own


def complete(client: ControlClient, words: Sequence[str]) -> int:
    """Print the candidates for a word; words: the kind, and the beginning that was typed."""
    kind, word = [*words, "", ""][:2]
    try:
        names, ids = _list(client, kind)
    except (ControlError, LookupError, TypeError):
        return DONE
    # Names read better than ids; an id is offered to those who begin to type it.
    found = _matching(names, word) or _matching(ids, word)
    for candidate in found[:_MOST]:
        print(candidate)
    return DONE


def _list(client: ControlClient, kind: str) -> tuple[list[str], list[str]]:
    """Return names and ids. Raises ControlError, KeyError (no such kind)."""
    if kind == _RECORDING:
        answer = client.get_long("listRecordings", limit=str(_MOST))
        return [one["record_id"] for one in answer["recordings"]], []
    if kind == _OWED:
        owed = client.get("getOwedRecordings")
        names = [one["meeting"] for one in owed if one["meeting"]]
        return names, [one["record_id"] for one in owed]
    if kind == _TOKEN:
        return [one["name"] for one in client.get("listTokens")], []
    if kind == _WINDOW:
        windows = client.get("listMaintenance")
        return sorted({one for each in windows for one in (each["id"], each["server_id"])}), []
    if kind == _VERSION:
        return [one["version"] for one in client.get("getVersions") if one["version"]], []
    if kind == _MAINTAINED:
        names, ids = _list(client, "server")
        return [*names, "cancel", "list"], ids
    known = list_known(client, kind)
    named = [name for one in known for name in one.names]
    return named or [one.id for one in known], [one.id for one in known]


def _matching(candidates: Iterable[str], word: str) -> list[str]:
    return sorted({one for one in candidates if one.startswith(word) and _SAFE(one)})
