"""Which errors are due to a limit of this process."""

from __future__ import annotations

import errno

import pytest

from appliance.system.exhaustion import OwnLimitError, check_descriptors, is_own_limit
from tests.doubles.descriptors import no_free_descriptors


def caused_by(cause: BaseException) -> Exception:
    try:
        raise ValueError("outer") from cause
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (None, False),
        (OSError(errno.EMFILE, "x"), True),
        (OSError(errno.ENOBUFS, "x"), True),
        (OSError(errno.ECONNREFUSED, "x"), False),
        (OwnLimitError("x"), True),
        (caused_by(caused_by(OSError(errno.ENOMEM, "x"))), True),
        (caused_by(ExceptionGroup("", [OSError("x"), OSError(errno.ENFILE, "x")])), True),
        (caused_by(ExceptionGroup("", [OSError("x")])), False),
    ],
)
def test_own_limit_is_found_in_causes_and_groups(error: BaseException | None, own: bool) -> None:
    assert is_own_limit(error) is own


def test_lack_of_descriptors_is_found_by_trying() -> None:
    check_descriptors()
    with no_free_descriptors(), pytest.raises(OwnLimitError, match="Too many open files"):
        check_descriptors()
