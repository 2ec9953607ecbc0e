"""meta_endCallbackUrl of scoped meetings: our URL, what it says, and that it cannot be forged."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from appliance.callbacks.end_callback_url import EndCallback, read_end_callback, relay_end_callback
from appliance.callbacks.ended_rules import EndUrlSigner, MeetingRun
from appliance.model import TenantId
from appliance.tenants.end_callback import original_url

SECRET = "k" * 32
SIGNER = EndUrlSigner("https://bbb.example.org", MeetingRun(1_800_000_000_123), SECRET)
GREENLIGHT = "https://gl.example.org/meeting_ended?a=b c&d=%2F#x".replace(" ", "+")


def relay(value: str = GREENLIGHT, name: str = "meta_endCallbackUrl", **changes: Any) -> str | None:
    params = (("name", "Room"), (name, value), ("meta_x", "y"))
    signer = changes.pop("signer", SIGNER)
    about = {"meeting_id": "math 101", "tenant_id": TenantId("t-2")} | changes
    relayed = relay_end_callback(params, signer, **about)
    assert [pair for pair in relayed if pair[0] != name] == [params[0], params[2]]
    return dict(relayed).get(name)


def query(text: str | None) -> bytes:
    assert text is not None
    return text.partition("?")[2].encode()


@pytest.mark.parametrize(
    "name", ["meta_endCallbackUrl", "meta_endcallbackurl", "META_ENDCALLBACKURL"]
)
def test_url_of_ours_stands_in_for_the_front_ends_however_it_is_spelt(name: str) -> None:
    url = relay(name=name)
    assert url is not None
    assert url.startswith("https://bbb.example.org/bigbluebutton/api/end_callback?")
    assert original_url(url) == GREENLIGHT
    call = read_end_callback(query(url), SECRET)
    assert call == EndCallback(GREENLIGHT, "math 101", TenantId("t-2"), 1_800_000_000_123)


def test_front_end_is_told_its_own_id_as_bbb_tells_it() -> None:
    # BBB parses and rebuilds the URL.
    params = [*parse_qsl(query(relay()).decode()), ("meetingID", "math 101~t-2")]
    called = urlencode([("recordingmarks", "true"), *reversed(params)])

    call = read_end_callback(called.encode(), SECRET)

    assert call is not None
    assert call.target == (
        "https://gl.example.org/meeting_ended?a=b+c&d=%2F&recordingmarks=true&meetingID=math+101#x"
    )


def test_each_run_is_another_call_and_each_try_the_same() -> None:
    first = read_end_callback(query(relay()), SECRET)
    again = read_end_callback(query(relay()) + b"&recordingmarks=false", SECRET)
    later = read_end_callback(
        query(relay(signer=EndUrlSigner(SIGNER.base_url, MeetingRun(1_800_000_000_124), SECRET))),
        SECRET,
    )
    assert first is not None
    assert again is not None
    assert later is not None
    assert first.name == again.name != later.name


@pytest.mark.parametrize(
    ("value", "left"),
    [("", ""), ("  ", "  "), ("ftp://a.example/", None), ("https://a.example/" + "x" * 9000, None)],
)
def test_url_that_cannot_be_called_is_dropped(value: str, left: str | None) -> None:
    assert relay(value) == left


@pytest.mark.parametrize(
    "signer", [EndUrlSigner("", SIGNER.run, SECRET), EndUrlSigner("https://a", SIGNER.run, "")]
)
def test_url_is_dropped_where_servers_cannot_call_us(signer: EndUrlSigner) -> None:
    assert relay(signer=signer) is None
    assert read_end_callback(query(relay()), "") is None


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "url=https%3A%2F%2Fevil.example%2F&meeting=m&tenant=t-2&began=1",
        "url=https%3A%2F%2Fevil.example%2F&meeting=m&tenant=t-2&began=1&signature=%C3%A4",
        "url=x&meeting=m&tenant=t-2&began=-1&signature=00",
        query(relay()).decode().replace("gl.example", "evil.example"),
        query(relay()).decode().replace("math+101", "math+102"),
        query(relay()).decode().replace("t-2", "t-1"),
        query(relay()).decode().replace("0123", "0124"),
        query(relay()).decode() + "&x=" + "y" * 40_000,
    ],
)
def test_forged_call_is_nothing(forged: str) -> None:
    assert read_end_callback(forged.encode(), SECRET) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a url",
        "https://[",
        GREENLIGHT,
        "https://bbb.example.org/bigbluebutton/api/end_callback",
        "https://bbb.example.org/bigbluebutton/api/meeting_ended?url=x",
    ],
)
def test_other_text_is_shown_as_it_is(text: str) -> None:
    assert original_url(text) == text
