"""Environment -> one value per variable, with where it came from and every problem on the way.

Reads the files that NAME_FILE names, nothing else. Knows the rules that hold for every variable;
what variables mean together is `load`'s. Truth: spec/configuration.md, the rules above the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from appliance.redaction import MASK, escape_control, mask_text
from appliance.settings import access_variables, pool_variables, recording_variables
from appliance.settings.addresses import POSTGRESQL, REDIS
from appliance.settings.kinds import Kind
from appliance.settings.near_misses import find_near_miss
from appliance.settings.package_files import SOURCES, source_of
from appliance.settings.table import Variable

T = TypeVar("T")

SECTIONS = (
    *access_variables.SECTIONS,
    *pool_variables.SECTIONS,
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
class Problem:
    """One thing that stops the start."""

    name: str
    shown: str | None
    """The value, masked if it is secret; None: it is not about one value."""
    expected: str

    def __str__(self) -> str:
        """Return one line for the operator."""
        return f"{self.name}{'' if self.shown is None else '=' + self.shown}: {self.expected}"


@dataclass(frozen=True, slots=True)
class Values:
    """What the environment says, variable by variable."""

    parsed: Mapping[str, object] = field(repr=False)
    """Only what was set and is good."""
    sources: Mapping[str, str]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]

    def find(self, variable: Variable[T]) -> T | None:
        """Return the value, else the default, else None."""
        return cast("T | None", self.parsed.get(variable.name, variable.default))

    def get(self, variable: Variable[T]) -> T:
        """Return the value, else the default, of a variable that has one."""
        return cast("T", self.parsed.get(variable.name, variable.default))

    def is_set(self, variable: Variable[Any]) -> bool:
        """Tell whether a good value was given."""
        return variable.name in self.parsed

    def is_bad(self, variable: Variable[Any]) -> bool:
        """Tell whether the variable has a problem already."""
        return any(
            problem.name in (variable.name, variable.file_name, *variable.fallbacks)
            for problem in self.problems
        )


@dataclass(frozen=True, slots=True)
class _Given:
    name: str
    raw: str = field(repr=False)
    source: str


def read_values(environ: Mapping[str, str]) -> Values:
    """Parse every variable of the table; problems and warnings are collected, none is raised."""
    parsed: dict[str, object] = {}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    warnings: list[str] = []
    for variable in VARIABLES:
        given = _find(variable, environ)
        if isinstance(given, Problem):
            problems.append(given)
        elif given is not None:
            try:
                parsed[variable.name] = _parse(variable, given.raw)
            except ValueError:
                problems.append(_bad_value(variable.kind, given))
                continue
            sources[variable.name] = given.source
            hint = variable.kind.warn(given.raw)
            warnings.extend([f"{given.name}: {hint}"] if hint else [])
    return Values(parsed, sources, tuple(problems), (*warnings, *_unknown_names(environ)))


def _parse(variable: Variable[Any], raw: str) -> object:
    if variable.empty_is_a_value and raw == "":
        return ""
    return variable.kind.parse(raw)


def _find(variable: Variable[Any], environ: Mapping[str, str]) -> _Given | Problem | None:
    path = environ.get(variable.file_name, "").strip() if variable.secret else ""
    own = _environment(variable.name, environ, empty=variable.empty_is_a_value)
    if path and own is not None:
        return Problem(
            variable.name, None, f"set either {variable.name} or {variable.file_name}, not both"
        )
    if path:
        return _read_file(variable.file_name, path)
    if own is not None:
        return _Given(variable.name, own, source_of(variable.name, environ))
    for name in variable.fallbacks:
        raw = _environment(name, environ)
        if raw is not None:
            return _Given(name, raw, f"environment ({name})")
    return None


def _environment(name: str, environ: Mapping[str, str], *, empty: bool = False) -> str | None:
    raw = environ.get(name)
    if raw is None or (not raw.strip() and not (empty and raw == "")):
        # Blanks alone are a slip of the pen, and must not switch FSAPI_PASSWORD off.
        return None
    return raw


def _read_file(name: str, path: str) -> _Given | Problem:
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        text = content.decode()
    except OSError as error:
        return Problem(name, _quoted(path), f"cannot be read: {error.strerror}")
    except ValueError:
        return Problem(name, _quoted(path), "expected a file of UTF-8 text")
    if len(content) > _MAX_SECRET_BYTES:
        return Problem(name, _quoted(path), f"expected at most {_MAX_SECRET_BYTES} bytes")
    text = text.rstrip("\r\n")
    if not text.strip():
        # Not the same as unset: whoever names a file means to have a secret in it.
        return Problem(name, _quoted(path), "the file is empty")
    return _Given(name, text, f"file {path}")


def _bad_value(kind: Kind[Any], given: _Given) -> Problem:
    if not kind.secret:
        shown = _quoted(mask_text(given.raw))
    elif kind is POSTGRESQL or kind is REDIS:
        # It did not parse, so nobody knows where its password ends.
        match = re.match(r"\s*([a-z0-9+]{1,20}://)(?:.*@([^@?]*))?", given.raw, re.DOTALL)
        tail = f"@{match[2]}" if match and match[2] is not None else ""
        shown = _quoted(f"{match[1]}{MASK}{tail}") if match else MASK
    else:
        shown = MASK
    return Problem(given.name, shown, f"expected {kind.expected}")


def _quoted(text: str) -> str:
    text = escape_control(text)
    return f'"{text[:_MAX_SHOWN]}…"' if len(text) > _MAX_SHOWN else f'"{text}"'


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    ours = KNOWN_NAMES | frozenset(recording_variables.WITHOUT_MEANING)
    files = {f"{name}_FILE": name for name in KNOWN_NAMES}
    warnings = []
    for name in sorted(environ.keys() - ours - {SOURCES}):
        if name in files:
            warnings.append(f"{name} is not read: only secrets can come from a file")
        elif (meant := find_near_miss(name, KNOWN_NAMES)) is not None:
            warnings.append(f"{escape_control(name)} is not a variable of ours; is {meant} meant?")
    return warnings
