"""Kinds of values: how each is parsed, described and shown. Pure.

A parser raises ValueError, without a message, for every text that it does not accept: the message
for the operator is built from `Kind.expected`.
"""

from __future__ import annotations

import base64
import math
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.model import ParamRule
from appliance.redaction import MASK, is_secret_name
from appliance.settings.model import Algorithm
from appliance.settings.param_rules import MODES, parse_rules, render_rule

T = TypeVar("T")

_NUMBER = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})").fullmatch
_FLOAT = re.compile(r"[0-9.eE+-]{1,40}").fullmatch
_COUNT = re.compile(r"[0-9]{1,15}").fullmatch
_SIZE = re.compile(r"([0-9]{1,16})\s?(?:([KMGT])(?:iB)?|B)?").fullmatch
_POWERS = {"K": 10, "M": 20, "G": 30, "T": 40}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

MAX_COUNT = 2**31 - 1
"""Largest integer of PostgreSQL and FreeSWITCH."""
MAX_SECONDS = 1_000_000_000
"""31 years; Redis refuses an expiry that overflows in milliseconds."""
MAX_BYTES = 2**53
MAX_SOCKET_PATH_BYTES = 107
"""Source: unix(7), `sun_path` without the final NUL."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value."""

    expected: str
    parse: Callable[[str], T]
    """Raises ValueError."""
    show: Callable[[T], str]
    """Formats a value in the syntax of the variable, with secrets masked."""
    unit: str = ""
    secret: bool = False
    """The variable can come from NAME_FILE, and error messages do not quote its value."""
    warn: Callable[[str], str | None] = lambda _raw: None
    """Returns a warning about a text that parses, or None."""


def _require_printable(raw: str) -> str:
    if not all(char.isprintable() for char in raw):
        raise ValueError(raw)
    return raw


def text(expected: str = "text on one line", pattern: str = ".+") -> Kind[str]:
    """Return the kind of a text that matches the whole pattern."""
    match = re.compile(pattern).fullmatch

    def parse(raw: str) -> str:
        value = _require_printable(raw.strip())
        if match(value) is None:
            raise ValueError(value)
        return value

    return Kind(expected, parse, str)


def choice(names: Iterable[str], aliases: dict[str, str] | None = None) -> Kind[str]:
    """Return the kind of a word from a list, in any case."""
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
    """Format a boolean as Scalelite does."""
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


def amount(high: int) -> Kind[float]:
    """Return the kind of numbers from 0 to high, decimals allowed."""

    def parse(raw: str) -> float:
        raw = raw.strip()
        if _FLOAT(raw) is None or not 0 <= float(raw) <= high:
            raise ValueError(raw)
        return abs(float(raw))  # "-0" is 0

    return Kind(f"a number from 0 to {high}, such as 3 or 0.5", parse, show_number)


def per_minute() -> Kind[int]:
    """Return the kind of rates: `30` or `30/min`."""
    number = count()
    return Kind(
        "a whole number of attempts per minute from 0, such as 30 or 30/min",
        lambda raw: number.parse(raw.strip().removesuffix("/min")),
        str,
        "/min",
    )


def show_number(value: float) -> str:
    """Format a number without trailing zeros."""
    return f"{value:.9f}".rstrip("0").rstrip(".")


def duration(unit: str, *, zero: bool = False) -> Kind[float]:
    """Return the kind of durations in a unit (`s`, `min`, `h`, `days`), decimals allowed."""
    word, seconds = {
        "s": ("seconds", 1),
        "min": ("minutes", 60),
        "h": ("hours", 3600),
        "days": ("days", 86400),
    }[unit]
    high = math.floor(MAX_SECONDS / seconds)

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
    raw = _require_printable(raw.strip())
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
    """Return the kind of lists of names; surrounding blanks and empty items are ignored.

    A list without any name is an error: an empty variable means unset, not an empty list.
    """
    match = re.compile(pattern).fullmatch
    split = re.compile(f"[{separators}]").split

    def parse(raw: str) -> tuple[str, ...]:
        items = [item.strip() for item in split(_require_printable(raw))]
        found = tuple(dict.fromkeys(item for item in items if item))
        if not found or not all(match(item) for item in found):
            raise ValueError(raw)
        return found

    def show(value: tuple[str, ...]) -> str:
        return separators[0].join(value)

    return Kind(expected, parse, show)


def _parse_command(raw: str) -> tuple[str, ...]:
    found = tuple(shlex.split(_require_printable(raw)))
    if not found or not found[0]:
        raise ValueError(raw)
    return found


