"""Parse hand-written YAML into a small tree in which every value has its line.

Pure. No value becomes an object of a type that the file names; such a value is refused. Anchors and
aliases are refused, because a few lines of them expand to gigabytes, and so is deep nesting.
Scalars keep their text as written, since a secret of digits is no number.
Source: YAML 1.1 (https://yaml.org/spec/1.1/), the version of Scalelite's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 12
MAX_CHARS = 512 * 1024

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser of libyaml, where it is available, is ten times as fast."""
RUBY_DECIMAL = "!ruby/object:BigDecimal"
"""The only Ruby type in Scalelite's files."""
_TAGS = frozenset(
    {
        *(None, "!", RUBY_DECIMAL),
        *(
            f"tag:yaml.org,2002:{name}"
            for name in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp")
        ),
    }
)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


class UnreadableYaml(Exception):
    """The text is not YAML, or holds something that is refused; `str()` quotes nothing of it."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, a number, a boolean or null."""

    line: int
    text: str
    plain: bool
    """Not quoted, so it may be a number, a boolean or null."""
    tag: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it is null."""
        return self.plain and self.text in _NULLS

    @property
    def truth(self) -> bool | None:
        """Return the boolean it spells, quoted or not; None: it spells none."""
        word = self.text.lower()
        return True if word in _TRUE else False if word in _FALSE else None


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Names and values in order; a name may occur twice."""

    line: int
    pairs: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping


def parse_yaml(text: str) -> Node:
    """Parse a text of one document. Raises UnreadableYaml."""
    if len(text) > MAX_CHARS:
        raise UnreadableYaml(1, f"it is longer than {MAX_CHARS // 1024} KiB")
    try:
        events = _Events(text)
        return _read_document(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise UnreadableYaml(mark.line + 1 if mark else 1, _reason(error)) from None
    except yaml.YAMLError:
        raise UnreadableYaml(1, "it contains characters that YAML does not allow") from None


def _reason(error: yaml.MarkedYAMLError) -> str:
    # `problem` names a character at most; the rest of the error would quote the line.
    return f"it is not valid YAML: {error.problem or 'syntax error'}"


class _Events:
    """The events of the parser; refuses those that are not allowed."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def next(self) -> Any:
        """Return the next event. Raises UnreadableYaml."""
        event = next(self._events)
        if getattr(event, "anchor", None) is not None:  # set for an alias, too
            raise UnreadableYaml(_line(event), "anchors and aliases (& and *) are not allowed")
        if getattr(event, "tag", None) not in _TAGS:
            raise UnreadableYaml(_line(event), "types (values with !) are not allowed")
        return event


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _read_document(events: _Events) -> Node:
    events.next()  # the start of the stream
    event = events.next()
    if isinstance(event, yaml.StreamEndEvent):
        return Scalar(1, "", plain=True)
    node = _read(events, events.next(), 1)
    events.next()  # the end of the document
    event = events.next()
    if not isinstance(event, yaml.StreamEndEvent):
        raise UnreadableYaml(_line(event), "it contains more than one document")
    return node


def _read(events: _Events, event: Any, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise UnreadableYaml(_line(event), "it is nested too deeply")
    if isinstance(event, yaml.ScalarEvent):
        plain = bool(event.implicit[0]) and not event.style
        return Scalar(_line(event), event.value, plain, event.tag or "")
    if isinstance(event, yaml.SequenceStartEvent):
        return Sequence(_line(event), tuple(_read_items(events, depth)))
    return Mapping(_line(event), tuple(_read_pairs(events, depth)))


def _read_items(events: _Events, depth: int) -> Iterator[Node]:
    while not isinstance(event := events.next(), yaml.SequenceEndEvent):
        yield _read(events, event, depth + 1)


def _read_pairs(events: _Events, depth: int) -> Iterator[tuple[Scalar, Node]]:
    while not isinstance(event := events.next(), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise UnreadableYaml(_line(event), "a name must be plain text")
        name = _read(events, event, depth)
        assert isinstance(name, Scalar)
        yield name, _read(events, events.next(), depth + 1)
