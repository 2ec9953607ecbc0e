"""Answers the calls of a test by one client library: a line of JSON in, a line of JSON out.

Runs in the environment of the library, so it imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

API_URL = os.environ.get("COMPAT_API_URL", "")
"""Address of the API, without a slash at the end."""
SECRET = os.environ.get("COMPAT_SECRET", "")

Calls = Mapping[str, Callable[..., Any]]


def answer_calls(calls: Calls) -> None:
    """Answer until the input ends; an exception of the library is an answer as well."""
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"result": calls[question["call"]](**question["arguments"])}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {getattr(error, 'key', '')} {error}"}
        print(json.dumps(answer), file=lines, flush=True)
