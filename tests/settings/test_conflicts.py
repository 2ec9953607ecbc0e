"""Rules between variables."""

from __future__ import annotations

import pytest

from appliance.redaction import mask_text
from tests.doubles.settings import refusal, settings_of

EXTERNAL = {
    "DATABASE_URL": "postgres://h/d",
    "REDIS_URL": "redis://h",
    "REDIS_SENTINELS": "a:1",
}


@pytest.mark.parametrize(
    "variables",
    [
        {"LOADBALANCER_SECRET": ""},
        {"LOADBALANCER_SECRET": "  "},
        {"LOADBALANCER_SECRET": "", "LOADBALANCER_SECRETS": ""},
        {"LOADBALANCER_SECRET": "", "ADMIN_SECRET": "a", "FSAPI_PASSWORD": "b"},
    ],
)
def test_start_without_any_secret_is_refused(variables: dict[str, str]) -> None:
    assert "LOADBALANCER_SECRET: set it" in refusal(**variables)


def test_list_of_no_secret_is_refused() -> None:
    message = refusal(LOADBALANCER_SECRET="", LOADBALANCER_SECRETS="::")

    assert "LOADBALANCER_SECRETS=***: expected secrets" in message
    assert len(message.splitlines()) == 2


def test_bad_secret_file_is_one_problem_not_two() -> None:
    message = refusal(LOADBALANCER_SECRET="", LOADBALANCER_SECRET_FILE="/nonexistent/x")

    assert len(message.splitlines()) == 2


@pytest.mark.parametrize("name", EXTERNAL)
def test_external_store_needs_secret_key_base(name: str) -> None:
    variables = {name: EXTERNAL[name]}
    if name == "REDIS_SENTINELS":
        variables["REDIS_SENTINEL_MASTER"] = "m"

    message = refusal(**variables)

    assert message.splitlines()[1:] == [
        "  SECRET_KEY_BASE: set it, to the same value on all appliances:"
        f" {name} names a store that several appliances can share"
    ]
    assert refusal(**variables, SECRET_KEY_BASE="k") == ""


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"BIND": "tcp://10.0.0.1:1 tcp://10.0.0.1:1"},
            "BIND: tcp://10.0.0.1:1 is taken by BIND",
        ),
        (
            {"PORT": "1", "CONSOLE_BIND": "tcp://127.0.0.1:1"},
            "CONSOLE_BIND: tcp://127.0.0.1:1 is taken by tcp://0.0.0.0:1 of BIND",
        ),
        (
            {"BIND": "tcp://[::]:1", "FSAPI_BIND": "tcp://10.0.0.1:1"},
            "FSAPI_BIND: tcp://10.0.0.1:1 is taken by tcp://[::]:1 of BIND",
        ),
        (
            {"BIND": "unix:///run/a", "CTL_SOCKET": "/run/a"},
            "BIND: unix:///run/a is taken by CTL_SOCKET",
        ),
        ({"BIND": "tcp://0.0.0.0:1 tcp://[::]:1", "FSAPI_BIND": "tcp://0.0.0.0:2"}, ""),
        ({"BIND": "tcp://10.0.0.1:1", "CONSOLE_BIND": "tcp://10.0.0.2:1"}, ""),
        ({"PORT": "0", "CONSOLE_BIND": "tcp://127.0.0.1:0"}, ""),
        (
            {"PORT": "1", "CONSOLE_BIND": "tcp://127.0.0.1:1", "CONSOLE_ENABLED": "false"},
            "",
        ),
    ],
)
def test_listeners_share_no_address(variables: dict[str, str], problem: str) -> None:
    assert refusal(**variables).splitlines()[1:] == ([f"  {problem}"] if problem else [])


def test_database_that_is_not_used_needs_no_secret_key_base() -> None:
    assert refusal(DATABASE_URL="postgres://h/d", DB_DISABLED="true") == ""


def test_embedded_stores_need_no_secret_key_base() -> None:
    assert settings_of().secret_key_base is None


S3 = {"S3_RECORDING": "true", "S3_BUCKET_NAME": "b"}


def test_cloudfront_needs_its_key() -> None:
    wanted = ["CLOUDFRONT_URL", "CF_KEY_PAIR_ID", "CF_PRIVATE_KEY_B64"]
    lines = refusal(**S3, S3_SERVE="cloudfront").splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == wanted
    lines = refusal(**S3, CLOUDFRONT_URL="https://cdn.example.org").splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == wanted[1:]


@pytest.mark.parametrize(
    ("variables", "mode"),
    [({}, "mixed"), ({"S3_SERVE": "proxy", "CLOUDFRONT_URL": "https://c.example"}, "proxy")],
)
def test_recordings_are_played_as_set(variables: dict[str, str], mode: str) -> None:
    assert settings_of(**S3, **variables).s3.serve == mode


