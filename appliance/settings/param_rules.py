r"""Rules for parameters of create and join as text, and their validation. Pure.

One rule is `NAME MODE [VALUE] [version=PATTERN]`; rules are separated by `;`, and `\;` is a
semicolon in a value. tenants/param_rules.py applies them. Source: docs/tenants.md.
"""

from __future__ import annotations

import re

from appliance.model import ParamRule

DEFAULT, OVERRIDE = "default", "override"
MODES = (DEFAULT, OVERRIDE, "require", "map", "append", "floor", "cap", "remove")
"""In the order in which they are applied."""
WITHOUT_VALUE = frozenset({"require", "remove"})
NUMERIC = frozenset({"cap", "floor"})
UNTOUCHABLE = frozenset({"checksum", "meetingID"})
RESERVED_PREFIX = "meta_tenant-"


class RuleError(ValueError):
    """A rule is wrong; the text says which one and why."""


is_param_name = re.compile(r"[\x21-\x7e]{1,255}").fullmatch
_NUMBER = re.compile(r"[0-9]{1,9}").fullmatch
_PATTERN = re.compile(r"[A-Za-z0-9.*?+_-]{1,50}").fullmatch


def plain_name(name: str) -> str:
    """Return the name of a parameter as BBB takes it: that of metadata in lower case.

    So settings that are spelled differently are about one parameter.
    """
    return name.lower() if name.startswith("meta_") else name


def check_rule(rule: ParamRule) -> ParamRule:
    """Return the rule. Raises ValueError, whose text says what is wrong."""
    if rule.mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}")
    if not is_param_name(rule.param):
        raise ValueError("the name must be printable ASCII characters without blanks")
    if rule.param in UNTOUCHABLE or rule.param.lower().startswith(RESERVED_PREFIX):
        raise ValueError(f"{rule.param} cannot be changed by rules")
    if not rule.value.isprintable():
        raise ValueError("the value must not hold control characters or line breaks")
    if rule.mode in WITHOUT_VALUE and rule.value:
        raise ValueError(f"{rule.mode} takes no value")
    if rule.mode in NUMERIC and not _NUMBER(rule.value):
        raise ValueError(f"{rule.mode} takes a whole number from 0 to 999999999")
    if rule.mode == "append" and not any(item.strip() for item in rule.value.split(",")):
        raise ValueError("append takes what is to be added to a list separated by commas")
    if rule.mode == "map" and ":" not in rule.value:
        raise ValueError("map takes old:new")
    if rule.version and not _PATTERN(rule.version):
        raise ValueError("the version is a pattern such as 3.0.* or 4.*")
    return rule


def parse_rules(raw: str) -> tuple[ParamRule, ...]:
    """Parse rules separated by `;`. Raises RuleError."""
    found: list[ParamRule] = []
    for item in re.split(r"(?<!\\);", raw):
        if words := item.replace("\\;", ";").strip().split(None, 2):
            try:
                found.append(_parse_rule(words))
            except ValueError as error:
                raise RuleError(f"rule {len(found) + 1}: {error}") from None
    if not found:
        raise RuleError("there is no rule")
    return tuple(found)


def _parse_rule(words: list[str]) -> ParamRule:
    """Parse name, mode and the rest of a rule. Raises ValueError."""
    if len(words) == 1:
        raise ValueError("the mode is missing")
    value, version = words[2].rstrip() if len(words) > 2 else "", ""
    head, _, last = value.rpartition(" ")
    if last.startswith("version="):
        value, version = head.rstrip(), last.removeprefix("version=")
        if not version:
            raise ValueError("the version is missing")
    return check_rule(ParamRule(words[0], words[1].lower(), value, version))


def render_rule(rule: ParamRule) -> str:
    """Format a rule for `parse_rules`."""
    version = f"version={rule.version}" if rule.version else ""
    words = (rule.param, rule.mode, rule.value.replace(";", "\\;"), version)
    return " ".join(word for word in words if word)
