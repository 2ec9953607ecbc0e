"""Names of servers, tenants and meetings in place of their ids.

A command declares with `takes_names` which argument holds ids. Before it runs, each word is
replaced by the id that it stands for: an exact id wins, then a name (of a server: its host), then
the beginning of an id or a name that no other has. A word that stands for nothing is kept, and the
appliance refuses it. This is so for rake tasks as well, which know only ids in Scalelite. Commands
that are also about what was removed pass every word on, since it may be the name of that.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.ctl.arguments import did_you_mean
from appliance.ctl.client import LONG_S, ControlClient, ControlError, Refusal
from appliance.ctl.console import Console


class AmbiguousName(ControlError):
    """A word stands for several ids; `str()` lists them, one a line."""


@dataclass(frozen=True, slots=True)
class Named:
    """Something that can be addressed."""

    id: str
    names: tuple[str, ...] = ()
    """In lower case."""

    def __str__(self) -> str:
        others = [name for name in self.names if name != self.id]
        return f"{self.id} ({', '.join(others)})" if others else self.id


def takes_names(
    command: argparse.ArgumentParser, kind: str, dest: str, *, exact: bool = False
) -> None:
    """Declare that an argument holds an id or ids. kind: server, tenant or meeting.

    exact: the appliance finds it by id or name, also what was removed; no beginning stands for it.
    """
    command.set_defaults(named=(kind, dest), exact_names=exact)


def resolve_arguments(console: Console, client: ControlClient, args: Namespace) -> None:
    """Replace names by ids in the arguments of a command. Raises ControlError, AmbiguousName."""
    kind, dest = getattr(args, "named", ("", ""))
    given = getattr(args, dest) if kind else None
    if not given:
        return
    words = [given] if isinstance(given, str) else given
    known = list_known(client, kind, words)
    found = [Named(word) if args.exact_names else resolve(kind, word, known) for word in words]
    args.hint = _find_hint(found, known)
    for word, one in zip(words, found, strict=True):
        if word.lower() not in (one.id.lower(), *one.names):
            console.error(f"note: {word} is {kind} {one}")
    ids = [one.id for one in found]
    setattr(args, dest, ids[0] if isinstance(given, str) else ids)


def _find_hint(found: Sequence[Named], known: Sequence[Named]) -> str:
    """Return what the first word that stands for nothing may mean; empty: nothing is alike."""
    ids = {one.id for one in known}
    unknown = next((one.id for one in found if one.id not in ids), "")
    # Not bbb10 for bbb1, which may have been removed.
    names = [text for one in known for text in (*one.names, one.id) if not text.startswith(unknown)]
    return did_you_mean(unknown, names) if unknown else ""


def resolve(kind: str, word: str, known: Sequence[Named]) -> Named:
    """Return what a word stands for; if it is nothing, the word as an id. Raises AmbiguousName."""
    if not word or any(one.id == word for one in known):
        return Named(word)
    plain = word.lower()
    same = [one for one in known if plain in one.names]
    found = same or [one for one in known if _begins(one, plain)]
    if len(found) > 1:
        candidates = "".join(f"\n  {one}" for one in found)
        raise AmbiguousName(f"{word} stands for several {kind}s; nothing was changed:{candidates}")
    return found[0] if found else Named(word)


def _begins(one: Named, plain: str) -> bool:
    return any(_is_prefix(plain, text) for text in (one.id.lower(), *one.names))


def _is_prefix(plain: str, text: str) -> bool:
    """Return whether a text begins with another, which must not end within a number.

    Otherwise bbb1, after it was removed, would stand for bbb10. Random ids have no numbers.
    """
    if not text.startswith(plain):
        return False
    within = plain[-1].isdigit() and text[len(plain) : len(plain) + 1].isdigit()
    return not within or _is_random(text)


def _is_random(text: str) -> bool:
    return len(text) >= 32 and all(char in "0123456789abcdef-" for char in text)


# --- what there is -------------------------------------------------------------------------------


def list_known(client: ControlClient, kind: str, words: Sequence[str] = ()) -> list[Named]:
    """Return everything of a kind; if all words are ids, perhaps only these."""
    return _LISTS[kind](client, words)


def _list_servers(client: ControlClient, words: Sequence[str]) -> list[Named]:
    return [
        Named(one["id"], (one["hostname"].lower(),)) for one in client.get("getStatus")["servers"]
    ]


def _list_retired(client: ControlClient, words: Sequence[str]) -> list[Named]:
    return [Named(one["id"], (one["hostname"].lower(),)) for one in client.get("getRetiredServers")]


def _list_known_servers(client: ControlClient, words: Sequence[str]) -> list[Named]:
    """Return the servers, the retired ones, and those that are neither but owe recordings."""
    owed = client.get("getOwedRecordings")
    owing = [Named(one["server"], (one["hostname"].lower(),)) for one in owed]
    servers = [*owing, *_list_retired(client, words), *_list_servers(client, words)]
    return list({one.id: one for one in servers}.values())


def _list_tenants(client: ControlClient, words: Sequence[str]) -> list[Named]:
    try:
        found = client.get("getTenants")
    except Refusal:  # multitenancy is off
        return []
    if not isinstance(found, list):  # without tenants the answer is a message
        return []
    return [Named(one["id"], (one["name"].lower(),)) for one in found]


def _list_meetings(client: ControlClient, words: Sequence[str]) -> list[Named]:
    """Return the meetings; if all words are ids, only those."""
    answer = client.post("listMeetings", {"ids": list(words)}, deadline_s=LONG_S)
    if answer["unknown"]:
        answer = client.post("listMeetings", {"ids": []}, deadline_s=LONG_S)
    return [Named(one["id"]) for one in answer["meetings"]]


_LISTS: dict[str, Callable[[ControlClient, Sequence[str]], list[Named]]] = {
    "server": _list_servers,
    "retired server": _list_retired,
    "known server": _list_known_servers,
    "tenant": _list_tenants,
    "meeting": _list_meetings,
}
