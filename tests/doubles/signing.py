"""Sign BBB API calls for tests, without the appliance's code.

Source: BBB API reference, section Usage: hex(HASH(call + query string + secret)).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

ParamsLike = Mapping[str, str] | Iterable[tuple[str, str]] | str


def encode_params(params: ParamsLike) -> str:
    """Return the query string of the parameters; a string is returned unchanged."""
    if isinstance(params, str):
        return params
    return urlencode(list(params.items()) if isinstance(params, Mapping) else list(params))


def checksum(call: str, query: str, secret: str, algorithm: str = "sha256") -> str:
    """Return the checksum in hex; `algorithm` is a name of hashlib in any case ("SHA256")."""
    return hashlib.new(algorithm.lower(), f"{call}{query}{secret}".encode()).hexdigest()


def sign_url(
    base: str, call: str, params: ParamsLike, secret: str, algorithm: str = "sha256"
) -> str:
    """Return the signed URL of a call; `base` is the API endpoint, with or without a slash."""
    query = encode_params(params)
    signed = checksum(call, query, secret, algorithm)
    joint = "&" if query else ""
    return f"{base.rstrip('/')}/{call}?{query}{joint}checksum={signed}"


def sign_form(
    call: str,
    params: ParamsLike,
    secret: str,
    over: str = "empty",
) -> str:
    """Return a signed form body.

    `over` is the text that the checksum covers: "empty" (BBB 2.7 and newer), "body" (the body as
    sent), or "sorted" (BBB 2.4 to 2.6: parameters sorted by name).
    """
    body = encode_params(params)
    covered = {
        "empty": "",
        "body": body,
        "sorted": "&".join(sorted(body.split("&"), key=lambda part: part.partition("=")[0])),
    }[over]
    joint = "&" if body else ""
    return f"{body}{joint}checksum={checksum(call, covered, secret)}"
