"""Server lists as YAML files: the input of `servers sync` and `add-all`, the output of export.

Pure. A file is accepted completely or rejected with all its problems, each with line and server.
Source: Scalelite's README, `servers:sync`, `servers:yaml` and `servers:addAll`. The output of
Scalelite's `servers:yaml` (names with a leading colon, Ruby's decimals) is accepted too.
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
from appliance.servers.sync.yaml_entry import EntryReader, ServerListProblem, field_name
from appliance.servers.sync.yaml_limits import render_tenant_limits
from appliance.servers.sync.yaml_nodes import Mapping as YamlMapping
from appliance.servers.sync.yaml_nodes import Node, UnreadableYaml, parse_yaml
from appliance.servers.sync.yaml_nodes import Sequence as YamlSequence
from appliance.servers.values import MAX_PORT, NewServer, check_dial_in, check_id, check_tag
from appliance.tenants.limits import TenantLimits

_VALUES = ("load_multiplier", "tag", "max_meetings", "max_users", "dial_in", "dial_in_port")
_FIELDS = ("url", "secret", "enabled", *_VALUES)
_SHOWN_ONLY = ("state", "load", "bbb_version", "online")
"""Written by export --verbose and by Scalelite; ignored when a list is read."""
_NEW_FIELDS = ("url", "secret", "id", *_VALUES)
_BARE_HOST = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?(?::[0-9]{1,5})?"
).fullmatch
_NONE: Mapping[str, str] = MappingProxyType({})
_UNKNOWN_LOAD = -1.0
"""Scalelite's value for an unknown load."""


@dataclass(frozen=True, slots=True)
class WantedServer:
    """One server of the file for `servers sync`. None: not given, so the value is kept."""

    id: ServerId
    url: str
    secret: str = field(repr=False)
    enabled: bool = True
    load_multiplier: float = 1.0
    tag: str | None = None
    max_meetings: int | None = None
    max_users: int | None = None
    dial_in: str | None = None
    dial_in_port: int | None = None


class BadServerList(Exception):
    """The file is invalid; `problems` lists all its problems."""

    def __init__(self, problems: Sequence[ServerListProblem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def read_document(text: str) -> Node:
    """Return the document of a file. Raises BadServerList: it is no YAML."""
    try:
        return parse_yaml(text)
    except UnreadableYaml as error:
        raise BadServerList([ServerListProblem(error.line, "", str(error))]) from None


def parse_server_list(document: Node, known_ids: Collection[str] = ()) -> tuple[WantedServer, ...]:
    """Return the servers of a file for `servers sync`, in its order.

    `known_ids` are those of the servers in the pool, which may be any that Scalelite allows.
    Raises BadServerList.
    """
    servers = _find_servers(document)
    if not isinstance(servers, YamlMapping):
        reason = "`servers` must map ids to servers, as `servers export` prints them"
        raise BadServerList([ServerListProblem(servers.line, "", reason)])
    problems: list[ServerListProblem] = []
    seen: dict[str, int] = {}
    wanted = []
    for name, node in servers.pairs:
        entry = EntryReader(name.text, name.line, problems)
        if name.text in seen:
            entry.add_problem(name.line, f"it is on line {seen[name.text]} already")
        seen.setdefault(name.text, name.line)
        entry.check_id(name, known_ids)
        if entry.read(node, _FIELDS, _SHOWN_ONLY):
            wanted.append(_wanted(entry))
    if problems:
        raise BadServerList(problems)
    return tuple(wanted)


def _find_servers(document: Node) -> Node:
    if isinstance(document, YamlMapping):
        for name, node in document.pairs:
            if field_name(name) == "servers":
                return node
    raise BadServerList([ServerListProblem(document.line, "", "there is no `servers:` in it")])


def _wanted(entry: EntryReader) -> WantedServer:
    """Return the server; if it has problems, with placeholders."""
    return WantedServer(
        id=ServerId(entry.name),
        url=entry.text("url", check_url, f"https://{entry.name}/bigbluebutton/api") or "",
        secret=entry.secret(),
        enabled=entry.boolean("enabled"),
        load_multiplier=entry.multiplier(),
        tag=entry.removable("tag", check_tag),
        max_meetings=entry.limit("max_meetings"),
        max_users=entry.limit("max_users"),
        dial_in=entry.removable("dial_in", check_dial_in),
        dial_in_port=entry.limit("dial_in_port", MAX_PORT),
    )


def parse_new_servers(text: str, taken: Mapping[str, str] = _NONE) -> tuple[NewServer, ...]:
    """Return the servers of a file for `servers add-all`, in its order.

    `taken` are the URLs of the servers in the pool, by id. Raises BadServerList.
    """
    servers = _find_servers(read_document(text))
    if not isinstance(servers, YamlSequence):
        reason = "`servers` must be a list here (`- url: …`); a file of ids is for `servers sync`"
        raise BadServerList([ServerListProblem(servers.line, "", reason)])
    problems: list[ServerListProblem] = []
    ids = dict(taken)
    found = []
    for number, node in enumerate(servers.items, 1):
        entry = EntryReader(f"no. {number}", node.line, problems)
        if entry.read(node, _NEW_FIELDS, _SHOWN_ONLY):
            new = _new_server(entry)
            if new.id is not None and ids.setdefault(new.id, new.url) != new.url:
                entry.add_problem(node.line, f"the id {new.id} is another server's")
            found.append(new)
    if problems:
        raise BadServerList(problems)
    return tuple(found)


def _new_server(entry: EntryReader) -> NewServer:
    return NewServer(
        url=entry.required("url", _complete_url),
        secret=entry.secret(),
        id=entry.text("id", check_id, None),
        load_multiplier=entry.multiplier(),
        tag=entry.removable("tag", check_tag) or "",
        max_meetings=entry.limit("max_meetings") or 0,
        max_users=entry.limit("max_users") or 0,
        dial_in=entry.removable("dial_in", check_dial_in) or "",
        dial_in_port=entry.limit("dial_in_port", MAX_PORT) or 0,
    )


def _complete_url(text: str) -> str:
    """Complete a bare host name to an API endpoint, and check it."""
    return check_url(f"https://{text}/bigbluebutton/api" if _BARE_HOST(text) else text)


def render_server_list(
    servers: Sequence[Server],
    limits: Mapping[str, TenantLimits] = MappingProxyType({}),
    *,
    verbose: bool = False,
) -> str:
    """Return a file that makes a pool like this one. It contains the servers' secrets."""
    document: dict[str, Any] = {
        "servers": {server.id: _render(server, verbose) for server in servers}
    }
    if limits:
        document["tenants"] = render_tenant_limits(limits)
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
    # Scalelite rejects unknown fields, so they are written only if they have a value.
    if server.tag:
        fields["tag"] = server.tag
    if server.max_meetings:
        fields["max_meetings"] = server.max_meetings
    if server.max_users:
        fields["max_users"] = server.max_users
    if server.dial_in:
        fields["dial_in"] = server.dial_in
    if server.dial_in_port:
        fields["dial_in_port"] = server.dial_in_port
    if verbose:
        fields["state"] = server.state.value
        fields["load"] = _UNKNOWN_LOAD if server.load is None else server.load
        fields["bbb_version"] = server.bbb_version or ""
        fields["online"] = server.online
    return fields
