"""The tokens that authenticate callbacks, and the requests that carry them.

Pure. Source: RFC 7519 and BBB's post-publish scripts, whose tokens front-ends expect: those for
recordings do not expire, those for analytics expire after a day.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from appliance.callbacks.rules import Callback, Signing, id_of_secret
from appliance.settings import Algorithm

BEARER_LIFE_S = 24 * 3600
BEARER_ALGORITHM = "HS512"
_BUSY = (408, 429)
_HASHES = {"HS256": "sha256", "HS512": "sha512"}


def form_algorithm(allowed: frozenset[Algorithm]) -> str:
    """Return the algorithm for `signed_parameters`, given the allowed checksum algorithms."""
    return "HS512" if allowed == {Algorithm.SHA512} else "HS256"


def secrets_to_try(callback: Callback, secrets: Sequence[str]) -> tuple[str, ...]:
    """Return the secrets in the order to be tried, that of the create first.

    A bearer token names no receiver, so a receiver could present it to others: if the secret of the
    create is known, such a token is signed only with that one.
    """
    usable = tuple(dict.fromkeys(secret for secret in secrets if secret))
    known = tuple(secret for secret in usable if id_of_secret(secret) == callback.secret_id)
    if known and callback.signing is Signing.BEARER:
        return known
    return known + tuple(secret for secret in usable if secret not in known)


def tries_next_secret(callback: Callback, secret: str, status: int) -> bool:
    """Whether to try the next secret after an unsuccessful answer.

    After the secret of the create only if the receiver rejected the call (its front-end may have
    another secret by now), not if the receiver itself failed.
    """
    return id_of_secret(secret) != callback.secret_id or (
        400 <= status < 500 and status not in _BUSY
    )


def render_request(
    callback: Callback, secret: str, *, algorithm: str, now_s: int
) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a callback; `secret` is ignored if nothing is signed."""
    headers = {} if callback.content_type is None else {"Content-Type": callback.content_type}
    if callback.signing is Signing.FORM:
        claims = {"meeting_id": callback.meeting_id, "record_id": callback.record_id}
        token = encode_token(claims, secret, algorithm)
        return headers, urlencode({"signed_parameters": token}).encode()
    if callback.signing is Signing.BEARER:
        token = encode_token({"exp": now_s + BEARER_LIFE_S}, secret, BEARER_ALGORITHM)
        headers["Authorization"] = f"Bearer {token}"
    return headers, callback.body


def encode_token(claims: Mapping[str, object], secret: str, algorithm: str) -> str:
    """Return a JWT (RFC 7515, compact serialisation).

    PyJWT is not used because it warns about keys shorter than the hash, as BBB's secrets are for
    SHA-512.
    """
    parts = [_part({"alg": algorithm, "typ": "JWT"}), _part(claims)]
    signed = ".".join(parts)
    # surrogateescape restores the bytes of a secret that is not UTF-8 (PEP 383).
    key = secret.encode("utf-8", "surrogateescape")
    digest = hmac.digest(key, signed.encode("ascii"), _HASHES[algorithm])
    return f"{signed}.{_base64url(digest)}"


def _part(document: Mapping[str, object]) -> str:
    return _base64url(json.dumps(document, separators=(",", ":")).encode("ascii"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