COMMAND: Kind[tuple[str, ...]] = Kind(
    "a program and its arguments, quoted as in a shell", _parse_command, shlex.join
)


def _parse_time_zone(raw: str) -> str:
    name = _require_printable(raw.strip())
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):  # the name of a folder is an OSError
        raise ValueError(raw) from None
    return name


TIME_ZONE: Kind[str] = Kind(
    "a time zone of the IANA database, such as Europe/Berlin", _parse_time_zone, str
)


def _parse_prefix(raw: str) -> str:
    parts = [part for part in _require_printable(raw.strip()).split("/") if part]
    if any(part in (".", "..") for part in parts) or len("/".join(parts).encode()) > 400:
        raise ValueError(raw)
    return "/".join(parts)


OBJECT_PREFIX: Kind[str] = Kind("a path such as scalelite or a/b", _parse_prefix, str)


_SSE = re.compile(r"AES256|aws:kms(?::[!-~]{1,500})?").fullmatch


def _parse_sse(raw: str) -> str | None:
    raw = raw.strip()
    if raw == "none":
        return None
    if _SSE(raw) is None:
        raise ValueError(raw)
    return raw


SSE: Kind[str | None] = Kind(
    "none, AES256, aws:kms or aws:kms:KEY", _parse_sse, lambda value: value or "none"
)


TUNING_NAMES = (
    *("connections", "asyncio-loop", "garbage-collector", "allocator", "thread-switches"),
)
TUNINGS = names(",", f"any of {', '.join(TUNING_NAMES)}, separated by ','", "|".join(TUNING_NAMES))


def _parse_algorithms(raw: str) -> frozenset[Algorithm]:
    items = [item.strip().upper() for item in raw.split(":")]
    found = frozenset(Algorithm(item) for item in items if item)
    if not found:
        raise ValueError(raw)
    return found


ALGORITHMS: Kind[frozenset[Algorithm]] = Kind(
    "any of SHA1, SHA256, SHA384, SHA512, separated by ':'",
    _parse_algorithms,
    lambda value: ":".join(algorithm for algorithm in Algorithm if algorithm in value),
)


def parse_params(raw: str) -> tuple[tuple[str, str], ...]:
    r"""Parse `name=value,name=value`; `\,` is a comma in a value. The last of equal names counts.

    Every other backslash is literal, as in Scalelite.
    Raises ValueError: an item without `=` or without a name.
    """
    found: dict[str, str] = {}
    for item in re.split(r"(?<!\\),", _require_printable(raw)):
        if not item.strip():
            continue
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise ValueError(item)
        found[name.strip()] = value.replace("\\,", ",")
    return tuple(found.items())


def render_params(params: tuple[tuple[str, str], ...]) -> str:
    """Format parameters for `parse_params`."""
    return ",".join(f"{name}={value}".replace(",", "\\,") for name, value in params)


def _show_params(params: tuple[tuple[str, str], ...]) -> str:
    masked = tuple((name, MASK if is_secret_name(name) else value) for name, value in params)
    return render_params(masked)


PARAMS: Kind[tuple[tuple[str, str], ...]] = Kind(
    r"name=value,name=value ('\,' for a comma in a value)", parse_params, _show_params
)


def _show_rules(rules: tuple[ParamRule, ...]) -> str:
    shown = (replace(one, value=MASK) if is_secret_name(one.param) else one for one in rules)
    return "; ".join(map(render_rule, shown))


RULES: Kind[tuple[ParamRule, ...]] = Kind(
    r"NAME MODE [VALUE] [version=PATTERN] separated by ';' ('\;' in a value), MODE one of "
    + ", ".join(MODES)
    + "; cap and floor take a number, map old:new, require and remove no VALUE",
    parse_rules,
    _show_rules,
)


def _parse_secret(raw: str) -> str:
    if not raw.strip():
        raise ValueError
    return _require_printable(raw)


def _show_secret(_value: object) -> str:
    return MASK


SECRET: Kind[str] = Kind("one line of text", _parse_secret, _show_secret, secret=True)


def _parse_secrets(raw: str) -> tuple[str, ...]:
    found = tuple(
        dict.fromkeys(item for item in _require_printable(raw).split(":") if item.strip())
    )
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
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        pem = base64.b64decode("".join(raw.split()), validate=True)
        if isinstance(load_pem_private_key(pem, None), RSAPrivateKey):
            return pem
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        pass
    raise ValueError


RSA_PEM_BASE64: Kind[bytes] = Kind(
    "an RSA private key in PEM form, encoded as base64", _parse_pem, _show_secret, secret=True
)
