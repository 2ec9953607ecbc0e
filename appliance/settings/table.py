"""Defines a row of the table of environment variables; the rows are in *_variables.py.

Parsing, `config check`, the sample configuration and docs/configuration.md are all generated from
these rows, so a row knows nothing about the use of its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from appliance.settings.kinds import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable(Generic[T]):
    """One environment variable."""

    name: str
    kind: Kind[T]
    default: T | None
    meaning: str
    """Effect and reason to change it, for the operator."""
    fallbacks: tuple[str, ...] = ()
    """Variables that are read, in this order, when this one is unset."""
    default_text: str = ""
    """Describes the behaviour without a value where `default` cannot."""
    example: str = ""
    empty_is_a_value: bool = False
    """Only FSAPI_PASSWORD: empty differs from unset."""

    @property
    def secret(self) -> bool:
        """Return whether NAME_FILE is read as well."""
        return self.kind.secret

    @property
    def file_name(self) -> str:
        """Return the variable that holds the path of a file with the value."""
        return f"{self.name}_FILE"

    def shown_default(self) -> str:
        """Return the default with its unit, as documentation shows it; empty if there is none."""
        if self.default is None:
            return self.default_text
        text = self.kind.show(self.default)
        unit = self.kind.unit if self.kind.unit.startswith("/") else f" {self.kind.unit}"
        text = text + unit if self.kind.unit else text
        return f"{text} ({self.default_text})" if self.default_text else text


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its variables."""

    title: str
    about: str
    variables: tuple[Variable[Any], ...]


def variables_of(namespace: Mapping[str, object], *, after: str = "") -> tuple[Variable[Any], ...]:
    """Return the variables among a module's globals in the order of their definition.

    after: skip everything up to the variable of this name.
    """
    found = [value for value in list(namespace.values()) if isinstance(value, Variable)]
    names = [variable.name for variable in found]
    return tuple(found[names.index(after) + 1 if after else 0 :])
