"""The checksum of the BBB API: cutting it out, verifying it, making it.

Works on the raw bytes as received; it never decodes and encodes again to verify a query, since
one query has many valid encodings. Never puts a secret or a checksum into an error or repr.
Truth: the public BBB API page, "Usage/Security" (hash of call name + query + secret), and the
spec's "Checksum" and "What the checksum does not cover is not read".
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
# A whole part between two `&`. A pattern, because a body of a megabyte may be all `&`, and is
# searched before anyone has shown a secret; it looks back only once the word is there, which is
# what makes the search for it a plain one.
_CHECKSUM_PARAM = re.compile(rb"checksum(?<![^&]checksum)(?:=([^&]*))?(?![^&])").finditer
_HEX = re.compile(r"[0-9A-Fa-f]+").fullmatch

# The sorted form costs a decoding of the whole body before anyone has shown a secret, so bodies
# that no front-end sends do not get it. PHP stops at 1000 variables (max_input_vars) as well.
_MAX_SORTED_PARAMS = 1000


def split_checksum(raw: bytes) -> tuple[bytes, str | None]:
    """Return a raw query or body without its checksum parameter, and the value of that.

    The parameter is cut together with one neighbouring `&`, wherever it stands, which is what
    BBB does; the rest is left byte for byte. None: there is no such parameter, or more than
    one, and then `raw` comes back whole, so that it does not look like an empty query. A name
    spelled with escapes (`check%73um`) is another parameter.
    """
    found = _find_checksums(raw)
    if len(found) != 1:
        return raw, None
    start, end = found[0].span()
    rest = raw[: start - 1] + raw[end:] if start else raw[end + 1 :]
    # latin-1 never fails; what is not hex is refused by the one who compares.
    return rest, (found[0][1] or b"").decode("latin-1")


def verify_checksum(
    call: str, raw_query: bytes, secrets: Sequence[str], allowed: frozenset[Algorithm]
) -> str | None:
    """Return the secret that the query of a call was signed with, None if it was not.

    `call` is spelled as BBB spells it (`create`, `hooks/create`); `raw_query` is what follows
    the `?`, its checksum included. An empty secret never matches.
    """
    query, given = split_checksum(raw_query)
    return _matching_secret(call, (query,), given, secrets, allowed)


def verify_body_checksum(
    call: str,
    body: bytes,
    url_checksum: str | None,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
) -> str | None:
    """Return the secret that a form body was signed with, None if it was not.

    Only for a request whose query is empty but for `checksum`, whose value is `url_checksum`.
    Valid are three forms: the raw body, its parameters sorted by name and encoded anew
    (BBB 2.4-2.6), and the empty string (BBB 2.7 and later). A checksum both in the URL and in
    the body occurs twice, and so never matches.
    """
    rest, in_body = split_checksum(body)
    if len(_find_checksums(body)) + (url_checksum is not None) != 1:
        return None
    given = url_checksum if in_body is None else in_body
    return _matching_secret(call, (rest, b"", _sorted_form(rest)), given, secrets, allowed)


def sign(call: str, query: str, secret: str, algorithm: Algorithm) -> str:
    """Return the checksum of a call as lower-case hex. `query` is encoded, without checksum."""
    return _HASH[algorithm](_bytes(f"{call}{query}{secret}")).hexdigest()


def signed_query(call: str, query: str, secret: str, algorithm: Algorithm) -> str:
    """Return an encoded query with its checksum added at the end."""
    separator = "&" if query else ""
    return f"{query}{separator}checksum={sign(call, query, secret, algorithm)}"


def _find_checksums(raw: bytes) -> list[re.Match[bytes]]:
    # The first two tell all there is to know.
    return list(islice(_CHECKSUM_PARAM(raw), 2))


def _sorted_form(rest: bytes) -> bytes:
    if rest.count(b"&") >= _MAX_SORTED_PARAMS:
        return rest
    params = [pair for pair in parse_query(rest) if pair[0] != "checksum"]
    # Sorting is stable: values of one name keep the order in which they will be read.
    params.sort(key=lambda pair: pair[0])
    return encode_query(tuple(params)).encode()


def _matching_secret(
    call: str,
    queries: Sequence[bytes],
    given: str | None,
    secrets: Sequence[str],
    allowed: frozenset[Algorithm],
) -> str | None:
    algorithm = _BY_HEX_LENGTH.get(len(given or ""))
    if given is None or algorithm not in allowed or not _HEX(given):
        return None
    wanted = bytes.fromhex(given)
    matching = None
    for query in queries:
        signed = _HASH[algorithm](_bytes(call) + query)
        for secret in secrets:
            digest = signed.copy()
            digest.update(_bytes(secret))
            # No early exit: the time must not tell which secret, or that any, has matched.
            if hmac.compare_digest(digest.digest(), wanted) and secret:
                matching = secret
    return matching


def _bytes(text: str) -> bytes:
    # A secret from an environment that is not UTF-8 still has its own bytes (PEP 383).
    return text.encode("utf-8", "surrogateescape")
