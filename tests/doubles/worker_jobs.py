"""Jobs of the process that works on objects whose results cannot be passed on."""

from __future__ import annotations

import threading
from typing import Any


def answer_not_sent(*, transfer: object) -> object:
    """Return what the process cannot pickle."""
    return threading.Lock()


class _NotRead:
    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def answer_not_read(*, transfer: object) -> object:
    """Return what the appliance cannot unpickle."""
    return _NotRead()
