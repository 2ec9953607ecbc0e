"""The German console has a German text for all that the appliance says to operators.

Findings are recognised by their words, so the texts are read from the source of the checks: a new
one without a translation fails here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance.doctor
from appliance.console.texts import Texts, load_languages
from appliance.events.texts import FORMS
from tests.doubles.features import EventBook

DOCTOR = Path(appliance.doctor.__file__).parent
REPORTS = ("ok", "warn", "fail", "report", "Finding")
SAMPLE = "x1y"
"""Stands for every value."""
NO_WORDS = f"{SAMPLE}|`[^`]*`|bbb-playback"
"""Values, commands and names of programs: the same in every language."""


@pytest.fixture(scope="module")
def german() -> Texts:
    """Give the German texts of the package."""
    return load_languages("de", EventBook()).by_name["de"]


def test_every_event_is_translated(german: Texts) -> None:
    assert not [form for form in (*FORMS.values(), " (by {})") if form not in german.messages]


@pytest.mark.parametrize("path", sorted(DOCTOR.glob("*.py")), ids=lambda path: path.stem)
def test_every_finding_is_translated(path: Path, german: Texts) -> None:
    missing = sorted({text for text in texts_of(path) if german.translate(text) == text})

    assert not missing


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts and advices of the findings that a module reports."""
    module = ast.parse(path.read_text())
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        known = values_of(module.body) | values_of(list(ast.walk(function)))
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and name_of(call.func) in REPORTS:
                first = 2 if name_of(call.func) == "Finding" else 1
                for argument in call.args[first:]:
                    for text in read(argument, known):
                        if re.search("[a-zA-Z]", re.sub(NO_WORDS, "", text)):
                            yield text


def name_of(function: ast.expr) -> str:
    """Return the name of what is called."""
    return function.id if isinstance(function, ast.Name) else type(function).__name__


def values_of(nodes: list[ast.AST] | list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """Return what is assigned to each name."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if not isinstance(node, ast.Assign):
            continue
        (target,), values = node.targets, [node.value]
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        if isinstance(node.value, ast.Tuple):
            values = node.value.elts
        for name, value in zip(targets, values, strict=False):
            if isinstance(name, ast.Name) and getattr(value, "value", None) != "":
                found.setdefault(name.id, []).append(value)
    return found


def read(node: ast.expr, known: dict[str, list[ast.expr]]) -> list[str]:
    """Return the texts that an expression can be; a value that is not known is SAMPLE."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return [*read(node.body, known), *read(node.orelse, known)]
        case ast.Name() if node.id in known:
            return [text for value in known[node.id] for text in read(value, known)]
        case ast.JoinedStr():
            texts = [""]
            for part in node.values:
                inner = part.value if isinstance(part, ast.FormattedValue) else part
                texts = [text + more for text in texts for more in read(inner, known)]
            return texts
    return [SAMPLE]
