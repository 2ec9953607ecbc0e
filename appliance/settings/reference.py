"""The sample configuration file and the operator's reference, both made from the table.

Pure. A test keeps config/scalelite-appliance.default and docs/configuration.md equal to what is
returned here; `python -m appliance.settings sample|reference` prints them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from appliance.settings.reading import SECTIONS
from appliance.settings.recording_variables import WITHOUT_MEANING
from appliance.settings.table import Section, Variable

_SAMPLE_HEAD = """\
# Configuration of scalelite-appliance, read by its systemd unit. The appliance itself reads nothing
# but environment variables, so any other way to set them does as well. An /etc/default/scalelite
# can be copied over this file unchanged.
#
# Every variable is here with its default, commented out. Restart the service after a change;
# `scalelite-appliance config check` shows what is in force and where it came from.
# An empty value counts as unset. A value with a backslash needs single quotes around it in this
# file, or systemd takes the backslash away.
"""

_REFERENCE_HEAD = """\
# Configuration

<!-- Made from appliance/settings by `python -m appliance.settings reference`; edit it there. -->

The appliance is configured by environment variables and by nothing else. The package's systemd unit
reads them from `/etc/default/scalelite-appliance`; an existing `/etc/default/scalelite` can be
copied over it unchanged. `scalelite-appliance config check` shows the effective configuration and
where each value came from.

- A value that is not understood stops the start, with one message that names every such variable.
- Empty counts as unset, except for `FSAPI_PASSWORD`.
- Booleans are `true` or `false` in any case; `1`/`0`, `yes`/`no` and `on`/`off` do as well.
- Durations are plain numbers in the unit shown; decimals are allowed. Sizes are bytes, or take
  `KiB`, `MiB`, `GiB`, `TiB`.
- Paths are absolute.
- Variables marked *secret* can come from a file: `NAME_FILE=/path`, which suits systemd's
  `LoadCredential=`. Setting both is an error, and so is an empty file; trailing line breaks do not
  count.
- A name that looks like a misspelt one of these is warned about at the start; all other unknown
  names are ignored.
"""


def render_sample() -> str:
    """Return config/scalelite-appliance.default: every variable, its default and its reason.

    Every line is a comment; without its `#`, each assignment sets the default (nothing where there
    is none). FSAPI_PASSWORD is the exception, since there empty is a value.
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
        meaning += f" While it is unset, {', '.join(variable.fallbacks)} counts."
    if variable.secret:
        meaning += f" Secret: {variable.file_name} can name a file instead."
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
        "## Variables of Scalelite without a meaning here\n\n"
        f"Accepted silently: {names}. `config/database.yml` and `config/redis_store.yml` are not"
        " read: `DATABASE_URL` and `REDIS_URL` replace them.\n"
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
