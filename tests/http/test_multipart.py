"""Multipart forms: fields are read, files are not, and garbage is only garbage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.params import parse_query
from appliance.http.multipart import form_of_multipart

TYPE = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\n\r\n%b\r\n'
END = b"--b--\r\n"


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (FIELD % (b"a", b"1") + END, b"a=1"),
        (FIELD % (b"b", b"x y&=") + FIELD % (b"a", b"\xc3\xa9") + END, b"b=x+y%26%3D&a=%C3%A9"),
        (FIELD % (b"a", b"") + FIELD % (b"a", b"2") + END, b"a=&a=2"),
        (FIELD % (b"a", b"1") + FILE % (b"f", b"...") + FIELD % (b"c", b"3") + END, b"a=1&c=3"),
        (FIELD % (b"a", b"1\r\n2\r3\n") + END, b"a=1%0D%0A2%0D3%0A"),
        (FIELD % (b"a", b"\xff") + END, b"a=%EF%BF%BD"),
        (FILE % (b"f", b"...") + END, b""),
        (END, b""),
    ],
)
def test_fields_become_a_form(body: bytes, form: bytes) -> None:
    assert form_of_multipart(body, TYPE) == form


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="b"',
        "multipart/form-data; charset=utf-8; Boundary=b",
        "MULTIPART/FORM-DATA;boundary=b;x=y",
    ],
)
def test_boundary_is_found(content_type: str) -> None:
    assert form_of_multipart(FIELD % (b"a", b"1") + END, content_type) == b"a=1"


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
    ],
)
def test_malformed_body_is_none(body: bytes, content_type: str) -> None:
    assert form_of_multipart(body, content_type) is None


@given(st.lists(st.tuples(st.text("abc.[]-"), st.text()), max_size=5))
def test_every_field_comes_back(fields: list[tuple[str, str]]) -> None:
    body = b"".join(FIELD % (name.encode(), value.encode("utf-8")) for name, value in fields)
    form = form_of_multipart(body + END, TYPE)

    assert form is not None
    assert list(parse_query(form)) == fields


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
    form = form_of_multipart(body, content_type)

    assert form is None or form.isascii()
