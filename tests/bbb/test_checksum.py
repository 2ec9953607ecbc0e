"""Cutting out, verifying and making checksums."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from appliance.bbb.checksum import (
    sign,
    signed_query,
    split_checksum,
    verify_body_checksum,
    verify_checksum,
)
from appliance.settings import Algorithm

ALL = frozenset(Algorithm)
SECRET = "correct horse"
SECRETS = ("first", SECRET, "third")

algorithms = st.sampled_from(list(Algorithm))
# Made of pieces that could be taken for something, so that the search finds the corners.
queries = st.lists(
    st.sampled_from([b"&", b"=", b"checksum", b"a", b"check%73um=", b"%26"]) | st.binary(max_size=3)
).map(b"".join)
without_checksum = queries.filter(
    lambda raw: not any(part.partition(b"=")[0] == b"checksum" for part in raw.split(b"&"))
)


def digest(text: bytes, algorithm: Algorithm = Algorithm.SHA256) -> bytes:
    return hashlib.new(algorithm.value.lower(), text).hexdigest().encode()


def insert(raw: bytes, position: int, checksum: bytes) -> bytes:
    """Put a checksum before the n-th part of a query, with one `&`."""
    if not raw:
        return b"checksum=" + checksum
    parts = raw.split(b"&")
    parts.insert(position % (len(parts) + 1), b"checksum=" + checksum)
    return b"&".join(parts)


def test_known_answer_of_the_bbb_documentation_is_made() -> None:
    query = "name=Test+Meeting&meetingID=abc123&attendeePW=111222&moderatorPW=333444"
    secret = "639259d4-9dd8-4b25-bf01-95f9567eaf4b"

    assert sign("create", query, secret, Algorithm.SHA1) == (
        "1fcbb0c4fc1f039f73aa6d697d2db9ba7f803f17"
    )


@pytest.mark.parametrize(
    ("raw", "rest", "given_hex"),
    [
        (b"", b"", None),
        (b"a=1", b"a=1", None),
        (b"checksum=c", b"", "c"),
        (b"checksum=", b"", ""),
        (b"checksum", b"", ""),
        (b"a=1&checksum=c", b"a=1", "c"),
        (b"checksum=c&a=1", b"a=1", "c"),
        (b"a=1&checksum=c&b=2", b"a=1&b=2", "c"),
        (b"&checksum=c", b"", "c"),
        (b"&checksum=c&a=1", b"&a=1", "c"),
        (b"a=1&&checksum=c", b"a=1&", "c"),
        (b"checksum=c&", b"", "c"),
        (b"a=%zz&checksum=c", b"a=%zz", "c"),
        (b"mychecksum=c&checksums=d", b"mychecksum=c&checksums=d", None),
        (b"checksum=c=d", b"", "c=d"),
        (b"checksum=\xff", b"", "\xff"),
        (b"check%73um=c", b"check%73um=c", None),
        (b"check%73um=c&checksum=d", b"check%73um=c", "d"),
        (b"checksum=c&checksum=c", b"checksum=c&checksum=c", None),
        (b"checksum&a=1&checksum=c", b"checksum&a=1&checksum=c", None),
    ],
)
def test_checksum_is_cut_with_one_neighbour(raw: bytes, rest: bytes, given_hex: str | None) -> None:
    assert split_checksum(raw) == (rest, given_hex)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("query", ["", "a=1", "meetingID=x&name=%C3%BC+y"])
def test_signed_query_is_verified(query: str, algorithm: Algorithm) -> None:
    raw = signed_query("create", query, SECRET, algorithm)

    assert raw.startswith(f"{query}&checksum=" if query else "checksum=")
    assert verify_checksum("create", raw.encode(), SECRETS, ALL) == SECRET
    assert verify_checksum("create", raw.encode(), SECRETS, frozenset({algorithm})) == SECRET
    assert verify_checksum("create", raw.encode(), SECRETS, ALL - {algorithm}) is None


def test_query_of_moodle_is_verified() -> None:
    raw = b"&checksum=" + digest(b"getMeetings" + SECRET.encode(), Algorithm.SHA1)

    assert verify_checksum("getMeetings", raw, SECRETS, ALL) == SECRET


def test_upper_case_hex_is_verified() -> None:
    raw = b"a=1&checksum=" + digest(b"enda=1" + SECRET.encode()).upper()

    assert verify_checksum("end", raw, SECRETS, ALL) == SECRET


def test_secret_that_is_not_ascii_is_verified() -> None:
    raw = signed_query("end", "a=1", "Schlüssel", Algorithm.SHA256)

    assert verify_checksum("end", raw.encode(), ["Schlüssel"], ALL) == "Schlüssel"


def test_secret_that_is_not_utf8_is_verified() -> None:
    secret = b"\xfcber".decode("utf-8", "surrogateescape")
    raw = b"a=1&checksum=" + digest(b"enda=1\xfcber")

    assert verify_checksum("end", raw, [secret], ALL) == secret


GOOD = digest(b"enda=1" + SECRET.encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a=1",
        b"a=1&checksum",
        b"a=1&checksum=",
        b"a=1&checksum=" + GOOD[:-1],
        b"a=1&checksum=" + GOOD + b"0",
        b"a=1&checksum=" + GOOD[:-1] + b"g",
        b"a=1&checksum=" + GOOD[:-2] + b"+1",
        b"a=1&checksum=" + GOOD[:-2] + b" 1",
        b"a=1&checksum=" + GOOD[:-2] + b"\n1",
        b"a=1&checksum=" + GOOD[:-1] + b"\xb2",
        b"a=1&checksum=" + GOOD[:40],
        b"a=1&checksum=%" + GOOD[1:],
        b"a=1&check%73um=" + GOOD,
        b"a=1&Checksum=" + GOOD,
        b"a=1&checksum=" + GOOD + b"&checksum=" + GOOD,
        b"a=1&checksum=" + GOOD + b"&checksum",
        b"a=1&b=2&checksum=" + GOOD,
        b"&a=1&checksum=" + GOOD,
        b"a=1&&checksum=" + GOOD,
        b"A=1&checksum=" + GOOD,
        b"%61=1&checksum=" + GOOD,
        b"a=1&checksum=" + digest(b"createa=1" + SECRET.encode()),
        b"a=1&checksum=" + digest(b"enda=1other"),
    ],
)
def test_query_is_refused(raw: bytes) -> None:
    assert verify_checksum("end", b"a=1&checksum=" + GOOD, SECRETS, ALL) == SECRET
    assert verify_checksum("end", raw, SECRETS, ALL) is None


@pytest.mark.parametrize("secrets", [(), ("",), ("", "other", "")])
def test_nothing_is_verified_when_no_secret_is_set(secrets: tuple[str, ...]) -> None:
    raw = b"a=1&checksum=" + digest(b"enda=1")

    assert verify_checksum("end", raw, secrets, ALL) is None
    assert verify_body_checksum("end", raw, None, secrets, ALL) is None


def test_no_algorithm_allowed_verifies_nothing() -> None:
    assert verify_checksum("end", b"a=1&checksum=" + GOOD, SECRETS, frozenset()) is None


@given(without_checksum, st.integers(0, 50), algorithms, st.sampled_from(SECRETS))
def test_any_query_is_verified_wherever_its_checksum_stands(
    raw: bytes, position: int, algorithm: Algorithm, secret: str
) -> None:
    checksum = digest(b"create" + raw + secret.encode(), algorithm)
    signed = insert(raw, position, checksum)

    assert split_checksum(signed) == (raw, checksum.decode())
    assert verify_checksum("create", signed, SECRETS, ALL) == secret


@given(without_checksum, st.integers(0, 50), st.integers(0, 10_000), st.integers(1, 255))
@example(raw=b"a=1", position=0, where=8, flip=1)
def test_query_is_refused_when_any_byte_is_changed(
    raw: bytes, position: int, where: int, flip: int
) -> None:
    checksum = digest(b"create" + raw + SECRET.encode())
    signed = bytearray(insert(raw, position, checksum))
    index = where % len(signed)
    signed[index] ^= flip
    changed = bytes(signed)
    rest, given_hex = split_checksum(changed)
    # Upper case of the hex digits is the one change that means the same.
    assume(given_hex is None or (rest, given_hex.lower()) != (raw, checksum.decode()))

    assert verify_checksum("create", changed, SECRETS, ALL) is None


BODY = b"name=x+y&meetingID=b*~&meetingID2=&name=a"
SORTED = b"meetingID=b*%7E&meetingID2=&name=x+y&name=a"


@pytest.mark.parametrize("form", [BODY, SORTED, b""])
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_body_is_verified_in_each_form(form: bytes, algorithm: Algorithm) -> None:
    checksum = digest(b"create" + form + SECRET.encode(), algorithm)
    in_front = b"checksum=" + checksum + b"&" + BODY

    for body in (BODY + b"&checksum=" + checksum, in_front):
        assert verify_body_checksum("create", body, None, SECRETS, ALL) == SECRET
        assert verify_body_checksum("create", body, None, SECRETS, ALL - {algorithm}) is None
    # Or the URL carries the checksum, and the body all else.
    assert verify_body_checksum("create", BODY, checksum.decode(), SECRETS, ALL) == SECRET


def test_body_that_holds_only_the_checksum_is_verified() -> None:
    body = b"checksum=" + digest(b"getMeetings" + SECRET.encode())

    assert verify_body_checksum("getMeetings", body, None, SECRETS, ALL) == SECRET


EMPTY = digest(b"create" + SECRET.encode()).decode()


@pytest.mark.parametrize(
    ("body", "url_checksum"),
    [
        (b"", None),
        (BODY, None),
        (BODY, ""),
        (BODY, "0" * 64),
        (BODY + f"&checksum={EMPTY}".encode(), EMPTY),
        (BODY + f"&checksum={EMPTY}".encode(), ""),
        (BODY + f"&checksum={EMPTY}&checksum={EMPTY}".encode(), None),
        (BODY + f"&checksum={EMPTY}&checksum={EMPTY}".encode(), EMPTY),
        (BODY + f"&check%73um={EMPTY}".encode(), None),
        (BODY + b"&x=1", digest(b"create" + BODY + SECRET.encode()).decode()),
        (BODY + b"&x=1", digest(b"create" + SORTED + SECRET.encode()).decode()),
    ],
)
def test_body_is_refused(body: bytes, url_checksum: str | None) -> None:
    assert verify_body_checksum("create", body, url_checksum, SECRETS, ALL) is None
