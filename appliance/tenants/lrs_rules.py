"""The credentials of a tenant's learning record store (LRS), encrypted for a BBB server.

BBB's xAPI module (bbb-webhooks) reads them from `meta_secret-lrs-payload` of create: base64 of
eight ignored bytes, eight bytes of salt, and AES-256-CBC of a JSON object, with key and IV by
PBKDF2 of the server's secret. The ignored bytes are `Salted__` (in Scalelite random), so that
`openssl aes-256-cbc -pbkdf2 -a -A` can write and read the payload. Pure. Source: bbb-webhooks,
src/out/xapi (README.md, decrypt.js); RFC 6749, sections 4.3 and 5.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.bbb.params import Params
from appliance.model import Keycloak, Lrs
from appliance.tenants.view import LRS_KEY

PAYLOAD_PARAM = f"meta_{LRS_KEY}"
SALT_BYTES = 8

_MAGIC = b"Salted__"
_ROUNDS = 10_000
"""OpenSSL's default for `-pbkdf2`. Takes ten milliseconds, so it must run in a thread."""
_KEY_BYTES, _IV_BYTES = 32, 16
_BLOCK_BITS = 128

_DEFAULT_LIFE_S = 60.0
_MAX_LIFE_S = 86_400.0
_MARGIN_S = 30.0
_MARGIN_SHARE = 0.1
_LEAST_S = 1.0
"""Minimum time for which a token is shared, so that concurrent creates use one."""
_MAX_TOKEN = 16_384
_ERROR_CODE = re.compile(r"[a-z_]{1,64}").fullmatch


class TokenUnavailable(Exception):
    """No token is available; the text says why and is safe to log."""


@dataclass(frozen=True, slots=True)
class LrsToken:
    """An access token."""

    text: str = field(repr=False)
    keep_s: float
    """How long it may be used for further meetings: somewhat less than its lifetime."""


def lrs_of(fields: Mapping[str, str]) -> Lrs | None:
    """Return the LRS of a tenant's record, None if it has none."""
    endpoint = fields.get("lrs_endpoint", "")
    if not endpoint:
        return None
    names = ("kc_token_url", "kc_client_id", "kc_client_secret", "kc_username", "kc_password")
    keycloak = Keycloak(*(fields.get(name, "") for name in names))
    return Lrs(
        endpoint,
        fields.get("lrs_username", ""),
        fields.get("lrs_password", ""),
        keycloak if keycloak.token_url else None,
    )


def basic_document(lrs: Lrs) -> str | None:
    """Return the plaintext with user name and password, None if there are none."""
    if not lrs.username and not lrs.password:
        return None
    return json.dumps(
        {
            "lrs_endpoint": lrs.endpoint,
            "lrs_username": lrs.username,
            "lrs_password": lrs.password,
        }
    )


def token_document(lrs: Lrs, token: LrsToken) -> str:
    """Return the plaintext with an access token."""
    return json.dumps({"lrs_endpoint": lrs.endpoint, "lrs_token": token.text})


def seal(document: str, secret: str, salt: bytes) -> str:
    """Encrypt a document with a server's secret; `salt` is eight random bytes."""
    # Imported here to save nine megabytes of memory in an appliance without LRS.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7

    key_and_iv = hashlib.pbkdf2_hmac(
        "sha256",
        secret.encode("utf-8", "surrogateescape"),
        salt,
        _ROUNDS,
        _KEY_BYTES + _IV_BYTES,
    )
    cipher = Cipher(
        algorithms.AES(key_and_iv[:_KEY_BYTES]), modes.CBC(key_and_iv[_KEY_BYTES:])
    ).encryptor()
    padder = PKCS7(_BLOCK_BITS).padder()
    padded = padder.update(document.encode()) + padder.finalize()
    encrypted = cipher.update(padded) + cipher.finalize()
    return base64.b64encode(_MAGIC + salt + encrypted).decode("ascii")


def token_request(keycloak: Keycloak) -> Params:
    """Return the form of a token request with the password grant."""
    return (
        ("client_id", keycloak.client_id),
        ("client_secret", keycloak.client_secret),
        ("username", keycloak.username),
        ("password", keycloak.password),
        ("grant_type", "password"),
    )


def read_token(status: int, body: bytes) -> LrsToken:
    """Parse the answer of a token endpoint. Raises TokenUnavailable."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    fields = content if isinstance(content, dict) else {}
    if status != 200:
        raise TokenUnavailable(f"HTTP status {status}{_error_code(fields)}")
    text = fields.get("access_token")
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TOKEN:
        raise TokenUnavailable("the answer has no access_token")
    return LrsToken(text, _keep_s(fields.get("expires_in")))


def _error_code(fields: Mapping[str, object]) -> str:
    """Return the error code of RFC 6749 (`invalid_grant`); the rest of the answer is not logged."""
    code = fields.get("error")
    return f", {code}" if isinstance(code, str) and _ERROR_CODE(code) else ""


def _keep_s(expires_in: object) -> float:
    try:
        life_s = float(expires_in)  # type: ignore[arg-type]  # any JSON value
    except (TypeError, ValueError, OverflowError):
        life_s = _DEFAULT_LIFE_S
    if not 0 <= life_s <= _MAX_LIFE_S:  # also true for NaN
        life_s = _MAX_LIFE_S if life_s > 0 else 0.0
    return max(_LEAST_S, life_s - min(_MARGIN_S, _MARGIN_SHARE * life_s))
