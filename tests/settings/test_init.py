"""What importing the settings costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import appliance.settings


def modules_after(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=30
    )
    return set(answer.stdout.split())


def test_control_socket_path_imports_next_to_nothing() -> None:
    loaded = modules_after(
        "from appliance.settings import control_socket_path; control_socket_path({}, True)"
    )
    ours = {name for name in loaded if name.startswith("appliance.")}

    assert ours == {"appliance.settings", "appliance.settings.paths"}
    assert not loaded & {"dataclasses", "inspect", "json", "ipaddress", "urllib.parse", "hashlib"}


def test_all_settings_import_no_framework() -> None:
    loaded = modules_after("from appliance.settings import load_settings, describe_settings")

    assert not loaded & {"trio", "asyncio", "lxml", "structlog", "httpx", "quart", "socket", "ssl"}


@pytest.mark.parametrize("name", appliance.settings.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(appliance.settings, name) is not None


def test_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = appliance.settings.nothing
