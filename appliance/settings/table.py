"""What one row of the table of variables says; the rows are in *_variables.py.

Must not know what a value is used for: parsing, `config check`, the sample configuration and
docs/configuration.md are all made from these rows.
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
    """What it does and why one would change it, for the operator."""
    fallbacks: tuple[str, ...] = ()
    """Read in this order when the variable itself is unset."""
    default_text: str = ""
    """Says what happens without a value where `default` cannot."""
    example: str = ""
    empty_is_a_value: bool = False
    """Only FSAPI_PASSWORD: empty is not the same as unset."""

    @property
    def secret(self) -> bool:
        """Whether NAME_FILE is read as well."""
        return self.kind.secret

    @property
    def file_name(self) -> str:
        """Name of the variable that holds the path of a file with the value."""
        return f"{self.name}_FILE"

    def shown_default(self) -> str:
        """Return the default as documentation shows it, with its unit; empty if there is none."""
        if self.default is None:
            return self.default_text
        text = self.kind.show(self.default)
        spaced = self.kind.unit if self.kind.unit.startswith("/") else f" {self.kind.unit}"
        text = text + spaced if self.kind.unit else text
        return f"{text} ({self.default_text})" if self.default_text else text


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its variables."""

    title: str
    about: str
    variables: tuple[Variable[Any], ...]


def variables_of(namespace: Mapping[str, object], *, after: str = "") -> tuple[Variable[Any], ...]:
    """Return the variables among a module's globals in the order they were written.

    after: only those that follow the variable of this name.
    """
    found = [value for value in list(namespace.values()) if isinstance(value, Variable)]
    names = [variable.name for variable in found]
    return tuple(found[names.index(after) + 1 if after else 0 :])
