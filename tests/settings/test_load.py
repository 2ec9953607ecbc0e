"""Conversion of variables into settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.settings import Algorithm, Bind, SettingsError, load_settings
from tests.doubles.settings import SECRET, environment, settings_of


@pytest.mark.parametrize(
    ("variables", "secrets"),
    [
        ({"LOADBALANCER_SECRET": "a"}, ("a",)),
        ({"LOADBALANCER_SECRET": "a", "LOADBALANCER_SECRETS": "b:c"}, ("a", "b", "c")),
        ({"LOADBALANCER_SECRET": "", "LOADBALANCER_SECRETS": "b::c:"}, ("b", "c")),
        ({"LOADBALANCER_SECRET": "a", "LOADBALANCER_SECRETS": "b:a"}, ("a", "b")),
        ({"LOADBALANCER_SECRET": "a:b"}, ("a:b",)),
    ],
)
def test_secrets_are_combined_without_empty_ones(
    variables: dict[str, str], secrets: tuple[str, ...]
) -> None:
    settings = settings_of(**variables)

    assert settings.api.secrets == secrets
    assert settings.admin.secrets == secrets
    assert settings.fsapi.password == secrets[0]


def test_admin_secret_replaces_the_others() -> None:
    settings = settings_of(ADMIN_SECRET="admin")

    assert settings.admin.secrets == ("admin",)
    assert settings.api.secrets == (SECRET,)


@pytest.mark.parametrize(
    ("raw", "allowed", "sent"),
    [
        ("", set(Algorithm), Algorithm.SHA256),
        ("SHA1", {Algorithm.SHA1}, Algorithm.SHA1),
        ("SHA512:SHA1", {Algorithm.SHA1, Algorithm.SHA512}, Algorithm.SHA512),
        (
            "SHA1:SHA384:SHA256",
            {Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384},
            Algorithm.SHA384,
        ),
        ("SHA1:SHA256:SHA384:SHA512", set(Algorithm), Algorithm.SHA512),
    ],
)
def test_strongest_of_the_list_is_sent(raw: str, allowed: set[Algorithm], sent: Algorithm) -> None:
    settings = settings_of(LOADBALANCER_CHECKSUM_ALGORITHM=raw)

    assert settings.api.allowed_algorithms == allowed
    assert settings.api.send_algorithm == settings.servers.send_algorithm == sent


@pytest.mark.parametrize(
    ("variables", "base_url"),
    [
        ({}, None),
        ({"URL_HOST": "sl.example.org"}, "sl.example.org"),
        ({"URL_HOST": "sl.example.org", "BASE_URL": "example.org"}, "example.org"),
    ],
)
def test_base_url_is_url_host_unless_set(variables: dict[str, str], base_url: str | None) -> None:
    assert settings_of(**variables).api.base_url == base_url


@pytest.mark.parametrize(
    ("variables", "binds"),
    [
        ({}, (Bind("tcp", "0.0.0.0", 3000),)),
        ({"PORT": "80"}, (Bind("tcp", "0.0.0.0", 80),)),
        ({"SCALELITE_API_PORT": "81"}, (Bind("tcp", "0.0.0.0", 81),)),
        ({"PORT": "80", "BIND": "unix:///run/a"}, (Bind("unix", path="/run/a"),)),
        (
            {"PORT": "443", "TLS_CERT_FILE": "/c", "TLS_KEY_FILE": "/k"},
            (Bind("ssl", "0.0.0.0", 443),),
        ),
    ],
)
def test_listener_is_bind_else_port(variables: dict[str, str], binds: tuple[Bind, ...]) -> None:
    assert settings_of(**variables).web.binds == binds


def test_trusted_proxies_are_private_by_default_and_can_be_none() -> None:
    networks = {str(network) for network in settings_of().web.trusted_proxies}

    assert networks == {
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
    }
    assert settings_of(TRUSTED_PROXIES="none").web.trusted_proxies == ()


@pytest.mark.parametrize(
    ("variables", "password"),
    [
        ({}, SECRET),
        ({"FSAPI_PASSWORD": "x"}, "x"),
        ({"FSAPI_PASSWORD": ""}, None),
        ({"FSAPI_PASSWORD": "  "}, SECRET),
    ],
)
def test_only_an_empty_fsapi_password_is_none(
    variables: dict[str, str], password: str | None
) -> None:
    assert settings_of(**variables).fsapi.password == password


@pytest.mark.parametrize(
    ("variables", "minutes", "seconds"),
    [
        ({"MAX_MEETING_DURATION": "90"}, 90, 5400),
        ({"MAX_MEETING_DURATION": "0.5"}, 1, 60),
        ({"MAX_MEETING_DURATION": "90", "FSAPI_MAX_DURATION": "0"}, 90, 0),
        ({"MAX_MEETING_DURATION": "90", "FSAPI_MAX_DURATION": "1.5"}, 90, 90),
        ({"FSAPI_MAX_DURATION": "0.001"}, 0, 1),
    ],
)
def test_duration_of_calls_is_that_of_meetings_unless_set(
    variables: dict[str, str], minutes: int, seconds: int
) -> None:
    settings = settings_of(**variables)

    assert settings.api.max_meeting_duration_min == minutes
    assert settings.fsapi.max_duration_s == seconds


@pytest.mark.parametrize("name", ["DB_DISABLED", "RECORDING_DISABLED"])
def test_either_switch_disables_recordings_and_database(name: str) -> None:
    settings = settings_of(**{name: "true"})

    assert settings.stores.database_disabled
    assert settings.recordings.disabled
    assert not settings.stores.database_embedded
    assert settings.stores.redis_embedded


def test_stores_are_embedded_unless_named() -> None:
    embedded = settings_of()
    external = settings_of(DATABASE_URL="postgres://h", REDIS_URL="redis://h", SECRET_KEY_BASE="k")
    sentinel = settings_of(REDIS_SENTINELS="a:1", REDIS_SENTINEL_MASTER="m", SECRET_KEY_BASE="k")

    assert embedded.stores.redis_embedded
    assert embedded.stores.database_embedded
    assert embedded.secret_key_base is None
    assert not external.stores.redis_embedded
    assert not external.stores.database_embedded
    assert external.stores.database_url == "postgresql://h/scalelite"
    assert external.secret_key_base == "k"
    assert not sentinel.stores.redis_embedded
    assert sentinel.stores.redis_sentinels == (("a", 1),)


def test_rails_options_are_removed_from_the_url_with_a_warning() -> None:
    settings = settings_of(DATABASE_URL="postgres://h/d?pool=9", SECRET_KEY_BASE="k")

    assert settings.stores.database_url == "postgresql://h/d"
    assert settings.warnings == ("DATABASE_URL: options of Rails are ignored: pool",)


def test_lists_and_parameters_are_loaded() -> None:
    api = settings_of(
        CREATE_EXCLUDE_PARAMS="a,b",
        JOIN_EXCLUDE_PARAMS="c",
        DEFAULT_CREATE_PARAMS=r"welcome=Hi\, all,record=true",
        OVERRIDE_CREATE_PARAMS="x=1",
        DEFAULT_JOIN_PARAMS="y=2",
        OVERRIDE_JOIN_PARAMS="z=3",
    ).api

    assert api.create_exclude == {"a", "b"}
    assert api.join_exclude == {"c"}
    assert api.default_create == (("welcome", "Hi, all"), ("record", "true"))
    assert (api.override_create, api.default_join, api.override_join) == (
        (("x", "1"),),
        (("y", "2"),),
        (("z", "3"),),
    )


def test_units_are_converted() -> None:
    settings = settings_of(
        LOAD_JOIN_BUFFER_TIME="0.5",
        CONNECT_TIMEOUT="0.25",
        RESPONSE_TIMEOUT="1.5",
        DEFAULT_MEETING_TTL="1.1",
        PROTECTED_RECORDINGS_TOKEN_TIMEOUT="1.5",
        PROTECTED_RECORDINGS_TIMEOUT="0.01",
    )

    assert settings.load.join_buffer_ms == 30_000
    assert settings.meetings.creating_limit_ms == 6750
    assert settings.meetings.ttl_s == 2
    assert (settings.protected.token_timeout_s, settings.protected.cookie_timeout_s) == (90, 1)


def test_state_and_control_socket_depend_on_the_user() -> None:
    user = load_settings(environment(HOME="/home/a"), is_root=False)

    assert user.stores.state_dir == Path("/home/a/.local/state/scalelite-appliance")
    assert user.control.socket_path == user.stores.state_dir / "ctl.sock"
    assert settings_of().stores.state_dir == Path("/var/lib/scalelite-appliance")
    assert settings_of().control.socket_path == Path("/run/scalelite-appliance/ctl.sock")
    assert settings_of().control.group == "scalelite-appliance"


def test_metrics_and_dial_in_listeners_are_loaded() -> None:
    settings = settings_of(
        METRICS_BIND="127.0.0.1:9100", METRICS_TOKEN="t", FSAPI_BIND="unix:///run/f"
    )

    assert settings.metrics.binds == (Bind("tcp", "127.0.0.1", 9100),)
    assert settings.metrics.token == "t"
    assert settings.fsapi.binds == (Bind("unix", path="/run/f"),)


def test_empty_environment_is_refused() -> None:
    with pytest.raises(SettingsError, match="LOADBALANCER_SECRET"):
        load_settings({}, is_root=True)


def test_error_holds_its_problems() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment(PORT="x", BIND="y"), is_root=True)

    assert [problem.name for problem in caught.value.problems] == ["PORT", "BIND"]


def test_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1234")
    monkeypatch.setenv("STATE_DIR", "/elsewhere")

    assert settings_of().web.binds[0].port == 3000
    assert settings_of().stores.state_dir == Path("/var/lib/scalelite-appliance")
