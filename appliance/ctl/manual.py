"""The manual page scalelite-appliance(8), made of the command line and the table of variables.

Pure. What is written here by hand is only what neither of them knows: files, signals, exit codes.
Truth of the markup: man(7). tools/make_manual.py writes the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from appliance.ctl.command_tree import Command
from appliance.ctl.program_tree import PROGRAM, WITHOUT_CTL
from appliance.settings.reading import SECTIONS
from appliance.settings.table import Section, Variable

_NAME = "scalelite\\-appliance \\- a pool of BigBlueButton servers that looks like one"

_DESCRIPTION = (
    "`scalelite-appliance run` is one process that front-ends (Greenlight, Moodle …) call as if it"
    " were a BigBlueButton server. It places each meeting on a server of its pool, polls the"
    " servers, imports and serves recordings, and answers the dial-in gateway.",
    "`scalelite-appliance ctl` administers the running appliance over its control socket. The"
    " socket may be used by root, by the user that the appliance runs as, and by members of the"
    " group `scalelite-appliance`. Every change is logged with who made it.",
)

_RAKE = (
    "A task in the spelling of Scalelite's rake works as well, and prints what rake prints:",
    "scalelite-appliance ctl 'servers:add[https://bbb1.example.com/bigbluebutton/api,SECRET,2.0]'",
)

_FILES = (
    (
        "/etc/default/scalelite-appliance",
        "The environment of the packaged service: every variable with its default, as a comment.",
    ),
    ("/etc/scalelite-appliance/secrets.env", "Secrets that the package made when installed."),
    ("/run/scalelite-appliance/ctl.sock", "The control socket; `CTL_SOCKET` names another."),
    ("/var/lib/scalelite-appliance", "The state directory; `STATE_DIR` names another."),
    (
        "/var/bigbluebutton",
        "Recordings: spool, work, published and unpublished files; the RECORDING_*_DIR variables"
        " name others.",
    ),
)

EXIT_CODES = (
    ("0", "Done; of `run`: stopped as it was told to."),
    ("1", "Refused or failed; one line on standard error says why, and what to do."),
    ("2", "Wrong usage."),
    ("3", "The appliance is not running, or its socket is not there."),
    ("130", "Interrupted with Ctrl-C."),
)

_SIGNALS = (
    (
        "SIGTERM, SIGINT",
        "Stop: no new connections; requests under way get 25 seconds. A second signal stops at"
        " once.",
    ),
    ("SIGHUP", "Read the TLS files again."),
)

_EXAMPLES = (
    (
        "A new server, enabled and polled at once:",
        "ctl servers add https://bbb1.example.com/bigbluebutton/api SECRET --enable",
    ),
    ("What is going on:", "ctl status --watch"),
    ("Let a server's meetings end, then work on it:", "ctl servers drain ID --wait"),
    ("The configuration in force, secrets masked:", "config check"),
)

_SEE_ALSO = "`systemctl`(1), `journalctl`(1), /usr/share/doc/scalelite-appliance/"


def render_manual(program: Command, version: str, date: str = "") -> str:
    """Return the page as roff. date: as its footer shows it."""
    lines = [
        '.\\" Made by tools/make_manual.py from the command line and the table of variables.',
        f'.TH SCALELITE\\-APPLIANCE 8 "{_text(date)}" "{PROGRAM} {_text(version)}"'
        ' "System Administration"',
        ".SH NAME",
        _NAME,
        ".SH SYNOPSIS",
        *_synopsis(program),
        ".SH DESCRIPTION",
        *_paragraphs(_DESCRIPTION),
        ".SH COMMANDS",
        *_program_commands(program),
        *_ctl_commands(program),
        ".SH RAKE SPELLING",
        *_paragraphs(_RAKE[:1]),
        *_literal(_RAKE[1]),
        ".SH ENVIRONMENT",
        *_environment(),
        ".SH FILES",
        *_items(_FILES),
        ".SH EXIT STATUS",
        *_items(EXIT_CODES),
        ".SH SIGNALS",
        *_items(_SIGNALS),
        ".SH EXAMPLES",
        *_examples(),
        ".SH SEE ALSO",
        _prose(_SEE_ALSO),
    ]
    return "\n".join(_without_idle_breaks(lines)) + "\n"


# --- sections ------------------------------------------------------------------------------------


def _synopsis(program: Command) -> Iterator[str]:
    for number, command in enumerate(program.commands):
        if number:
            yield ".br"
        rest = " \\fICOMMAND\\fR ..." if command.commands else ""
        yield f"\\fB{PROGRAM.replace('-', _DASH)} {_text(command.name)}\\fR{rest}"


def _program_commands(program: Command) -> Iterator[str]:
    for command in program.commands:
        if command.name not in ("ctl", *WITHOUT_CTL):
            yield from _item(f"\\fB{_text(command.name)}\\fR", _sentence(command.about))
    names = ", ".join(f"`{name}`" for name in WITHOUT_CTL)
    yield ".PP"
    yield _prose(f"What {names} do may be had without the word `ctl`, too.")


def _ctl_commands(program: Command) -> Iterator[str]:
    ctl = next(command for command in program.commands if command.name == "ctl")
    yield from _paragraphs(
        ("Commands of `ctl`. Each has `--json`, which gives the output to scripts, and `--help`.",)
    )
    for group in ctl.commands:
        yield f".SS ctl {_text(group.name)}"
        leaves = list(group.leaves(("ctl", group.name)))
        if group.runs:
            leaves.insert(0, (("ctl", group.name), group))
        for words, leaf in leaves:
            yield from _command(words, leaf)


def _command(words: tuple[str, ...], command: Command) -> Iterator[str]:
    options = [one for one in command.options if not {"--json", "--help"} & set(one.names)]
    head = f"\\fB{_text(' '.join(words))}\\fR"
    for argument in command.arguments:
        head += f" \\fI{_text(argument.shown)}\\fR"
    if options:
        head += " [\\fIOPTION\\fR ...]"
    yield from _item(head, _sentence(command.about or command.description))
    details = [(one.shown, one.about) for one in options]
    details += [(one.value.name, one.about) for one in command.arguments if one.about]
    example = _example_of(command)
    if not details and not example:
        return
    yield ".RS"
    for name, about in details:
        yield from _item(f"\\fB{_text(name)}\\fR", _sentence(about))
    if example:
        yield ".PP"
        yield "Example:"
        yield from _literal(example, break_before=False)
    yield ".RE"


def _example_of(command: Command) -> str:
    match = re.match(r"examples?:\n(.+)", command.epilog, re.DOTALL)
    return "" if match is None else "\n".join(line.strip() for line in match[1].splitlines())


def _environment() -> Iterator[str]:
    yield from _paragraphs(
        (
            "Empty counts as unset, but for `FSAPI_PASSWORD`. A variable marked secret can come"
            " from a file: `NAME_FILE=/path`. A value that is not understood stops the start with"
            " one message.",
        )
    )
    for section in SECTIONS:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    yield f".SS {_text(section.title)}"
    for variable in section.variables:
        yield from _item(f"\\fB{_text(variable.name)}\\fR", _meaning(variable))


def _meaning(variable: Variable[Any]) -> str:
    text = variable.meaning
    if variable.fallbacks:
        text += f" While it is unset, {', '.join(variable.fallbacks)} counts."
    if variable.secret:
        text += " Secret."
    default = variable.shown_default()
    return f"{text} Default: {default}." if default else text


def _examples() -> Iterator[str]:
    for about, words in _EXAMPLES:
        yield from _paragraphs((about,))
        yield from _literal(f"{PROGRAM} {words}")


# --- markup --------------------------------------------------------------------------------------

_DASH = "\\-"
_ESCAPES = str.maketrans(
    {"\\": "\\e", "-": _DASH, "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
)


def _text(text: str) -> str:
    """Return plain text as it is to be shown, letter by letter."""
    return _guard(_escape(text))


def _prose(text: str) -> str:
    """Return text in which what stands between backquotes is bold."""
    parts = [_escape(part) for part in text.split("`")]
    return _guard("".join(f"\\fB{part}\\fR" if n % 2 else part for n, part in enumerate(parts)))


def _escape(text: str) -> str:
    text = text.replace("…", "...").translate(_ESCAPES)
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    # Long lists and URLs may be broken behind their commas, colons and slashes.
    return re.sub(r"(?<=\S{30})([,:/])(?=\S)", r"\1\\:", text)


def _guard(line: str) -> str:
    """Keep a line from being taken for a request."""
    return f"\\&{line}" if line.startswith(".") else line


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield ".PP"
        yield _prose(text)


def _item(head: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield head
    yield _prose(text)


def _items(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, text in rows:
        yield from _item(f"\\fB{_text(name)}\\fR", text)


def _literal(text: str, *, break_before: bool = True) -> Iterator[str]:
    if break_before:
        yield ".PP"
    yield ".EX"
    yield from (_text(line) for line in text.splitlines())
    yield ".EE"


def _sentence(text: str) -> str:
    if not text:
        return "."
    if "://" not in text.split()[0]:
        text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?")) else f"{text}."


def _without_idle_breaks(lines: list[str]) -> Iterator[str]:
    """Leave out paragraph breaks behind a heading or an indentation, which do nothing."""
    before = ""
    for line in lines:
        if line != ".PP" or not before.startswith((".SH", ".SS", ".RS")):
            yield line
        before = line
