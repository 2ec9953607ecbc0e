"""Which hooks belong on a server, and what the answers say."""

from __future__ import annotations

import pytest
from lxml import etree

from appliance.bbb.xml import MalformedAnswer
from appliance.callbacks.hook_rules import (
    MARKER,
    Hook,
    Registration,
    ServerHooks,
    creation_params,
    parse_hook_id,
    parse_hook_list,
    plan_hooks,
    refusal_of_private_url,
    render_created,
    render_destroyed,
    render_duplicate,
    render_hooks,
    visible_hooks,
)
from appliance.model import MeetingId, TenantId
from appliance.tenants.scoped_id import scoped_id

T1, T2 = TenantId("t-1"), TenantId("t-2")
URL = "https://lms.example.org/hook"


def state(
    *hooks: Hook,
    registered: tuple[Registration, ...] = (),
    meetings: tuple[tuple[str, str | None], ...] = (),
) -> ServerHooks:
    return ServerHooks(hooks, registered, tuple((MeetingId(one), who) for one, who in meetings))


def missing(given: ServerHooks) -> list[tuple[str, str | None]]:
    return [(one.url, one.meeting_id) for one in plan_hooks(given).missing]


def test_global_hook_belongs_on_a_server_without_meetings_as_it_is() -> None:
    assert missing(state(Hook("1", URL))) == [(URL, None)]


def test_hook_of_a_meeting_belongs_where_the_meeting_is() -> None:
    hook = Hook("1", URL, meeting_id="m")
    assert missing(state(hook)) == []
    assert missing(state(hook, meetings=(("n", None), ("m", None)))) == [(URL, "m")]


def test_hook_of_no_tenant_gets_no_meeting_of_a_tenant() -> None:
    assert missing(state(Hook("1", URL, meeting_id="m"), meetings=(("m", T1),))) == []


def test_hook_of_a_tenant_is_registered_for_each_of_its_meetings_and_for_no_other() -> None:
    meetings = (("a", T1), ("b", T1), ("c", T2), ("d", None))
    found = missing(state(Hook("7", f"{URL}?x=1#y", tenant_id=T1), meetings=meetings))
    assert [meeting_id for _, meeting_id in found] == ["a", "b"]
    urls = [url for url, _ in found]
    assert len(set(urls)) == 2
    assert all(url.startswith(f"{URL}?x=1&{MARKER}=7-") and url.endswith("#y") for url in urls)


def test_equal_urls_of_two_tenants_are_two_registrations() -> None:
    hooks = (
        Hook("1", URL, meeting_id="m", tenant_id=T1),
        Hook("2", URL, meeting_id="m", tenant_id=T2),
    )
    found = missing(state(*hooks, meetings=(("m", T1), (scoped_id("m", T2), T2))))
    assert [meeting_id for _, meeting_id in found] == ["m", "m~t-2"]
    assert found[0][0] != found[1][0]


def test_what_is_registered_as_it_should_be_stays() -> None:
    there = Registration(URL, "1", None, "x")
    plan = plan_hooks(state(Hook("1", URL), registered=(there,)))
    assert (plan.surplus, plan.missing) == ((), ())
    plan = plan_hooks(state(Hook("1", URL), registered=(there,)), actual={URL: "x", "other": "y"})
    assert (plan.surplus, plan.missing) == ((), ())


@pytest.mark.parametrize("actual", [{}, {URL: "another"}])
def test_what_the_server_has_lost_is_registered_again(actual: dict[str, str]) -> None:
    there = Registration(URL, "1", None, "x")
    plan = plan_hooks(state(Hook("1", URL), registered=(there,)), actual=actual)
    assert plan.surplus == ()
    assert [one.url for one in plan.missing] == [URL]


def test_hook_that_was_destroyed_and_made_anew_is_exchanged() -> None:
    there = Registration(URL, "1", None, "x")
    plan = plan_hooks(state(Hook("2", URL, event_ids="user-joined"), registered=(there,)))
    assert plan.surplus == (there,)
    assert [one.hook_id for one in plan.missing] == ["2"]


def test_hook_of_a_meeting_that_is_over_goes() -> None:
    there = Registration(URL, "1", MeetingId("m"), "x")
    plan = plan_hooks(state(Hook("1", URL, meeting_id="m"), registered=(there,)))
    assert (plan.surplus, plan.missing) == ((there,), ())


