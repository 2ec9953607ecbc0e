"""/fsapi over HTTP, asked with the complete forms that FreeSWITCH posts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

import pytest
import trio
from lxml import etree

from appliance.dialin.routes import FORM_MAX_BYTES
from appliance.http.messages import ClientTimeouts
from tests.doubles.dialplan import DATA, DIALLED, PIN, basic, form
from tests.doubles.freeswitch import Gateway, post_value, receive_caller_id
from tests.doubles.pool_store import pool_store
from tests.doubles.public import (
    FORM_TYPE,
    LINGER,
    Answer,
    Public,
    open_public,
    request,
)
from tests.doubles.redis_processes import redis_process
from tests.doubles.settings import SECRET
from tests.doubles.store_pool import StorePool

NOT_FOUND = (
    b'<document type="freeswitch/xml"><section name="result"><result status="not found"/></section>'
    b"</document>"
)
AUTHORIZED = basic("fsapi", SECRET)


@dataclass(frozen=True)
class Endpoint:
    """The endpoint, and a pool with one meeting, `math`, whose number is PIN."""

    public: Public
    pool: StorePool

    async def post(
        self, body: bytes, *, headers: Iterable[str] = (AUTHORIZED,), path: str = "/fsapi"
    ) -> Answer:
        """Post a form."""
        return await self.public.ask("POST", path, headers=[FORM_TYPE, *headers], body=body)

    async def extension(self, body: bytes) -> str | None:
        """Post a form and return the name of the extension of the answer."""
        answer = await self.post(body)
        assert answer.status == 200
        found = etree.fromstring(answer.body).find(".//extension")
        return None if found is None else found.get("name")

    async def run(self, body: bytes, gateway: Gateway | None = None) -> Gateway:
        """Post a form, and execute the answer as FreeSWITCH would."""
        gateway = gateway or Gateway()
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        number = fields["Caller-Destination-Number"]
        assert gateway.run((await self.post(body)).body, number)
        return gateway


@asynccontextmanager
async def opened(redis_url: str, namespace: str, **variables: str) -> AsyncIterator[Endpoint]:
    async with open_public(
        redis_url, namespace, timeouts=LINGER, listener_timeouts=None, **variables
    ) as public:
        pool = StorePool(pool_store(public.res))  # it is the real one
        pool.now_ms = public.res.now_ms()
        await pool.add("bbb1.example")
        await pool.create("math", voice_bridges=(PIN,))
        yield Endpoint(public, pool)


@pytest.fixture
async def endpoint(redis_url: str, redis_namespace: str) -> AsyncIterator[Endpoint]:
    async with opened(redis_url, redis_namespace) as double:
        yield double


# --- a call from beginning to end ----------------------------------------------------------------


def test_forms_are_as_long_as_freeswitchs() -> None:
    for name in ("call", "pin"):
        assert form(name).count(b"&") > 100
        names = [field for field, _ in parse_qsl((DATA / f"{name}.form").read_text())]
        assert len(names) == len(set(names))


async def test_call_is_asked_for_its_pin_and_connected(endpoint: Endpoint) -> None:
    gateway = Gateway()

    await endpoint.run(form("call"), gateway)
    assert gateway.executed[0] == ("answer", "")
    gateway.variables["pin"] = PIN
    await endpoint.run(form("pin"), gateway)

    assert gateway.executed[-1] == ("bridge", f"sofia/external/{PIN}@bbb1.example")
    assert gateway.variables["meeting_id"] == "math"
    assert gateway.variables["effective_caller_id_name"] == "Anna Müller"


async def test_full_number_of_the_caller_does_not_reach_the_server(endpoint: Endpoint) -> None:
    gateway = await endpoint.run(form("pin"))

    # Without the second FreeSWITCH sends the number of the trunk's P-Asserted-Identity on.
    assert gateway.variables["effective_caller_id_number"] == "+493012XXXX"
    assert gateway.variables["sip_cid_type"] == "none"
    assert not any("4930123456" in data for _, data in gateway.executed)


async def test_encoded_command_in_a_display_name_is_text(endpoint: Endpoint) -> None:
    received = receive_caller_id("%2524%257Bsystem touch /tmp/x}")
    body = form("pin").replace(b"Anna%20M%C3%BCller", post_value(received).encode())
    assert b"=%24%7Bsystem" in body

    for knows_expand_once in (True, False):
        gateway = await endpoint.run(body, Gateway(knows_expand_once))
        assert gateway.evaluated == []
        assert gateway.variables["effective_caller_id_name"] == "system touch  tmp x"


async def test_call_of_another_context_is_left_to_its_dialplan(
    redis_url: str, redis_namespace: str
) -> None:
    async with opened(redis_url, redis_namespace, FSAPI_CONTEXT="from-trunk") as endpoint:
        assert (await endpoint.post(form("call"))).body == NOT_FOUND
        contexts = {"Caller-Context": "from-trunk", "Hunt-Context": "from-trunk"}
        answer = await endpoint.post(form("call", **contexts))
        assert b'<context name="from-trunk">' in answer.body
        assert b"XML from-trunk" in answer.body
        assert await endpoint.extension(b"section=dialplan&Caller-Destination-Number=1") is not None


async def test_caller_who_entered_too_little_is_not_asked_again(endpoint: Endpoint) -> None:
    changes = {"Caller-Destination-Number": "goodbye", "variable_pin": "12"}

    assert await endpoint.extension(form("pin", **changes)) == "goodbye"


async def test_answer_is_xml(endpoint: Endpoint) -> None:
    for name in ("call", "pin"):
        answer = await endpoint.post(form(name))

        assert answer.status == 200
        assert answer.headers["content-type"] == "text/xml; charset=utf-8"
        assert etree.fromstring(answer.body).get("type") == "freeswitch/xml"


@pytest.mark.parametrize(
    ("body", "extension"),
    [
        (form("call"), "match_did_and_prompt_for_pin"),
        (form("call", variable_pin=""), "match_did_and_prompt_for_pin"),
        (form("pin"), "bridge_to_bbb_server"),
        (form("pin", pin=f"{PIN}1"), "bridge_to_bbb_server"),
        (form("pin", pin="987654321"), "reprompt_for_pin"),
        (form("pin", pin="12*34"), "reprompt_for_pin"),
        (form("pin", variable_pin=f"{PIN}@evil.example"), "reprompt_for_pin"),
        (form("pin", variable_pin="${system id}"), "reprompt_for_pin"),
        (form("pin", section="directory"), None),
        (form("pin", section="configuration"), None),
        (form("pin", number=None), None),
        (form("pin", number=""), None),
        (b"", None),
        (b"&&=&%&section", None),
        (b"\xff\xfe=\x00", None),
    ],
)
async def test_form_is_answered_by_the_document_of_its_case(
    endpoint: Endpoint, body: bytes, extension: str | None
) -> None:
    assert await endpoint.extension(body) == extension
    if extension is None:
        assert (await endpoint.post(body)).body == NOT_FOUND


async def test_minimal_form_is_enough(endpoint: Endpoint) -> None:
    body = b"section=dialplan&Caller-Destination-Number=%2B49305550100"

    assert await endpoint.extension(body) == "match_did_and_prompt_for_pin"
    assert b'expression="^\\x2b49305550100$"' in (await endpoint.post(body)).body


async def test_limits_come_from_the_settings(redis_url: str, redis_namespace: str) -> None:
    variables = {"VOICE_BRIDGE_MIN": "6", "VOICE_BRIDGE_MAX": "10", "FSAPI_MAX_DURATION": "90"}
    async with opened(redis_url, redis_namespace, **variables) as endpoint:
        gateway = Gateway(variables={"pin": PIN})
        await endpoint.run(form("call"), gateway)

        assert ("sched_hangup", "+5400 normal_clearing") in gateway.executed
        assert any(data.startswith("6 10 3 7000 #") for _, data in gateway.executed)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "Anna Müller"),
        ({"caller_id_name": "+4930123456"}, "+493012XXXX"),
        ({"caller_id_name": "5554321"}, "555XXXX"),
        ({"caller_id_name": "5554321", "hide_number": "true"}, "Unavailable"),
        ({"hide_name": "true"}, "Unavailable"),
        ({"caller_id_name": None}, "Unavailable"),
        ({"caller_id_name": "${system touch /tmp/x}"}, "system touch  tmp x"),
        ({"caller_id_name": r"\${system id}"}, "system id"),
        ({"caller_id_name": 'a"/><x b="c&d'}, "a\u2019 ><x b=\u2019c&d"),
        ({"caller_id_name": "GLOBAL_AUDIO_1"}, "GLOBAL AUDIO_1"),
        ({"caller_id_name": "a\nb\x00c"}, "a b c"),
        ({"caller_id_name": "Ünïcødé 😀"}, "Ünïcødé 😀"),
    ],
)
async def test_caller_is_named_to_the_meeting(
    endpoint: Endpoint, changes: dict[str, str | None], name: str
) -> None:
    gateway = await endpoint.run(form("pin", **changes))

    assert gateway.variables["effective_caller_id_name"] == name
    assert gateway.evaluated == []


@pytest.mark.parametrize("number", ["${system id}", "(0)${0}", "a.b|c", '"<&>', "\\", "x y\nz"])
async def test_number_that_was_dialled_is_harmless(endpoint: Endpoint, number: str) -> None:
    gateway = Gateway(variables={"pin": PIN})

    await endpoint.run(form("call", number=number), gateway)

    assert gateway.evaluated == ["pin"]


async def test_meeting_with_a_hostile_id_is_connected_and_nothing_runs(endpoint: Endpoint) -> None:
    await endpoint.pool.create("a\\${system id};b", voice_bridges=("55555",))

    gateway = await endpoint.run(form("pin", pin="55555"))

    assert gateway.evaluated == []
    assert gateway.variables["meeting_id"] == "a   system id ;b"
    assert gateway.executed[-1] == ("bridge", "sofia/external/55555@bbb1.example")


async def test_guesses_are_counted_by_the_address_of_the_gateway(
    redis_url: str, redis_namespace: str
) -> None:
    async with opened(redis_url, redis_namespace, FSAPI_MAX_ATTEMPTS="1") as endpoint:

        async def guess(gateway: str, call_id: str, **changes: str) -> bytes:
            headers = [AUTHORIZED, f"X-Forwarded-For: {gateway}"]
            body = form("pin", pin="11111", **{"Unique-ID": call_id}, **changes)
            return (await endpoint.post(body, headers=headers)).body

        assert b"reprompt_for_pin" in await guess("203.0.113.10", "1")
        assert b"refuse_pin" in await guess("203.0.113.10", "2")
        # Another gateway, and another caller of the same one.
        assert b"reprompt_for_pin" in await guess("203.0.113.11", "3")
        assert b"reprompt_for_pin" in await guess("203.0.113.10", "4", caller_id_number="030")
        assert await endpoint.extension(form("pin")) == "bridge_to_bbb_server"


# --- who may ask ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Authorization: Basic"],
        ["Authorization: Basic !"],
        ["Authorization: Basic Zm9v"],
        ["Authorization: \xff"],
        [basic("fsapi", "wrong")],
        [basic("fsapi", "")],
        [basic("other", SECRET)],
        [basic("", SECRET)],
        [basic("fsapi", f"{SECRET}x")],
        [basic("fsapi", SECRET).replace("Basic", "Bearer")],
    ],
)
async def test_request_without_the_password_is_refused(
    endpoint: Endpoint, headers: list[str]
) -> None:
    for body in (form("call"), form("pin"), b"", b"x" * 1000):
        answer = await endpoint.post(body, headers=headers)

        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="scalelite-appliance"'
        assert SECRET.encode() not in answer.body


async def test_realm_is_the_host(redis_url: str, redis_namespace: str) -> None:
    async with opened(redis_url, redis_namespace, URL_HOST="bbb.example") as endpoint:
        answer = await endpoint.post(form("call"), headers=())

        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="bbb.example"'
        assert (await endpoint.post(form("call"))).status == 200


async def test_other_host_is_refused(redis_url: str, redis_namespace: str) -> None:
    async with opened(redis_url, redis_namespace, URL_HOST="other.example") as endpoint:
        assert (await endpoint.post(form("call"))).status == 403


@pytest.mark.parametrize(
    ("password", "header", "status"),
    [
        ("pässwörd: x", basic("fsapi", "pässwörd: x"), 200),
        ("pässwörd: x", AUTHORIZED, 401),
        ("", "Accept: */*", 200),
        ("", basic("fsapi", "whatever"), 200),
    ],
)
async def test_password_is_the_one_that_is_set(
    redis_url: str, redis_namespace: str, password: str, header: str, status: int
) -> None:
    async with opened(redis_url, redis_namespace, FSAPI_PASSWORD=password) as endpoint:
        assert (await endpoint.post(form("call"), headers=[header])).status == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
async def test_only_post_is_answered(endpoint: Endpoint, method: str) -> None:
    answer = await endpoint.public.ask(method, "/fsapi", headers=[AUTHORIZED])

    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


async def test_slash_at_the_end_does_no_harm(endpoint: Endpoint) -> None:
    assert (await endpoint.post(form("call"), path="/fsapi/")).status == 200
    assert (await endpoint.post(form("call"), path="/fsapix")).status == 404


# --- what goes wrong -----------------------------------------------------------------------------


async def test_form_that_is_too_large_is_refused(endpoint: Endpoint) -> None:
    large = form("call") + b"&variable_x=" + b"x" * FORM_MAX_BYTES

    assert (await endpoint.post(large)).status == 413
    within = form("call") + b"&variable_x=" + b"x" * (FORM_MAX_BYTES - 20_000)
    assert await endpoint.extension(within) == "match_did_and_prompt_for_pin"


async def test_form_that_does_not_come_is_given_up(redis_url: str, redis_namespace: str) -> None:
    timeouts = ClientTimeouts(rate_s=0.2, form_s=0.2, linger_s=0.1)
    async with open_public(redis_url, redis_namespace, timeouts=timeouts) as public:
        head = request("POST", "/fsapi", headers=[FORM_TYPE, AUTHORIZED, "Content-Length: 10"])

        assert (await public.raw(head)).status == 408


async def test_client_that_goes_away_is_no_fault(endpoint: Endpoint) -> None:
    head = request("POST", "/fsapi", headers=[FORM_TYPE, AUTHORIZED, "Content-Length: 10"])
    async with await endpoint.public.connect() as stream:
        await stream.send_all(head)

    assert (await endpoint.post(form("call"))).status == 200
    assert endpoint.public.log.errors == []


async def test_call_gets_a_document_while_redis_is_down(redis_namespace: str) -> None:
    with redis_process() as redis:
        async with opened(redis.unix_url, redis_namespace) as endpoint:
            redis.kill()

            with trio.fail_after(40):
                assert await endpoint.extension(form("pin")) == "reprompt_for_pin"
                assert await endpoint.extension(form("call")) == "match_did_and_prompt_for_pin"


async def test_password_and_form_are_not_logged(endpoint: Endpoint) -> None:
    await endpoint.post(form("pin"))
    await endpoint.post(form("pin", pin="99999999"), headers=[basic("fsapi", "guess-me")])

    logged = repr(endpoint.public.log.events)
    for text in (SECRET, "guess-me", PIN, "99999999", "Anna", "4930123456", DIALLED):
        assert text not in logged
