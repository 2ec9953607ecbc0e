"""The words and numbers of the console in a viewer's language.

A message is its English text; the locale files (config/locales/, `console`) translate it. What has
no translation is shown in English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from appliance.events.journal import Event
from appliance.events.texts import describe
from appliance.http.page_texts import load_texts
from appliance.log import Log

ENGLISH = "en"
UNKNOWN = "\N{EN DASH}"
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_SERVER_FIELDS = ("server", "subject", "other", "moved_from", "failed")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


_MAX_TRANSLATED = 10_000
_LEAST_WORDS = 7
"""Characters beside the placeholders that a message must have to be recognised."""


@cache
def _patterns_of(messages: tuple[str, ...]) -> list[tuple[re.Pattern[str], list[str], str]]:
    """Return the messages with placeholders as patterns, the most particular ones first."""
    found = []
    for message in messages:
        words = _PLACEHOLDER.split(message)  # text, name, text, name … text
        size = sum(map(len, words[::2]))
        if len(words) > 1 and size >= _LEAST_WORDS:
            form = "(.+?)".join(map(re.escape, words[::2]))
            found.append((size, re.compile(form, re.DOTALL), words[1::2], message))
    found.sort(key=lambda one: -one[0])
    return [(pattern, names, message) for _, pattern, names, message in found]


@dataclass(frozen=True, slots=True)
class Texts:
    """One language."""

    language: str
    messages: Mapping[str, str] = field(default_factory=dict, repr=False)
    _translated: dict[str, str] = field(default_factory=dict, repr=False)

    def t(self, message: str, **values: Any) -> str:
        """Translate a message and fill in its values; numbers are grouped."""
        text = self.messages.get(message, message)
        if not values:
            return text
        shown = {
            name: self.number(value) if isinstance(value, int | float) else value
            for name, value in values.items()
        }
        return text.format_map(shown)

    def translate(self, text: str) -> str:
        """Translate a text that the appliance has composed: a finding of doctor, a refusal.

        It is found among the messages by its words: `{path} is missing` for `/mnt is missing`.
        """
        if not self.messages or not text:
            return text
        known = self._translated.get(text)
        if known is None:
            if len(self._translated) >= _MAX_TRANSLATED:
                self._translated.clear()
            known = self._translated[text] = self._compose(text)
        return known

    def _compose(self, text: str) -> str:
        if text in self.messages:
            return self.messages[text]
        for pattern, names, message in _patterns_of(tuple(self.messages)):
            if found := pattern.fullmatch(text):
                # A part that is a sentence itself, such as the reason of a failure.
                parts = [self.translate(part) if " " in part else part for part in found.groups()]
                return self.messages[message].format_map(dict(zip(names, parts, strict=True)))
        return text

    def event(self, event: Event, label: Callable[[str], str]) -> str:
        """Return what happened; `label` gives the host name of a server in place of its id."""
        fields = {
            name: label(value) if name in _SERVER_FIELDS and isinstance(value, str) else value
            for name, value in event.fields.items()
        }
        return describe(event.event, fields, self.t)

    def n(self, count: int, one: str, many: str, **values: Any) -> str:
        """Translate the message for one or the one for another number of things (`{n}`)."""
        return self.t(one if count == 1 else many, n=count, **values)

    def meetings(self, count: int) -> str:
        """Return a number of meetings with its word."""
        return self.n(count, "{n} meeting", "{n} meetings")

    def users(self, count: int) -> str:
        """Return a number of users with its word."""
        return self.n(count, "{n} user", "{n} users")

    def number(self, value: float | None, digits: int | None = None) -> str:
        """Return a number with its thousands grouped; a dash for None."""
        if value is None:
            return UNKNOWN
        if digits is None:
            digits = 0 if float(value).is_integer() else 1
        text = f"{value:,.{digits}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "de" else text

    def size(self, count: float | None) -> str:
        """Return a number of bytes in the unit that suits it."""
        if count is None:
            return UNKNOWN
        step = 0
        while count >= 1000 and step < len(_UNITS) - 1:
            count /= 1000
            step += 1
        return f"{self.number(count, 0 if step < 2 or count >= 100 else 1)} {_UNITS[step]}"

    def clock(self, ms: int | None) -> str:
        """Return the time of day, in the time zone of the appliance's host."""
        return UNKNOWN if ms is None else local_time(ms).strftime("%H:%M:%S")

    def moment(self, ms: int | None) -> str:
        """Return date and time to the minute."""
        if ms is None:
            return UNKNOWN
        pattern = "%d.%m.%Y, %H:%M" if self.language == "de" else "%Y-%m-%d %H:%M"
        return local_time(ms).strftime(pattern)

    def iso_moment(self, text: str | None) -> str:
        """Return a time of the admin API (`2026-11-25T10:40:07Z`) as `moment` does."""
        if not text:
            return UNKNOWN
        try:
            return self.moment(int(datetime.fromisoformat(text).timestamp() * 1000))
        except ValueError:
            return text

    def lasting(self, seconds: float | None) -> str:
        """Return a duration in its two greatest units."""
        if seconds is None:
            return UNKNOWN
        if seconds < 1:
            return f"{1000 * seconds:.0f} ms"
        if seconds < 60:
            return f"{self.number(seconds, 0 if seconds >= 10 else 1)} s"
        minutes = int(seconds // 60)
        if minutes < 60:
            return f"{minutes} min"
        hours, minutes = divmod(minutes, 60)
        if hours < 48:
            return f"{hours} h {minutes:02} min"
        return self.n(hours // 24, "{n} day", "{n} days")


def local_time(ms: int) -> datetime:
    """Return a time in the time zone of this host."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone()


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages that there are texts for."""

    default: str
    by_name: Mapping[str, Texts]

    def choose(self, accept_language: str) -> Texts:
        """Return the language that a browser likes best (RFC 9110, Accept-Language)."""
        for name in _preferred(accept_language):
            if name in self.by_name:
                return self.by_name[name]
        return self.by_name.get(self.default, self.by_name[ENGLISH])


def load_languages(default: str, log: Log) -> Languages:
    """Load the texts; English is always there."""
    found = load_texts("console", log)
    texts = {name: Texts(name, messages) for name, messages in found.items() if messages}
    texts.setdefault(ENGLISH, Texts(ENGLISH))
    return Languages(default.replace("_", "-").partition("-")[0].lower(), texts)


def _preferred(header: str) -> Sequence[str]:
    weighted = []
    for position, part in enumerate(header.split(",")[:20]):
        name, _, rest = part.strip().partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=") or 1)
        except ValueError:
            weight = 0.0
        if name and weight > 0:
            weighted.append((-weight, position, name.partition("-")[0].lower()))
    return [name for _, _, name in sorted(weighted)]
