"""Reads one server of a YAML server list, field by field, and collects its problems.

Pure. No problem contains a secret. The lists themselves are read in yaml_list.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from appliance.bbb.endpoint import UnacceptableValue, check_secret
from appliance.servers.sync.yaml_nodes import RUBY_DECIMAL, Mapping, Node, Scalar
from appliance.servers.values import MAX_LIMIT, check_id, check_multiplier

_SCALELITE_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}").fullmatch
_NUMBER = re.compile(r"[0-9]{0,15}(?:\.[0-9]{0,15})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch


@dataclass(frozen=True, slots=True)
class ServerListProblem:
    """One problem of a server list."""

    line: int
    """0: not known."""
    owner: str
    """Id or number of the server, or name of the tenant; empty: the file as a whole."""
    reason: str
    kind: str = "server"
    """Of the owner: `server` or `tenant`."""

    def __str__(self) -> str:
        """Return one readable line."""
        line = f"line {self.line}: " if self.line else ""
        about = f"{self.kind} {self.owner}: " if self.owner else ""
        return f"{line}{about}{self.reason}"


def field_name(name: Scalar) -> str:
    """Return the name of a field without the leading colon of a Ruby symbol."""
    return name.text.removeprefix(":")


class EntryReader:
    """Reads the fields of one server and adds its problems to those of the list."""

    def __init__(self, name: str, line: int, problems: list[ServerListProblem]) -> None:
        self.name = name
        self._line = line
        self._problems = problems
        self._before = len(problems)
        self._given: dict[str, Scalar] = {}

    def add_problem(self, line: int, reason: str) -> None:
        """Add a problem."""
        self._problems.append(ServerListProblem(line, self.name, reason))

    def check_id(self, name: Scalar, known_ids: Collection[str]) -> None:
        """Check an id; a new one as strictly as `servers add` does."""
        if name.text in known_ids and _SCALELITE_ID(name.text):
            return
        try:
            check_id(name.text)
        except UnacceptableValue as error:
            self.add_problem(name.line, str(error))

    def read(self, node: Node, names: Collection[str], ignored: Collection[str]) -> bool:
        """Read the fields; False: there are none."""
        if not isinstance(node, Mapping):
            self.add_problem(node.line, "it must have fields, `secret` at least")
            return False
        for key, value in node.pairs:
            name = field_name(key)
            if name in ignored:
                continue
            if name not in names:
                self.add_problem(key.line, f"unknown field `{name}` (known: {', '.join(names)})")
            elif name in self._given:
                self.add_problem(key.line, f"`{name}` is given twice")
            elif not isinstance(value, Scalar):
                self.add_problem(value.line, f"`{name}` must be a single value")
            else:
                self._given[name] = value
        return True

    @property
    def is_valid(self) -> bool:
        """Whether the server has had no problem so far."""
        return len(self._problems) == self._before

    # The methods below read one field each. For an invalid one they add a problem and return a
    # placeholder.

    def _value(self, name: str) -> Scalar | None:
        value = self._given.get(name)
        return None if value is None or value.is_null else value

    def text(self, name: str, check: Callable[[str], str], default: str | None) -> str | None:
        """Read a string and validate it with a check of values.py."""
        value = self._value(name)
        text, line = (value.text, value.line) if value else (default, self._line)
        if text is None or not (value or self.is_valid):
            return None  # not given, or a default derived from an invalid id
        try:
            return check(text)
        except UnacceptableValue as error:
            self.add_problem(line, str(error))
            return None

    def required(self, name: str, check: Callable[[str], str]) -> str:
        """Read a required string."""
        if self._value(name) is None:
            self.add_problem(self._line, f"it has no {name}")
            return ""
        return self.text(name, check, None) or ""

    def secret(self) -> str:
        """Read the secret."""
        return self.required("secret", check_secret)

    def removable(self, name: str, check: Callable[[str], str]) -> str | None:
        """Read a string; a field without value removes it."""
        if name in self._given and self._value(name) is None:
            return ""
        return self.text(name, check, None)

    def boolean(self, name: str) -> bool:
        """Read a boolean, true by default."""
        value = self._value(name)
        if value is None:
            return True
        if value.truth is None:
            self.add_problem(value.line, f"`{name}` must be true or false")
        return bool(value.truth)

    def multiplier(self) -> float:
        """Read the load multiplier, 1 by default."""
        value = self._value("load_multiplier")
        if value is None:
            return 1.0
        try:
            return check_multiplier(_number(value))
        except UnacceptableValue as error:
            self.add_problem(value.line, str(error))
            return 1.0

    def limit(self, name: str, most: int = MAX_LIMIT) -> int | None:
        """Read a limit; 0 or a field without value removes it."""
        if name not in self._given:
            return None
        value = self._value(name)
        number = 0.0 if value is None else _number(value)
        if value is not None and not (number.is_integer() and 0 <= number <= most):
            self.add_problem(
                value.line, f"`{name}` must be a whole number up to {most}, 0 for no limit"
            )
            return None
        return int(number)


def _number(value: Scalar) -> float:
    """Parse a number; NaN: it is not one."""
    text = value.text
    if value.tag == RUBY_DECIMAL:
        text = text.partition(":")[2]  # `18:0.1e1`: the digits before the colon are a precision
    if not text or not _NUMBER(text):
        return math.nan
    try:
        return float(text)
    except ValueError:  # a lone dot
        return math.nan
