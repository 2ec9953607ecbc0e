"""The checksum of the BBB API: extracting, verifying and computing it.

A query is verified as received, never decoded and encoded again, since one query has many valid
encodings. Errors and reprs contain no secret and no checksum. Source: BigBlueButton API reference,
section on the security model (hash of call name, query and secret).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from itertools import islice

from appliance.bbb.params import encode_query, parse_query
from appliance.settings import Algorithm

_HASH = {
    Algorithm.SHA1: hashlib.sha1,
    Algorithm.SHA256: hashlib.sha256,
    Algorithm.SHA384: hashlib.sha384,
    Algorithm.SHA512: hashlib.sha512,
}
_BY_HEX_LENGTH = {
    40: Algorithm.SHA1,
    64: Algorithm.SHA256,
    96: Algorithm.SHA384,
    128: Algorithm.SHA512,
}
# A whole part between two `&`. A pattern is fast enough for a hostile body of a megabyte of `&`,
# which is searched before the sender is authenticated. The lookbehind follows the word, so that the
# engine can search for the literal word.
_CHECKSUM_PARAM = re.compile(rb"checksum(?<![^&]checksum)(?:=([^&]*))?(?![^&])").finditer
_HEX = re.compile(r"[0-9A-Fa-f]+").fullmatch


def split_checksum(raw: bytes) -> tuple[bytes, str | None]:
    """Return a raw query or body without its checksum parameter, and the value of that parameter.

    The parameter is removed together with one neighbouring `&`, as in BBB; the rest is unchanged.
    None: the parameter is missing or occurs more than once; then `raw` is returned unchanged, so
    that it does not look like an empty query. An escaped name (`check%73um`) is another parameter.
    """
    found = _find_checksums(raw)
    if len(found) != 1:
        return raw, None
    start, end = found[0].span()
    rest = raw[: start - 1] + raw[end:] if start else raw[end + 1 :]
    # latin-1 never fails; the comparison rejects what is not hexadecimal.
    return rest, (found[0][1] or b"").decode("latin-1")


def verify_checksum(
    call: str, raw_query: bytes, secrets: Sequence[str], allowed: frozenset[Algorithm]
) -> str | None:
    """Return the secret with which the query of a call was signed, None if there is none.

    `call` is BBB's name (`create`, `hooks/create`); `raw_query` is the text after `?`, including
    the checksum. An empty secret never matches.
    """
    query, given = split_checksum(raw_query)
    return verify_split(call, query, given, secrets, allowed)


def verify_split(
    call: str,
    query: bytes,
    given: str | None,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
) -> str | None:
    """Return the same for a query that `split_checksum` has split already."""
    return _matching_secret(call, (query,), given, secrets, allowed)


def verify_body_checksum(
    call: str,
    body: bytes,
    url_checksum: str | None,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
) -> str | None:
    """Return the secret with which a form body was signed, None if there is none.

    Only for a request whose query is empty except for `checksum`, whose value is `url_checksum`.
    The checksum may be that of the raw body, of its parameters sorted by name and encoded again
    (BBB 2.4-2.6), or of the empty string (BBB 2.7 and later). Checksums in both the URL and the
    body never match. The caller has limited the number of parameters.
    """
    rest, in_body = split_checksum(body)
    if len(_find_checksums(body)) + (url_checksum is not None) != 1:
        return None
    given = url_checksum if in_body is None else in_body
    return _matching_secret(call, (rest, b"", _sorted_form(rest)), given, secrets, allowed)


def algorithm_of(checksum: str | None) -> Algorithm | None:
    """Return the algorithm that a checksum of this length is of; None: it cannot be a checksum."""
    return _BY_HEX_LENGTH.get(len(checksum)) if checksum and _HEX(checksum) else None


def sign(call: str, query: str, secret: str, algorithm: Algorithm) -> str:
    """Return the checksum of a call as lower-case hex. `query` is encoded, without checksum."""
    return _HASH[algorithm](_bytes(f"{call}{query}{secret}")).hexdigest()


def signed_query(call: str, query: str, secret: str, algorithm: Algorithm) -> str:
    """Return an encoded query with its checksum added at the end."""
    separator = "&" if query else ""
    return f"{query}{separator}checksum={sign(call, query, secret, algorithm)}"


def _find_checksums(raw: bytes) -> list[re.Match[bytes]]:
    # Callers only distinguish none, one and more.
    return list(islice(_CHECKSUM_PARAM(raw), 2))


def _sorted_form(rest: bytes) -> bytes:
    params = [pair for pair in parse_query(rest) if pair[0] != "checksum"]
    # Sorting is stable: values of one name keep their order.
    params.sort(key=lambda pair: pair[0])
    return encode_query(tuple(params)).encode()


def _matching_secret(
    call: str,
    queries: Sequence[bytes],
    given: str | None,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
) -> str | None:
    algorithm = algorithm_of(given)
    if given is None or algorithm is None or algorithm not in allowed:
        return None
    wanted = bytes.fromhex(given)
    matching = None
    for query in queries:
        signed = _HASH[algorithm](_bytes(call) + query)
        for secret in secrets:
            digest = signed.copy()
            digest.update(_bytes(secret))
            # No early exit: the time must not reveal whether or which secret matched.
            if hmac.compare_digest(digest.digest(), wanted) and secret:
                matching = secret
    return matching


def _bytes(text: str) -> bytes:
    # surrogateescape restores the bytes of a secret that is not UTF-8 (PEP 383).
    return text.encode("utf-8", "surrogateescape")
