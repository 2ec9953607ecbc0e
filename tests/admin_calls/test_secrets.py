"""Secrets are hidden wherever they are in an answer."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.call import Answer
from appliance.admin_calls.secrets import Secret, SecretsByName, hide_secrets, secret_if_named


class SafeJson(Answer, frozen=True):
    """Something with secrets."""

    id: str
    secret: Annotated[Secret, Meta(description="Its secret.")]
    param: str = ""
    value: Annotated[str, secret_if_named("param")] = ""


class RoomJson(SafeJson, frozen=True, kw_only=True):
    """Something around it."""

    safe: SafeJson | None
    metadata: SecretsByName


def test_secrets_are_masked_at_any_depth() -> None:
    safe = SafeJson("1", "s3cr3t", "moderatorPW", "s3cr3t")
    url = "https://a.example/?token=s3cr3t&x=1"
    metadata = {"api-key": "s3cr3t", "callback": url, "course": "Physics"}
    room = RoomJson(id="2", secret="s3cr3t", safe=safe, metadata=metadata)

    (hidden,) = hide_secrets([room])

    assert "s3cr3t" not in repr(hidden)
    assert (hidden.id, hidden.secret, hidden.safe.id) == ("2", "***", "1")
    assert hidden.metadata == {
        "api-key": "***",
        "callback": "https://a.example/?token=***&x=1",
        "course": "Physics",
    }


def test_what_is_no_secret_stays() -> None:
    safe = SafeJson("1", "", "welcome", "Hello")

    assert hide_secrets(safe) is safe
    assert hide_secrets({"a": 1}) == {"a": 1}
