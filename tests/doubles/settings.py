"""Settings for tests: an environment with the one variable that must be set, and what is given."""

from __future__ import annotations

from appliance.settings import Settings, SettingsError, load_settings

SECRET = "test-loadbalancer-secret"


def environment(**variables: str) -> dict[str, str]:
    """Return an environment that can be loaded, with variables added."""
    return {"LOADBALANCER_SECRET": SECRET, **variables}


def settings_of(**variables: str) -> Settings:
    """Load settings as root would with these variables."""
    return load_settings(environment(**variables), is_root=True)


def refusal(**variables: str) -> str:
    """Return the message with which these variables are refused, empty if they are accepted."""
    try:
        settings_of(**variables)
    except SettingsError as error:
        return str(error)
    return ""
