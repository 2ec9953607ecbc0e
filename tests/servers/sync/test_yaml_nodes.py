"""YAML becomes nodes with lines; unsafe or ambiguous constructs are refused with their line."""

from __future__ import annotations

import pytest

from appliance.servers.sync.yaml_nodes import (
    MAX_CHARS,
    MAX_DEPTH,
    Mapping,
    Scalar,
    Sequence,
    UnreadableYaml,
    parse_yaml,
)


def test_document_keeps_lines_texts_and_quoting() -> None:
    document = parse_yaml("a:\n  - 007\n  - 'yes' # c\nb: ~\n")

    assert document == Mapping(
        1,
        (
            (
                Scalar(1, "a", plain=True),
                Sequence(2, (Scalar(2, "007", plain=True), Scalar(3, "yes", plain=False))),
            ),
            (Scalar(4, "b", plain=True), Scalar(4, "~", plain=True)),
        ),
    )


def test_same_name_twice_is_kept() -> None:
    document = parse_yaml("{a: 1, a: 2}")

    assert isinstance(document, Mapping)
    assert [name.text for name, _ in document.pairs] == ["a", "a"]


@pytest.mark.parametrize("text", ["!!str 007", "! 007"])
def test_standard_types_are_accepted(text: str) -> None:
    document = parse_yaml(text)

    assert isinstance(document, Scalar)
    assert document.text == "007"


@pytest.mark.parametrize("text", ["", "\n# only a comment\n"])
def test_empty_text_is_null(text: str) -> None:
    document = parse_yaml(text)

    assert isinstance(document, Scalar)
    assert document.is_null


@pytest.mark.parametrize(
    ("text", "truth", "is_null"),
    [
        ("yes", True, False),
        ("False", False, False),
        ("'off'", False, False),
        ("2", None, False),
        ("null", None, True),
        ("'null'", None, False),
        ("''", None, False),
    ],
)
def test_scalar_is_read_as_boolean_or_null(text: str, truth: bool | None, is_null: bool) -> None:
    scalar = parse_yaml(text)

    assert isinstance(scalar, Scalar)
    assert (scalar.truth, scalar.is_null) == (truth, is_null)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: &x 2\n", 2, "anchors and aliases"),
        ("a: 1\nb: *x\n", 2, "anchors and aliases"),
        ("a: 1\nb: !!python/object:os.system {}\n", 2, "types (values with !)"),
        ("a: 1\nb: !ruby/object:Secret x\n", 2, "types (values with !)"),
        ("a: [1\nb: 2\n", 2, "not valid YAML"),
        ("a:\n\tb: 1\n", 2, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "more than one document"),
        ("? [a]\n: 1\n", 1, "plain text"),
        ("a: \x00", 1, "YAML"),
        ("[" * (MAX_DEPTH + 1), 1, "nested too deeply"),
        ("[" * 100_000, 1, "nested too deeply"),
        ("# " + "x" * MAX_CHARS, 1, "longer than 512 KiB"),
    ],
)
def test_refusal_names_the_line_and_quotes_nothing(text: str, line: int, reason: str) -> None:
    with pytest.raises(UnreadableYaml) as refused:
        parse_yaml(text)

    assert reason in str(refused.value)
    assert refused.value.line == line
    assert "\n" not in str(refused.value)


def test_secret_is_not_quoted_when_its_line_is_not_valid() -> None:
    with pytest.raises(UnreadableYaml) as refused:
        parse_yaml("secret: s3cr3t: more\n")

    assert "s3cr3t" not in str(refused.value)
