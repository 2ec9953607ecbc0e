"""Multipart bodies: fields, files, and malformed bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.http.multipart import fields_of_multipart, file_of_multipart

TYPE = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n'
END = b"--b--\r\n"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (FIELD % (b"a", b"1") + END, (("a", "1"),)),
        (
            FIELD % (b"b", b"x y&=") + FIELD % (b"a", b"\xc3\xa9") + END,
            (("b", "x y&="), ("a", "é")),
        ),
        (FIELD % (b"a", b"") + FIELD % (b"a", b"2") + END, (("a", ""), ("a", "2"))),
        (
            FIELD % (b"a", b"1") + FILE % (b"f", b"...") + FIELD % (b"c", b"3") + END,
            (("a", "1"), ("c", "3")),
        ),
        (FIELD % (b"a", b"1\r\n2\r3\n") + END, (("a", "1\r\n2\r3\n"),)),
        (FIELD % (b"a", b"\xff") + END, (("a", "\ufffd"),)),
        (FILE % (b"f", b"...") + END, ()),
        (END, ()),
    ],
)
def test_text_fields_are_read_and_files_are_not(
    body: bytes, fields: tuple[tuple[str, str], ...]
) -> None:
    assert fields_of_multipart(body, TYPE) == fields


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (FIELD % (b"a", b"1") + FILE % (b"f", b"2") + FILE % (b"f", b"3") + END, b"2"),
        (FIELD % (b"f", b"1") + FILE % (b"f", b"2") + END, b"2"),
        (FIELD % (b"f", b"1") + END, b"1"),
        (FILE % (b"g", b"1") + END, None),
        (FILE % (b"f", b"1"), None),
    ],
)
def test_first_file_of_a_name_is_read(body: bytes, content: bytes | None) -> None:
    assert file_of_multipart(body, TYPE, "f") == content


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="b"',
        "multipart/form-data; charset=utf-8; Boundary=b",
        "MULTIPART/FORM-DATA;boundary=b;x=y",
    ],
)
def test_boundary_is_found(content_type: str) -> None:
    assert fields_of_multipart(FIELD % (b"a", b"1") + END, content_type) == (("a", "1"),)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (FIELD % (b"a", b"1") + END, "multipart/form-data"),
        (FIELD % (b"a", b"1") + END, "multipart/form-data; boundary="),
        (FIELD % (b"a", b"1") + END, "multipart/form-data; boundary=" + "b" * 71),
        (FIELD % (b"a", b"1") + END, "multipart/form-data; boundary=\xe9"),
        (FIELD % (b"a", b"1"), TYPE),
        (b"", TYPE),
        (b"--b\r\nX: y\r\n\r\n1\r\n--b--", TYPE),
        (b"--b\r\n\xff: y\r\n\r\n1\r\n--b--", TYPE),
        (FIELD % (b"a", b"1") * 1001 + END, TYPE),
        (b"--b" + b" " * 2000 + FIELD[3:] % (b"a", b"1") + END, TYPE),
        (FIELD % (b'a"' + b";a=b" * 8 + b';c="', b"1") + END, TYPE),
        (b"preamble\r\n" + FIELD % (b"a", b"1") + END, TYPE),
    ],
)
def test_malformed_body_is_none(body: bytes, content_type: str) -> None:
    assert fields_of_multipart(body, content_type) is None


@given(st.lists(st.tuples(st.text("abc.[]-"), st.text()), max_size=5))
def test_every_field_comes_back(fields: list[tuple[str, str]]) -> None:
    body = b"".join(FIELD % (name.encode(), value.encode("utf-8")) for name, value in fields)

    assert fields_of_multipart(body + END, TYPE) == tuple(fields)


@given(
    st.lists(
        st.sampled_from(
            [
                b"--b",
                b"--b--",
                b"\r\n",
                b"\n",
                b"\r",
                b"\r\n\r\n",
                b'Content-Disposition: x; name="a',
            ]
        )
        | st.binary(max_size=8)
    ).map(b"".join),
    st.text(st.characters(max_codepoint=255)) | st.just(TYPE),
)
def test_no_bytes_raise(body: bytes, content_type: str) -> None:
    fields_of_multipart(body, content_type)
    file_of_multipart(body, content_type, "a")