def test_id_that_belongs_to_another_tenants_meeting_now_is_no_longer_listened_to() -> None:
    hook = Hook("1", URL, meeting_id="m", tenant_id=T1)
    ours = plan_hooks(state(hook, meetings=(("m", T1),))).missing
    plan = plan_hooks(state(hook, registered=ours, meetings=(("m", T2),)))
    assert (plan.surplus, plan.missing) == (ours, ())


def test_parameters_are_those_of_the_front_end() -> None:
    hook = Hook("1", URL, event_ids="user-joined,user-left", raw=True)
    assert creation_params(hook, Registration(URL, "1", MeetingId("m"))) == (
        ("callbackURL", URL),
        ("meetingID", "m"),
        ("eventID", "user-joined,user-left"),
        ("getRaw", "true"),
    )
    assert creation_params(Hook("1", URL), Registration(URL, "1")) == (
        ("callbackURL", URL),
        ("getRaw", "false"),
    )


def test_answers_of_servers_are_read() -> None:
    listed = (
        b"<response><returncode>SUCCESS</returncode><hooks><hook><hookID>1</hookID>"
        b"<callbackURL><![CDATA[https://a.example/?x&y]]></callbackURL></hook>"
        b"<hook><callbackURL>no id</callbackURL></hook></hooks></response>"
    )
    assert parse_hook_list(listed) == {"https://a.example/?x&y": "1"}
    assert parse_hook_list(b"<response><hooks></hooks></response>") == {}
    assert parse_hook_id(b"<response><hookID> 7 </hookID></response>") == "7"
    assert parse_hook_id(b"<response/>") is None
    with pytest.raises(MalformedAnswer):
        parse_hook_list(b"<response>")


HOOKS = (
    Hook("10", f"{URL}/10", tenant_id=T1),
    Hook("9", f"{URL}/9?a=1&b=]]>", meeting_id="m<", event_ids="user-joined", raw=True),
    Hook("8", f"{URL}/8", meeting_id="other"),
    Hook("2", f"{URL}/2"),
)


def test_hooks_are_seen_by_whom_they_belong_to() -> None:
    assert [one.id for one in visible_hooks(HOOKS, None, None)] == ["2", "8", "9"]
    assert [one.id for one in visible_hooks(HOOKS, None, "m<")] == ["2", "9"]
    assert [one.id for one in visible_hooks(HOOKS, T1, None)] == ["10"]
    assert visible_hooks(HOOKS, T2, None) == []


def test_list_says_what_was_registered() -> None:
    root = etree.fromstring(render_hooks(visible_hooks(HOOKS, None, "m<")))
    assert root.findtext("returncode") == "SUCCESS"
    first, second = root.iterfind("hooks/hook")
    assert [(child.tag, child.text) for child in first] == [
        ("hookID", "2"),
        ("callbackURL", f"{URL}/2"),
        ("permanentHook", "false"),
        ("rawData", "false"),
    ]
    assert [(child.tag, child.text) for child in second] == [
        ("hookID", "9"),
        ("callbackURL", f"{URL}/9?a=1&b=]]>"),
        ("meetingID", "m<"),
        ("eventID", "user-joined"),
        ("permanentHook", "false"),
        ("rawData", "true"),
    ]
    assert render_hooks([]).endswith(b"<hooks></hooks></response>")


def test_other_answers_are_those_of_bbb_webhooks() -> None:
    assert render_created(Hook("3", URL, raw=True)) == (
        b"<response><returncode>SUCCESS</returncode><hookID>3</hookID>"
        b"<permanentHook>false</permanentHook><rawData>true</rawData></response>"
    )
    assert render_duplicate("3") == (
        b"<response><returncode>SUCCESS</returncode><hookID>3</hookID>"
        b"<messageKey>duplicateWarning</messageKey>"
        b"<message>There is already a hook for this callback URL.</message></response>"
    )
    assert b"<removed>true</removed>" in render_destroyed()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3:8080", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "0"),
        *("2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost", "a.localhost.", "x.0x7f"),
        "\uff11\uff12\uff17.1",
    ],
)
def test_private_address_is_seen_in_every_form(host: str) -> None:
    assert refusal_of_private_url(f"http://{host}/hook")


@pytest.mark.parametrize(
    "host", ["lms.example.org", "1.1.1.1", "[2606:4700::1111]:8443", "10.example.org", "x.0xg"]
)
def test_other_host_may_be_called(host: str) -> None:
    assert refusal_of_private_url(f"https://{host}/hook") is None