@pytest.mark.parametrize(("raw", "prefix"), [("", ""), ("/", ""), ("a", "a"), ("/a//b/", "a/b")])
def test_prefix_has_no_slash_at_its_ends(raw: str, prefix: str) -> None:
    assert settings_of(**S3, S3_PREFIX=raw).s3.prefix == prefix


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"TLS_CERT_FILE": "/c"}, "TLS_KEY_FILE"),
        ({"TLS_KEY_FILE": "/k"}, "TLS_CERT_FILE"),
        ({"BIND": "ssl://a:1"}, "BIND"),
        ({"METRICS_BIND": "ssl://a:1"}, "METRICS_BIND"),
        ({"FSAPI_BIND": "tcp://a:1 ssl://a:2"}, "FSAPI_BIND"),
        ({"REDIS_SENTINELS": "a:1", "SECRET_KEY_BASE": "k"}, "REDIS_SENTINEL_MASTER"),
        ({"REDIS_SENTINEL_MASTER": "m"}, "REDIS_SENTINELS"),
        ({"S3_RECORDING": "true"}, "S3_BUCKET_NAME"),
        ({**S3, "AWS_ACCESS_KEY_ID": "id"}, "AWS_SECRET_ACCESS_KEY"),
        ({**S3, "S3_SERVE": "redirected"}, "S3_SERVE"),
        ({**S3, "S3_SSE": "aes"}, "S3_SSE"),
        ({**S3, "S3_SSE": "aws:kms:"}, "S3_SSE"),
        ({**S3, "S3_ADDRESSING": "host"}, "S3_ADDRESSING"),
        ({**S3, "S3_PREFIX": "a/../b"}, "S3_PREFIX"),
        ({"VOICE_BRIDGE_MIN": "7", "VOICE_BRIDGE_MAX": "6"}, "VOICE_BRIDGE_MIN"),
        ({"STATE_DIR": "/x", "CTL_SOCKET": "/" + "y" * 107}, "CTL_SOCKET"),
    ],
)
def test_half_of_a_pair_is_refused(variables: dict[str, str], name: str) -> None:
    lines = refusal(**variables).splitlines()

    assert len(lines) == 2
    assert lines[1].startswith(f"  {name}")


@pytest.mark.parametrize(
    "variables",
    [
        {"TLS_CERT_FILE": "/c", "TLS_KEY_FILE": "/k", "BIND": "ssl://a:1"},
        {"S3_RECORDING": "false"},
        S3,
        {**S3, "S3_SERVE": "Proxy", "S3_SSE": "aws:kms:alias/k", "S3_ADDRESSING": "virtual"},
        {"AWS_ACCESS_KEY_ID": "id"},
        {"VOICE_BRIDGE_MIN": "9", "VOICE_BRIDGE_MAX": "9"},
    ],
)
def test_whole_pair_is_accepted(variables: dict[str, str]) -> None:
    assert refusal(**variables) == ""


def test_long_default_of_the_control_socket_is_refused() -> None:
    from appliance.settings import SettingsError, load_settings

    environ = {"LOADBALANCER_SECRET": "s", "HOME": "/" + "x" * 100}
    with pytest.raises(SettingsError, match="CTL_SOCKET: the default path is too long"):
        load_settings(environ, is_root=False)


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({"VOICE_BRIDGE_LEN": "10"}, "VOICE_BRIDGE_LEN: numbers have 10 digits"),
        ({"VOICE_BRIDGE_LEN": "4"}, "VOICE_BRIDGE_LEN: numbers have 4 digits"),
        (
            {"TLS_CERT_FILE": "/c", "TLS_KEY_FILE": "/k", "BIND": "tcp://a:1"},
            "TLS_CERT_FILE: not used",
        ),
        ({"FSAPI_PASSWORD": ""}, "FSAPI_PASSWORD is empty, so"),
        (
            {"PORT": "1", "METRICS_BIND": "tcp://127.0.0.1:1"},
            "METRICS_BIND: tcp://127.0.0.1:1 is taken by tcp://0.0.0.0:1 of BIND, so metrics are",
        ),
        ({"LOAD_PER_USER": "0", "LOAD_PER_VIDEO": "0"}, "LOAD_PER_USER: all weights are 0"),
        (
            {"LOAD_PER_VIDEO": "3", "LOAD_COUNT_MODERATORS_TWICE": "true"},
            "LOAD_COUNT_MODERATORS_TWICE: not used, because LOAD_PER_VIDEO is set",
        ),
    ],
)
def test_likely_mistake_is_reported_with_a_warning(variables: dict[str, str], start: str) -> None:
    (warning,) = settings_of(**variables).warnings

    assert warning.startswith(start)
    assert mask_text(warning) == warning  # as the log writes it


def test_metrics_may_have_an_address_of_their_own() -> None:
    assert settings_of(PORT="1", METRICS_BIND="tcp://127.0.0.1:2").warnings == ()


def test_bad_secret_key_base_is_one_problem_not_two() -> None:
    message = refusal(REDIS_URL="redis://h", SECRET_KEY_BASE_FILE="/nonexistent/x")

    assert len(message.splitlines()) == 2


@pytest.mark.parametrize("name", ["CTL_SOCKET", "STATE_DIR"])
def test_path_that_is_no_text_is_refused_with_one_line(name: str) -> None:
    assert len(refusal(**{name: "/tmp/\udcff"}).splitlines()) == 2


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "LOADBALANCER_SECRETS"])
def test_variable_with_a_problem_gets_no_second_one(name: str) -> None:
    assert len(refusal(**{name: "a\x01b"}).splitlines()) == 2
