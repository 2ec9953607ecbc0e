"""Limits of the process; the collector is looked at in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys

from appliance.tasks.process import raise_file_limit


def test_as_many_files_as_the_system_allows_can_be_open() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        raise_file_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert soft == hard == before[1]


def test_what_start_up_made_is_left_alone_by_the_collector() -> None:
    code = (
        "import gc; from appliance.tasks.process import tune_garbage_collector as tune; tune();"
        "print(gc.get_freeze_count() > 0, gc.get_threshold()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.split() == ["True", "50000"]
