"""Lists of servers as YAML files: what `servers sync` and `add-all` take, what export gives.

Pure. A file is understood whole or not at all: every problem of it is found, with line and server.
Truth: Scalelite's README, `servers:sync`, `servers:yaml` and `servers:addAll`. What Scalelite's own
`servers:yaml` prints (names with a colon before them, Ruby's decimals) is understood as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from appliance.bbb.endpoint import check_url
from appliance.model import Server, ServerId, ServerState
from appliance.servers.values import NewServer, check_id
from appliance.servers.yaml_entry import Entry, Problem, field_name
from appliance.servers.yaml_nodes import Mapping as YamlMapping
from appliance.servers.yaml_nodes import Node, UnreadableYaml, parse_yaml
from appliance.servers.yaml_nodes import Sequence as YamlSequence

_FIELDS = ("url", "secret", "enabled", "load_multiplier", "tag", "max_meetings", "max_users")
_SHOWN_ONLY = ("state", "load", "bbb_version", "online")
"""Written by export --verbose, and by Scalelite's; read by nobody."""
_NEW_FIELDS = ("url", "secret", "id", "load_multiplier", "tag", "max_meetings", "max_users")
_BARE_HOST = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?(?::[0-9]{1,5})?"
).fullmatch
_NONE: Mapping[str, str] = MappingProxyType({})
_UNKNOWN_LOAD = -1.0
"""As Scalelite writes it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One server as the file wants it. None: the file does not say, so it stays as it is."""

    id: ServerId
    url: str
    secret: str = field(repr=False)
    enabled: bool = True
    load_multiplier: float = 1.0
    tag: str | None = None
    max_meetings: int | None = None
    max_users: int | None = None


class BadServerList(Exception):
    """The file cannot be used as it is; `problems` has everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def parse_server_list(text: str, known_ids: Collection[str] = ()) -> tuple[Wanted, ...]:
    """Return the servers of a file for `servers sync`, in its order.

    known_ids: of servers that are there already; theirs may be any that Scalelite allows.
    Raises BadServerList.
    """
    servers = _find_servers(text)
    if not isinstance(servers, YamlMapping):
        reason = "`servers` must map ids to servers, as `servers export` prints them"
        raise BadServerList([Problem(servers.line, "", reason)])
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    wanted = []
    for name, node in servers.pairs:
        entry = Entry(name.text, name.line, problems)
        if name.text in seen:
            entry.complain(name.line, f"it is on line {seen[name.text]} already")
        seen.setdefault(name.text, name.line)
        entry.check_id(name, known_ids)
        if entry.read(node, _FIELDS, _SHOWN_ONLY):
            wanted.append(_wanted(entry))
    if problems:
        raise BadServerList(problems)
    return tuple(wanted)


def _find_servers(text: str) -> Node:
    try:
        document = parse_yaml(text)
    except UnreadableYaml as error:
        raise BadServerList([Problem(error.line, "", str(error))]) from None
    if isinstance(document, YamlMapping):
        for name, node in document.pairs:
            if field_name(name) == "servers":
                return node
    raise BadServerList([Problem(document.line, "", "there is no `servers:` in it")])


def _wanted(entry: Entry) -> Wanted:
    """Return the server, or some server if something is wrong with it."""
    return Wanted(
        id=ServerId(entry.name),
        url=entry.text("url", check_url, f"https://{entry.name}/bigbluebutton/api") or "",
        secret=entry.secret(),
        enabled=entry.truth("enabled"),
        load_multiplier=entry.multiplier(),
        tag=entry.tag(),
        max_meetings=entry.limit("max_meetings"),
        max_users=entry.limit("max_users"),
    )


def parse_new_servers(text: str, taken: Mapping[str, str] = _NONE) -> tuple[NewServer, ...]:
    """Return the servers of a file for `servers add-all`, in its order.

    taken: the urls of the servers that are there already, by id. Raises BadServerList.
    """
    servers = _find_servers(text)
    if not isinstance(servers, YamlSequence):
        reason = "`servers` must be a list here (`- url: …`); a file of ids is for `servers sync`"
        raise BadServerList([Problem(servers.line, "", reason)])
    problems: list[Problem] = []
    ids = dict(taken)
    found = []
    for number, node in enumerate(servers.items, 1):
        entry = Entry(f"no. {number}", node.line, problems)
        if entry.read(node, _NEW_FIELDS, _SHOWN_ONLY):
            new = _new_server(entry)
            if new.id is not None and ids.setdefault(new.id, new.url) != new.url:
                entry.complain(node.line, f"the id {new.id} is another server's")
            found.append(new)
    if problems:
        raise BadServerList(problems)
    return tuple(found)


def _new_server(entry: Entry) -> NewServer:
    return NewServer(
        url=entry.needed("url", _complete_url),
        secret=entry.secret(),
        id=entry.text("id", check_id, None),
        load_multiplier=entry.multiplier(),
        tag=entry.tag() or "",
        max_meetings=entry.limit("max_meetings") or 0,
        max_users=entry.limit("max_users") or 0,
    )


def _complete_url(text: str) -> str:
    """Make an API endpoint of a bare host, and check it."""
    return check_url(f"https://{text}/bigbluebutton/api" if _BARE_HOST(text) else text)


def render_server_list(servers: Sequence[Server], *, verbose: bool = False) -> str:
    """Return the file that makes a pool like this one. It holds the servers' secrets."""
    document = {"servers": {server.id: _render(server, verbose) for server in servers}}
    text: str = yaml.dump(
        document,
        Dumper=_DUMPER,
        sort_keys=False,
        explicit_start=True,
        default_flow_style=False,
        allow_unicode=True,
        width=4096,
    )
    return text


_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _render(server: Server, verbose: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "url": server.url,
        "secret": server.secret,
        "load_multiplier": float(server.load_multiplier),
        "enabled": server.state is ServerState.ENABLED,
    }
    # Scalelite refuses fields that it does not know: only where they say something.
    if server.tag:
        fields["tag"] = server.tag
    if server.max_meetings:
        fields["max_meetings"] = server.max_meetings
    if server.max_users:
        fields["max_users"] = server.max_users
    if verbose:
        fields["state"] = server.state.value
        fields["load"] = _UNKNOWN_LOAD if server.load is None else server.load
        fields["bbb_version"] = server.bbb_version or ""
        fields["online"] = server.online
    return fields
