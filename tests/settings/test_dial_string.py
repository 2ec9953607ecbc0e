"""Templates of dial strings: what is refused, and what they become."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.settings.dial_string import DEFAULT_BRIDGE, check_dial_string, fill_dial_string
from tests.doubles.freeswitch import decode_url, is_expanded
from tests.doubles.settings import refusal, settings_of

GOOD = [
    "sofia/external/{pin}@{host}",
    "sofia/external/{pin}@{host}:5060",
    "sofia/external/{pin}@{host}:{port}",
    "sofia/gateway/livekit/{pin}",
    "[sip_h_X-Meeting={meeting}]sofia/external/{pin}@{host}:{port}",
    "[leg_timeout=9,absolute_codec_string=PCMA]sofia/external/{pin}@{host};transport=tls",
    "sofia/external/{pin}@10.0.0.1|sofia/external/{pin}@{host}",
]
BAD = [
    "sofia/external/${pin}@{host}",
    "sofia/external/$1@{host}",
    "sofia/external/{pin}@{host}\\",
    "sofia/external/'{pin}'@{host}",
    'sofia/external/"{pin}"@{host}',
    "sofia/external/{pin}@{host}\n",
    "a\tb",
    "a\x00b",
    "a\x7fb",
    "a\u2028b",
    "{system id}",
    "{ignore_early_media=true}sofia/external/{pin}@{host}",
    "sofia/external/{PIN}@{host}",
    "sofia/external/{ pin }@{host}",
    "sofia/external/{}@{host}",
    "sofia/external/{pin@{host}",
    "sofia/external/pin}@{host}",
    "sofia/external/{{pin}}@{host}",
    "sofia/external/{p{pin}in}@{host}",
    "sofia/external/%24%7Bsystem id%7D@{host}",
    "sofia/external/%{pin}@{host}",
    "[execute_on_answer=system id]sofia/external/{pin}@{host}",
    "[leg_timeout=9,nolocal:EXECUTE_ON_MEDIA = system id]sofia/external/{pin}@{host}",
    "[^^:leg_timeout=9:api_on_answer=system id]sofia/external/{pin}@{host}",
    "[api_hangup_hook=system id]sofia/external/{pin}@{host}",
    "[group_confirm_key=exec,group_confirm_file=system id]sofia/external/{pin}@{host}",
    "[transfer_after_bridge=system:id:inline]sofia/external/{pin}@{host}",
    "[hold_music=shell_stream://id]sofia/external/{pin}@{host}",
    "loopback/app=system:id",
    "sofia/external/{pin}@{host}|Loopback/system:id/x/inline",
    "x" * 513,
    "",
    "  ",
]


@pytest.mark.parametrize("template", GOOD)
def test_template_is_accepted(template: str) -> None:
    assert check_dial_string(template) == template
    assert settings_of(FSAPI_BRIDGE=template).fsapi.bridge == template


@pytest.mark.parametrize("template", BAD)
def test_template_that_freeswitch_could_expand_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="the dial string"):
        check_dial_string(template)
    if template.strip() and "\x00" not in template:
        assert "FSAPI_BRIDGE=" in refusal(FSAPI_BRIDGE=template)


def test_template_is_filled() -> None:
    template = "[x={meeting}]sofia/external/{pin}@{host}:{port}/{pin}"
    found = fill_dial_string(template, pin="123", host="[::1]", port=5062, meeting="math-101_a.b~t")
    assert found == "[x=math-101_a.b~t]sofia/external/123@[::1]:5062/123"
    assert settings_of().fsapi.bridge is None
    found = fill_dial_string(DEFAULT_BRIDGE, pin="1", host="h", port=1, meeting="")
    assert found == "sofia/external/1@h"


@given(
    st.text(st.characters(exclude_categories=["Cs"])) | st.text("${}\\'\"%=,|:@&<> {pin}{host}\n")
)
def test_meeting_ids_hold_nothing_that_freeswitch_reads(meeting: str) -> None:
    found = fill_dial_string("{meeting}", pin="1", host="h", port=1, meeting=meeting)
    assert re.fullmatch("[A-Za-z0-9._~=-]*", found)
    assert not is_expanded(found)
    raw = re.sub(rb"=(..)", lambda code: bytes.fromhex(code[1].decode()), found.encode())
    assert raw.decode() == meeting  # so no two ids become the same


@given(
    st.text("abc123:@/[]=,|.- ${}%\\'\"+\n{pin}")
    | st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(["{pin}", "{host}", "{port}", "{meeting}", "$", "{", "}", "%", "\\"])),
    st.text("ab${}\\'\"%,|<>& \n"),
)
def test_template_that_is_accepted_runs_nothing(text: str, parts: list[str], meeting: str) -> None:
    """Whatever is around and between the placeholders, and whatever a front-end calls a meeting."""
    for template in (text, text.join(parts)):
        try:
            accepted = check_dial_string(template)
        except ValueError:
            continue
        found = fill_dial_string(accepted, pin="12345", host="[::1]", port=5062, meeting=meeting)
        assert not is_expanded(found)
        assert decode_url(found) == found  # nothing appears for who gets the call
        assert found.isprintable()
        assert not set("${}\\'\"") & set(found)
