"""What a variable's value can be: how it is read, what is expected, how it is shown.

Pure. A parser raises ValueError for every text it does not understand; the message to the operator
is made from `expected`, so parsers need no text of their own.
Truth: spec/configuration.md, the rules above the table.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from appliance.bbb.checksum import Algorithm
from appliance.bbb.params import Params
from appliance.redaction import MASK, is_secret_name

T = TypeVar("T")

_NUMBER = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})").fullmatch
_COUNT = re.compile(r"[0-9]{1,15}").fullmatch
_SIZE = re.compile(r"([0-9]{1,16})\s?(?:([KMGT])(?:iB)?|B)?").fullmatch
_POWERS = {"K": 10, "M": 20, "G": 30, "T": 40}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

MAX_COUNT = 2**31 - 1
"""PostgreSQL's and FreeSWITCH's integers; nobody counts further."""
MAX_SECONDS = 1_000_000_000
"""31 years; Redis refuses expiries that overflow its milliseconds."""
MAX_BYTES = 2**53
MAX_SOCKET_PATH_BYTES = 107
"""Source: unix(7), sun_path less its final NUL."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value."""

    expected: str
    parse: Callable[[str], T]
    """Raises ValueError."""
    show: Callable[[T], str]
    """Spells a value as the variable would; blots out what is secret in it."""
    unit: str = ""
    secret: bool = False
    """The variable may come from NAME_FILE, and its text is not shown when it is wrong."""
    warn: Callable[[str], str | None] = lambda _raw: None
    """What to tell the operator about a text that parses."""


def _no_controls(raw: str) -> str:
    if not all(char.isprintable() for char in raw):
        raise ValueError(raw)
    return raw


def text(expected: str = "text on one line", pattern: str = ".+") -> Kind[str]:
    """Return the kind of text that matches pattern as a whole."""
    match = re.compile(pattern).fullmatch

    def parse(raw: str) -> str:
        value = _no_controls(raw.strip())
        if match(value) is None:
            raise ValueError(value)
        return value

    return Kind(expected, parse, str)


def choice(names: Iterable[str], aliases: dict[str, str] | None = None) -> Kind[str]:
    """Return the kind of one of some words, in any case."""
    known = {name: name for name in names} | (aliases or {})

    def parse(raw: str) -> str:
        try:
            return known[raw.strip().lower()]
        except KeyError:
            raise ValueError(raw) from None

    return Kind("one of " + ", ".join(known), parse, str)


def _parse_boolean(raw: str) -> bool:
    word = raw.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(raw)


def show_boolean(value: bool) -> str:
    """Spell a boolean as Scalelite does."""
    return "true" if value else "false"


BOOLEAN: Kind[bool] = Kind("true or false (also 1/0, yes/no, on/off)", _parse_boolean, show_boolean)


def count(low: int = 0, high: int = MAX_COUNT, unit: str = "") -> Kind[int]:
    """Return the kind of whole numbers from low to high."""

    def parse(raw: str) -> int:
        raw = raw.strip()
        if _COUNT(raw) is None or not low <= int(raw) <= high:
            raise ValueError(raw)
        return int(raw)

    return Kind(f"a whole number from {low} to {high}", parse, str, unit)


def per_minute() -> Kind[int]:
    """Return the kind of rates: `30` or `30/min`."""
    number = count()
    return Kind(
        "a whole number of tries per minute from 0, such as 30 or 30/min",
        lambda raw: number.parse(raw.strip().removesuffix("/min")),
        str,
        "/min",
    )


