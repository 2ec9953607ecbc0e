r"""What FreeSWITCH makes of text that we have escaped, by the model of its own rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from appliance.dialin.escaping import (
    attribute,
    clean,
    defuse,
    escape_expansion,
    is_altered_by_expansion,
    match_exactly,
)
from tests.doubles.freeswitch import Gateway, clean_variable, is_expanded

HOSTILE = st.text(st.sampled_from("$$$\\\\{{}'() \"<>&;,^|%#[]=-\n\tsystem0")) | st.text(
    st.characters(exclude_categories=["Cs"])
)
"""Text made mostly of what means something to one of the readers."""

ATTACKS = [
    "${system touch /tmp/x}",
    "$${system touch /tmp/x}",
    "$$${x}",
    r"\${system id}",
    r"\\${system id}",
    r"\\\${system id}",
    r"$\{system id}",
    r"$\'{system id}",
    r"\'${system id}",
    r"$\\{x}",
    r"\$${x}",
    r"\$\${x}",
    "${${x}}",
    "${system(id)}",
    "a${x",
    "$",
    "$$",
    "\\",
    r"\\",
    r"\n\s\t\'",
    "trailing $",
    "trailing \\",
    "%[x=y]z",
    "%{x}",
]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Anna Müller", "Anna Müller"),
        ("", ""),
        ("$5", "$5"),
        ("a$", "a$"),
        ("$$", "$$"),
        ("{x}", "{x}"),
        ("${system id}", r"\${system id}"),
        ("$${x}", r"$\${x}"),
        (r"\${x}", r"\\\${x}"),
        (r"$\{x}", r"$\\{x}"),
        (r"a\b", r"a\\b"),
        ("\\", r"\\"),
        (r"\'", r"\\'"),
        (r"$$\x", r"$\$\\x"),
        ("$$${x}", r"$\$\${x}"),
        ("%{x}", "%{x}"),
    ],
)
def test_text_is_escaped_only_where_freeswitch_unescapes(text: str, escaped: str) -> None:
    assert escape_expansion(text) == escaped


@pytest.mark.parametrize("text", ATTACKS)
def test_escaped_attack_comes_out_as_it_was(text: str) -> None:
    gateway = Gateway()

    assert gateway.expand(escape_expansion(text)) == text
    assert gateway.evaluated == []


@given(HOSTILE)
def test_escaped_text_comes_out_as_it_was_and_nothing_is_evaluated(text: str) -> None:
    gateway = Gateway()

    assert gateway.expand(escape_expansion(text)) == text
    assert gateway.evaluated == []


@given(HOSTILE)
def test_text_that_we_leave_alone_is_left_alone(text: str) -> None:
    if not is_altered_by_expansion(text):
        assert escape_expansion(text) == text
        assert Gateway().expand(text) == text


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("${system id}", "%{system id}"),
        ("$${x}", "%%{x}"),
        (r"$\{x}", r"%\{x}"),
        (r"$\'{x}", r"%\'{x}"),
        (r"\${x}", r"\%{x}"),
        ("$5 {x}", "$5 {x}"),
        ("A$AP", "A$AP"),
        ("$", "$"),
    ],
)
def test_defused_text_has_no_variable(text: str, harmless: str) -> None:
    assert defuse(text) == harmless


@given(HOSTILE, st.integers(1, 6), st.booleans())
def test_defused_text_is_harmless_however_often_it_is_expanded(
    text: str, times: int, escaped: bool
) -> None:
    gateway = Gateway()
    found = defuse(text)
    found = escape_expansion(found) if escaped else found
    for _ in range(times):
        found = gateway.expand(found)
    assert gateway.evaluated == []


@given(HOSTILE)
def test_what_freeswitch_has_cleaned_is_not_altered_much(text: str) -> None:
    assert defuse(clean_variable(text)).replace("%", "$") == text.replace("%", "$")


@pytest.mark.parametrize(
    ("number", "expression"),
    [
        ("49305550100", "49305550100"),
        ("+49305550100", r"\\+49305550100"),
        ("1.2", r"1\\.2"),
        ("a*b", r"a\\*b"),
        ("^$", r"\\^\\$"),
        ("${x}", r"\\$\\{x\\}"),
        ("(1)", r"\\x281\\)"),
        ("1|2", r"1\\|2"),
        ("a\\b", r"a\\\\b"),
        ("1\n2", r"1\\x0a2"),
        ("1\x00\t2", r"1\\x00\\x092"),
    ],
)
def test_number_is_escaped_for_the_expression_and_then_for_the_expansion(
    number: str, expression: str
) -> None:
    assert match_exactly(number) == expression


@given(HOSTILE, HOSTILE)
def test_number_is_matched_by_itself_alone(number: str, other: str) -> None:
    number, other = (text.replace("\ufffe", "").replace("\uffff", "") for text in (number, other))
    if not number:
        return
    for called in (number, other):
        gateway = Gateway()
        document = (
            '<d><section><context><extension><condition expression="'
            + attribute(f"^{match_exactly(number)}$")
            + '"><action application="answer" data="$0 ${0} $1"/>'
            "</condition></extension></context></section></d>"
        )
        matched = gateway.run(document.encode(), called)

        # A `$` matches before a line's end too, to FreeSWITCH as well.
        assert matched == (called in (number, f"{number}\n"))
        # Not even what the caller dialled got into the action.
        assert gateway.executed == ([("answer", "$0 " + " $1")] if matched else [])
        assert gateway.evaluated == (["0"] if matched else [])


@given(HOSTILE)
def test_attribute_is_read_as_it_was_written(text: str) -> None:
    gateway = Gateway()
    written = f'<a b="{attribute(escape_expansion(clean(text)))}"/>'

    (line,) = gateway.preprocess(written)
    assert etree.fromstring(line).get("b") == escape_expansion(clean(text))
    assert gateway.evaluated == []


@pytest.mark.parametrize(
    "text",
    [
        "X-PRE-PROCESS",
        '<X-PRE-PROCESS cmd="exec" data="id"/>',
        "<!--#exec id-->",
        "<include>",
        "<?",
    ],
)
def test_attribute_is_nothing_to_the_preprocessor(text: str) -> None:
    gateway = Gateway()

    (line,) = gateway.preprocess(f'<a b="{attribute(text)}"/>')

    assert etree.fromstring(line).get("b") == text
    assert gateway.evaluated == []


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Anna\r\nVia: x", "Anna  Via: x"),
        ("a\x00\x1b[31mb\x7f\x85c", "a  [31mb  c"),
        ("a\u2028b\ufffec\ud800d", "a b c d"),
        ("Ünïcødé 😀", "Ünïcødé 😀"),
    ],
)
def test_control_characters_become_blanks(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_unescaped_text_would_be_evaluated() -> None:
    """The model finds what it is there to find."""
    gateway = Gateway(variables={"x": "${system id}"})
    gateway.expand("${x}")
    assert gateway.evaluated == ["x", "system id"]
    assert is_expanded(r"$\{x}")
    assert gateway.expand(r"a\\b\'c\$d") == r"a\bc$d"
