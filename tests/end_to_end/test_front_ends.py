"""Requests in the form in which front-ends send them, replayed to the real process.

Each file of tests/data/front-ends is one front-end: its requests in their order, without checksums,
which are computed here. docs/front-ends.md describes the forms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.appliance_client import Answer, FrontEnd
from tests.doubles.appliance_pool import ServedPool
from tests.doubles.signing import checksum

FORMS = Path(__file__).resolve().parents[1] / "data" / "front-ends"


def send(front: FrontEnd, step: dict[str, Any], algorithm: str) -> Answer:
    """Sign a recorded request and send it."""
    query, joint = step["query"], step.get("joint")
    if joint != "unsigned":
        signed = checksum(step["call"], query, front.secret, step.get("algorithm", algorithm))
        front.checksums.add(signed)
        # Some join by `&` even if there is no parameter.
        query += f"{'&' if query or joint == 'always' else ''}checksum={signed}"
    target = f"{step['path']}?{query}" if query else step["path"]
    headers = {"Content-Type": step["content_type"]} if "content_type" in step else {}
    return front.fetch(step["method"], target, step.get("body", "").encode() or None, headers)


@pytest.mark.parametrize("name", sorted(path.stem for path in FORMS.glob("*.json")))
def test_requests_of_a_front_end_are_answered(name: str, pool: ServedPool) -> None:
    recorded = json.loads((FORMS / f"{name}.json").read_text())
    for step in recorded["steps"]:
        answer = send(pool.front, step, recorded["algorithm"])
        where = f"{step['method']} {step['path']}?{step['query']}"
        assert answer.status == step.get("status", 200), (where, answer.body)
        if answer.status == 302:
            assert answer.location.startswith("http"), where
            assert any(answer.location.startswith(one.url) for one in pool.servers), where
            continue
        found = {path: answer.xml.findtext(f".//{path}") for path in step["expect"]}
        found |= {"meetingName": names} if (names := named(answer, step)) else {}
        assert found == step["expect"], (where, answer.body)


def named(answer: Answer, step: dict[str, Any]) -> str:
    """Return the expected meetingName if any meeting of the answer has it."""
    wanted = step["expect"].get("meetingName", "")
    return wanted if wanted in [one.text for one in answer.xml.iter("meetingName")] else ""