def show_number(value: float) -> str:
    """Spell a number without a needless fraction."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def duration(unit: str, *, zero: bool = False, max_s: float = MAX_SECONDS) -> Kind[float]:
    """Return the kind of durations in unit (`s`, `min`, `days`), decimals allowed, up to max_s."""
    word, seconds = {"s": ("seconds", 1), "min": ("minutes", 60), "days": ("days", 86400)}[unit]
    high = math.floor(max_s / seconds)

    def parse(raw: str) -> float:
        raw = raw.strip()
        if _NUMBER(raw) is None:
            raise ValueError(raw)
        value = float(raw)
        if value > high or (value == 0 and not zero):
            raise ValueError(raw)
        return value

    low = "from 0" if zero else "above 0"
    return Kind(f"{word} {low}, at most {high}, such as 5 or 2.5", parse, show_number, unit)


def _parse_size(raw: str) -> int:
    match = _SIZE(raw.strip())
    if match is None:
        raise ValueError(raw)
    value = int(match[1]) << _POWERS.get(match[2], 0)
    if value > MAX_BYTES:
        raise ValueError(raw)
    return value


def _show_size(value: int) -> str:
    for letter in reversed(_POWERS):
        if value and value % (1 << _POWERS[letter]) == 0:
            return f"{value >> _POWERS[letter]}{letter}iB"
    return str(value)


SIZE: Kind[int] = Kind(
    f"bytes from 0 to {MAX_BYTES}, such as 1048576 or 256MiB", _parse_size, _show_size
)


def _parse_path(raw: str) -> Path:
    raw = _no_controls(raw.strip())
    if not raw.startswith("/"):
        raise ValueError(raw)
    return Path(raw)


def _parse_socket_path(raw: str) -> Path:
    path = _parse_path(raw)
    if len(str(path).encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(raw)
    return path


PATH: Kind[Path] = Kind("an absolute path", _parse_path, str)
SOCKET_PATH: Kind[Path] = Kind(
    f"an absolute path of at most {MAX_SOCKET_PATH_BYTES} bytes", _parse_socket_path, str
)


def names(separators: str, expected: str, pattern: str = r"\S+") -> Kind[tuple[str, ...]]:
    """Return the kind of lists of names; blanks around and empty items do not count.

    A list without any name is an error: it says something else than leaving the variable empty.
    """
    match = re.compile(pattern).fullmatch
    split = re.compile(f"[{separators}]").split

    def parse(raw: str) -> tuple[str, ...]:
        items = [item.strip() for item in split(_no_controls(raw))]
        found = tuple(dict.fromkeys(item for item in items if item))
        if not found or not all(match(item) for item in found):
            raise ValueError(raw)
        return found

    def show(value: tuple[str, ...]) -> str:
        return separators[0].join(value)

    return Kind(expected, parse, show)


TUNING_NAMES = ("connections", "asyncio-loop", "garbage-collector", "allocator")
TUNINGS = names(",", f"some of {', '.join(TUNING_NAMES)}, separated by ','", "|".join(TUNING_NAMES))


def _parse_algorithms(raw: str) -> frozenset[Algorithm]:
    items = [item.strip().upper() for item in raw.split(":")]
    found = frozenset(Algorithm(item) for item in items if item)
    if not found:
        raise ValueError(raw)
    return found


ALGORITHMS: Kind[frozenset[Algorithm]] = Kind(
    "some of SHA1, SHA256, SHA384, SHA512, separated by ':'",
    _parse_algorithms,
    lambda value: ":".join(algorithm for algorithm in Algorithm if algorithm in value),
)


def parse_params(raw: str) -> Params:
    r"""Parse `name=value,name=value`; `\,` is a comma in a value, a later name replaces an earlier.

    Every other backslash stands for itself, as it always did in Scalelite.
    Raises ValueError: an item without `=` or without a name.
    """
    found: dict[str, str] = {}
    for item in re.split(r"(?<!\\),", _no_controls(raw)):
        if not item.strip():
            continue
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise ValueError(item)
        found[name.strip()] = value.replace("\\,", ",")
    return tuple(found.items())


def render_params(params: Params) -> str:
    """Spell parameters so that `parse_params` reads them again."""
    return ",".join(f"{name}={value}".replace(",", "\\,") for name, value in params)


def _show_params(params: Params) -> str:
    masked = tuple((name, MASK if is_secret_name(name) else value) for name, value in params)
    return render_params(masked)


PARAMS: Kind[Params] = Kind(
    r"name=value,name=value ('\,' for a comma in a value)", parse_params, _show_params
)


def _parse_secret(raw: str) -> str:
    if not raw.strip():
        raise ValueError
    return _no_controls(raw)


def _show_secret(_value: object) -> str:
    return MASK


SECRET: Kind[str] = Kind("one line of text", _parse_secret, _show_secret, secret=True)


def _parse_secrets(raw: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(item for item in _no_controls(raw).split(":") if item.strip()))
    if not found:
        raise ValueError
    return found


SECRETS: Kind[tuple[str, ...]] = Kind(
    "secrets separated by ':'",
    _parse_secrets,
    lambda value: ":".join(MASK for _ in value),
    secret=True,
)


def _parse_pem(raw: str) -> bytes:
    try:
        decoded = base64.b64decode("".join(raw.split()), validate=True)
    except binascii.Error:
        raise ValueError from None
    if b"PRIVATE KEY-----" not in decoded:
        raise ValueError
    return decoded


PEM_BASE64: Kind[bytes] = Kind(
    "a private key in PEM form, encoded as base64", _parse_pem, _show_secret, secret=True
)
