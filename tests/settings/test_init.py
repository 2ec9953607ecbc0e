"""Imports of the settings package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import appliance.settings


def modules_after(statement: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=30
    )
    return set(answer.stdout.split())


def test_control_socket_path_imports_almost_nothing() -> None:
    loaded = modules_after(
        "from appliance.settings import control_socket_path; control_socket_path({}, True)"
    )
    own = {name for name in loaded if name.startswith("appliance.")}

    assert own == {"appliance.settings", "appliance.settings.paths"}
    assert not loaded & {"dataclasses", "inspect", "json", "ipaddress", "urllib.parse", "hashlib"}


def test_settings_import_no_framework() -> None:
    loaded = modules_after("from appliance.settings import load_settings, describe_settings")

    assert not loaded & {"trio", "asyncio", "lxml", "structlog", "httpx", "quart", "socket", "ssl"}


@pytest.mark.parametrize("name", appliance.settings.__all__)
def test_public_name_can_be_imported(name: str) -> None:
    assert getattr(appliance.settings, name) is not None


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = appliance.settings.nothing
