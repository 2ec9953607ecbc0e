"""Limits of tenants in the file of `servers sync`, under `tenants:` beside `servers:`. Pure.

    tenants:
      school:
        limits: {max_meetings: 20, max_users: }

An empty limit is removed, one that is not named is kept. Source: docs/tenants.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from appliance.admin_calls.refusal import Refused
from appliance.servers.sync.yaml_entry import ServerListProblem, field_name
from appliance.servers.sync.yaml_nodes import Mapping as YamlMapping
from appliance.servers.sync.yaml_nodes import Node, Scalar
from appliance.tenants.administration import match_tenant
from appliance.tenants.limits import TenantLimits, check_limit

Limits = Mapping[str, Mapping[str, str]]
"""By name of the tenant; an empty value removes a limit."""


def parse_tenant_limits(document: Node) -> tuple[Limits, list[ServerListProblem]]:
    """Return the limits of a file, and the problems found in them."""
    problems: list[ServerListProblem] = []
    found: dict[str, dict[str, str]] = {}
    fields = _fields(document, "", ("servers", "tenants"), problems)
    for key, tenant in _pairs(fields.get("tenants"), "", "`tenants`", problems):
        name = field_name(key)
        if name in found:
            problems.append(_problem(key.line, name, "it is there twice"))
        found[name] = {}
        given = _fields(tenant, name, ("limits",), problems)
        for limit, node in _pairs(given.get("limits"), name, "`limits`", problems):
            _read_limit(found[name], name, field_name(limit), node, problems)
    return {name: values for name, values in found.items() if values}, problems


def _read_limit(
    values: dict[str, str], name: str, limit: str, node: Node, problems: list[ServerListProblem]
) -> None:
    if not isinstance(node, Scalar):
        problems.append(_problem(node.line, name, f"{limit} must be a number"))
        return
    if limit in values:
        problems.append(_problem(node.line, name, f"{limit} is given twice"))
    try:
        values[limit] = check_limit(limit, "" if node.is_null else node.text)
    except ValueError as error:
        problems.append(_problem(node.line, name, str(error)))


def render_tenant_limits(limits: Mapping[str, TenantLimits]) -> dict[str, object]:
    """Return what stands under `tenants:` in a file."""
    return {
        name: {"limits": {limit: _plain(value) for limit, value in one.limits.items()}}
        for name, one in limits.items()
    }


def match_limits(
    limits: Limits, ids: Mapping[str, str], problems: list[ServerListProblem]
) -> dict[str, str]:
    """Return the names of a file by id of the tenant, in any case. ids: by name."""
    names = {tenant_id: name for name, tenant_id in ids.items()}
    found: dict[str, str] = {}
    for given in limits:
        try:
            tenant_id = match_tenant(names, given)
        except Refused:
            problems.append(_problem(0, given, "there is no such tenant"))
            continue
        if found.setdefault(tenant_id, given) != given:
            problems.append(_problem(0, given, f"it is there as {found[tenant_id]}, too"))
    return found


def changed_limits(values: Mapping[str, str], present: TenantLimits | None) -> dict[str, str]:
    """Return the limits of a tenant that a file changes."""
    before = {} if present is None else present.limits
    return {
        limit: value
        for limit, value in values.items()
        if (float(value) if value else None) != before.get(limit)
    }


def _problem(line: int, name: str, reason: str) -> ServerListProblem:
    return ServerListProblem(line, name, reason, kind="tenant")


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value


def _fields(
    node: Node, owner: str, names: Collection[str], problems: list[ServerListProblem]
) -> dict[str, Node]:
    """Return the fields of the file or of a tenant; others than these are problems.

    Scalelite ignores what else is in a file, as where YAML's anchors are, so there only what looks
    like a misspelt field is one.
    """
    found = {}
    for key, child in _pairs(node, owner, "it", problems):
        name = field_name(key)
        found[name] = child
        if name not in names and (owner or get_close_matches(name, names)):
            reason = f"unknown field `{name}` (known: {', '.join(names)})"
            problems.append(_problem(key.line, owner, reason))
    return found


def _pairs(
    node: Node | None, owner: str, what: str, problems: list[ServerListProblem]
) -> Sequence[tuple[Scalar, Node]]:
    if isinstance(node, YamlMapping):
        return node.pairs
    if node is not None and not (isinstance(node, Scalar) and node.is_null):
        problems.append(_problem(node.line, owner, f"{what} must map names to values"))
    return ()
