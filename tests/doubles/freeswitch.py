r"""A model of how FreeSWITCH reads, expands, matches and executes a dialplan document.

Follows FreeSWITCH's source (1.11.3-dev, cc93a683) independently of the appliance's escaping, so
that it can verify it. Each part names the function that it models. All evaluated expressions are
kept in `evaluated`: `${name}`, `${api arguments}` and `$${global}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote

from lxml import etree

EXPAND_ONCE = "app_disable_expand_variables"

_ENCODED = re.compile(r"%[ \t\n\v\f\r]*([+-]?)([0-9A-Fa-f]{1,2})")
_KEPT = re.compile("(%[0-9A-F]{2})")


def is_expanded(text: str) -> bool:
    r"""`switch_string_var_check_const` or `switch_string_has_escaped_data` (switch_utils.h).

    A variable is a `$`, any number of `$` and `\`, and a `{`; an escape is one of `\\ \n \s \t \'`.
    """
    return bool(re.search(r"\$[$\\]*\{", text) or re.search(r"\\[\\nst']", text))


def clean_variable(text: str) -> str:
    """`switch_var_clean_string`, which FreeSWITCH applies to caller ids received by SIP."""
    return re.sub(r"\$(?=\\*\{)", "%", text)


def decode_url(text: str) -> str:
    """`switch_url_decode` (switch_utils.c): sscanf accepts blanks and a sign before the digits.

    Characters here, not bytes as there.
    """
    out, at = "", 0
    while at < len(text):
        found = _ENCODED.match(text, at) if len(text) - at > 2 else None
        if found is None:
            out, at = out + text[at], at + 1
            continue
        value = int(found[2][: 2 - len(found[1])], 16)  # of two characters, sign included
        out += chr(256 - value if found[1] == "-" and value else value)
        at += 3
    return out


def decode_caller_id(text: str) -> str:
    """`check_decode` (mod_sofia.h): percent-decode once, and cut at the quotes."""
    text = decode_url(text)
    if '"' in text:
        text = text.partition('"')[2]
    return text.rpartition('"')[0] if '"' in text else text


def receive_caller_id(text: str) -> str:
    """Return a caller id that came by SIP as the call has it (`profile_dup_clean`)."""
    cleaned = re.sub("[\x00-\x1f]", lambda char: char[0] if char[0] in "\n\r" else " ", text)
    return clean_variable(decode_caller_id(cleaned))


def post_value(text: str) -> str:
    """`switch_url_encode_opt` without `double_encode`, as mod_xml_curl posts: `%24` stays `%24`."""
    return "".join(
        part if _KEPT.fullmatch(part) else quote(part, safe="") for part in _KEPT.split(text)
    )


def name_at_server(name: str) -> str:
    """Return the name of a call as the next FreeSWITCH shows it.

    It is decoded when it is sent, and when it is received; an update of the display cuts it at `/`
    (`send_display`), and the parser of the header at `:` and `@`.
    """
    name = receive_caller_id(decode_caller_id(name).rpartition("/")[2])
    return re.split("[:@]", name)[0]


def split_arguments(text: str) -> list[str]:
    r"""`switch_separate_string` at blanks: quotes group words, `\` escapes.

    Unknown escapes such as `\d` keep their backslash.
    """
    words, word, quoted, at = [], "", False, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and at + 1 < len(text):
            plain = {"n": "\n", "r": "\r", "t": "\t", "s": " "}.get(text[at + 1])
            if plain is None and text[at + 1] in "'\"\\":
                plain = text[at + 1]
            word += plain if plain is not None else text[at : at + 2]
            at += 2
            continue
        if char == "'":
            quoted = not quoted
        elif char == " " and not quoted:
            if word:
                words.append(word)
            word = ""
        else:
            word += char
        at += 1
    return [*words, word] if word else words


@dataclass(slots=True)
class Gateway:
    """A call on a FreeSWITCH gateway."""

    knows_expand_once: bool = True
    """False: a version before 1.10.7 of October 2021."""
    variables: dict[str, str] = field(default_factory=dict)
    evaluated: list[str] = field(default_factory=list)
    executed: list[tuple[str, str]] = field(default_factory=list)
    """Applications with their expanded arguments."""
    dropped: list[str] = field(default_factory=list)
    """Arguments for which an action was left out of the dialplan."""

    def run(self, document: bytes, number: str) -> bool:
        """Execute a document for a call to `number`; return False if no condition matched."""
        root = etree.fromstring("".join(self.preprocess(document.decode())))
        for condition in root.iterfind("section/context/extension/condition"):
            expression = self.expand(condition.get("expression", ""))
            match = re.search(expression, number, re.DOTALL)
            if match is None:
                continue
            for action in condition.iterfind("action"):
                data = action.get("data", "")
                if "(" in expression:  # mod_dialplan_xml.c, switch_perform_substitution
                    data = substitute(match, data)
                if "\\'" in data:  # switch_caller.c, switch_caller_extension_add_application
                    self.dropped.append(data)
                    continue
                self.execute(action.get("application", ""), data)
            return True
        return False

    def preprocess(self, text: str) -> list[str]:
        """`preprocess` and `expand_vars` (switch_xml.c), line by line."""
        kept = []
        for line in text.splitlines(keepends=True):
            self.evaluated += re.findall(r"\$\$\{[^}]*\}", line)
            if any(word in line for word in ("<include>", "</include>", "<?")):
                continue
            if "x-pre-process" in line.lower():
                self.evaluated += re.findall("<x-pre-process.*", line.lower())
                continue
            self.evaluated += re.findall("<!--#.*", line)
            kept.append(line)
        return kept

    def execute(self, application: str, data: str) -> None:
        """`switch_core_session_exec` (switch_core_session.c), and `set` of mod_dptools.c."""
        once = self.knows_expand_once and self.variables.get(EXPAND_ONCE) == "true"
        argument = data if once else self.expand(data)
        if re.match(r"%.?\[", argument, re.DOTALL):
            self.evaluated.append(argument)
        self.executed.append((application, argument))
        if application == "set":
            name, _, value = argument.partition("=")
            self.variables[name] = self.expand(value)

    def expand(self, text: str) -> str:
        """`switch_channel_expand_variables_check` (switch_channel.c)."""
        if not is_expanded(text):
            return text
        out, at = "", 0
        while at < len(text):
            rest = text[at:]
            if rest.startswith("\\\\"):
                out, at = out + "\\", at + 2
            elif rest.startswith("\\'"):
                at += 2  # both are dropped
            elif rest.startswith("\\$"):
                out, at = out + "$", at + (3 if rest.startswith("\\$$") else 2)
            elif rest.startswith(("${", "$${")):
                begin = at + rest.index("{") + 1
                at = self._end_of(text, begin)
                out += self._evaluate(text[begin : at - 1])
                if at < len(text) and text[at] != "$":  # the next character is copied
                    out, at = out + text[at], at + 1
            elif rest.startswith("$$"):
                out, at = out + "$", at + 2
            else:
                out, at = out + text[at], at + 1
        return out

    @staticmethod
    def _end_of(text: str, begin: int) -> int:
        depth = 1
        for at in range(begin, len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if not depth:
                return at + 1
        return len(text) + 1

    def _evaluate(self, body: str) -> str:
        """Evaluate an API call (with a blank or parenthesis), or expand a variable's value."""
        self.evaluated.append(body)
        if " " in body or "(" in body:
            return ""
        return self.expand(self.variables.get(body, ""))


def substitute(match: re.Match[str], data: str) -> str:
    """`switch_perform_substitution` (switch_regex.c): `$1` and `${1}` are captures."""

    def capture(found: re.Match[str]) -> str:
        index = int(found[1] or found[2])
        return (match[index] or "") if index <= match.re.groups else ""

    return re.sub(r"\$(?:(\d+)|\{(\d+)\})", capture, data)
