"""A certificate authority for the tests of several engines."""

from __future__ import annotations

import pytest

from tests.doubles.raw_http import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give a certificate authority and a server certificate that it signed."""
    return make_authority(tmp_path_factory.mktemp("tls"))
