"""What an operator sees of an import."""

from __future__ import annotations

import pytest

from appliance.recordings.imports.model import ImportState, SpooledTar
from appliance.recordings.summary import ImportRecord


@pytest.mark.parametrize("state", list(ImportState))
@pytest.mark.parametrize("running", [True, False])
def test_import_is_interrupted_if_nobody_is_at_what_was_begun(
    state: ImportState, running: bool
) -> None:
    tar = SpooledTar("r1.tar", 1, 1, 1)
    record = ImportRecord(1, tar, state, None, 0, False, (), running, 0, None, None, None)
    begun = state in (ImportState.EXTRACTING, ImportState.PLACING)
    assert record.interrupted == (begun and not running)
