"""Credentials of an LRS: what is encrypted, that its reader can read it, and tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.model import Keycloak, Lrs
from appliance.tenants.lrs_rules import (
    LrsToken,
    TokenUnavailable,
    basic_document,
    lrs_of,
    read_token,
    seal,
    token_document,
    token_request,
)

SECRET = "bab3fd92bcd7d464"
ENDPOINT = "https://lrs.example/xapi"
SALT = bytes(range(8))
KEYCLOAK = Keycloak("https://kc.example/token", "bbb", "cs", "user", "pw")
DOCUMENTS = ["{}", json.dumps({"lrs_endpoint": ENDPOINT, "lrs_token": "x" * 1500}), "ü", "a" * 16]


def read_as_bbb_webhooks(payload: str, secret: str) -> str:
    """Decrypt by the rule of bbb-webhooks (src/out/xapi/decrypt.js), which skips eight bytes."""
    raw = base64.b64decode(payload, validate=True)
    derived = hashlib.pbkdf2_hmac("sha256", secret.encode(), raw[8:16], 10000, 48)
    cipher = Cipher(algorithms.AES(derived[:32]), modes.CBC(derived[32:])).decryptor()
    padded = cipher.update(raw[16:]) + cipher.finalize()
    return padded[: -padded[-1]].decode()


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("secret", [SECRET, "geheim-ä&:"])
def test_payload_is_read_by_bbb_webhooks(document: str, secret: str) -> None:
    assert read_as_bbb_webhooks(seal(document, secret, SALT), secret) == document


@pytest.mark.parametrize("document", DOCUMENTS)
def test_payload_is_read_by_openssl(document: str) -> None:
    command = ["openssl", "aes-256-cbc", "-d", "-pass", f"pass:{SECRET}", "-pbkdf2", "-a", "-A"]
    payload = seal(document, SECRET, b"\xff" * 8)
    done = subprocess.run(
        command, input=payload.encode(), capture_output=True, check=True, timeout=20
    )
    assert done.stdout.decode() == document


def test_payload_of_openssl_is_ours() -> None:
    command = ["openssl", "aes-256-cbc", "-pass", f"pass:{SECRET}", "-pbkdf2", "-a", "-A"]
    command += ["-S", SALT.hex()]
    done = subprocess.run(command, input=b"{}", capture_output=True, check=True, timeout=20)
    # With a given salt, openssl writes no header.
    assert base64.b64decode(seal("{}", SECRET, SALT))[16:] == base64.b64decode(done.stdout)


def test_payload_depends_on_secret_and_salt() -> None:
    payloads = {seal("{}", secret, salt) for secret in ("a", "b") for salt in (SALT, b"x" * 8)}
    assert len(payloads) == 4


@pytest.mark.parametrize(
    ("fields", "lrs"),
    [
        ({}, None),
        ({"lrs_endpoint": ""}, None),
        ({"lrs_username": "u", "kc_token_url": "https://kc"}, None),
        ({"lrs_endpoint": ENDPOINT}, Lrs(ENDPOINT)),
        (
            {"lrs_endpoint": ENDPOINT, "lrs_username": "u", "lrs_password": "p"},
            Lrs(ENDPOINT, "u", "p"),
        ),
        ({"lrs_endpoint": ENDPOINT, "kc_token_url": "", "kc_username": "u"}, Lrs(ENDPOINT)),
        (
            {"lrs_endpoint": ENDPOINT, "kc_token_url": "https://kc", "kc_username": "u"},
            Lrs(ENDPOINT, keycloak=Keycloak("https://kc", "", "", "u", "")),
        ),
    ],
)
def test_lrs_is_read_from_a_tenants_record(fields: dict[str, str], lrs: Lrs | None) -> None:
    assert lrs_of(fields) == lrs


def test_documents_are_what_bbb_webhooks_reads() -> None:
    lrs = Lrs(ENDPOINT, "u", "p", KEYCLOAK)
    assert json.loads(basic_document(lrs) or "") == {
        "lrs_endpoint": ENDPOINT,
        "lrs_username": "u",
        "lrs_password": "p",
    }
    token = token_document(lrs, LrsToken("t", 1))
    assert json.loads(token) == {"lrs_endpoint": ENDPOINT, "lrs_token": "t"}
    assert basic_document(Lrs(ENDPOINT)) is None


def test_token_is_asked_for_by_the_password_grant() -> None:
    assert dict(token_request(KEYCLOAK)) == {
        "client_id": "bbb",
        "client_secret": "cs",
        "username": "user",
        "password": "pw",
        "grant_type": "password",
    }


@pytest.mark.parametrize(
    ("expires_in", "keep_s"),
    [
        (300, 270),
        ("300", 270),
        (60, 54),
        (3600.5, 3570.5),
        (None, 54),
        ("soon", 54),
        ([], 54),
        (0, 1),
        (-5, 1),
        (float("nan"), 1),
        (float("inf"), 86_370),
        (10**400, 54),
    ],
)
def test_token_is_kept_somewhat_shorter_than_it_is_valid(expires_in: Any, keep_s: float) -> None:
    body = json.dumps({"access_token": "t", "expires_in": expires_in}).encode()
    assert read_token(200, body) == LrsToken("t", keep_s)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, b'{"error": "invalid_grant", "error_description": "pw"}', "401, invalid_grant"),
        (400, b'{"error": "no code, but my password"}', "400"),
        (500, b"<html>", "500"),
        (302, b"", "302"),
        (200, b"", "no access_token"),
        (200, b"[]", "no access_token"),
        (200, b'{"access_token": ""}', "no access_token"),
        (200, b'{"access_token": 7}', "no access_token"),
        (200, b'{"access_token": "%s"}' % (b"x" * 20_000), "no access_token"),
        (200, b"[" * 100_000, "no access_token"),
    ],
)
def test_other_answer_is_no_token(status: int, body: bytes, reason: str) -> None:
    with pytest.raises(TokenUnavailable) as caught:
        read_token(status, body)
    assert str(caught.value).endswith(reason)


def test_secrets_are_in_no_repr() -> None:
    lrs = Lrs(ENDPOINT, "u", "lrs-password", Keycloak("https://kc", "c", "kc-secret", "u", "kc-pw"))
    text = f"{lrs!r} {LrsToken('the-token', 1)!r}"
    assert not any(secret in text for secret in ("lrs-password", "kc-secret", "kc-pw", "the-token"))
