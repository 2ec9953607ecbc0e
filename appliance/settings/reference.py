"""Renders the sample configuration file and the operator's reference from the table. Pure.

`make docs` writes config/scalelite-appliance.default and docs/configuration.md; a test compares
them with this module.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from appliance.settings.reading import SECTIONS
from appliance.settings.recording_variables import WITHOUT_MEANING
from appliance.settings.table import Section, Variable

_SAMPLE_HEAD = """\
# Environment of scalelite-appliance, read by its systemd unit. The appliance is configured by
# environment variables only, so they can be set in any other way as well. An existing
# /etc/default/scalelite can be copied over this file unchanged.
#
# Every variable is listed with its default, commented out. Restart the service after a change;
# `scalelite-appliance config check` shows the effective values and their origins.
# An empty value means unset. Put single quotes around a value with a backslash: otherwise systemd
# removes the backslash.
"""

_REFERENCE_HEAD = """\
# Configuration

<!-- Generated from appliance/settings by `make docs`; edit it there. -->

The appliance is configured by environment variables only. The systemd unit of the package reads
them from `/etc/default/scalelite-appliance`; an existing `/etc/default/scalelite` can be copied
over this file unchanged. `scalelite-appliance config check` shows the effective configuration and
the origin of each value.

- With an invalid value the appliance does not start; a single message names every such variable.
- An empty value means unset, except for `FSAPI_PASSWORD`.
- Booleans are `true` or `false` in any case, also `1`/`0`, `yes`/`no` and `on`/`off`.
- Durations are numbers in the unit shown; decimals are allowed. Sizes are bytes, or a number with
  `KiB`, `MiB`, `GiB` or `TiB`.
- Paths are absolute.
- Variables marked *secret* can be read from a file: `NAME_FILE=/path`, for example with systemd's
  `LoadCredential=`. Trailing line breaks are removed. It is an error to set both, or to name an
  empty file.
- A misspelt name is reported with a warning at the start; other unknown variables are ignored.
"""


def render_sample() -> str:
    """Return config/scalelite-appliance.default: every variable with its default and meaning.

    Every line is a comment. Uncommented, an assignment sets the default (or nothing where there is
    none); FSAPI_PASSWORD is the exception, because an empty value has a meaning there.
    """
    lines = [_SAMPLE_HEAD]
    for section in SECTIONS:
        lines.append(f"\n# ---- {section.title}: {section.about}")
        for variable in section.variables:
            lines += ["#", *_sample_lines(variable)]
    return "\n".join(lines) + "\n"


def _sample_lines(variable: Variable[Any]) -> Iterator[str]:
    meaning = variable.meaning
    if variable.fallbacks:
        meaning += f" If unset, {', '.join(variable.fallbacks)} is used."
    if variable.secret:
        meaning += f" Secret: {variable.file_name} can name a file with the value."
    yield from _comment(meaning)
    if variable.default_text or variable.kind.unit:
        yield from _comment(f"Default: {variable.shown_default()}")
    if variable.example:
        yield from _comment(f"Example: {variable.example}")
    default = "" if variable.default is None else variable.kind.show(variable.default)
    yield f"#{variable.name}={default}"


def _comment(text: str) -> Iterator[str]:
    lines = textwrap.wrap(
        text.replace("`", "'"), 96, break_long_words=False, break_on_hyphens=False
    )
    return (f"# {line}" for line in lines)


def render_reference() -> str:
    """Return docs/configuration.md."""
    parts = [_REFERENCE_HEAD]
    parts += [_reference_section(section) for section in SECTIONS]
    names = ", ".join(f"`{name}`" for name in WITHOUT_MEANING)
    parts.append(
        "## Variables of Scalelite without effect\n\n"
        f"Accepted and ignored: {names}. `config/database.yml` and `config/redis_store.yml` are not"
        " read: use `DATABASE_URL` and `REDIS_URL`.\n"
    )
    return "\n".join(parts)


def _reference_section(section: Section) -> str:
    rows = "".join(_reference_row(variable) for variable in section.variables)
    head = "| variable | default | meaning | value |\n| --- | --- | --- | --- |\n"
    return f"## {section.title}\n\n{section.about}\n\n{head}{rows}"


def _reference_row(variable: Variable[Any]) -> str:
    name = f"`{variable.name}`"
    if variable.fallbacks:
        name += "".join(f", else `{other}`" for other in variable.fallbacks)
    if variable.secret:
        name += " (*secret*)"
    value = variable.kind.expected
    if variable.example:
        value += f"; example: `{variable.example}`"
    cells = (name, variable.shown_default() or "none", variable.meaning, value)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
