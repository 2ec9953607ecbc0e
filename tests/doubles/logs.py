"""Capture the log of a test, and restore the logging of the process."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from appliance.log import configure_logging


@contextmanager
def logging_restored() -> Iterator[None]:
    """Undo the changes of `configure_logging` at the end of the block."""
    root, appliance = logging.getLogger(), logging.getLogger("appliance")
    handlers, levels = list(root.handlers), (root.level, appliance.level)
    raising = logging.raiseExceptions
    try:
        with warnings.catch_warnings():
            yield
    finally:
        root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
        root.setLevel(levels[0])
        appliance.setLevel(levels[1])
        logging.raiseExceptions = raising
        logging.captureWarnings(False)


def logged(log_format: str, emit: Callable[[], object]) -> str:
    """Return the log output of `emit` without the final line break."""
    written = io.StringIO()
    configure_logging("debug", log_format, stream=written)
    emit()
    return written.getvalue().removesuffix("\n")
