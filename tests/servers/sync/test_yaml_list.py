"""Files of `servers sync` and `add-all`: Scalelite's examples, what is wrong, what export says."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.model import Server, ServerId, ServerState
from appliance.servers.sync.yaml_list import (
    BadServerList,
    WantedServer,
    parse_new_servers,
    parse_server_list,
    read_document,
    render_server_list,
)

# Source: Scalelite's README, "Configure all servers from a single YAML configuration file".
README_SYNC = """\
servers:
    # Example for a simple server with default values
    bbb1.example.com:
        secret: "1bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535"

    # Full example for a legacy server (generated id)
    02bff3a7-c95f-49d3-b1e5-c53eddd4dd68:
        secret: "2bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535"
        url: "https://bbb2.example.com/bigbluebutton/api"
        enabled: false
        load_multiplier: 5.0
"""
# Source: the same, "Add multiple servers through a config file".
README_ADD_ALL = """\
servers:
  - url: "bbb1.example.com"
    secret: "1bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535"
  - url: "bbb2.example.com"
    secret: "2bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535"
  - url: "bbb3.example.com"
    secret: "3bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535"
"""
# What Ruby makes of `{servers: ServerSync.dump(true)}.to_yaml` (Scalelite's servers:yaml[true]).
RUBY_EXPORT = """\
---
:servers:
  bbb1.example.com:
    :url: https://bbb1.example.com/bigbluebutton/api
    :secret: s
    :load_multiplier: !ruby/object:BigDecimal 18:0.2e1
    :enabled:
    :state: enabled
    :load: -1.0
    :bbb_version: 3.0.10
    :online: true
"""

ONE = Server(
    ServerId("one"),
    "https://bbb1.example.com/bigbluebutton/api",
    "s",
    ServerState.ENABLED,
    online=True,
    load=3.5,
)
TWO = Server(
    ServerId("123"),
    "http://b/api",
    "0123",
    load_multiplier=2.5,
    tag="yes",
    max_users=9,
    dial_in="a/{pin}",
    dial_in_port=5062,
)


def test_example_of_scalelites_readme_is_read() -> None:
    first, second = parse_server_list(read_document(README_SYNC))

    assert first == WantedServer(
        ServerId("bbb1.example.com"),
        "https://bbb1.example.com/bigbluebutton/api",
        "1bdce5cbab581f3f20b199b970e53ae3c9d9df6392f79589bd58be020ed14535",
    )
    assert (second.id, second.url, second.enabled, second.load_multiplier) == (
        "02bff3a7-c95f-49d3-b1e5-c53eddd4dd68",
        "https://bbb2.example.com/bigbluebutton/api",
        False,
        5.0,
    )


def test_what_scalelite_exports_is_read() -> None:
    (one,) = parse_server_list(read_document(RUBY_EXPORT))

    assert (one.secret, one.load_multiplier, one.enabled) == ("s", 2.0, True)


@pytest.mark.parametrize("verbose", [False, True])
def test_export_is_what_sync_reads(verbose: bool) -> None:
    text = render_server_list((ONE, TWO), verbose=verbose)

    assert parse_server_list(read_document(text)) == (
        WantedServer(ONE.id, ONE.url, "s", True),
        WantedServer(TWO.id, TWO.url, "0123", False, 2.5, "yes", None, 9, "a/{pin}", 5062),
    )


def test_export_shows_more_when_asked() -> None:
    assert render_server_list((ONE,)) == (
        "---\nservers:\n  one:\n    url: https://bbb1.example.com/bigbluebutton/api\n"
        "    secret: s\n    load_multiplier: 1.0\n    enabled: true\n"
    )
    assert render_server_list((ONE,), verbose=True).endswith(
        "    enabled: true\n    state: enabled\n    load: 3.5\n"
        "    bbb_version: ''\n    online: true\n"
    )
    unmeasured = dataclasses.replace(ONE, load=None)
    assert "load: -1.0\n" in render_server_list((unmeasured,), verbose=True)


def test_secrets_are_in_no_repr_and_in_no_problem() -> None:
    text = (
        "servers:\n  a:\n    secret: t0p s3cr3t\n  b:\n    secret: [t0p]\n"
        "  c: {secret: t0p, x: 1}\n"
    )

    with pytest.raises(BadServerList) as bad:
        parse_server_list(read_document(text))

    assert len(bad.value.problems) == 4
    assert "t0p" not in str(bad.value)
    assert "t0p" not in repr(parse_server_list(read_document("servers: {a: {secret: t0p}}")))


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["line 1: there is no `servers:` in it"]),
        ("server:\n  a: 1\n", ["line 1: there is no `servers:` in it"]),
        (
            "x: 1\nservers:\n",
            ["line 2: `servers` must map ids to servers, as `servers export` prints them"],
        ),
        (
            README_ADD_ALL,
            ["line 2: `servers` must map ids to servers, as `servers export` prints them"],
        ),
        (
            "servers:\n  a:\n  a: {secret: s}\n",
            [
                "line 2: server a: it must have fields, `secret` at least",
                "line 3: server a: it is on line 2 already",
            ],
        ),
        (
            "servers:\n  a/b: {secret: s}\n",
            [
                "line 2: server a/b: the id must be at most 128 letters, digits, dots, hyphens and"
                " underscores, and begin and end with a letter or digit"
            ],
        ),
        (
            "servers:\n  a:\n    url: http://x/api\n    load_multiplier: -1\n"
            "  meetings: {secret: s}\n",
            [
                "line 2: server a: it has no secret",
                "line 4: server a: the load multiplier must be a number greater than 0",
                "line 5: server meetings: this id is reserved",
            ],
        ),
    ],
)
def test_every_problem_is_found(text: str, problems: list[str]) -> None:
    with pytest.raises(BadServerList) as bad:
        parse_server_list(read_document(text))

    assert [str(problem) for problem in bad.value.problems] == problems


def test_no_servers_at_all_is_a_list_when_it_is_said_so() -> None:
    assert parse_server_list(read_document("servers: {}")) == ()


def test_bare_hosts_of_add_all_become_api_endpoints() -> None:
    servers = parse_new_servers(README_ADD_ALL)

    assert [server.url for server in servers] == [
        f"https://bbb{number}.example.com/bigbluebutton/api" for number in (1, 2, 3)
    ]
    assert servers[0].secret.startswith("1bdce5cb")
    assert servers[0].id is None


def test_add_all_takes_urls_ports_and_values() -> None:
    (one, two) = parse_new_servers(
        "servers:\n- {url: 'http://a/api', secret: s, id: i, load_multiplier: 2, tag: t}\n"
        "- {url: 'b:8443', secret: s, max_users: 3}\n"
    )

    assert (one.url, one.id, one.load_multiplier, one.tag) == ("http://a/api", "i", 2.0, "t")
    assert (two.url, two.max_users) == ("https://b:8443/bigbluebutton/api", 3)


def test_problems_of_add_all_name_the_number() -> None:
    text = "servers:\n- {secret: s}\n- {url: 'a b', secret: s}\n- x\n- {url: h, secret: s, id: i}\n"

    with pytest.raises(BadServerList) as bad:
        parse_new_servers(text, {"i": "https://other/bigbluebutton/api"})

    assert [str(problem) for problem in bad.value.problems] == [
        "line 2: server no. 1: it has no url",
        "line 3: server no. 2: the url must be plain ASCII text without blanks",
        "line 4: server no. 3: it must have fields, `secret` at least",
        "line 5: server no. 4: the id i is another server's",
    ]
    with pytest.raises(BadServerList, match="a file of ids is for `servers sync`"):
        parse_new_servers(README_SYNC)
