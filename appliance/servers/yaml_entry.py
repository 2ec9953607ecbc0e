"""One server of a YAML list of servers while it is read: each field, and what is wrong with it.

Pure. No problem quotes a secret. The files themselves are in server_list.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from appliance.bbb.endpoint import UnacceptableValue, check_secret
from appliance.servers.values import MAX_LIMIT, check_id, check_multiplier, check_tag
from appliance.servers.yaml_nodes import RUBY_DECIMAL, Mapping, Node, Scalar

_SCALELITE_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}").fullmatch
_NUMBER = re.compile(r"[0-9]{0,15}(?:\.[0-9]{0,15})?(?:[eE][+-]?[0-9]{1,3})?").fullmatch


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line."""

    line: int
    server: str
    """Id or number of the server; empty: the file as a whole."""
    reason: str

    def __str__(self) -> str:
        """Return one line for people."""
        about = f"server {self.server}: " if self.server else ""
        return f"line {self.line}: {about}{self.reason}"


def field_name(name: Scalar) -> str:
    """Return a field's name; Ruby's symbols have a colon in front."""
    return name.text.removeprefix(":")


class Entry:
    """One server of the file while it is read."""

    def __init__(self, name: str, line: int, problems: list[Problem]) -> None:
        self.name = name
        self._line = line
        self._problems = problems
        self._before = len(problems)
        self._given: dict[str, Scalar] = {}

    def complain(self, line: int, reason: str) -> None:
        """Note a problem."""
        self._problems.append(Problem(line, self.name, reason))

    def check_id(self, name: Scalar, known_ids: Collection[str]) -> None:
        """Check an id: a new one as strictly as `servers add` does."""
        if name.text in known_ids and _SCALELITE_ID(name.text):
            return
        try:
            check_id(name.text)
        except UnacceptableValue as error:
            self.complain(name.line, str(error))

    def read(self, node: Node, names: Collection[str], ignored: Collection[str]) -> bool:
        """Read the fields; False: there are none at all."""
        if not isinstance(node, Mapping):
            self.complain(node.line, "it must have fields, `secret` at least")
            return False
        for key, value in node.pairs:
            name = field_name(key)
            if name in ignored:
                continue
            if name not in names:
                self.complain(key.line, f"unknown field `{name}` (known: {', '.join(names)})")
            elif name in self._given:
                self.complain(key.line, f"`{name}` is given twice")
            elif not isinstance(value, Scalar):
                self.complain(value.line, f"`{name}` must be a single value")
            else:
                self._given[name] = value
        return True

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong so far."""
        return len(self._problems) == self._before

    # One field each; what is wrong is noted, and some value returned.

    def _value(self, name: str) -> Scalar | None:
        value = self._given.get(name)
        return None if value is None or value.is_null else value

    def text(self, name: str, check: Callable[[str], str], default: str | None) -> str | None:
        """Read a text that a check of core.server_values accepts."""
        value = self._value(name)
        text, line = (value.text, value.line) if value else (default, self._line)
        if text is None or not (value or self.sound):
            return None  # nothing given, or a default made of an id that was refused
        try:
            return check(text)
        except UnacceptableValue as error:
            self.complain(line, str(error))
            return None

    def needed(self, name: str, check: Callable[[str], str]) -> str:
        """Read a text that must be there."""
        if self._value(name) is None:
            self.complain(self._line, f"it has no {name}")
            return ""
        return self.text(name, check, None) or ""

    def secret(self) -> str:
        """Read the secret."""
        return self.needed("secret", check_secret)

    def tag(self) -> str | None:
        """Read the tag; a name without a value removes it."""
        if "tag" in self._given and self._value("tag") is None:
            return ""
        return self.text("tag", check_tag, None)

    def truth(self, name: str) -> bool:
        """Read a truth; not given means true."""
        value = self._value(name)
        if value is None:
            return True
        if value.truth is None:
            self.complain(value.line, f"`{name}` must be true or false")
        return bool(value.truth)

    def multiplier(self) -> float:
        """Read the load multiplier, 1 by default."""
        value = self._value("load_multiplier")
        if value is None:
            return 1.0
        try:
            return check_multiplier(_number(value))
        except UnacceptableValue as error:
            self.complain(value.line, str(error))
            return 1.0

    def limit(self, name: str) -> int | None:
        """Read a limit; 0, or no value, removes it."""
        if name not in self._given:
            return None
        value = self._value(name)
        number = 0.0 if value is None else _number(value)
        if value is not None and not (number.is_integer() and 0 <= number <= MAX_LIMIT):
            self.complain(
                value.line, f"`{name}` must be a whole number up to {MAX_LIMIT}, 0 for no limit"
            )
            return None
        return int(number)


def _number(value: Scalar) -> float:
    """Return a number, NaN for what is none."""
    text = value.text
    if value.tag == RUBY_DECIMAL:
        text = text.partition(":")[2]  # `18:0.1e1`: the digits before the colon are a precision
    if not text or not _NUMBER(text):
        return math.nan
    try:
        return float(text)
    except ValueError:  # a lone dot
        return math.nan
