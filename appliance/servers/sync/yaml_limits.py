"""Limits of tenants in the file of `servers sync`, under `tenants:` beside `servers:`. Pure.

    tenants:
      school:
        limits: {max_meetings: 20, max_users: }

An empty limit is removed, one that is not named is kept. Source: docs/tenants.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from appliance.servers.sync.yaml_entry import ServerListProblem, field_name
from appliance.servers.sync.yaml_nodes import Mapping as YamlMapping
from appliance.servers.sync.yaml_nodes import Node, Scalar
from appliance.tenants.limits import TenantLimits, check_limit

Limits = Mapping[str, Mapping[str, str]]
"""By name of the tenant; an empty value removes a limit."""


def parse_tenant_limits(document: Node) -> tuple[Limits, list[ServerListProblem]]:
    """Return the limits of a file, and the problems found in them."""
    problems: list[ServerListProblem] = []
    found: dict[str, dict[str, str]] = {}
    for name, tenant in _pairs(_child(document, "tenants"), "", problems):
        values = found.setdefault(name, {})
        for limit, node in _pairs(_child(tenant, "limits"), name, problems):
            if not isinstance(node, Scalar):
                problems.append(_problem(node.line, name, f"{limit} must be a number"))
                continue
            try:
                values[limit] = check_limit(limit, "" if node.is_null else node.text)
            except ValueError as error:
                problems.append(_problem(node.line, name, str(error)))
    return {name: values for name, values in found.items() if values}, problems


def render_tenant_limits(limits: Mapping[str, TenantLimits]) -> dict[str, object]:
    """Return what stands under `tenants:` in a file."""
    return {
        name: {"limits": {limit: _plain(value) for limit, value in one.limits.items()}}
        for name, one in limits.items()
    }


def unknown_tenant(name: str) -> ServerListProblem:
    """Return the problem of a tenant that does not exist."""
    return _problem(0, name, "there is no such tenant")


def _problem(line: int, name: str, reason: str) -> ServerListProblem:
    return ServerListProblem(line, name, reason, kind="tenant")


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value


def _child(node: Node, name: str) -> Node | None:
    if isinstance(node, YamlMapping):
        for key, child in node.pairs:
            if field_name(key) == name:
                return child
    return None


def _pairs(
    node: Node | None, owner: str, problems: list[ServerListProblem]
) -> list[tuple[str, Node]]:
    if node is None or (isinstance(node, Scalar) and node.is_null):
        return []
    if not isinstance(node, YamlMapping):
        reason = f"{'limits' if owner else 'tenants'} must map names to values"
        problems.append(_problem(node.line, owner, reason))
        return []
    return [(field_name(key), child) for key, child in node.pairs]
