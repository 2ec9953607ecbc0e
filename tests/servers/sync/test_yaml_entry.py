"""Fields of one server: what is read, and what is said about those that cannot be."""

from __future__ import annotations

import pytest

from appliance.bbb.endpoint import check_url
from appliance.servers.sync.yaml_entry import EntryReader, ServerListProblem
from appliance.servers.sync.yaml_nodes import Mapping, parse_yaml
from appliance.servers.values import check_tag

NAMES = ("url", "secret", "enabled", "load_multiplier", "tag", "max_users")


def read(text: str) -> tuple[EntryReader, list[ServerListProblem]]:
    problems: list[ServerListProblem] = []
    entry = EntryReader("one", 1, problems)
    assert entry.read(parse_yaml(text), NAMES, ("state",))
    return entry, problems


def test_problem_is_one_line_with_line_and_server() -> None:
    assert str(ServerListProblem(7, "one", "no")) == "line 7: server one: no"
    assert str(ServerListProblem(7, "", "no")) == "line 7: no"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2", 2.0),
        ("'2.5'", 2.5),
        ("1e1", 10.0),
        ("!ruby/object:BigDecimal 18:0.15e1", 1.5),
        ("", 1.0),
        ("~", 1.0),
    ],
)
def test_multiplier_is_read(text: str, number: float) -> None:
    entry, problems = read(f"load_multiplier: {text}")

    assert entry.multiplier() == number
    assert not problems


@pytest.mark.parametrize("text", ["0", "-1", "x", ".", ".nan", "1e999", "0x10", "1_0", "''"])
def test_bad_multiplier_is_a_problem(text: str) -> None:
    entry, problems = read(f"load_multiplier: {text}")

    entry.multiplier()
    assert [str(one) for one in problems] == [
        "line 1: server one: the load multiplier must be a number greater than 0"
    ]


@pytest.mark.parametrize(
    ("text", "value"), [("", None), ("max_users:", 0), ("max_users: 0", 0), ("max_users: 9", 9)]
)
def test_limit_is_absent_removed_or_set(text: str, value: int | None) -> None:
    entry, problems = read(f"secret: s\n{text}")

    assert entry.limit("max_users") == value
    assert not problems


@pytest.mark.parametrize("text", ["-1", "1.5", "many", "99999999999"])
def test_bad_limit_is_a_problem(text: str) -> None:
    entry, problems = read(f"max_users: {text}")

    assert entry.limit("max_users") is None
    assert "must be a whole number" in problems[0].reason


@pytest.mark.parametrize(
    ("text", "tag"), [("", None), ("tag:", ""), ("tag: ''", ""), ("tag: a", "a")]
)
def test_tag_is_absent_removed_or_set(text: str, tag: str | None) -> None:
    entry, problems = read(f"secret: s\n{text}")

    assert entry.removable("tag", check_tag) == tag
    assert not problems


def test_digits_stay_the_text_they_are() -> None:
    entry, _ = read("secret: 0123e4")

    assert entry.secret() == "0123e4"


def test_ruby_symbols_are_names() -> None:
    entry, problems = read(":secret: s\n:state: enabled\n")

    assert entry.secret() == "s"
    assert not problems


def test_everything_wrong_is_noted_with_its_line() -> None:
    entry, problems = read(
        "secret: a b\nenabled: maybe\nurl: ftp://x\nsecret: c\nlaod: 1\ntag: [x]\n"
    )
    entry.secret()
    entry.boolean("enabled")
    entry.text("url", check_url, None)

    assert [(one.line, one.reason.split(" (")[0]) for one in problems] == [
        (4, "`secret` is given twice"),
        (5, "unknown field `laod`"),
        (6, "`tag` must be a single value"),
        (1, "the secret must not hold blanks or line breaks"),
        (2, "`enabled` must be true or false"),
        (3, "the url must start with http:// or https://"),
    ]
    assert not entry.is_valid


def test_new_id_is_checked_and_known_one_may_be_any_of_scalelites() -> None:
    problems: list[ServerListProblem] = []
    entry = EntryReader("_a", 1, problems)
    document = parse_yaml("_a: x")
    assert isinstance(document, Mapping)
    name = document.pairs[0][0]

    entry.check_id(name, {"_a"})
    assert not problems
    entry.check_id(name, ())
    assert "begin and end with a letter or digit" in problems[0].reason
