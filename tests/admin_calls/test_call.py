"""The declaration of a call: its types, its dependencies, its deadline."""

from __future__ import annotations

import pytest
import trio

from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import BadRequest, Fields, RequiredText, Text

ME = Actor("me")


class EchoRequest(Fields, frozen=True):
    """A request."""

    id: RequiredText
    other: Text = ""


class EchoJson(Answer, frozen=True):
    """An answer."""

    text: str


async def echo(deps: str, call: Call[EchoRequest]) -> list[EchoJson]:
    """Answer the fields, the dependency and the actor."""
    request = call.read()
    return [EchoJson(f"{request.id} {request.other} {deps} {call.who}")]


async def sleep(deps: str, call: Call[EchoRequest]) -> EchoJson:
    """Answer late."""
    await trio.sleep(60)
    return EchoJson("")


async def read_id(deps: str, call: Call[EchoRequest]) -> EchoJson:
    """Answer the id, whatever the other fields are."""
    return EchoJson(call.read_id())


def test_types_are_those_of_the_handler() -> None:
    call = AdminCall("echo", "GET", echo, "x", "Echoes.", [], role=Role.VIEWER)

    assert call.request_type is EchoRequest
    assert call.answer_type == list[EchoJson]


async def test_bound_call_reads_its_fields_and_has_its_dependencies() -> None:
    call = AdminCall("echo", "GET", echo, "x", "Echoes.", [], role=Role.VIEWER).bind("deps")

    assert await call.run(ME, {"id": "1", "other": "2"}) == [EchoJson("1 2 deps me")]
    with pytest.raises(BadRequest, match="id is missing"):
        await call.run(ME, {})


async def test_id_is_read_alone() -> None:
    call = AdminCall("id", "GET", read_id, "x", "Echoes.", [], role=Role.VIEWER).bind("deps")

    assert await call.run(ME, {"id": "1", "other": 7}) == EchoJson("1")


async def test_call_ends_at_its_deadline() -> None:
    call = AdminCall(
        "sleep", "GET", sleep, "x", "Sleeps.", [], role=Role.VIEWER, deadline_s=0.01
    ).bind("deps")

    with pytest.raises(trio.TooSlowError):
        await call.run(ME, {"id": "1"})
