"""Settings for tests: an environment with the one required variable and the given ones."""

from __future__ import annotations

from appliance.settings import Settings, SettingsError, load_settings

SECRET = "test-loadbalancer-secret"


def environment(**variables: str) -> dict[str, str]:
    """Return a valid environment with these variables."""
    return {"LOADBALANCER_SECRET": SECRET, **variables}


def settings_of(**variables: str) -> Settings:
    """Load settings from these variables, as root."""
    return load_settings(environment(**variables), is_root=True)


def refusal(**variables: str) -> str:
    """Return the error message for these variables, or '' if they are accepted."""
    try:
        settings_of(**variables)
    except SettingsError as error:
        return str(error)
    return ""
