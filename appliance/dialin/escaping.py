r"""Make text of callers and front-ends harmless in a dialplan of FreeSWITCH.

Several readers stand one behind the other, and each finds commands in text: the preprocessor of XML
files, the expansion of `${variables}` (`${system …}` runs a program), the regular expression of a
condition, and the percent-decoding of every FreeSWITCH on the way. Escaping for one of them is
undone by the next. So the characters that mean something to any of them are replaced.

Source: FreeSWITCH (1.11.3-dev, cc93a683), of which tests/doubles/freeswitch.py is a model:
- src/switch_channel.c, `switch_channel_expand_variables_check` (the same rules as
  `switch_event_expand_headers_check` in src/switch_event.c);
- src/include/switch_utils.h, `switch_string_var_check_const` and `switch_string_has_escaped_data`:
  text is expanded, and so unescaped, only if one of these finds something in it;
- src/switch_core_session.c, `switch_core_session_exec`: expands every application's argument;
- src/mod/applications/mod_dptools/mod_dptools.c, `base_set`: `set` expands its value once more;
- src/mod/dialplans/mod_dialplan_xml/mod_dialplan_xml.c, `parse_exten`: expands the expression, and
  puts captures into the actions (`$1`) if the expression holds a `(`;
- src/switch_caller.c, `switch_caller_extension_add_application`: drops an action with `\'`;
- src/mod/endpoints/mod_sofia/mod_sofia.h, `check_decode`: caller ids are percent-decoded when they
  arrive and again when they are sent on, and cut at their quotes; src/switch_utils.c,
  `switch_url_decode` uses sscanf, which accepts blanks and a sign before the digits;
- src/switch_utils.c, `switch_url_encode_opt`: what mod_xml_curl posts keeps `%24` as it is, so that
  it arrives here decoded once more;
- src/switch_ivr_bridge.c, `send_display`: cuts a name at a `/`;
- src/switch_xml.c, `preprocess`, `expand_vars` and `switch_xml_decode`: what mod_xml_curl's
  answers go through.
"""

from __future__ import annotations

import re
from html import escape

from appliance.bbb.xml_text import replace_forbidden

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_APOSTROPHE = "\u2019"
_QUOTE = re.compile("['\"]")
_COMMAND = re.compile(r"[$\\{}/:@,|]")
_ENCODED = re.compile(r"%(?=[% ]*[+-]?[0-9A-Fa-f])")
"""`switch_url_decode` decodes a `%` before these. The `%` between them become blanks."""
_PLAIN = re.compile("[^A-Za-z0-9]")
_PREPROCESSED = re.compile("(x)-(?=pre-process)", re.IGNORECASE)


def defuse(text: str) -> str:
    r"""Return the text without anything that a FreeSWITCH could take for a command.

    A quote becomes an apostrophe (U+2019). A blank replaces control characters, what XML cannot
    hold, each of `$ \ { } / : @ , |`, and a `%` that could be decoded.
    """
    text = replace_forbidden(_CONTROL.sub(" ", text), " ")
    return _ENCODED.sub(" ", _COMMAND.sub(" ", _QUOTE.sub(_APOSTROPHE, text)))


def match_exactly(number: str) -> str:
    r"""Return the body of an expression that matches this text alone.

    Every ASCII character but letters and digits is written by its code (`\x24`): so the expression
    holds nothing to expand, no `(`, after which FreeSWITCH would replace `$0` in the actions by
    what the caller dialled, and nothing that an XML attribute cannot hold.
    """
    return replace_forbidden(_PLAIN.sub(_code, number), "\ufffd")


def _code(found: re.Match[str]) -> str:
    char = found[0]
    return rf"\x{ord(char):02x}" if char.isascii() else char


def attribute(text: str) -> str:
    """Escape a text as the value of an XML attribute.

    The preprocessor drops every line that contains its own tag, so a hyphen of that is encoded.
    """
    return _PREPROCESSED.sub(r"\1&#45;", escape(text))
