r"""Escapes untrusted text for FreeSWITCH.

Three stages interpret text one after the other: the preprocessor of XML files, the expansion of
`${variables}` (`${system …}` runs a program), and the regular expression of a condition. Pure.

Source: FreeSWITCH 1.11.3-dev (cc93a683), of which tests/doubles/freeswitch.py is a model:
- src/switch_channel.c, `switch_channel_expand_variables_check` (the same rules as
  `switch_event_expand_headers_check` in src/switch_event.c);
- src/include/switch_utils.h, `switch_string_var_check_const` and `switch_string_has_escaped_data`:
  text is expanded, and so unescaped, only if one of these finds something in it;
- src/switch_core_session.c, `switch_core_session_exec`: expands every application's argument;
- src/mod/applications/mod_dptools/mod_dptools.c, `base_set`: `set` expands its value once more;
- src/mod/dialplans/mod_dialplan_xml/mod_dialplan_xml.c, `parse_exten`: expands the expression, and
  puts captures into the actions (`$1`) if the expression holds a `(`;
- src/switch_xml.c, `preprocess`, `expand_vars` and `switch_xml_decode`: what mod_xml_curl's
  answers go through.
"""

from __future__ import annotations

import re
from html import escape

from appliance.bbb.xml_text import replace_forbidden

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_TO_ESCAPE = re.compile(r"\\|(?<=\$)\$|\$(?=\{)")
_EVALUATED = re.compile(r"\$(?=[$\\']*\{)")
"""Between `$` and `{` only characters that a pass of the expansion removes."""

_CODED = re.compile(r"[\x00-\x1f(]|[^\x00-\x1f(]+")
_PREPROCESSED = re.compile("(x)-(?=pre-process)", re.IGNORECASE)


def clean(text: str) -> str:
    """Replace control characters and characters that XML forbids by blanks."""
    return replace_forbidden(_CONTROL.sub(" ", text), " ")


def is_altered_by_expansion(text: str) -> bool:
    r"""Whether FreeSWITCH would expand the text: it contains a `\`, or a `$` before a `{`."""
    return "\\" in text or "${" in text


def escape_expansion(text: str) -> str:
    r"""Escape a text so that one pass of the expansion restores it.

    `\` becomes `\\` and `${` becomes `\${`. If the text contains one of these, `$$` becomes `$\$`,
    or the expansion would reduce it to one `$`. Otherwise the text is unchanged, since FreeSWITCH
    then does not unescape it.
    """
    if not is_altered_by_expansion(text):
        return text
    return _TO_ESCAPE.sub(r"\\\g<0>", text)


def defuse(text: str) -> str:
    """Replace each `$` that any number of expansions could turn into a variable by `%`.

    For the values of variables, which are expanded again each time that `${variable}` is read.
    FreeSWITCH does the same with text from SIP (`switch_var_clean_string`).
    """
    return _EVALUATED.sub("%", text)


def match_exactly(number: str) -> str:
    r"""Return a regular expression that matches only this text, escaped for the expansion.

    Characters that XML attributes cannot contain are written as codes. So is a parenthesis: if the
    expression contained one, FreeSWITCH would replace `$0` in the actions by the dialled number.
    """
    if number.isascii() and number.isalnum():
        return number
    literal = _CODED.sub(_code, number)
    return escape_expansion(replace_forbidden(literal, "\ufffd"))


def _code(part: re.Match[str]) -> str:
    text = part[0]
    return rf"\x{ord(text):02x}" if text < " " or text == "(" else re.escape(text)


def attribute(text: str) -> str:
    """Escape a text as the value of an XML attribute.

    The preprocessor drops every line that contains its own tag, so a hyphen of that is encoded.
    """
    return _PREPROCESSED.sub(r"\1&#45;", escape(text))
