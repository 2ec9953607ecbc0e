"""Settings objects are frozen and slotted, and their repr holds no secret."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.settings import Bind, Settings
from tests.doubles.s3 import pem_key
from tests.doubles.settings import settings_of


def slices(settings: Settings) -> list[object]:
    """Return the settings and all dataclasses in them."""
    values = [getattr(settings, field.name) for field in dataclasses.fields(settings)]
    return [settings, *(value for value in values if dataclasses.is_dataclass(value))]


def test_every_slice_is_frozen_and_slotted() -> None:
    for one in slices(settings_of()):
        name = dataclasses.fields(one)[0].name  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, name, None)
        assert not hasattr(one, "__dict__")


def test_no_secret_is_in_the_repr() -> None:
    settings = settings_of(
        LOADBALANCER_SECRET="S3C1",
        LOADBALANCER_SECRETS="S3C2:S3C3",
        SECRET_KEY_BASE="S3C4",
        DATABASE_URL="postgres://u:S3C5@h/d",
        REDIS_URL="redis://:S3C6@h",
        ADMIN_SECRET="S3C7",
        AUTOSCALE_SECRET="S3CF",
        AUTOSCALE_URL="http://h/?token=S3CG",
        AUTOSCALE_COMMAND="scale S3CH",
        FSAPI_PASSWORD="S3C8",
        METRICS_TOKEN="S3C9",
        AWS_SECRET_ACCESS_KEY="S3CA",
        AWS_SESSION_TOKEN="S3CB",
        CF_PRIVATE_KEY_B64=pem_key()[1],
        DEFAULT_CREATE_PARAMS="moderatorPW=S3CD",
        OVERRIDE_JOIN_PARAMS="password=S3CE",
    )

    assert "S3C" not in repr(settings)
    assert "PRIVATE KEY" not in repr(settings)


@pytest.mark.parametrize(
    ("bind", "text"),
    [
        (Bind("tcp", "0.0.0.0", 3000), "tcp://0.0.0.0:3000"),
        (Bind("ssl", "::1", 443), "ssl://[::1]:443"),
        (Bind("unix", path="/run/x"), "unix:///run/x"),
    ],
)
def test_bind_has_the_syntax_of_the_environment(bind: Bind, text: str) -> None:
    assert str(bind) == text
