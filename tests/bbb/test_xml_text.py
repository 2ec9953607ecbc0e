"""Names and characters of XML; lxml and expat have the last word on both."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from appliance.bbb.xml_text import (
    drop_forbidden,
    escape_text,
    has_dtd,
    has_forbidden,
    is_xml_name,
    replace_forbidden,
)


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("a", True),
        ("_a-b.c1", True),
        ("schlüssel", True),
        ("", False),
        ("1a", False),
        ("-a", False),
        ("a:b", False),
        ("a b", False),
        ("a\n", False),
        ("a<", False),
        ("a" * 1001, False),
        ("ä" * 500, True),
        ("ä" * 501, False),
        ("名前", True),
        ("😀", False),  # of the fifth edition alone, as the next
        ("a\u2070", False),
    ],
)
def test_names_are_told_from_others(text: str, is_name: bool) -> None:
    assert is_xml_name(text) is is_name


@given(st.text(max_size=3))
def test_every_name_can_be_written(text: str) -> None:
    if is_xml_name(text):
        assert etree.fromstring(f"<{text}/>".encode()).tag == text
        assert ElementTree.fromstring(f"<{text}/>").tag == text


@given(st.text(st.characters(codec=None), max_size=20))
def test_every_text_comes_back_without_what_cannot_be_written(text: str) -> None:
    written = f'<a b="{escape_text(text)}">{escape_text(text)}</a>'.encode()
    element = etree.fromstring(written)

    assert (element.text or "") == drop_forbidden(text)
    assert has_forbidden(text) is (drop_forbidden(text) != text)


def test_plain_text_is_left_alone() -> None:
    text = "Größe 7: Mathe"
    assert escape_text(text) is text
    assert escape_text('a & b < "c" \x07') == "a &amp; b &lt; &quot;c&quot; "


@pytest.mark.parametrize(
    ("document", "has"),
    [
        (b"<!DOCTYPE a><a/>", True),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x --> <!DOCTYPE a><a/>", True),
        (b"<a>&lt;!DOCTYPE a></a>", False),
        (b"<a><![CDATA[<!DOCTYPE a>]]></a>", False),
        (b"<!--" * 50_000, False),
    ],
)
def test_dtd_is_seen_before_the_root_alone(document: bytes, has: bool) -> None:
    assert has_dtd(document) is has


def test_forbidden_characters_are_replaced_one_by_one() -> None:
    assert replace_forbidden("a\x00\ud800b\n", "\ufffd") == "a\ufffd\ufffdb\n"
