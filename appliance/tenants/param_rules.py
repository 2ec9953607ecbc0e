"""Applies rules for parameters of create and join: one pure function. Source: docs/tenants.md.

The order within one layer (the pool's rules, then the tenant's): by mode as in MODES, rules of one
mode as they were given. A rule with a version applies only if the meeting's server has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from appliance.bbb.errors import ApiError, missing_parameter
from appliance.bbb.params import Params, get, merge_params, replace_param, spell_metadata
from appliance.model import ParamRule, Tenant
from appliance.settings import ApiSettings
from appliance.settings.param_rules import MODES
from appliance.tenants.params import add_tenant, drop_reserved

Layers = tuple[tuple[ParamRule, ...], ...]
"""Weakest first, the pool's and the tenant's; empty without any rule."""

UNLIMITED_AT_ZERO = frozenset({"duration", "maxParticipants", "meetingCameraCap", "userCameraCap"})
"""Without them, or with 0, there is no limit: so a cap applies, and every floor is met."""

_MAX_DIGITS = 9


def create_layers(api: ApiSettings, tenant: Tenant | None) -> Layers:
    """Return the rules for a create."""
    of_tenant = tenant.create_rules if tenant is not None else ()
    return (api.create_rules, of_tenant) if api.create_rules or of_tenant else ()


def join_layers(api: ApiSettings, tenant: Tenant | None) -> Layers:
    """Return the rules for a join."""
    of_tenant = tenant.join_rules if tenant is not None else ()
    return (api.join_rules, of_tenant) if api.join_rules or of_tenant else ()


def merge_create_params(params: Params, api: ApiSettings, tenant: Tenant | None) -> Params:
    """Return the parameters of a create that do not depend on its server. Raises ApiError."""
    merged = merge_params(
        params,
        defaults=(api.default_create, tenant.default_create if tenant else ()),
        overrides=(api.override_create, tenant.override_create if tenant else ()),
        excluded=api.create_exclude,
    )
    merged = apply_rules(merged, create_layers(api, tenant))
    merged = cap_duration(merged, api.max_meeting_duration_min)
    # Settings could contain the tenant's metadata in another case: BBB lower-cases the names.
    return add_tenant(drop_reserved(merged, tenant), tenant) if tenant else merged


def merge_join_params(
    params: Params, api: ApiSettings, tenant: Tenant | None, *, refuses: bool = True
) -> Params:
    """Return the parameters of a join that do not depend on its server.

    Raises ApiError: one is required and missing; not unless `refuses`.
    """
    merged = merge_params(
        params,
        defaults=(api.default_join, tenant.default_join if tenant else ()),
        overrides=(api.override_join, tenant.override_join if tenant else ()),
        excluded=api.join_exclude,
    )
    layers = join_layers(api, tenant)
    if not refuses:
        layers = tuple(tuple(r for r in layer if r.mode != "require") for layer in layers)
    return apply_rules(merged, layers)


def cap_duration(params: Params, max_min: int) -> Params:
    """Return the parameters of a create with a duration of at most `max_min` minutes; 0: any."""
    return _apply(params, ParamRule("duration", "cap", str(max_min))) if max_min else params


def apply_rules(params: Params, layers: Layers, version: str | None = None) -> Params:
    """Return the parameters after the rules of all layers.

    Without a version only rules without one apply, with it only those whose pattern it matches: a
    call is changed twice, before and after its server is known. Raises ApiError: missingParameter.
    """
    for layer in layers:
        rules = [rule for rule in layer if _applies(rule, version)]
        params = spell_metadata(params, [rule.param for rule in rules])
        for mode in MODES:
            if mode == "map":
                params = _map_values(params, rules)
                continue
            for rule in rules:
                if rule.mode == mode:
                    params = _apply(params, rule)
    return params


def needs_version(layers: Layers) -> bool:
    """Whether a rule depends on the version of the server."""
    return any(rule.version for layer in layers for rule in layer)


def _applies(rule: ParamRule, version: str | None) -> bool:
    if version is None:
        return not rule.version
    return bool(rule.version) and fnmatchcase(version, rule.version)


def _map_values(params: Params, rules: Iterable[ParamRule]) -> Params:
    """Replace each value once, `a:b` and `b:c` turn `a` into `b`; of equal olds the last counts."""
    news: dict[tuple[str, str], str] = {}
    for rule in rules:
        if rule.mode == "map":
            old, _, new = rule.value.partition(":")
            news[rule.param, old] = new
    if not news:
        return params
    return tuple((name, news.get((name, value), value)) for name, value in params)


def _apply(params: Params, rule: ParamRule) -> Params:
    value = get(params, rule.param)
    if rule.mode == "default":
        return params if value is not None else (*params, (rule.param, rule.value))
    if rule.mode == "override":
        return replace_param(params, rule.param, rule.value)
    if rule.mode == "remove":
        return replace_param(params, rule.param, None)
    if rule.mode == "require":
        if not (value or "").strip():
            raise ApiError(missing_parameter(rule.param))
        return params
    if rule.mode == "append":
        return replace_param(params, rule.param, _join(value or "", rule.value))
    return replace_param(params, rule.param, _bound(rule, value))


def _join(items: str, more: str) -> str:
    """Return a list separated by commas with more items, each once."""
    found = (item.strip() for item in f"{items},{more}".split(","))
    return ",".join(dict.fromkeys(item for item in found if item))


def _bound(rule: ParamRule, value: str | None) -> str | None:
    """Return the value of a number within the bound of a rule.

    A value that BBB cannot read as a number becomes the bound.
    """
    value = value if value is None else value.strip()
    bound, number = int(rule.value), _number(value)
    if rule.param in UNLIMITED_AT_ZERO and not number:
        unlimited = number == 0 or not value
        return value if unlimited and (rule.mode == "floor" or bound == 0) else rule.value
    if value is None:
        return None
    if number is None:
        return rule.value
    within = number <= bound if rule.mode == "cap" else number >= bound
    return value if within else rule.value


def _number(value: str | None) -> float | None:
    """Parse a plain number; a longer one is above every bound."""
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    digits = value.lstrip("0")
    return float("inf") if len(digits) > _MAX_DIGITS else int(digits or "0")
