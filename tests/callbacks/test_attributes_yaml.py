"""What Ruby has written of callbacks is read, whatever the variant; nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.callbacks.attributes_yaml import (
    InvalidCallbackData,
    extract_ready_url,
    parse_callback_attributes,
    render_callback_attributes,
)

BOTH = {"analytics_callback_url": "http://h/an", "recording_ready_url": "https://h/r?a=b&c=%20"}
INDIFFERENT = "ActiveSupport::HashWithIndifferentAccess"


@pytest.mark.parametrize(
    "text",
    [
        "---\n:analytics_callback_url: http://h/an\n:recording_ready_url: https://h/r?a=b&c=%20\n",
        f"--- !ruby/hash:{INDIFFERENT}\nanalytics_callback_url: http://h/an\n"
        "recording_ready_url: https://h/r?a=b&c=%20\n",
        f"--- !map:{INDIFFERENT}\nanalytics_callback_url: http://h/an\n"
        "recording_ready_url: 'https://h/r?a=b&c=%20'\n",
        "analytics_callback_url: http://h/an\nrecording_ready_url: https://h/r?a=b&c=%20",
        '---\n":analytics_callback_url": "http://h/an"\n'
        "? :recording_ready_url\n: https://h/r?a=b&c=%20\n",
        "{!ruby/symbol analytics_callback_url: http://h/an,"
        " !ruby/sym recording_ready_url: 'https://h/r?a=b&c=%20'}",
        f"--- !ruby/hash-with-ivars:{INDIFFERENT}\nelements:\n  analytics_callback_url: http://h/an\n"
        "  recording_ready_url: https://h/r?a=b&c=%20\nivars:\n  :@new_record: false\n",
        "---\n:analytics_callback_url: !binary |-\n  aHR0cDovL2gvYW4=\n"
        ":recording_ready_url: >-\n  https://h/r?a=b&c=%20\n:other:\n",
    ],
)
def test_attributes_are_read_in_every_variant(text: str) -> None:
    assert parse_callback_attributes(text) == BOTH


@pytest.mark.parametrize("text", ["", "---\n", "--- {}\n", "--- ~\n", "--- \n...\n"])
def test_nothing_is_no_attributes(text: str) -> None:
    assert parse_callback_attributes(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "--- !ruby/object:Gem::Installer\ni: x\n",
        "--- !!python/object/apply:os.system ['true']\n",
        "--- !ruby/hash:Net::BufferedIO\na: b\n",
        "---\n:recording_ready_url: !ruby/object:Set\n  hash: {}\n",
        "---\n:recording_ready_url: !!python/name:os.system\n",
        "---\n!ruby/object:X a: b\n",
        "---\n- :recording_ready_url\n",
        "--- text\n",
        "---\n:recording_ready_url:\n  - a\n",
        "---\n:a: {b: c}\n",
        "---\n? [a]\n: b\n",
        "--- {a: *x}\n",
        "---\na: &x b\nc: [*x, *x]\n",
        "a: b\n---\nc: d\n",
        "\0",
        "a: [",
        "[" * 30_000,
        "a: " + "x" * 100_000,
        "---\n:a: !binary x\n",
    ],
)
def test_what_is_not_a_mapping_of_texts_is_refused(text: str) -> None:
    with pytest.raises(InvalidCallbackData):
        parse_callback_attributes(text)


def test_attributes_are_written_as_ruby_writes_symbols() -> None:
    expected = "---\n:recording_ready_url: http://127.0.0.1:9/ready\n"
    assert (
        render_callback_attributes({"recording_ready_url": "http://127.0.0.1:9/ready"}) == expected
    )


@pytest.mark.parametrize("value", ["http://h/a: b", "http://h/ #x", "http://h:", "~", "", "ä\n"])
def test_odd_values_are_quoted(value: str) -> None:
    text = render_callback_attributes({"a": value})
    assert text.startswith('---\n:a: "')
    assert parse_callback_attributes(text) == {"a": value}


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(max_size=50), max_size=3))
def test_what_is_written_is_read(attributes: dict[str, str]) -> None:
    assert parse_callback_attributes(render_callback_attributes(attributes)) == attributes


def test_ready_url_is_taken_out_in_all_its_spellings() -> None:
    rest = (("meetingID", "m"), ("meta_x", "y"), ("meta_endCallbackUrl", "http://h/end"))
    canvas = ("meta_canvas-recording-ready-url", "http://h/canvas")
    bbb = ("meta_bbb-recording-ready-url", "http://h/bbb")
    bn = ("meta_bn-recording-ready-url", " http://h/bn ")
    assert extract_ready_url(rest) == (rest, None)
    assert extract_ready_url((canvas, *rest)) == (rest, "http://h/canvas")
    assert extract_ready_url((canvas, *rest, bbb, bbb)) == (rest, "http://h/bbb")
    assert extract_ready_url((canvas, bbb, *rest, bn)) == (rest, "http://h/bn")
    assert extract_ready_url((canvas, *rest, (bn[0], ""))) == (rest, "http://h/canvas")
    assert extract_ready_url((*rest, (bn[0], ""))) == (rest, None)
    # BBB lower-cases the names of metadata, and would call it itself.
    loud = ("meta_BBB-Recording-Ready-URL", "http://h/loud")
    assert extract_ready_url((canvas, loud, *rest)) == (rest, "http://h/loud")


def test_parameters_without_a_ready_url_are_left_as_they_are() -> None:
    params = (("meetingID", "m"),)
    assert extract_ready_url(params)[0] is params
