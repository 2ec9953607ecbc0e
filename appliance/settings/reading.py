"""Parses each variable of the environment on its own, and collects origins, problems and warnings.

Reads the files that NAME_FILE variables name. The rules between variables are in conflicts.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from appliance.redaction import MASK, escape_control, mask_text
from appliance.settings import (
    access_variables,
    fleet_variables,
    pool_variables,
    recording_variables,
)
from appliance.settings.addresses import POSTGRESQL, REDIS
from appliance.settings.kinds import Kind
from appliance.settings.package_files import SOURCES, exported_names, source_of
from appliance.settings.param_rules import RuleError
from appliance.settings.table import Variable
from appliance.settings.typo_suggestions import suggest_name

T = TypeVar("T")

SECTIONS = (
    *access_variables.SECTIONS,
    *pool_variables.SECTIONS,
    *fleet_variables.SECTIONS,
    *recording_variables.SECTIONS,
)
VARIABLES: tuple[Variable[Any], ...] = tuple(
    variable for section in SECTIONS for variable in section.variables
)
KNOWN_NAMES = frozenset(
    name
    for variable in VARIABLES
    for name in (
        variable.name,
        *variable.fallbacks,
        *((variable.file_name,) if variable.secret else ()),
    )
)
_MAX_SHOWN = 120
_MAX_SECRET_BYTES = 65536


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """An error in the configuration that prevents the start."""

    name: str
    """The variable."""
    shown_value: str | None
    """Quoted, masked if it is secret; None: the problem is not about a single value."""
    message: str

    def __str__(self) -> str:
        """Return a line for the operator."""
        value = "" if self.shown_value is None else f"={self.shown_value}"
        return f"{self.name}{value}: {self.message}"


@dataclass(frozen=True, slots=True)
class Values:
    """The values of the environment, variable by variable."""

    parsed: Mapping[str, object] = field(repr=False)
    """Variables that are set and valid."""
    sources: Mapping[str, str]
    problems: tuple[SettingProblem, ...]
    warnings: tuple[str, ...]

    def find(self, variable: Variable[T]) -> T | None:
        """Return the value, else the default, else None."""
        return cast("T | None", self.parsed.get(variable.name, variable.default))

    def get(self, variable: Variable[T]) -> T:
        """Return the value, else the default, of a variable that has one."""
        return cast("T", self.parsed.get(variable.name, variable.default))

    def is_set(self, variable: Variable[Any]) -> bool:
        """Return whether the variable is set and valid."""
        return variable.name in self.parsed

    def is_bad(self, variable: Variable[Any]) -> bool:
        """Return whether a problem was found in the variable."""
        return any(
            problem.name in (variable.name, variable.file_name, *variable.fallbacks)
            for problem in self.problems
        )


@dataclass(frozen=True, slots=True)
class _RawValue:
    name: str
    raw: str = field(repr=False)
    source: str


def read_values(environ: Mapping[str, str]) -> Values:
    """Parse every variable of the table; problems and warnings are collected, not raised."""
    parsed: dict[str, object] = {}
    sources: dict[str, str] = {}
    problems: list[SettingProblem] = []
    warnings: list[str] = []
    for variable in VARIABLES:
        found = _find_raw(variable, environ)
        if isinstance(found, SettingProblem):
            problems.append(found)
        elif found is not None:
            try:
                parsed[variable.name] = _parse(variable, found.raw)
            except ValueError as error:
                reason = f"{error}; " if isinstance(error, RuleError) else ""
                problems.append(_bad_value(variable.kind, found, reason))
                continue
            sources[variable.name] = found.source
            hint = variable.kind.warn(found.raw)
            warnings.extend([f"{found.name}: {hint}"] if hint else [])
    return Values(parsed, sources, tuple(problems), (*warnings, *_unknown_names(environ)))


def _parse(variable: Variable[Any], raw: str) -> object:
    if variable.empty_is_a_value and raw == "":
        return ""
    return variable.kind.parse(raw)


def _find_raw(
    variable: Variable[Any], environ: Mapping[str, str]
) -> _RawValue | SettingProblem | None:
    path = environ.get(variable.file_name, "").strip() if variable.secret else ""
    own = _environment(variable.name, environ, empty=variable.empty_is_a_value)
    if path and own is not None:
        return SettingProblem(
            variable.name, None, f"set either {variable.name} or {variable.file_name}, not both"
        )
    if path:
        return _read_file(variable.file_name, path)
    if own is not None:
        return _RawValue(variable.name, own, source_of(variable.name, environ))
    for name in variable.fallbacks:
        raw = _environment(name, environ)
        if raw is not None:
            return _RawValue(name, raw, f"environment ({name})")
    return None


def _environment(name: str, environ: Mapping[str, str], *, empty: bool = False) -> str | None:
    raw = environ.get(name)
    if raw is None or (not raw.strip() and not (empty and raw == "")):
        # A value of blanks is a mistake; it must not turn off FSAPI_PASSWORD.
        return None
    return raw


def _read_file(name: str, path: str) -> _RawValue | SettingProblem:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        text = content.decode()
    except OSError as error:
        return SettingProblem(name, _quoted(path), f"cannot be read: {error.strerror}")
    except ValueError:
        return SettingProblem(name, _quoted(path), "expected a file of UTF-8 text")
    if len(content) > _MAX_SECRET_BYTES:
        return SettingProblem(name, _quoted(path), f"expected at most {_MAX_SECRET_BYTES} bytes")
    text = text.rstrip("\r\n")
    if not text.strip():
        # Unlike an empty variable: an operator who names a file expects a secret in it.
        return SettingProblem(name, _quoted(path), "the file is empty")
    return _RawValue(name, text, f"file {path}")


def _bad_value(kind: Kind[Any], found: _RawValue, reason: str) -> SettingProblem:
    if not kind.secret:
        shown = _quoted(mask_text(found.raw))
    elif kind is POSTGRESQL or kind is REDIS:
        # The URL did not parse, so the end of its password is unknown.
        match = re.match(r"\s*([a-z0-9+]{1,20}://)(?:.*@([^@?]*))?", found.raw, re.DOTALL)
        tail = f"@{match[2]}" if match and match[2] is not None else ""
        shown = _quoted(f"{match[1]}{MASK}{tail}") if match else MASK
    else:
        shown = MASK
    return SettingProblem(found.name, shown, f"{reason}expected {kind.expected}")


def _quoted(text: str) -> str:
    text = escape_control(text)
    return f'"{text[:_MAX_SHOWN]}…"' if len(text) > _MAX_SHOWN else f'"{text}"'


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    accepted = KNOWN_NAMES | frozenset(recording_variables.WITHOUT_MEANING)
    files = {f"{name}_FILE": name for name in KNOWN_NAMES}
    warnings = [
        f"{name} in {path} is ignored: remove the `export` before it"
        for name, path in exported_names(environ)
    ]
    for name in sorted(environ.keys() - accepted - {SOURCES}):
        if name in files:
            warnings.append(f"{name} is ignored: only a secret can come from a file")
        elif (suggestion := suggest_name(name, KNOWN_NAMES)) is not None:
            warnings.append(f"{escape_control(name)} is unknown; did you mean {suggestion}?")
    return warnings
