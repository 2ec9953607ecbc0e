"""YAML that a person wrote, as a small tree in which every value knows its line.

Pure. Nothing of it is ever made into an object, and a value that asks for one is refused: whoever
wrote it meant something else. Anchors and aliases are refused (a few lines of them unfold to
gigabytes), as is nesting that no file of ours has. Scalars keep the text as it is written, since
a secret of digits is no number.
Source: YAML 1.1 (https://yaml.org/spec/1.1/), which Scalelite's files are written in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 12
MAX_CHARS = 512 * 1024

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where there is one: ten times as fast."""
RUBY_DECIMAL = "!ruby/object:BigDecimal"
"""The one type of Ruby's that files of Scalelite's hold."""
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
    """The text is no YAML, or holds what is refused; `str()` quotes nothing of it."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, truth or nothing."""

    line: int
    text: str
    plain: bool
    """Not quoted, so it may be a number, a truth or nothing."""
    tag: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it says that there is no value."""
        return self.plain and self.text in _NULLS

    @property
    def truth(self) -> bool | None:
        """Return the truth it spells, None if it is none; quoted ones count too."""
        word = self.text.lower()
        return True if word in _TRUE else False if word in _FALSE else None


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Names and values in their order; a name may be there twice."""

    line: int
    pairs: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping


def parse_yaml(text: str) -> Node:
    """Return the document of a text. Raises UnreadableYaml."""
    if len(text) > MAX_CHARS:
        raise UnreadableYaml(1, f"it is longer than {MAX_CHARS // 1024} KiB")
    try:
        events = _Events(text)
        return _read_document(events)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise UnreadableYaml(mark.line + 1 if mark else 1, _reason(error)) from None
    except yaml.YAMLError:
        raise UnreadableYaml(1, "it holds characters that YAML does not allow") from None


def _reason(error: yaml.MarkedYAMLError) -> str:
    # `problem` names a character at most; the rest of the error would quote the line.
    return f"it is no valid YAML: {error.problem or 'syntax error'}"


class _Events:
    """The parser's events, one at a time, without those that are refused."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)

    def next(self) -> Any:
        """Return the next event. Raises UnreadableYaml."""
        event = next(self._events)
        if getattr(event, "anchor", None) is not None:  # an alias has it, too
            raise UnreadableYaml(_line(event), "anchors and aliases (& and *) are not taken")
        if getattr(event, "tag", None) not in _TAGS:
            raise UnreadableYaml(_line(event), "types of a program (a value with !) are not taken")
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
        raise UnreadableYaml(_line(event), "it holds more than one document")
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
            raise UnreadableYaml(_line(event), "a name must be a plain text")
        name = _read(events, event, depth)
        assert isinstance(name, Scalar)
        yield name, _read(events, events.next(), depth + 1)
